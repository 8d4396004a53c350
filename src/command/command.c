#include "command/command.h"

#include "base/check.h"
#include "base/number.h"
#include "item/expiry.h"
#include "observe/stats.h"
#include "wire/size.h"

/* An item as a command finds it. Its key stays open while the command works on it. */
struct item {
    struct item_key key;
    enum keyspace_kind kind; /* a string whose flags are lost counts as absent */
    bool is_lost;            /* such a string */
    struct item_flags flags;
};

static void open_item(struct command_context *context, struct span name, enum keyspace_mode mode, struct item *item)
{
    item->key = item_key_of(name);
    item->flags = (struct item_flags){0};
    if (mode == KEYSPACE_WRITE) version_prefetch(context->versions, item->key.hash);
    bool flags_are_known = flag_ledger_read(context->ledger, context->db, &item->key, &item->flags);
    item->kind = context->keyspace->api->open(context->keyspace, context->db, name, mode);
    item->is_lost = item->kind == KEYSPACE_STRING && !flags_are_known;
    if (item->is_lost) item->kind = KEYSPACE_ABSENT;
}

static void close_item(struct command_context *context)
{
    context->keyspace->api->close(context->keyspace);
}

/* Stores the item anew, which ends its command: value, expiry, flags and token change together. */
static void store_item(struct command_context *context, const struct item *item, struct span value, int64_t expiry,
                       struct item_flags flags, const char *event)
{
    context->keyspace->api->store(context->keyspace, value, expiry, event);
    close_item(context);
    version_advance(context->versions, item->key.hash);
    flag_ledger_write(context->ledger, context->db, &item->key, flags);
}

static void remove_item(struct command_context *context, const struct item *item)
{
    context->keyspace->api->remove(context->keyspace);
    close_item(context);
    version_advance(context->versions, item->key.hash);
    flag_ledger_write(context->ledger, context->db, &item->key, (struct item_flags){0});
}

/* A storage command whose condition holds. memcached answers STORED to an item that has already expired, too. */
static enum result_status store_request(struct command_context *context, const struct item *item,
                                        const struct request *request)
{
    int64_t expiry = expiry_from_exptime(request->exptime, context->now_ms);
    if (!expiry_has_passed(expiry, context->now_ms))
        store_item(context, item, request->value, expiry, (struct item_flags){request->flags, 0}, "set");
    else if (item->kind != KEYSPACE_ABSENT)
        remove_item(context, item);
    else
        close_item(context);
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    return RESULT_STORED;
}

static enum result_status refuse_item(struct command_context *context, enum result_status status)
{
    close_item(context);
    return status;
}

static void execute_set(struct command_context *context, struct item *item, const struct request *request,
                        struct result *result)
{
    result->status = store_request(context, item, request);
}

static void execute_add(struct command_context *context, struct item *item, const struct request *request,
                        struct result *result)
{
    bool is_free = item->kind == KEYSPACE_ABSENT;
    result->status = is_free ? store_request(context, item, request) : refuse_item(context, RESULT_NOT_STORED);
}

static void execute_replace(struct command_context *context, struct item *item, const struct request *request,
                            struct result *result)
{
    bool is_there = item->kind == KEYSPACE_STRING;
    result->status = is_there ? store_request(context, item, request) : refuse_item(context, RESULT_NOT_STORED);
}

static void execute_cas(struct command_context *context, struct item *item, const struct request *request,
                        struct result *result)
{
    if (item->kind != KEYSPACE_STRING) {
        counter_add(context->counters, COUNTER_CAS_MISSES, 1);
        result->status = refuse_item(context, RESULT_NOT_FOUND);
    } else if (request->operand != version_current(context->versions, item->key.hash)) {
        counter_add(context->counters, COUNTER_CAS_BADVAL, 1);
        result->status = refuse_item(context, RESULT_EXISTS);
    } else {
        counter_add(context->counters, COUNTER_CAS_HITS, 1);
        result->status = store_request(context, item, request);
    }
}

/* append and prepend keep the item's flags and expiry. */
static void execute_join(struct command_context *context, struct item *item, const struct request *request,
                         struct result *result)
{
    if (item->kind != KEYSPACE_STRING) {
        result->status = refuse_item(context, RESULT_NOT_STORED);
        return;
    }
    bool appends = request->op == REQUEST_APPEND;
    struct span present = context->keyspace->api->value(context->keyspace);
    size_t size = item_size(request->key.size, item->flags.flags, present.size + request->value.size);
    if (size > (size_t)option_get(context->options, max_item_size)) {
        result->status = refuse_item(context, RESULT_TOO_LARGE);
        return;
    }
    buffer_reset(&context->scratch, 64 * 1024);
    buffer_append(&context->scratch, appends ? present : request->value);
    buffer_append(&context->scratch, appends ? request->value : present);
    int64_t expiry = context->keyspace->api->expiry(context->keyspace);
    store_item(context, item, buffer_content(&context->scratch), expiry, item->flags, appends ? "append" : "set");
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    result->status = RESULT_STORED;
}

