/* Commands that bring a value with them. */
#include "command/command_parts.h"

#include "item/expiry.h"
#include "wire/size.h"

/* What joined values may leave behind: nobody knows when the next one comes. */
#define SCRATCH_KEPT ((size_t)64 * 1024)

/* A storage command whose condition holds. memcached answers STORED to an item that has already expired, too. */
static enum result_status store_request(struct command_context *context, const struct item *item,
                                        const struct request *request)
{
    int64_t expiry = expiry_from_exptime(request->exptime, context->now_ms);
    item_store_or_remove(context, item, request, request->value, expiry, (struct item_flags){request->flags, 0});
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    return RESULT_STORED;
}

/* What a client stores who fetched the item before it was changed, and says so (I): better than nothing, but stale. The
 * expiry stays, and so does it whether somebody has been told to refresh it. */
static enum result_status store_stale(struct command_context *context, const struct item *item,
                                      const struct request *request)
{
    uint32_t marks = LEDGER_STALE | (item->flags.marks & LEDGER_WON);
    item_store(context, item, request, request->value, item_expiry(context), (struct item_flags){request->flags, marks},
               "set");
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    return RESULT_STORED;
}

static enum result_status store_compared(struct command_context *context, const struct item *item,
                                         const struct request *request, uint64_t token)
{
    if (item->kind != KEYSPACE_STRING) {
        counter_add(context->counters, COUNTER_CAS_MISSES, 1);
        return item_refuse(context, RESULT_NOT_FOUND);
    }
    uint64_t present = item_token(context, item);
    bool is_older = request_asks(request, ASK_INVALIDATE) && token < present;
    if (token != present && !is_older) {
        counter_add(context->counters, COUNTER_CAS_BADVAL, 1);
        return item_refuse(context, RESULT_EXISTS);
    }
    counter_add(context->counters, COUNTER_CAS_HITS, 1);
    return is_older ? store_stale(context, item, request) : store_request(context, item, request);
}

void execute_cas(struct command_context *context, struct item *item, const struct request *request, struct result *result)
{
    result->status = store_compared(context, item, request, request->operand);
}

void execute_set(struct command_context *context, struct item *item, const struct request *request, struct result *result)
{
    if (request_asks(request, ASK_COMPARE))
        result->status = store_compared(context, item, request, request->extras->compare);
    else
        result->status = store_request(context, item, request);
}

void execute_add(struct command_context *context, struct item *item, const struct request *request, struct result *result)
{
    bool is_free = item->kind == KEYSPACE_ABSENT;
    result->status = is_free ? store_request(context, item, request) : item_refuse(context, RESULT_NOT_STORED);
}

void execute_replace(struct command_context *context, struct item *item, const struct request *request,
                     struct result *result)
{
    if (request_asks(request, ASK_COMPARE))
        result->status = store_compared(context, item, request, request->extras->compare);
    else if (item->kind == KEYSPACE_STRING)
        result->status = store_request(context, item, request);
    else
        result->status = item_refuse(context, RESULT_NOT_STORED);
}

/* append and prepend of what is not there: nothing, or with N a new item, whatever the token. */
static enum result_status join_missing(struct command_context *context, const struct item *item,
                                       const struct request *request)
{
    if (item->kind != KEYSPACE_ABSENT || !request_asks(request, ASK_VIVIFY))
        return item_refuse(context, RESULT_NOT_STORED);
    int64_t expiry = expiry_from_exptime(request->extras->vivify_exptime, context->now_ms);
    item_store_or_remove(context, item, request, request->value, expiry, (struct item_flags){request->flags, 0});
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    return RESULT_STORED;
}

/* There is no command that prepends: what is told of it is a SET. */
static void prepend(struct command_context *context, const struct item *item, const struct request *request, struct item_flags flags)
{
    struct span present = context->keyspace->api->value(context->keyspace);
    buffer_reserve(&context->scratch, request->value.size + present.size);
    buffer_append(&context->scratch, request->value);
    buffer_append(&context->scratch, present);
    item_store(context, item, request, buffer_content(&context->scratch), item_expiry(context), flags, "set");
    buffer_reset(&context->scratch, SCRATCH_KEPT);
}

/* append and prepend keep the item's flags and expiry. */
void execute_join(struct command_context *context, struct item *item, const struct request *request, struct result *result)
{
    if (item->kind != KEYSPACE_STRING) {
        result->status = join_missing(context, item, request);
        return;
    }
    if (!token_holds(context, item, request)) {
        result->status = item_refuse(context, RESULT_EXISTS);
        return;
    }
    size_t size = context->keyspace->api->size(context->keyspace) + request->value.size;
    if (item_size(request->key.size, item->flags.flags, size) > (size_t)option_get(context->options, max_item_size)) {
        result->status = item_refuse(context, RESULT_TOO_LARGE);
        return;
    }
    struct item_flags flags = {item->flags.flags, 0};
    if (request->op == REQUEST_APPEND)
        item_append(context, item, request, request->value, flags);
    else
        prepend(context, item, request, flags);
    if (request->extras) request->extras->size = size;
    context->joined = size;
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    result->status = RESULT_STORED;
}

/* What is left of a set that was too large: the old value, which the client believes replaced. */
void execute_set_too_large(struct command_context *context, struct item *item, const struct request *request,
                           struct result *result)
{
    (void)request;
    if (item->kind == KEYSPACE_STRING)
        item_remove(context, item);
    else
        item_close(context);
    result->status = RESULT_TOO_LARGE;
}
