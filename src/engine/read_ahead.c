#include "engine/read_ahead.h"

#include "base/cache_line.h"

/* As much of a value as is fetched ahead; of a longer one the processor sees by itself that it is read on. */
#define FETCHED_MAX 512

static void begin_window(struct read_ahead *ahead)
{
    ahead->next = ahead->count = 0;
    memset(ahead->seen, 0, sizeof ahead->seen);
}

/* True when this key, or by chance another one, was seen before. */
static bool is_seen(struct read_ahead *ahead, uint64_t hash)
{
    uint64_t bit = hash % READ_AHEAD_BITS;
    uint64_t *bits = &ahead->seen[bit / 64];
    uint64_t before = *bits;
    *bits |= 1ull << bit % 64;
    return before == *bits;
}

bool read_ahead_add(struct read_ahead *ahead, struct span name, uint64_t hash, enum ahead_use use, const void *reader)
{
    if (read_ahead_is_empty(ahead)) begin_window(ahead);
    if (ahead->count == READ_AHEAD_MAX || is_seen(ahead, hash)) return false;
    struct ahead_key *key = &ahead->keys[ahead->count++];
    *key = (struct ahead_key){
        .name = api.CreateString(NULL, name.data, name.size), .origin = name.data, .use = use, .reader = reader};
    return true;
}

/* The bytes of what is only counted, removed or touched are left as the engine keeps them. */
static void fetch_value(struct ahead_key *key)
{
    key->type = api.KeyType(key->key);
    if (key->type != API_KEY_STRING || key->use == AHEAD_WRITE) return;
    key->bytes = api.StringDMA(key->key, &key->size, key->use == AHEAD_READ ? API_READ : API_WRITE);
    for (size_t offset = 0; offset < key->size && offset < FETCHED_MAX; offset += CACHE_LINE)
        __builtin_prefetch(key->bytes + offset);
}

/* Each loop does as little as it can, so that the next key's wait for memory begins before the last one's is over. */
void read_ahead_open(struct read_ahead *ahead, RedisModuleCtx *ctx, int db)
{
    ahead->db = db;
    for (size_t i = ahead->next; i < ahead->count; i++) {
        struct ahead_key *key = &ahead->keys[i];
        key->key = api.OpenKey(ctx, key->name, key->use == AHEAD_READ ? API_READ : API_READ | API_WRITE);
    }
    for (size_t i = ahead->next; i < ahead->count; i++) fetch_value(&ahead->keys[i]);
}

static void close_next(struct read_ahead *ahead)
{
    struct ahead_key *key = &ahead->keys[ahead->next++];
    if (key->key) api.CloseKey(key->key);
    api.FreeString(NULL, key->name);
}

void read_ahead_reach(struct read_ahead *ahead, const void *reader)
{
    ahead->reader = reader;
    while (!read_ahead_is_empty(ahead) && ahead->keys[ahead->next].reader != reader) close_next(ahead);
}

/* Whoever it was opened for names it by the same bytes; others, in his turn, do not have them. With a prefix all keys are named
 * by the bytes of one place, so it must be his turn. */
static bool is_name_of(const struct ahead_key *key, struct span name)
{
    if (key->origin == name.data) return true;
    size_t size;
    const char *data = api.StringPtrLen(key->name, &size);
    return span_equal(span_of(data, size), name);
}

const struct ahead_key *read_ahead_take(struct read_ahead *ahead, int db, struct span name, bool writes)
{
    if (read_ahead_is_empty(ahead) || db != ahead->db) return NULL;
    const struct ahead_key *key = &ahead->keys[ahead->next];
    if (key->reader != ahead->reader || writes != (key->use != AHEAD_READ) || !is_name_of(key, name)) return NULL;
    ahead->next++;
    return key;
}

void read_ahead_close(struct read_ahead *ahead)
{
    while (!read_ahead_is_empty(ahead)) close_next(ahead);
}