/* incr wraps around at 2^64, decr stops at 0. */
static uint64_t count(enum request_op op, uint64_t value, uint64_t delta)
{
    if (op == REQUEST_INCR) return value + delta;
    return delta > value ? 0 : value - delta;
}

static void execute_count(struct command_context *context, struct item *item, const struct request *request,
                          struct result *result)
{
    bool is_incr = request->op == REQUEST_INCR;
    uint64_t value;
    if (item->kind != KEYSPACE_STRING) {
        counter_add(context->counters, is_incr ? COUNTER_INCR_MISSES : COUNTER_DECR_MISSES, 1);
        result->status = refuse_item(context, RESULT_NOT_FOUND);
        return;
    }
    if (!number_parse_u64(context->keyspace->api->value(context->keyspace), &value)) {
        result->status = refuse_item(context, RESULT_NON_NUMERIC);
        return;
    }
    char text[NUMBER_TEXT_SIZE];
    result->number = count(request->op, value, request->operand);
    size_t size = number_format_u64(text, result->number);
    int64_t expiry = context->keyspace->api->expiry(context->keyspace);
    store_item(context, item, span_of(text, size), expiry, item->flags, "incrby");
    counter_add(context->counters, is_incr ? COUNTER_INCR_HITS : COUNTER_DECR_HITS, 1);
    result->status = RESULT_NUMBER;
}

static void execute_delete(struct command_context *context, struct item *item, const struct request *request,
                           struct result *result)
{
    (void)request;
    if (item->kind == KEYSPACE_STRING) {
        remove_item(context, item);
        counter_add(context->counters, COUNTER_DELETE_HITS, 1);
        result->status = RESULT_OK;
        return;
    }
    if (item->is_lost)
        remove_item(context, item); /* RESP clients still see it, and it is not wanted any more */
    else
        close_item(context);
    counter_add(context->counters, COUNTER_DELETE_MISSES, 1);
    result->status = RESULT_NOT_FOUND;
}

/* Gives the open item a new expiry, or removes it where that has passed. */
static void touch_item(struct command_context *context, const struct item *item, int64_t exptime)
{
    int64_t expiry = expiry_from_exptime(exptime, context->now_ms);
    if (expiry_has_passed(expiry, context->now_ms)) {
        remove_item(context, item);
        return;
    }
    context->keyspace->api->expire(context->keyspace, expiry);
    close_item(context);
}

static void execute_touch(struct command_context *context, struct item *item, const struct request *request,
                          struct result *result)
{
    bool hits = item->kind == KEYSPACE_STRING;
    if (hits)
        touch_item(context, item, request->exptime);
    else
        close_item(context);
    counter_add(context->counters, COUNTER_CMD_TOUCH, 1);
    counter_add(context->counters, hits ? COUNTER_TOUCH_HITS : COUNTER_TOUCH_MISSES, 1);
    result->status = hits ? RESULT_OK : RESULT_NOT_FOUND;
}

/* What is left of a set that was too large: the old value, which the client believes replaced. */
static void execute_set_too_large(struct command_context *context, struct item *item, const struct request *request,
                                  struct result *result)
{
    (void)request;
    if (item->kind == KEYSPACE_STRING)
        remove_item(context, item);
    else
        close_item(context);
    result->status = RESULT_TOO_LARGE;
}

static void copy_value(struct command_context *context, struct result *result, struct buffer *values)
{
    struct span value = context->keyspace->api->value(context->keyspace);
    result->value_offset = (uint32_t)buffer_size(values);
    result->value_size = (uint32_t)value.size;
    buffer_append(values, value);
}

/* memcached counts gat as a touch, not as a get. */
static void count_get(struct command_context *context, bool touches, bool hits)
{
    counter_add(context->counters, touches ? COUNTER_CMD_TOUCH : COUNTER_CMD_GET, 1);
    if (touches)
        counter_add(context->counters, hits ? COUNTER_TOUCH_HITS : COUNTER_TOUCH_MISSES, 1);
    else
        counter_add(context->counters, hits ? COUNTER_GET_HITS : COUNTER_GET_MISSES, 1);
}

static void execute_get(struct command_context *context, const struct request *request, struct span name,
                        struct result *result, struct buffer *values)
{
    bool touches = request->op == REQUEST_GAT;
    struct item item;
    open_item(context, name, touches ? KEYSPACE_WRITE : KEYSPACE_READ, &item);
    bool hits = item.kind == KEYSPACE_STRING;
    count_get(context, touches, hits);
    if (!hits) {
        result->status = refuse_item(context, RESULT_NOT_FOUND);
        return;
    }
    copy_value(context, result, values);
    result->status = RESULT_HIT;
    result->flags = item.flags.flags;
    if (request->want_cas) result->number = version_current(context->versions, item.key.hash);
    if (touches)
        touch_item(context, &item, request->exptime);
    else
        close_item(context);
}

