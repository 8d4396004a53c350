#include "engine/look_ahead.h"

#include "base/hash.h"

/* A request that opens its key, once: a read to have its value, a write to change it. What else meta asks of a read may look at
 * the key before, or leave it unnoticed. */
static bool opens_once(const struct request *request)
{
    if (request->op == REQUEST_GET) return !(request->extras && (request->extras->asks & ~(uint32_t)(ASK_META | ASK_TTL)));
    return request->op >= REQUEST_SET && request->op <= REQUEST_TOUCH;
}

/* Where the change may yet be refused, the bytes need not be fetched. */
static enum ahead_use use_of(const struct request *request)
{
    if (request->op == REQUEST_GET) return AHEAD_READ;
    return request->op == REQUEST_SET ? AHEAD_OVERWRITE : AHEAD_WRITE;
}

/* One behind the last message whose key is worth opening: if the values are as large as the one before them, the batch goes
 * home early, and what was opened for the rest was used for nothing. */
static uint32_t end_of_view(const struct batch *batch)
{
    uint32_t size = batch->executed > 0 ? batch->messages[batch->executed - 1].result.value_size : 0;
    size_t used = buffer_size(&batch->values);
    if (size == 0 || used >= BATCH_REPLY_LIMIT) return batch->count;
    size_t end = batch->executed + (BATCH_REPLY_LIMIT - used) / size + 1;
    return end < batch->count ? (uint32_t)end : batch->count;
}

/* A write is not looked ahead to until one has passed the gate in this turn. */
static bool may_look_at(const struct executor *executor, const struct request *request)
{
    return opens_once(request) && (request->op == REQUEST_GET || gate_is_known_open(&executor->gate));
}

/* The module's own keys, and those that it asks the engine about (gate.c, cluster.c), which clients can have, too: the engine may
 * find one expired meanwhile, and remove it. */
static bool is_used_besides(struct span name)
{
    return span_starts_with(name, COMMAND_OWN_PREFIX);
}

/* False: nothing behind this request is to be opened before it has been executed. */
static bool look_at(struct executor *executor, const struct batch *batch, uint32_t index)
{
    const struct request *request = &batch->messages[index].request;
    if (!may_look_at(executor, request)) return false;
    if (message_is_answered(&batch->messages[index])) return true;
    struct span name = command_full_key(executor->command, request->key);
    if (executor->cluster->is_enabled && !cluster_is_plain(executor->cluster, hash_slot(name))) return false;
    uint64_t known = batch->has_sightings ? batch->sightings[index].hash : 0;
    uint64_t hash = known != 0 ? known : hash_key(name);
    struct read_ahead *ahead = &executor->keyspace->ahead;
    if (is_used_besides(name) || !read_ahead_add(ahead, name, hash, use_of(request), request)) return false;
    if (request->op != REQUEST_GET) version_prefetch(executor->command->versions, hash);
    return true;
}

/* Looks at what is left of a batch; false when it has not come to its end. */
static bool look_into(struct executor *executor, const struct batch *batch)
{
    uint32_t end = end_of_view(batch);
    uint32_t i = batch->executed;
    while (i < end && look_at(executor, batch, i)) i++;
    return i == batch->count;
}

/* The batch that will be executed right behind this one, if its user may do everything with all keys. */
static const struct batch *batch_behind(struct executor *executor, const struct batch *batch)
{
    const struct batch *next = batch_of_mail(batch->mail.next);
    if (!next || bridge_is_on(&executor->upstream->bridge)) return NULL;
    return access_resolve(executor->access, next->identity)->grant.is_open ? next : NULL;
}

void look_ahead(struct executor *executor, const struct batch *batch)
{
    struct engine_keyspace *keyspace = executor->keyspace;
    if (!may_look_at(executor, &batch->messages[batch->executed].request)) return;
    bool is_last = batch->executed + 1 == batch->count && !batch_behind(executor, batch);
    if (is_last || !engine_keyspace_may_read_ahead(keyspace)) return;
    while (batch && look_into(executor, batch)) batch = batch_behind(executor, batch);
    engine_keyspace_open_ahead(keyspace, executor->command->db);
}
