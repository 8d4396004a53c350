#include "command/dump.h"

#include "base/clock.h"
#include "command/batch.h"
#include "wire/dump.h"
#include "wire/size.h"

/* Keys asked for at once. */
#define STEP_KEYS 64
/* The bound of a part; the executor's turn is longer. */
#define PART_MICROSECONDS 100
/* The bounds of a cachedump; memcached has the same one on bytes. */
#define SOME_MICROSECONDS 2000
#define SOME_BYTES ((size_t)2 * 1024 * 1024 - 4096)

struct dump {
    struct command_context *context;
    enum request_op op; /* REQUEST_STATS: a cachedump */
    struct buffer *values;
    size_t left; /* items that may still be told */
};

struct bounds {
    uint64_t microseconds;
    size_t bytes;
};

/* Of the open item: in unix seconds. */
static int64_t expiry_of(struct command_context *context)
{
    int64_t expiry_ms = context->keyspace->api->expiry(context->keyspace);
    return expiry_ms == KEYSPACE_NO_EXPIRY ? -1 : expiry_ms / 1000;
}

/* The engine's own clock of the key where it has one, else what the history knows. */
static void tell_past(struct command_context *context, uint64_t key_hash, struct dump_item *item)
{
    int64_t idle = context->keyspace->api->idle(context->keyspace);
    int64_t last_use = 0;
    if (history_find(context->history, key_hash, &item->was_fetched, &last_use)) item->accessed = last_use;
    if (idle >= 0) item->accessed = context->now_ms / 1000 - idle;
}

/* The item is open. */
static void tell_item(const struct dump *dump, struct span key, uint64_t key_hash, uint32_t flags)
{
    struct command_context *context = dump->context;
    if (dump->op == REQUEST_MGDUMP) {
        dump_append_mg(key, dump->values);
        return;
    }
    if (dump->op == REQUEST_STATS) {
        int64_t expiry = expiry_of(context);
        dump_append_item(key, context->keyspace->api->size(context->keyspace), expiry > 0 ? expiry : 0, dump->values);
        return;
    }
    struct dump_item item = {
        .key = key,
        .expiry = expiry_of(context),
        .token = version_current(context->versions, key_hash),
        .size = item_size(key.size, flags, context->keyspace->api->size(context->keyspace)),
        .flags = flags,
    };
    tell_past(context, key_hash, &item);
    dump_append_meta(&item, dump->values);
}

static void visit_key(void *visitor, struct span name)
{
    struct dump *dump = visitor;
    struct command_context *context = dump->context;
    if (dump->left == 0) return;
    const struct keyspace_api *api = context->keyspace->api;
    struct span key;
    if (!command_is_item_name(context, name, &key)) return;
    if (context->reader && !context->reader->may_read(context->reader, key)) return;
    const struct item_key item = item_key_of(name);
    struct item_flags flags;
    if (!flag_ledger_read(context->ledger, context->db, &item, &flags)) return;
    if (api->open(context->keyspace, context->db, name, KEYSPACE_READ_UNNOTICED) == KEYSPACE_STRING) {
        tell_item(dump, key, item.hash, flags.flags);
        dump->left--;
    }
    api->close(context->keyspace);
}

/* Steps on until the walk, the time or the room is at its end; false when the engine does not let us walk. */
static bool walk(struct dump *dump, uint64_t *cursor, struct bounds bounds)
{
    struct command_context *context = dump->context;
    size_t begin = buffer_size(dump->values);
    uint64_t deadline_us = clock_monotonic_us() + bounds.microseconds;
    do {
        if (!context->keyspace->api->walk(context->keyspace, context->db, cursor, STEP_KEYS, visit_key, dump)) return false;
    } while (*cursor != 0 && dump->left > 0 && buffer_size(dump->values) - begin < bounds.bytes &&
             clock_monotonic_us() < deadline_us);
    return true;
}

void dump_execute(struct command_context *context, const struct request *request, struct result *result,
                  struct buffer *values)
{
    struct dump dump = {context, request->op, values, SIZE_MAX};
    size_t begin = buffer_size(values);
    uint64_t cursor = request->operand;
    if (cursor == 0) buffer_append(values, DUMP_BEGIN);
    if (!walk(&dump, &cursor, (struct bounds){PART_MICROSECONDS, BATCH_REPLY_LIMIT})) {
        result->status = RESULT_REFUSED;
        result->text = SPAN("the engine has no SCAN command");
        return;
    }
    if (cursor == 0) buffer_append(values, request->op == REQUEST_MGDUMP ? DUMP_END_MG : DUMP_END_META);
    result->status = RESULT_PART;
    result->number = cursor;
    result->value_offset = (uint32_t)begin;
    result->value_size = (uint32_t)(buffer_size(values) - begin);
}

void dump_some(struct command_context *context, size_t most, struct buffer *values)
{
    struct dump dump = {context, REQUEST_STATS, values, most};
    uint64_t cursor = 0;
    (void)walk(&dump, &cursor, (struct bounds){SOME_MICROSECONDS, SOME_BYTES - STEP_KEYS * DUMP_ITEM_MAX});
}