static bool flush_now(struct command_context *context)
{
    context->flush_at_ms = 0;
    return context->keyspace->api->flush(context->keyspace, context->db);
}

/* With a prefix the database holds keys that are not ours, and there is no cheap way to empty only a part of it. */
static void execute_flush_all(struct command_context *context, const struct request *request, struct result *result)
{
    if (!option_get(context->options, flush_all) || context->key_prefix.size > 0) {
        result->status = RESULT_NOT_ALLOWED;
        return;
    }
    counter_add(context->counters, COUNTER_CMD_FLUSH, 1);
    int64_t due = expiry_from_exptime(request->exptime, context->now_ms);
    result->status = RESULT_OK;
    if (due != EXPIRY_NEVER && due > context->now_ms)
        context->flush_at_ms = due;
    else if (!flush_now(context))
        result->status = RESULT_NOT_ALLOWED;
}

bool command_flush_is_due(const struct command_context *context)
{
    return context->flush_at_ms != 0 && context->flush_at_ms <= context->now_ms;
}

void command_flush_when_due(struct command_context *context)
{
    if (command_flush_is_due(context)) flush_now(context);
}

static void execute_stats(struct command_context *context, const struct request *request, struct result *result,
                          struct buffer *values)
{
    if (span_equal(request->text, SPAN("reset"))) {
        counter_board_reset(context->stats->board);
        result->status = RESULT_OK;
        return;
    }
    struct engine_facts facts = {0};
    context->keyspace->api->facts(context->keyspace, &facts);
    result->value_offset = (uint32_t)buffer_size(values);
    bool is_known = stats_render(context->stats, &facts, request->text, context->now_ms, values);
    result->value_size = (uint32_t)buffer_size(values) - result->value_offset;
    result->status = is_known ? RESULT_STATS : RESULT_NOT_FOUND;
}

typedef void item_command(struct command_context *context, struct item *item, const struct request *request,
                          struct result *result);

/* Commands on one key that is opened for writing. They close it. */
static item_command *const item_commands[REQUEST_OPS] = {
    [REQUEST_SET] = execute_set,
    [REQUEST_ADD] = execute_add,
    [REQUEST_REPLACE] = execute_replace,
    [REQUEST_APPEND] = execute_join,
    [REQUEST_PREPEND] = execute_join,
    [REQUEST_CAS] = execute_cas,
    [REQUEST_INCR] = execute_count,
    [REQUEST_DECR] = execute_count,
    [REQUEST_DELETE] = execute_delete,
    [REQUEST_TOUCH] = execute_touch,
    [REQUEST_SET_TOO_LARGE] = execute_set_too_large,
};

static struct span full_key(struct command_context *context, struct span key)
{
    if (context->key_prefix.size == 0) return key;
    CHECK(context->key_prefix.size + key.size <= sizeof context->key);
    memcpy(context->key, context->key_prefix.data, context->key_prefix.size);
    memcpy(context->key + context->key_prefix.size, key.data, key.size);
    return span_of(context->key, context->key_prefix.size + key.size);
}

static bool stores_value(enum request_op op)
{
    return op >= REQUEST_SET && op <= REQUEST_CAS;
}

/* Keeps clients off the ledger strings: they find nothing there and store nothing. */
static void refuse_reserved(const struct request *request, struct result *result)
{
    if (stores_value(request->op)) {
        result->status = RESULT_REFUSED;
        result->text = SPAN("key is reserved");
    } else {
        result->status = RESULT_NOT_FOUND;
    }
}

void command_context_init(struct command_context *context)
{
    *context = (struct command_context){0};
    buffer_init(&context->scratch);
}

void command_context_deinit(struct command_context *context)
{
    buffer_deinit(&context->scratch);
}

void command_execute(struct command_context *context, const struct request *request, struct result *result,
                     struct buffer *values)
{
    if (request->op == REQUEST_FLUSH_ALL) {
        execute_flush_all(context, request, result);
        return;
    }
    if (request->op == REQUEST_STATS) {
        execute_stats(context, request, result, values);
        return;
    }
    if (stores_value(request->op)) counter_add(context->counters, COUNTER_CMD_SET, 1);
    struct span name = full_key(context, request->key);
    if (flag_ledger_reserves(name)) {
        refuse_reserved(request, result);
    } else if (request->op == REQUEST_GET || request->op == REQUEST_GAT) {
        execute_get(context, request, name, result, values);
    } else {
        struct item item;
        open_item(context, name, KEYSPACE_WRITE, &item);
        item_commands[request->op](context, &item, request, result);
    }
    if (result->status == RESULT_TOO_LARGE) counter_add(context->counters, COUNTER_STORE_TOO_LARGE, 1);
}
