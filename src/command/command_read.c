/* Reading: get and gat of all protocols, and what meta's mg does besides: vivify what is missing, hand out who refreshes an
 * item that is stale or about to expire, and so on. docs/flags.md tells where the marks live. */
#include "command/command_parts.h"

#include "command/report.h"
#include "item/expiry.h"

/* The last that is told of an item. */
static void tell_value(struct command_context *context, struct result *result, struct buffer *values)
{
    struct span value = context->keyspace->api->value(context->keyspace);
    struct outlet *outlet = context->outlet;
    result->value_size = (uint32_t)value.size;
    if (outlet && value.size >= outlet->least && outlet->offer(outlet, result, value)) {
        if (context->sighting) context->sighting->is_wanted = false; /* nobody can keep it any more */
        return;
    }
    result->value_offset = (uint32_t)buffer_size(values);
    buffer_append(values, value);
}

/* memcached counts gat as a touch, not as a get; and mg with T so, where it hits. */
static void count_get(struct command_context *context, const struct request *request, bool hits)
{
    bool touches = request->op == REQUEST_GAT;
    if (request_asks(request, ASK_META)) touches = hits && request_asks(request, ASK_TOUCH);
    counter_add(context->counters, touches ? COUNTER_CMD_TOUCH : COUNTER_CMD_GET, 1);
    if (touches)
        counter_add(context->counters, hits ? COUNTER_TOUCH_HITS : COUNTER_TOUCH_MISSES, 1);
    else
        counter_add(context->counters, hits ? COUNTER_GET_HITS : COUNTER_GET_MISSES, 1);
}

/* The open item as it is now. Who asks not to be noticed leaves nothing behind: as long as it is kept it counts as read. */
static void leave_sighting(struct command_context *context, const struct item *item, const struct request *request)
{
    bool is_noticed = request->op == REQUEST_GET && !request_asks(request, ASK_NO_BUMP);
    struct sighting *sighting = context->sighting;
    if (sighting && sighting->uses > 0) context->keyspace->api->use(context->keyspace, sighting->uses);
    if (!sighting || !sighting->is_wanted || !is_noticed || item->flags.marks != 0) return;
    sighting->stamp = version_stamp(context->versions);
    sighting->token = item_token(context, item);
    sighting->expiry = item_expiry(context);
}

/* get and gat as classic and binary know them. */
static void read_item(struct command_context *context, const struct item *item, const struct request *request,
                      struct result *result, struct buffer *values)
{
    count_get(context, request, true);
    result->status = RESULT_HIT;
    result->flags = item->flags.flags;
    item_note_read(context, item);
    if (request->extras || request->want_cas) tell_token(request, result, item_token(context, item));
    tell_value(context, result, values);
    if (request->extras) request->extras->size = result->value_size;
    leave_sighting(context, item, request);
    if (request->op == REQUEST_GAT)
        item_touch(context, item, expiry_from_exptime(request->exptime, context->now_ms));
    else
        item_close(context);
}

/* ---- Meta ---- */

/* True when an item that has this expiry is so near to it that the client wants to refresh it (R). */
static bool wants_refresh(const struct command_context *context, const struct request *request, int64_t expiry)
{
    if (!request_asks(request, ASK_RECACHE) || expiry == EXPIRY_NEVER) return false;
    return expiry_seconds_left(expiry, context->now_ms) < request->extras->recache_seconds;
}

/* What the marks tell this reader. The first one of a stale item, or of one that is to be refreshed, wins; who may not set
 * the mark of the winner does not. */
static uint32_t tell_marks(const struct command_context *context, const struct item *item, const struct request *request,
                           int64_t before, int64_t after)
{
    bool is_stale = item->flags.marks & LEDGER_STALE;
    uint32_t told = is_stale ? TELL_STALE : 0;
    int64_t seen = request_asks(request, ASK_RECACHE_BEFORE_TOUCH) ? before : after;
    bool may_win = request->op == REQUEST_GAT ? !context->is_short_of_memory : context->leave == COMMAND_MAY_MARK;
    if (item->flags.marks & LEDGER_WON) return told | TELL_WON_BEFORE;
    if (!is_stale && !wants_refresh(context, request, seen)) return told;
    return told | (may_win ? TELL_WON : TELL_WON_BEFORE);
}

/* A client that compares has the value already. */
static bool wants_value(const struct command_context *context, const struct item *item, const struct request *request)
{
    if (request_asks(request, ASK_NO_VALUE)) return false;
    return !request_asks(request, ASK_COMPARE) || !token_holds(context, item, request);
}

