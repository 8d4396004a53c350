#include "fake/model.h"

#include "base/check.h"
#include "item/expiry.h"

#include <stdio.h>

static const char *const names[MODEL_NAMES] = {
    "{a}1", "{a}2", "{a}3", "{a}4", "{b}1", "{b}2", "{b}3", "{b}4", "{c}1", "{c}2", "{c}3", "{c}4",
};

static struct span name_of(size_t index)
{
    return span_of(names[index], strlen(names[index]));
}

static uint16_t slot_of(size_t index)
{
    return hash_slot(name_of(index));
}

/* ---- Decisions ---- */

static uint8_t take_byte(struct model *model)
{
    if (model->input_size == 0) return 0;
    model->input_size--;
    return *model->input++;
}

static size_t choose(struct model *model, size_t count)
{
    return take_byte(model) % count;
}

/* Where requests go is the first database, so most changes do too. */
static int choose_db(struct model *model)
{
    size_t db = choose(model, 8);
    return db < FAKE_DATABASES ? (int)db : 0;
}

struct place {
    int db;
    size_t index;
};

static struct place choose_place(struct model *model)
{
    int db = choose_db(model);
    return (struct place){db, choose(model, MODEL_NAMES)};
}

static struct model_item *item_at(struct model *model, struct place place)
{
    return &model->items[place.db][place.index];
}

static const uint32_t some_flags[] = {0, 0, 5, 7, 0xffffffff, 1u << 31};

static uint32_t choose_flags(struct model *model)
{
    return some_flags[choose(model, sizeof some_flags / sizeof *some_flags)];
}

static int64_t now_of(const struct model *model)
{
    return model->world->fake.now_ms;
}

/* ---- What the model knows ---- */

static bool is_there(const struct model *model, const struct model_item *item)
{
    return item->kind != KEYSPACE_ABSENT && !expiry_has_passed(item->expiry, now_of(model));
}

static bool is_string(const struct model *model, const struct model_item *item)
{
    return is_there(model, item) && item->kind == KEYSPACE_STRING;
}

static void change_content(struct model *model, struct model_item *item)
{
    item->content = ++model->contents;
}

static void change_all_contents(struct model *model)
{
    for (int db = 0; db < FAKE_DATABASES; db++)
        for (size_t i = 0; i < MODEL_NAMES; i++) change_content(model, &model->items[db][i]);
}

/* Tokens belong to a name, not to an item that comes and goes under it. */
static void put_item(struct model *model, struct model_item *place, struct model_item item)
{
    item.token = place->token;
    item.token_content = place->token_content;
    *place = item;
    change_content(model, place);
}

static void remove_item(struct model *model, struct model_item *item)
{
    put_item(model, item, (struct model_item){.is_unsettled = true, .is_carried = item->is_carried && item->is_unsettled});
}

static void forget_unsettled(struct model *model)
{
    for (int db = 0; db < FAKE_DATABASES; db++) {
        for (size_t i = 0; i < MODEL_NAMES; i++) {
            model->items[db][i].is_unsettled = false;
            model->items[db][i].is_carried = false;
        }
    }
}

/* Whatever settles the ledger's notes has been called. */
static void note_settled(struct model *model)
{
    if (model->is_writable) forget_unsettled(model);
}

/* Flags that were still on their way may have been lost with where they came from. */
static void lose_carried(struct model *model)
{
    for (int db = 0; db < FAKE_DATABASES; db++)
        for (size_t i = 0; i < MODEL_NAMES; i++)
            if (model->items[db][i].is_carried) model->items[db][i].may_be_lost = true;
}

static void lose_slot(struct model *model, int db, uint16_t slot)
{
    for (size_t i = 0; i < MODEL_NAMES; i++)
        if (slot_of(i) == slot) model->items[db][i].may_be_lost = true;
    model->was_lost[slot] = true;
    lose_carried(model);
}

/* ---- Comparing ---- */

