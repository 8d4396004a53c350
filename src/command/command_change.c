/* delete and touch. */
#include "command/command_parts.h"

#include "item/expiry.h"

/* Meta's delete that leaves the item: without its value, with the request's flags (x), or marked stale for its readers (I), or both. */
static void invalidate(struct command_context *context, const struct item *item, const struct request *request)
{
    bool clears = request_asks(request, ASK_CLEAR), is_stale = request_asks(request, ASK_INVALIDATE);
    struct item_flags flags = {clears ? request->flags : item->flags.flags, is_stale ? LEDGER_STALE : 0};
    int64_t expiry = EXPIRY_NEVER; /* of what is cleared, as it is a new item to memcached */
    if (request_asks(request, ASK_TOUCH))
        expiry = expiry_from_exptime(request->exptime, context->now_ms);
    else if (!clears)
        expiry = item_expiry(context);

    if (clears) {
        item_store_or_remove(context, item, request, SPAN(""), expiry, flags);
        counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    } else if (!request_asks(request, ASK_TOUCH) || item_touch(context, item, expiry)) {
        if (!request_asks(request, ASK_TOUCH)) item_close(context);
        item_renew_token(context, item, request);
        item_mark(context, item, flags.marks);
    }
    if (!is_stale) counter_add(context->counters, COUNTER_DELETE_HITS, 1);
}

static enum result_status delete_missing(struct command_context *context, const struct item *item)
{
    if (item->is_lost)
        item_remove(context, item); /* RESP clients still see it, and it is not wanted any more */
    else
        item_close(context);
    counter_add(context->counters, COUNTER_DELETE_MISSES, 1);
    return RESULT_NOT_FOUND;
}

void execute_delete(struct command_context *context, struct item *item, const struct request *request,
                    struct result *result)
{
    if (item->kind != KEYSPACE_STRING) {
        result->status = delete_missing(context, item);
    } else if (!token_holds(context, item, request)) {
        result->status = item_refuse(context, RESULT_EXISTS);
        if (request_asks(request, ASK_META)) counter_add(context->counters, COUNTER_DELETE_MISSES, 1);
    } else if (request_asks(request, ASK_CLEAR | ASK_INVALIDATE) && !context->is_short_of_memory) {
        invalidate(context, item, request);
        result->status = RESULT_OK;
    } else {
        item_remove(context, item);
        counter_add(context->counters, COUNTER_DELETE_HITS, 1);
        result->status = RESULT_OK;
    }
}

void execute_touch(struct command_context *context, struct item *item, const struct request *request,
                   struct result *result)
{
    bool hits = item->kind == KEYSPACE_STRING;
    if (hits) {
        item_note_read(context, item); /* so memcached sees it */
        tell_token(request, result, item_token(context, item));
        item_touch(context, item, expiry_from_exptime(request->exptime, context->now_ms));
    } else {
        item_close(context);
    }
    counter_add(context->counters, COUNTER_CMD_TOUCH, 1);
    counter_add(context->counters, hits ? COUNTER_TOUCH_HITS : COUNTER_TOUCH_MISSES, 1);
    result->flags = item->flags.flags;
    result->status = hits ? RESULT_OK : RESULT_NOT_FOUND;
}