static void read_marked(struct command_context *context, const struct item *item, const struct request *request,
                        struct result *result, struct buffer *values)
{
    struct extras *extras = request->extras;
    bool touches = request_asks(request, ASK_TOUCH);
    bool shows_expiry = request_asks(request, ASK_TTL | ASK_RECACHE | ASK_TOUCH); /* it costs a call */
    int64_t before = shows_expiry ? item_expiry(context) : EXPIRY_NEVER;
    int64_t after = touches ? expiry_from_exptime(request->exptime, context->now_ms) : before;
    uint32_t told = tell_marks(context, item, request, before, after);
    count_get(context, request, true);
    request_tell(request, told);
    tell_remaining(context, request, before, after);
    extras->size = context->keyspace->api->size(context->keyspace);
    if (!request_asks(request, ASK_NO_BUMP)) item_note_read(context, item);
    tell_token(request, result, item_token(context, item));
    result->flags = item->flags.flags;
    result->status = RESULT_HIT;
    if (wants_value(context, item, request)) tell_value(context, result, values);
    if (result->value_size == extras->size) leave_sighting(context, item, request);
    bool stays = true;
    if (touches)
        stays = item_touch(context, item, after);
    else
        item_close(context);
    if (stays && (told & TELL_WON)) item_mark(context, item, item->flags.marks | LEDGER_WON);
}

/* N: an empty item in the place of the missing one, which this client is to fill and others need not. */
static void vivify(struct command_context *context, const struct item *item, const struct request *request,
                   struct result *result)
{
    count_get(context, request, true);
    request_tell(request, TELL_WON | TELL_HISTORY | TELL_IDLE);
    request->extras->idle_seconds = 0;
    request->extras->size = 0;
    tell_remaining_vivified(context, request);
    item_store_or_remove(context, item, request, SPAN(""), vivified_expiry(context, request),
                         (struct item_flags){0, LEDGER_WON});
    item_note_read(context, item);
    tell_token(request, result, item_token(context, item));
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    result->status = RESULT_HIT;
}

/* True when this reader is the first of a stale item, and must not mark it yet. */
static bool must_ask(const struct command_context *context, const struct item *item, const struct request *request)
{
    return request->op == REQUEST_GET && request_asks(request, ASK_META) && context->leave == COMMAND_MUST_ASK &&
           (item->flags.marks & (LEDGER_STALE | LEDGER_WON)) == LEDGER_STALE;
}

/* A read that will come again must find the item as unnoticed as it was: it may ask how long that has been so. */
static enum keyspace_mode mode_of(const struct command_context *context, const struct item *item,
                                  const struct request *request)
{
    bool is_silent = request_asks(request, ASK_NO_BUMP) || must_ask(context, item, request);
    if (request->op == REQUEST_GAT) return is_silent ? KEYSPACE_WRITE_UNNOTICED : KEYSPACE_WRITE;
    return is_silent ? KEYSPACE_READ_UNNOTICED : KEYSPACE_READ;
}

void execute_get(struct command_context *context, const struct request *request, struct span name, struct result *result,
                 struct buffer *values)
{
    struct item item = {.key = item_key_for(context, name)};
    if (request->op == REQUEST_GAT) version_prefetch(context->versions, item.key.hash);
    if (request_asks(request, ASK_HISTORY)) tell_history(context, request, &item);
    item_look_up(context, &item);
    item_open_found(context, mode_of(context, &item, request), &item);
    if (item.kind == KEYSPACE_STRING) {
        if (must_ask(context, &item, request))
            result->status = item_refuse(context, RESULT_NEEDS_WRITE);
        else if (request_asks(request, ASK_META))
            read_marked(context, &item, request, result, values);
        else
            read_item(context, &item, request, result, values);
    } else if (item.kind == KEYSPACE_ABSENT && request->op == REQUEST_GAT && request_asks(request, ASK_VIVIFY)) {
        vivify(context, &item, request, result);
    } else {
        count_get(context, request, false);
        result->status = item_refuse(context, RESULT_NOT_FOUND);
    }
}

bool command_take_answer(struct command_context *context, const struct sighting *sighting)
{
    if (report_is_wanted(context) || !version_stands(context->versions, sighting->hash, sighting->stamp)) return false;
    counter_add(context->counters, COUNTER_CMD_GET, 1);
    counter_add(context->counters, COUNTER_GET_HITS, 1);
    counter_add(context->counters, COUNTER_CACHE_HITS, 1);
    return true;
}

void execute_debug(struct command_context *context, const struct request *request, struct span name, struct result *result)
{
    struct item item = {.key = item_key_for(context, name)};
    if (request->extras) tell_history(context, request, &item);
    item_look_up(context, &item);
    item_open_found(context, KEYSPACE_READ_UNNOTICED, &item);
    if (item.kind != KEYSPACE_STRING) {
        result->status = item_refuse(context, RESULT_NOT_FOUND);
        return;
    }
    int64_t expiry = item_expiry(context);
    tell_remaining(context, request, expiry, expiry);
    if (request->extras) request->extras->size = context->keyspace->api->size(context->keyspace);
    tell_token(request, result, item_token(context, &item));
    result->flags = item.flags.flags;
    result->status = item_refuse(context, RESULT_HIT);
}