static void check_item(struct model *model, struct place place)
{
    struct model_item *item = item_at(model, place);
    const struct fake_key *key = fake_find(&model->world->fake, place.db, name_of(place.index));
    if (key && expiry_has_passed(key->expiry, now_of(model))) key = NULL;
    if (!is_there(model, item)) {
        CHECK(!key);
        return;
    }
    if (!key) {
        CHECK(item->may_be_lost && item->kind == KEYSPACE_STRING);
        model->swept++;
        remove_item(model, item);
        return;
    }
    CHECK(key->kind == item->kind && key->expiry == item->expiry);
    if (item->kind == KEYSPACE_STRING) CHECK(span_equal(buffer_content(&key->value), span_of(item->value, item->size)));
}

void model_check(struct model *model)
{
    for (int db = 0; db < FAKE_DATABASES; db++)
        for (size_t i = 0; i < MODEL_NAMES; i++) check_item(model, (struct place){db, i});
}

/* ---- Requests ---- */

static struct result get(struct model *model, struct place place)
{
    struct request request = {.op = REQUEST_GET, .key = name_of(place.index), .want_cas = true};
    model->world->context.db = place.db;
    note_settled(model);
    return world_execute(model->world, &request);
}

/* What the near cache would have answered is what the item has, even where a miss is allowed. */
static void check_kept(const struct model *model, const struct model_item *item)
{
    const struct world *world = model->world;
    if (!world->has_kept) return;
    CHECK(is_string(model, item));
    CHECK(span_equal(buffer_content(&world->kept), span_of(item->value, item->size)));
    CHECK(world->kept_flags == item->flags);
    CHECK(!item->is_stale && !item->is_won);
}

/* Reads an item as a client; true when it is there for clients, all of it as it must be. */
static bool probe(struct model *model, struct place place)
{
    struct model_item *item = item_at(model, place);
    struct result result = get(model, place);
    check_kept(model, item);
    if (result.status == RESULT_HIT) {
        CHECK(is_string(model, item));
        CHECK(span_equal(world_value(model->world, &result), span_of(item->value, item->size)));
        CHECK(result.flags == item->flags);
        CHECK(result.number != 0);
        model->hits++;
        return true;
    }
    CHECK(result.status == RESULT_NOT_FOUND);
    if (!is_string(model, item)) return false;
    CHECK(item->may_be_lost || item->is_unsettled);
    CHECK(item->may_be_lost || !model->is_writable);
    model->misses_allowed++;
    return false;
}

static void step_get(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    if (!probe(model, place)) return;
    item->token = get(model, place).number;
    item->token_content = item->content;
}

static struct span choose_value(struct model *model, char text[MODEL_VALUE_MAX])
{
    int size = snprintf(text, MODEL_VALUE_MAX, "%zu", choose(model, 200));
    return span_of(text, take_byte(model) % 16 ? (size_t)size : 0);
}

static int64_t choose_exptime(struct model *model)
{
    static const int64_t exptimes[] = {0, 0, 0, 0, 0, 0, 2, 1000, 1000, -1};
    return exptimes[choose(model, sizeof exptimes / sizeof *exptimes)];
}

static void set_value(struct model_item *item, struct span value)
{
    item->size = value.size;
    memcpy(item->value, value.data, value.size);
}

/* The item is another one, which has no marks. */
static void rewrite_item(struct model *model, struct model_item *item)
{
    item->may_be_lost = item->is_stale = item->is_won = false;
    change_content(model, item);
}

/* What a storage command leaves behind. */
static void store_in_model(struct model *model, struct model_item *item, const struct request *request)
{
    struct model_item stored = {
        .kind = KEYSPACE_STRING,
        .flags = request->flags,
        .expiry = expiry_from_exptime(request->exptime, now_of(model)),
    };
    set_value(&stored, request->value);
    if (expiry_has_passed(stored.expiry, now_of(model))) stored = (struct model_item){0};
    put_item(model, item, stored);
}

