/* Reads of one batch are looked up side by side, in three passes, so that they wait for memory together.
 *
 * Program order: a batch that is answered as a whole is answered in order, here and now. In one that goes to the executor, an
 * answer must not be older than what the messages before it see, or do; so it goes along with its stamp, and the executor
 * takes it for the result only if that still stands when its turn comes. */
#include "session/answers.h"

#include "item/expiry.h"

/* What else a read may ask and be answered here: all that does not look at its past, compare, or change anything. */
#define ASKS_ANSWERED                                                                                                     \
    ((uint32_t)(ASK_META | ASK_TTL | ASK_NO_VALUE | ASK_NO_BUMP | ASK_TTL_BEFORE_TOUCH | ASK_TTL_BEFORE_VIVIFY                      \
                | ASK_RECACHE_BEFORE_TOUCH | ASK_TOUCH_BEFORE_VIVIFY))

static bool may_read_all(const struct session *session)
{
    return session->identity != NULL ? identity_reads_freely(session->identity)
                                     : doorkeeper_reads_freely(session->doorkeeper);
}

/* Where the engine's thread does everything there is no journey to be saved, so a miss is not cheap beside a hit. */
static bool is_alone(const struct session *session, const struct batch *batch)
{
    return batch->count == 1 && option_get(session->options, io_threads) == 0;
}

static bool may_answer(const struct session *session)
{
    return near_cache_is_open(session->cache) && may_read_all(session) && !watch_wants(session->hub, WATCH_FETCHERS);
}

static bool is_answerable(const struct request *request)
{
    return request->op == REQUEST_GET && !(request->extras && (request->extras->asks & ~ASKS_ANSWERED));
}

/* Of the key as the engine knows it. */
static uint64_t hash_prefixed(const char *prefix, struct span key)
{
    char name[OPTION_KEY_PREFIX_MAX + ITEM_KEY_MAX];
    size_t size = strlen(prefix);
    CHECK(size + key.size <= sizeof name);
    memcpy(name, prefix, size);
    memcpy(name + size, key.data, key.size);
    return hash_key(span_of(name, size + key.size));
}

static void tell_extras(struct extras *extras, const struct near_entry *entry, int64_t now_ms)
{
    bool is_meta = extras->asks & ASK_META;
    extras->told = 0;
    extras->token = entry->token;
    extras->size = entry->value_size;
    extras->remaining_seconds = is_meta ? expiry_seconds_left(entry->expiry, now_ms) : -1;
}

static void answer(const struct session *session, struct batch *batch, uint32_t index, const struct near_entry *entry)
{
    const struct request *request = &batch->messages[index].request;
    struct result *result = &batch->messages[index].result;
    bool has_value = !(request->extras && (request->extras->asks & ASK_NO_VALUE));
    result->status = RESULT_HIT;
    result->flags = entry->flags;
    result->value_offset = (uint32_t)buffer_size(&batch->values);
    result->value_size = has_value ? entry->value_size : 0;
    if (has_value) buffer_append(&batch->values, near_entry_value(entry));
    if (request->extras)
        tell_extras(request->extras, entry, near_cache_now_ms(session->cache));
    else if (request->want_cas)
        result->number = entry->token;
}

/* Keys are hashed here and nowhere else on their way: the main thread has the least time. */
static void hash_keys(const struct session *session, struct batch *batch)
{
    const char *prefix = session->options->key_prefix;
    bool has_prefix = *prefix != '\0';
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct request *request = &batch->messages[i].request;
        uint64_t hash = 0;
        if (request_is_keyed(request->op)) hash = has_prefix ? hash_prefixed(prefix, request->key) : hash_key(request->key);
        batch->sightings[i] = (struct sighting){.hash = hash};
    }
    batch->has_sightings = true;
}

static bool look_up(const struct session *session, struct batch *batch, uint32_t index, struct near_entry *entry)
{
    struct span key = batch->messages[index].request.key;
    struct sighting *sighting = &batch->sightings[index];
    if (entry != NULL && near_cache_answers(session->cache, entry, key, sighting->hash)) {
        sighting->stamp = entry->stamp;
        answer(session, batch, index, entry);
        return true;
    }
    sighting->is_wanted = near_cache_wants(session->cache, entry, sighting->hash);
    sighting->uses = near_cache_take_hits(entry, sighting->hash);
    return false;
}

/* Answers that go along with others are counted when they are taken. */
static void settle(struct session *session, struct batch *batch, uint32_t missed, uint32_t answered, uint32_t open)
{
    counter_add(session->counters, COUNTER_CACHE_MISSES, missed);
    batch->has_answers = answered > 0;
    if (open > 0) return;
    batch->is_local = true;
    batch->executed = batch->count;
    counter_add(session->counters, COUNTER_CMD_GET, answered);
    counter_add(session->counters, COUNTER_GET_HITS, answered);
    counter_add(session->counters, COUNTER_CACHE_HITS, answered);
}

bool answers_prefetch(const struct session *session, struct batch *batch)
{
    hash_keys(session, batch);
    if (!may_answer(session) || (is_alone(session, batch) && !near_cache_pays_alone(session->cache))) return false;
    bool has_reads = false;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!is_answerable(&batch->messages[i].request)) continue;
        near_cache_prefetch(session->cache, batch->sightings[i].hash);
        has_reads = true;
    }
    return has_reads;
}

void answers_prefetch_entry(const struct session *session, const struct batch *batch)
{
    if (near_cache_is_open(session->cache)) (void)near_cache_locate(session->cache, batch->sightings[0].hash);
}

void answers_find(struct session *session, struct batch *batch)
{
    if (!may_answer(session)) return; /* any longer: a lone read may have waited for its turn, or for its output to be read */
    struct near_entry *entries[BATCH_CAPACITY];
    const uint32_t count = batch->count;
    for (uint32_t i = 0; i < count; i++)
        entries[i] = is_answerable(&batch->messages[i].request) ? near_cache_locate(session->cache, batch->sightings[i].hash) : NULL;
    uint32_t missed = 0, answered = 0, open = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct request *request = &batch->messages[i].request;
        bool is_read = is_answerable(request), has_answer = is_read && look_up(session, batch, i, entries[i]);
        answered += has_answer;
        missed += is_read && !has_answer;
        open += !has_answer && !request_is_local(request->op);
    }
    if (is_alone(session, batch)) near_cache_note_alone(session->cache, answered > 0);
    settle(session, batch, missed, answered, open);
}

/* PFCOUNT notes its count in the string without telling keyspace events. */
static bool changes_in_silence(struct span value)
{
    static const char magic[] = {'H', 'Y', 'L', 'L'};
    return value.size >= sizeof magic && memcmp(value.data, magic, sizeof magic) == 0;
}

void answers_keep(struct session *session, struct batch *batch, uint32_t index, struct span values)
{
    const struct message *message = &batch->messages[index];
    const struct sighting *sighting = batch_sighting(batch, index);
    bool is_seen = sighting != NULL && sighting->is_wanted && sighting->stamp != 0;
    if (!is_seen || message->result.status != RESULT_HIT) return;
    struct span value = span_of(values.data + message->result.value_offset, message->result.value_size);
    if (value.size > NEAR_VALUE_MAX || changes_in_silence(value)) return;
    const struct near_entry item = {
        .stamp = sighting->stamp,
        .token = sighting->token,
        .expiry = sighting->expiry,
        .flags = message->result.flags,
    };
    near_cache_store(session->cache, message->request.key, sighting->hash, value, &item);
}
