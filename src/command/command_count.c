/* incr and decr. */
#include "command/command_parts.h"

#include "base/number.h"
#include "item/expiry.h"

/* incr wraps around at 2^64, decr stops at 0. */
static uint64_t count(enum request_op op, uint64_t value, uint64_t delta)
{
    if (op == REQUEST_INCR) return value + delta;
    return delta > value ? 0 : value - delta;
}

/* A new item with the number that the request begins with. */
static void vivify_number(struct command_context *context, const struct item *item, const struct request *request,
                          struct result *result)
{
    char text[NUMBER_TEXT_SIZE];
    result->number = request->extras->initial;
    size_t size = number_format_u64(text, result->number);
    tell_remaining_vivified(context, request);
    item_store_or_remove(context, item, request, span_of(text, size), vivified_expiry(context, request),
                         (struct item_flags){0});
    request->extras->size = size;
    counter_add(context->counters, COUNTER_TOTAL_ITEMS, 1);
    result->status = RESULT_NUMBER;
}

static void count_missing(struct command_context *context, const struct item *item, const struct request *request,
                          struct result *result)
{
    if (item->kind == KEYSPACE_ABSENT && request_asks(request, ASK_VIVIFY)) {
        vivify_number(context, item, request, result);
        return;
    }
    bool is_incr = request->op == REQUEST_INCR;
    counter_add(context->counters, is_incr ? COUNTER_INCR_MISSES : COUNTER_DECR_MISSES, 1);
    result->status = item_refuse(context, RESULT_NOT_FOUND);
}

/* Stores the new number. It stays the same item, with its marks, as for INCR over RESP. (memcached makes another item of a
 * number that becomes longer, or whose reply is still under way: that has no marks, and the old one gets T.) */
static void store_number(struct command_context *context, const struct item *item, const struct request *request,
                         uint64_t number)
{
    char text[NUMBER_TEXT_SIZE];
    struct span value = span_of(text, number_format_u64(text, number));
    int64_t before = item_expiry(context);
    int64_t expiry = before;
    if (request_asks(request, ASK_TOUCH)) expiry = expiry_from_exptime(request->exptime, context->now_ms);
    tell_remaining(context, request, before, expiry);
    if (request->extras) request->extras->size = value.size;
    if (expiry_has_passed(expiry, context->now_ms))
        item_remove(context, item);
    else
        item_overwrite(context, item, request, value, expiry, item->flags, "incrby");
}

/* Here, unlike elsewhere, memcached takes 0 for no token at all; and an empty value is not a number before anything else. */
static bool compares(const struct request *request, struct span present)
{
    return present.size > 0 && request->extras && request->extras->compare != 0;
}

void execute_count(struct command_context *context, struct item *item, const struct request *request, struct result *result)
{
    if (item->kind != KEYSPACE_STRING) {
        count_missing(context, item, request, result);
        return;
    }
    struct span present = context->keyspace->api->value(context->keyspace);
    uint64_t value;
    if (compares(request, present) && !token_holds(context, item, request)) {
        result->status = item_refuse(context, RESULT_EXISTS);
        return;
    }
    if (!number_parse_u64(present, &value)) {
        result->status = item_refuse(context, RESULT_NON_NUMERIC);
        return;
    }
    result->number = count(request->op, value, request->operand);
    store_number(context, item, request, result->number);
    counter_add(context->counters, request->op == REQUEST_INCR ? COUNTER_INCR_HITS : COUNTER_DECR_HITS, 1);
    result->status = RESULT_NUMBER;
}