static void expect_storage(struct model *model, struct model_item *item, const struct request *request,
                           enum result_status status, bool is_visible)
{
    bool is_foreign = is_there(model, item) && item->kind == KEYSPACE_FOREIGN;
    bool stores = false;
    switch (request->op) {
    case REQUEST_SET: stores = true; break;
    case REQUEST_ADD: stores = !is_visible && !is_foreign; break;
    case REQUEST_REPLACE: stores = is_visible; break;
    default:
        CHECK(request->op == REQUEST_CAS);
        if (!is_visible) {
            CHECK(status == RESULT_NOT_FOUND);
        } else if (request->operand == 0 || item->token_content != item->content) {
            CHECK(status == RESULT_EXISTS);
        } else {
            CHECK(status == RESULT_EXISTS || status == RESULT_STORED);
            stores = status == RESULT_STORED;
            model->cas_stored += stores;
        }
    }
    if (request->op != REQUEST_CAS) CHECK(status == (stores ? RESULT_STORED : RESULT_NOT_STORED));
    /* A value that has expired before it is stored only removes, and only what is visible. */
    bool leaves_lost = request->exptime < 0 && !is_visible && !is_foreign;
    if (stores && !leaves_lost) store_in_model(model, item, request);
}

static void step_storage(struct model *model)
{
    static const enum request_op ops[] = {REQUEST_SET, REQUEST_SET, REQUEST_ADD, REQUEST_REPLACE, REQUEST_CAS, REQUEST_CAS};
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    char text[MODEL_VALUE_MAX];
    struct request request = {
        .op = ops[choose(model, sizeof ops / sizeof *ops)],
        .key = name_of(place.index),
        .flags = choose_flags(model),
        .exptime = choose_exptime(model),
        .value = choose_value(model, text),
        .operand = item->token,
    };
    bool is_visible = item->may_be_lost ? probe(model, place) : is_string(model, item);
    model->world->context.db = place.db;
    note_settled(model);
    struct result result = world_execute(model->world, &request);
    expect_storage(model, item, &request, result.status, is_visible);
}

static void step_join(struct model *model)
{
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    bool appends = choose(model, 2);
    struct request request = {
        .op = appends ? REQUEST_APPEND : REQUEST_PREPEND,
        .key = name_of(place.index),
        .flags = choose_flags(model),
        .value = SPAN("7"),
    };
    if (item->size + 1 > MODEL_VALUE_MAX) return;
    bool is_visible = item->may_be_lost ? probe(model, place) : is_string(model, item);
    model->world->context.db = place.db;
    note_settled(model);
    struct result result = world_execute(model->world, &request);
    CHECK(result.status == (is_visible ? RESULT_STORED : RESULT_NOT_STORED));
    if (!is_visible) return;
    if (!appends) memmove(item->value + 1, item->value, item->size);
    item->value[appends ? item->size : 0] = '7';
    item->size++;
    rewrite_item(model, item);
}

/* The values are decimal numbers, or empty. */
static uint64_t number_in(const struct model_item *item)
{
    uint64_t number = 0;
    for (size_t i = 0; i < item->size; i++) number = number * 10 + (uint64_t)(item->value[i] - '0');
    return number;
}

static void step_count(struct model *model)
{
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    struct request request = {
        .op = choose(model, 2) ? REQUEST_INCR : REQUEST_DECR,
        .key = name_of(place.index),
        .operand = take_byte(model),
    };
    bool is_visible = item->may_be_lost ? probe(model, place) : is_string(model, item);
    model->world->context.db = place.db;
    note_settled(model);
    struct result result = world_execute(model->world, &request);
    if (!is_visible) {
        CHECK(result.status == RESULT_NOT_FOUND);
        return;
    }
    if (result.status == RESULT_NON_NUMERIC) {
        CHECK(item->size == 0 || item->size > 18);
        return;
    }
    CHECK(result.status == RESULT_NUMBER);
    if (item->size <= 18) {
        uint64_t before = number_in(item);
        uint64_t less = before > request.operand ? before - request.operand : 0;
        CHECK(result.number == (request.op == REQUEST_INCR ? before + request.operand : less));
    }
    char text[MODEL_VALUE_MAX];
    int size = snprintf(text, sizeof text, "%llu", (unsigned long long)result.number);
    set_value(item, span_of(text, (size_t)size));
    item->may_be_lost = false;
    change_content(model, item);
}

static void step_delete(struct model *model)
{
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    struct request request = {.op = REQUEST_DELETE, .key = name_of(place.index)};
    bool is_visible = item->may_be_lost ? probe(model, place) : is_string(model, item);
    model->world->context.db = place.db;
    note_settled(model);
    CHECK(world_execute(model->world, &request).status == (is_visible ? RESULT_OK : RESULT_NOT_FOUND));
    if (is_string(model, item)) put_item(model, item, (struct model_item){0}); /* a lost one goes, too */
}

static void step_touch(struct model *model)
{
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    bool gets = choose(model, 2);
    struct request request = {
        .op = gets ? REQUEST_GAT : REQUEST_TOUCH,
        .key = name_of(place.index),
        .exptime = choose_exptime(model),
    };
    bool is_visible = item->may_be_lost ? probe(model, place) : is_string(model, item);
    model->world->context.db = place.db;
    note_settled(model);
    struct result result = world_execute(model->world, &request);
    CHECK(result.status == (!is_visible ? RESULT_NOT_FOUND : gets ? RESULT_HIT : RESULT_OK));
    if (!is_visible) return;
    if (gets) CHECK(span_equal(world_value(model->world, &result), span_of(item->value, item->size)));
    if (gets) CHECK(result.flags == item->flags);
    int64_t expiry = expiry_from_exptime(request.exptime, now_of(model));
    if (expiry_has_passed(expiry, now_of(model)))
        put_item(model, item, (struct model_item){0});
    else
        item->expiry = expiry;
}

/* ---- Requests with extras ---- */

static bool is_visible_to_meta(struct model *model, struct place place)
{
    struct model_item *item = item_at(model, place);
    return item->may_be_lost || !model->is_writable ? probe(model, place) : is_string(model, item);
}

static struct result ask(struct model *model, struct place place, struct request *request, struct extras *extras)
{
    request->key = name_of(place.index);
    request->extras = extras;
    extras->asks |= ASK_META;
    model->world->context.db = place.db;
    model->world->context.leave = model->is_writable ? COMMAND_MAY_MARK : COMMAND_MAY_NOT_MARK;
    note_settled(model);
    struct result result = world_execute(model->world, request);
    model->world->context.leave = COMMAND_MUST_ASK;
    return result;
}

/* A missing item that a read with N makes, if it would not have expired already. */
static void vivify_in_model(struct model *model, struct model_item *item, int64_t expiry)
{
    struct model_item made = {.kind = KEYSPACE_STRING, .expiry = expiry, .is_won = true};
    if (!expiry_has_passed(expiry, now_of(model))) put_item(model, item, made);
}

static uint32_t expected_marks(const struct model *model, const struct model_item *item, const struct extras *extras,
                               int64_t expiry)
{
    int64_t left_ms = expiry > now_of(model) ? expiry - now_of(model) : 0;
    bool is_near = (extras->asks & ASK_RECACHE) && expiry != KEYSPACE_NO_EXPIRY &&
                   (left_ms + 999) / 1000 < extras->recache_seconds;
    uint32_t told = item->is_stale ? TELL_STALE : 0;
    if (item->is_won) return told | TELL_WON_BEFORE;
    if (!item->is_stale && !is_near) return told;
    return told | (model->is_writable ? TELL_WON : TELL_WON_BEFORE);
}

static void expect_meta_hit(struct model *model, struct model_item *item, const struct request *request,
                            const struct result *result)
{
    const struct extras *extras = request->extras;
    bool touches = extras->asks & ASK_TOUCH;
    int64_t expiry = touches ? expiry_from_exptime(request->exptime, now_of(model)) : item->expiry;
    CHECK(result->status == RESULT_HIT && result->flags == item->flags && extras->size == item->size);
    CHECK(span_equal(world_value(model->world, result), span_of(item->value, item->size)));
    CHECK(extras->told == expected_marks(model, item, extras, expiry));
    item->is_won |= (extras->told & TELL_WON) != 0;
    model->won += (extras->told & TELL_WON) != 0;
    item->expiry = expiry;
    if (expiry_has_passed(expiry, now_of(model))) put_item(model, item, (struct model_item){0});
}

static void step_meta_get(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    uint32_t asks = model->is_writable ? take_byte(model) & (ASK_TOUCH | ASK_VIVIFY | ASK_RECACHE) : 0;
    struct extras extras = {.asks = asks, .vivify_exptime = choose_exptime(model), .recache_seconds = 3 * (int64_t)choose(model, 2)};
    struct request request = {.op = asks ? REQUEST_GAT : REQUEST_GET, .exptime = choose_exptime(model)};
    bool is_visible = is_visible_to_meta(model, place);
    bool is_foreign = is_there(model, item) && item->kind == KEYSPACE_FOREIGN;
    struct result result = ask(model, place, &request, &extras);
    if (is_visible) {
        expect_meta_hit(model, item, &request, &result);
    } else if ((asks & ASK_VIVIFY) && !is_foreign) {
        CHECK(result.status == RESULT_HIT && (extras.told & TELL_WON) && extras.size == 0);
        int64_t exptime = asks & ASK_TOUCH ? request.exptime : extras.vivify_exptime;
        vivify_in_model(model, item, expiry_from_exptime(exptime, now_of(model)));
    } else {
        CHECK(result.status == RESULT_NOT_FOUND);
    }
}

/* Of a client who was late: the item stays as long as before, and is stale. */
static void store_stale_in_model(struct model *model, struct model_item *item, const struct request *request)
{
    bool was_won = item->is_won;
    item->flags = request->flags;
    set_value(item, request->value);
    rewrite_item(model, item);
    item->is_stale = true;
    item->is_won = was_won;
}

static void expect_compared_store(struct model *model, struct model_item *item, const struct request *request,
                                  const struct result *result, uint64_t present)
{
    const struct extras *extras = request->extras;
    bool is_older = (extras->asks & ASK_INVALIDATE) && extras->compare < present;
    if (present == 0) {
        CHECK(result->status == RESULT_NOT_FOUND);
    } else if (extras->compare == present) {
        CHECK(result->status == RESULT_STORED);
        store_in_model(model, item, request);
        model->cas_stored++;
    } else if (is_older) {
        CHECK(result->status == RESULT_STORED);
        store_stale_in_model(model, item, request);
    } else {
        CHECK(result->status == RESULT_EXISTS);
    }
    if (result->status != RESULT_STORED) return;
    item->token = extras->token;
    item->token_content = item->content;
    CHECK(item->token != 0);
}

/* A token that nobody has had yet, or, behind one of the clock's, one that it is about to come to. (Small numbers that are chosen
 * twice for keys of one name in two databases would stand for two contents, as their clients wanted it.) */
static uint64_t choose_token(struct model *model, const struct model_item *item)
{
    bool is_near_clock = choose(model, 2) == 0 && item->token >= model->world->versions.first;
    return is_near_clock ? item->token + 1 + choose(model, 50) : ++model->chosen;
}

/* The present token of an item that is visible, else 0. It never stands for another content than that of its time. */
static uint64_t present_token(struct model *model, struct place place)
{
    struct model_item *item = item_at(model, place);
    if (!is_visible_to_meta(model, place)) return 0;
    uint64_t present = get(model, place).number;
    CHECK(item->token != present || item->token_content == item->content);
    return present;
}

static void step_compared_store(struct model *model)
{
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    char text[MODEL_VALUE_MAX];
    struct request request = {
        .op = choose(model, 2) ? REQUEST_SET : REQUEST_REPLACE,
        .flags = choose_flags(model),
        .exptime = choose_exptime(model),
        .value = choose_value(model, text),
    };
    uint32_t asks = take_byte(model) & (ASK_TOKEN | ASK_INVALIDATE);
    struct extras extras = {.asks = asks | ASK_COMPARE, .token = choose_token(model, item)};
    uint64_t present = present_token(model, place);
    extras.compare = choose(model, 2) && present ? present : item->token;
    struct result result = ask(model, place, &request, &extras);
    expect_compared_store(model, item, &request, &result, present);
}

static void step_invalidate(struct model *model)
{
    if (!model->is_writable) return;
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    struct request request = {.op = REQUEST_DELETE};
    uint32_t asks = choose(model, 3) ? ASK_INVALIDATE : ASK_CLEAR | (choose(model, 2) ? ASK_INVALIDATE : 0);
    struct extras extras = {.asks = asks | (choose(model, 2) ? ASK_COMPARE : 0), .compare = item->token};
    uint64_t present = present_token(model, place);
    enum result_status status = ask(model, place, &request, &extras).status;
    if (present == 0) {
        CHECK(status == RESULT_NOT_FOUND);
        if (is_string(model, item)) put_item(model, item, (struct model_item){0}); /* a lost one goes */
    } else if ((extras.asks & ASK_COMPARE) && extras.compare != present) {
        CHECK(status == RESULT_EXISTS);
    } else {
        CHECK(status == RESULT_OK);
        if (asks & ASK_CLEAR) item->size = item->flags = 0, item->expiry = KEYSPACE_NO_EXPIRY;
        rewrite_item(model, item);
        item->is_stale = (asks & ASK_INVALIDATE) != 0;
    }
}

/* ---- Changes over RESP ---- */

static void step_resp_set(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    char text[MODEL_VALUE_MAX];
    struct span value = choose_value(model, text);
    int64_t expiry = choose(model, 4) ? KEYSPACE_NO_EXPIRY : now_of(model) + 1500;
    struct model_item stored = {.kind = KEYSPACE_STRING, .expiry = expiry, .is_unsettled = true};
    set_value(&stored, value);
    put_item(model, item, stored);
    fake_resp_set(&model->world->fake, place.db, name_of(place.index), value, expiry);
}

static void step_resp_append(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    if (item->size + 1 > MODEL_VALUE_MAX) return;
    fake_resp_append(&model->world->fake, place.db, name_of(place.index), SPAN("3"));
    if (!is_there(model, item))
        put_item(model, item, (struct model_item){.kind = KEYSPACE_STRING, .expiry = -1, .is_unsettled = true});
    if (item->kind != KEYSPACE_STRING) return;
    item->value[item->size++] = '3';
    change_content(model, item);
}

static void step_resp_lpush(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item pushed = {.kind = KEYSPACE_FOREIGN, .expiry = KEYSPACE_NO_EXPIRY, .is_unsettled = true};
    put_item(model, item_at(model, place), pushed);
    fake_resp_lpush(&model->world->fake, place.db, name_of(place.index));
}

static void step_resp_del(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    bool evicts = choose(model, 4) == 0;
    bool was_there = is_there(model, item);
    struct fake_keyspace *fake = &model->world->fake;
    bool removed = evicts ? fake_engine_evict(fake, place.db, name_of(place.index))
                          : fake_resp_del(fake, place.db, name_of(place.index));
    CHECK(evicts || removed == was_there);
    remove_item(model, item);
}

static void step_resp_expire(struct model *model)
{
    struct place place = choose_place(model);
    struct model_item *item = item_at(model, place);
    int64_t expiry = choose(model, 3) ? now_of(model) + 1500 : KEYSPACE_NO_EXPIRY;
    bool was_there = is_there(model, item);
    CHECK(fake_resp_expire(&model->world->fake, place.db, name_of(place.index), expiry) == was_there);
    if (was_there) item->expiry = expiry;
}

/* A key's content and flags come to another place. */
static void carry_item(struct model *model, struct place from, struct place to)
{
    struct model_item carried = *item_at(model, from);
    carried.is_unsettled = true;
    carried.is_carried = true;
    put_item(model, item_at(model, to), carried);
    item_at(model, from)->is_unsettled = true;
}

static void step_resp_rename(struct model *model)
{
    struct place from = choose_place(model);
    struct place to = {from.db, choose(model, MODEL_NAMES)};
    bool was_there = is_there(model, item_at(model, from));
    bool renames = was_there && from.index != to.index;
    CHECK(fake_resp_rename(&model->world->fake, from.db, name_of(from.index), name_of(to.index)) == renames);
    if (!renames) return;
    carry_item(model, from, to);
    remove_item(model, item_at(model, from));
}

static void step_resp_move(struct model *model)
{
    struct place from = choose_place(model);
    struct place to = {choose_db(model), from.index};
    bool moves = is_there(model, item_at(model, from)) && from.db != to.db && !is_there(model, item_at(model, to));
    CHECK(fake_resp_move(&model->world->fake, from.db, name_of(from.index), to.db) == moves);
    if (!moves) return;
    carry_item(model, from, to);
    remove_item(model, item_at(model, from));
}

/* From which database it came is not known: any that has flags for the name, or may have had some, leaves it in doubt. */
static bool is_in_doubt(struct model *model, size_t index)
{
    if (model->was_lost[slot_of(index)]) return true;
    for (int db = 0; db < FAKE_DATABASES; db++) {
        const struct model_item *item = &model->items[db][index];
        if (item->flags != 0 || item->is_stale || item->is_won || item->may_be_lost || item->is_unsettled) return true;
    }
    return false;
}

static void step_resp_copy(struct model *model)
{
    struct place from = choose_place(model), to = choose_place(model);
    enum fake_source source = (enum fake_source)choose(model, 3);
    bool copies = is_there(model, item_at(model, from)) && (from.db != to.db || from.index != to.index);
    bool in_doubt = source == FAKE_SOURCE_UNKNOWN || (source == FAKE_SOURCE_IN_ANY_DB && is_in_doubt(model, from.index));
    CHECK(fake_resp_copy(&model->world->fake, from.db, name_of(from.index), to.db, name_of(to.index), source) == copies);
    if (!copies) return;
    carry_item(model, from, to);
    if (in_doubt) item_at(model, to)->may_be_lost = true;
    if (source != FAKE_SOURCE_IN_ANY_DB) return;
    for (int db = 0; db < FAKE_DATABASES; db++) model->items[db][from.index].is_unsettled = true;
}

static void empty_db_in_model(struct model *model, int db)
{
    lose_carried(model);
    for (size_t i = 0; i < MODEL_NAMES; i++) put_item(model, &model->items[db][i], (struct model_item){0});
    change_all_contents(model);
}

static void step_resp_flush(struct model *model)
{
    if (choose(model, 16)) return; /* it ends too much to come often */
    int db = choose_db(model);
    bool flushes_all = choose(model, 4) == 0;
    if (flushes_all)
        fake_resp_flushall(&model->world->fake);
    else
        fake_resp_flushdb(&model->world->fake, db);
    for (int each = 0; each < FAKE_DATABASES; each++)
        if (flushes_all || each == db) empty_db_in_model(model, each);
}

static void step_resp_swap(struct model *model)
{
    int first = choose_db(model), second = choose_db(model);
    if (first == second || choose(model, 4)) return;
    fake_resp_swapdb(&model->world->fake, first, second);
    for (size_t i = 0; i < MODEL_NAMES; i++) {
        struct model_item item = model->items[first][i];
        put_item(model, &model->items[first][i], model->items[second][i]);
        put_item(model, &model->items[second][i], item);
    }
    change_all_contents(model);
}

/* ---- What happens to ledger strings ---- */

static void harm_ledger(struct model *model, struct place place, struct span ledger)
{
    struct fake_keyspace *fake = &model->world->fake;
    char copy[64];
    memcpy(copy, ledger.data, ledger.size);
    struct span name = span_of(copy, ledger.size);
    switch (choose(model, 7)) {
    case 0: fake_resp_del(fake, place.db, name); break;
    case 1:
    case 6: fake_engine_evict(fake, place.db, name); break;
    case 2: fake_resp_set(fake, place.db, name, SPAN("garbage"), KEYSPACE_NO_EXPIRY); break;
    case 3: fake_resp_lpush(fake, place.db, name); break;
    case 4: fake_resp_append(fake, place.db, name, SPAN("0123456789abcdef")); break;
    case 5: fake_resp_expire(fake, place.db, name, now_of(model) + 1500); break;
    }
}

static void step_lose_ledger(struct model *model)
{
    struct place place = choose_place(model);
    struct span ledger;
    if (choose(model, 8) || !world_find_ledger(model->world, place.db, slot_of(place.index), &ledger)) return;
    lose_slot(model, place.db, slot_of(place.index));
    harm_ledger(model, place, ledger);
}

/* A ledger string that came with an expiry goes by itself. Its owner hears of it in the midst of opening it. */
static void step_expire_ledger(struct model *model)
{
    struct place place = choose_place(model);
    struct fake_keyspace *fake = &model->world->fake;
    struct span ledger;
    if (choose(model, 8) || fake->keeps_expired) return;
    if (!world_find_ledger(model->world, place.db, slot_of(place.index), &ledger)) return;
    ((struct fake_key *)fake_find(fake, place.db, ledger))->expiry = now_of(model) - 1;
    lose_slot(model, place.db, slot_of(place.index));
    probe(model, place);
    fake_engine_expire_all(fake);
}

/* ---- Time and role ---- */

static void step_clock(struct model *model)
{
    static const int64_t steps[] = {1, 500, 1000, 5000};
    int64_t now_ms = now_of(model) + steps[choose(model, sizeof steps / sizeof *steps)];
    world_set_clock(model->world, now_ms);
}

static void step_expire_all(struct model *model)
{
    fake_engine_expire_all(&model->world->fake);
}

static void step_writable(struct model *model)
{
    model->is_writable = choose(model, 4) > 0;
    model->world->fake.keeps_expired = !model->is_writable && choose(model, 2);
    world_set_writable(model->world, model->is_writable);
}

static void step_turn(struct model *model)
{
    for (size_t turns = 1 + choose(model, 7); turns > 0; turns--) (void)world_turn(model->world);
    note_settled(model);
    model_check(model);
}

typedef void model_step(struct model *model);

static model_step *const steps[] = {
    step_get,         step_get,         step_get,         step_get,        step_storage,       step_storage,
    step_storage,     step_storage,     step_join,        step_count,      step_delete,        step_touch,
    step_resp_set,    step_resp_set,    step_resp_append, step_resp_lpush, step_resp_del,      step_resp_expire,
    step_resp_rename, step_resp_rename, step_resp_move,   step_resp_copy,  step_resp_copy,     step_resp_flush,
    step_resp_swap,   step_lose_ledger, step_lose_ledger, step_clock,      step_expire_ledger, step_writable,
    step_turn,        step_expire_all,  step_meta_get,    step_meta_get,   step_meta_get,      step_compared_store,
    step_compared_store, step_invalidate,
};

/* What a step did to the keys. */
static void trace_step(struct model *model)
{
    struct buffer *events = &model->world->fake.events;
    struct span text = buffer_content(events);
    if (model->traces && text.size > 0) printf("%.*s", (int)text.size, text.data);
    if (model->traces) (void)fflush(stdout);
    buffer_reset(events, 64 * 1024);
    buffer_reset(&model->world->fake.propagation, 64 * 1024);
}

void model_init(struct model *model, struct world *world)
{
    *model = (struct model){.world = world, .is_writable = true};
}

void model_run(struct model *model, const uint8_t *input, size_t input_size)
{
    model->input = input;
    model->input_size = input_size;
    while (model->input_size > 0) {
        size_t step = choose(model, sizeof steps / sizeof *steps);
        if (model->traces) printf("step %zu%s\n", step, model->is_writable ? "" : " (not writable)"), (void)fflush(stdout);
        steps[step](model);
        trace_step(model);
    }
    model_check(model);
}
