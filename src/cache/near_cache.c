#include "cache/near_cache.h"

#include "base/cache_line.h"
#include "base/check.h"
#include "base/pages.h"
#include "base/scan.h"

#include <stdlib.h>

#define BUCKET_SLOTS 8
/* An index of one slot for so many bytes: entries are seldom smaller. */
#define BYTES_PER_SLOT 128
/* Entries begin at multiples of this, and the index counts in it. */
#define LOG_UNIT 8
#define SIZE_LEAST ((size_t)64 * 1024)
#define SIZE_MOST ((size_t)UINT32_MAX * LOG_UNIT)
/* The keys asked for lately, as bits; forgotten when so many have been noted that chance alone would let in too many. */
#define SEEN_BITS (1u << 20)
#define SEEN_MOST (SEEN_BITS / 8)
/* An entry that has answered as often in its life was worth its copy, and is renewed at once. Fewer, and it has cost more than
 * it saved: its key begins again as one that is seen for the first time. */
#define HITS_WORTH 4
/* How much of an entry is fetched ahead. */
#define FETCHED_MAX 256
/* Reads that come alone are judged so many at a time; the first so many of a trial only fill the cache. */
#define TRIAL_READS (1u << 18)
#define TRIAL_INTERVAL_MS 30000

/* One cache line. A tag is a part of the hash, never 0; 0: the slot is free. */
struct bucket {
    uint32_t tags[BUCKET_SLOTS];
    uint32_t places[BUCKET_SLOTS]; /* in the log, in units */
};

/* The entries in use lie from `tail` on, oldest first: up to `head`, or, where that has come around, up to `lap_end` and
 * then from the beginning up to `head`. */
struct entry_log {
    char *bytes;
    size_t capacity;
    size_t head;
    size_t tail;
    size_t lap_end;
    bool has_come_around;
};

/* Whether it pays to look up reads that come alone. */
struct trial {
    bool has_failed; /* and is to be repeated */
    bool is_judged;  /* else it fills the cache */
    uint32_t failed_ms;
    uint32_t reads;
    uint32_t answered;
};

struct near_cache {
    const struct version_clock *versions;
    struct counters *counters;
    uint32_t mono_ms;
    int64_t now_ms;
    size_t size; /* as it was asked for */
    char *memory;
    struct bucket *buckets; /* NULL: nothing is kept */
    size_t bucket_mask;
    struct entry_log log;
    bool has_been_full; /* since it has this size */
    struct trial trial;
    unsigned seen_count;
    uint64_t seen[SEEN_BITS / 64];
};

struct near_cache *near_cache_new(const struct version_clock *versions, struct counters *counters)
{
    struct near_cache *cache = check_calloc(1, sizeof *cache);
    cache->versions = versions;
    cache->counters = counters;
    return cache;
}

/* ---- Counting ---- */

static void count_entry(struct near_cache *cache, size_t size)
{
    counter_add(cache->counters, COUNTER_CACHE_ITEMS, 1);
    counter_add(cache->counters, COUNTER_CACHE_BYTES, size);
}

static void discount_entry(struct near_cache *cache, size_t size)
{
    counter_add(cache->counters, COUNTER_CACHE_ITEMS, (uint64_t)-1);
    counter_add(cache->counters, COUNTER_CACHE_BYTES, (uint64_t)0 - size);
}

/* ---- The log ---- */

static size_t entry_size(size_t key_size, size_t value_size)
{
    size_t size = offsetof(struct near_entry, bytes) + key_size + value_size;
    return (size + LOG_UNIT - 1) / LOG_UNIT * LOG_UNIT;
}

static size_t size_of_entry(const struct near_entry *entry)
{
    return entry_size(entry->key_size, entry->value_size);
}

static struct near_entry *entry_at(const struct near_cache *cache, uint32_t place)
{
    return (struct near_entry *)(cache->log.bytes + (size_t)place * LOG_UNIT);
}

static uint32_t place_of(const struct near_cache *cache, const struct near_entry *entry)
{
    return (uint32_t)((size_t)((const char *)entry - cache->log.bytes) / LOG_UNIT);
}

/* ---- The index ---- */

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

static struct bucket *bucket_of(const struct near_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & cache->bucket_mask];
}

/* The slot with this tag; BUCKET_SLOTS where there is none. */
static size_t find_slot(const struct bucket *bucket, uint32_t tag)
{
    return (size_t)__builtin_ctz(scan_words_8(bucket->tags, tag) | 1u << BUCKET_SLOTS);
}

static void drop_slot(struct near_cache *cache, struct bucket *bucket, size_t slot)
{
    discount_entry(cache, size_of_entry(entry_at(cache, bucket->places[slot])));
    bucket->tags[slot] = 0;
}

/* The oldest entry of the log gives way, if it has not been replaced already. */
static void evict_oldest(struct near_cache *cache)
{
    struct entry_log *log = &cache->log;
    struct near_entry *entry = (struct near_entry *)(log->bytes + log->tail);
    struct bucket *bucket = bucket_of(cache, entry->hash);
    size_t slot = find_slot(bucket, tag_of(entry->hash));
    if (slot < BUCKET_SLOTS && bucket->places[slot] == place_of(cache, entry)) {
        drop_slot(cache, bucket, slot);
        counter_add(cache->counters, COUNTER_CACHE_EVICTIONS, 1);
    }
    log->tail += size_of_entry(entry);
    if (!log->has_come_around || log->tail < log->lap_end) return;
    log->tail = 0;
    log->has_come_around = false;
}

/* Room for an entry, which is far smaller than the log. */
static struct near_entry *allocate(struct near_cache *cache, size_t size)
{
    struct entry_log *log = &cache->log;
    while (log->head + size > (log->has_come_around ? log->tail : log->capacity)) {
        if (log->has_come_around) {
            evict_oldest(cache);
            continue;
        }
        log->lap_end = log->head;
        log->head = 0;
        log->has_come_around = true;
        cache->has_been_full = true;
    }
    struct near_entry *entry = (struct near_entry *)(log->bytes + log->head);
    log->head += size;
    return entry;
}

/* How long ago the place was written, in units. */
static size_t age_of(const struct near_cache *cache, uint32_t place)
{
    size_t head = cache->log.head / LOG_UNIT;
    return place < head ? head - place : head + cache->log.capacity / LOG_UNIT - place;
}

/* A free slot; where there is none, the oldest one's entry gives way. */
static size_t claim_slot(struct near_cache *cache, struct bucket *bucket)
{
    size_t slot = find_slot(bucket, 0);
    if (slot < BUCKET_SLOTS) return slot;
    slot = 0;
    for (size_t i = 1; i < BUCKET_SLOTS; i++)
        if (age_of(cache, bucket->places[i]) > age_of(cache, bucket->places[slot])) slot = i;
    drop_slot(cache, bucket, slot);
    counter_add(cache->counters, COUNTER_CACHE_EVICTIONS, 1);
    cache->has_been_full = true;
    return slot;
}

/* ---- Its size ---- */

static size_t usable(size_t size)
{
    return size < SIZE_MOST ? size : SIZE_MOST;
}

static void release(struct near_cache *cache)
{
    size_t slots = cache->buckets ? (cache->bucket_mask + 1) * BUCKET_SLOTS : 0;
    for (size_t i = 0; i < slots; i++) {
        struct bucket *bucket = &cache->buckets[i / BUCKET_SLOTS];
        if (bucket->tags[i % BUCKET_SLOTS]) drop_slot(cache, bucket, i % BUCKET_SLOTS);
    }
    pages_free(cache->memory, usable(cache->size));
    cache->memory = NULL;
    cache->buckets = NULL;
    cache->log = (struct entry_log){0};
    cache->has_been_full = false;
}

/* Powers of two make the bucket of a hash a matter of a mask. */
static size_t count_buckets(size_t size)
{
    size_t buckets = 1;
    while (buckets * 2 * BUCKET_SLOTS * BYTES_PER_SLOT <= size) buckets *= 2;
    return buckets;
}

/* In one piece, whose pages the system gives as they are used: first the index, then the log. */
static void reserve(struct near_cache *cache, size_t size)
{
    size_t buckets = count_buckets(size), index_size = buckets * sizeof(struct bucket);
    cache->memory = pages_new(size);
    if (!cache->memory) return;
    pages_keep_from_children(cache->memory, size);
    cache->buckets = (struct bucket *)cache->memory;
    cache->bucket_mask = buckets - 1;
    cache->log.bytes = cache->memory + index_size;
    cache->log.capacity = (size - index_size) / LOG_UNIT * LOG_UNIT;
}

void near_cache_set_size(struct near_cache *cache, size_t size)
{
    if (size == cache->size) return;
    release(cache);
    cache->size = size;
    if (size >= SIZE_LEAST) reserve(cache, usable(size));
}

void near_cache_free(struct near_cache **cache)
{
    if (!*cache) return;
    release(*cache);
    free(*cache);
    *cache = NULL;
}

/* ---- Reading ---- */

void near_cache_set_clocks(struct near_cache *cache, uint64_t now_us, int64_t now_ms)
{
    cache->mono_ms = (uint32_t)(now_us / 1000);
    cache->now_ms = now_ms;
    if (cache->trial.has_failed && cache->mono_ms - cache->trial.failed_ms >= TRIAL_INTERVAL_MS) cache->trial = (struct trial){0};
}

int64_t near_cache_now_ms(const struct near_cache *cache)
{
    return cache->now_ms;
}

bool near_cache_is_open(const struct near_cache *cache)
{
    return cache && cache->buckets && version_is_open(cache->versions);
}

bool near_cache_pays_alone(const struct near_cache *cache)
{
    return !cache->trial.has_failed;
}

void near_cache_note_alone(struct near_cache *cache, bool is_answered)
{
    struct trial *trial = &cache->trial;
    trial->answered += is_answered;
    if (++trial->reads < TRIAL_READS) return;
    bool has_failed = trial->is_judged && trial->answered < TRIAL_READS / 2;
    *trial = (struct trial){.has_failed = has_failed, .is_judged = true, .failed_ms = cache->mono_ms};
}

void near_cache_prefetch(const struct near_cache *cache, uint64_t hash)
{
    __builtin_prefetch(bucket_of(cache, hash));
}

struct near_entry *near_cache_locate(const struct near_cache *cache, uint64_t hash)
{
    const struct bucket *bucket = bucket_of(cache, hash);
    size_t slot = find_slot(bucket, tag_of(hash));
    if (slot == BUCKET_SLOTS) return NULL;
    struct near_entry *entry = entry_at(cache, bucket->places[slot]);
    version_prefetch_change(cache->versions, hash);
    (void)*(const volatile uint64_t *)&entry->hash; /* a prefetch gains nothing, presumably for want of a TLB entry */
    for (size_t offset = CACHE_LINE; offset < FETCHED_MAX; offset += CACHE_LINE) __builtin_prefetch((const char *)entry + offset);
    return entry;
}

static bool has_key(const struct near_entry *entry, struct span key, uint64_t hash)
{
    return entry->hash == hash && span_equal(span_of(entry->bytes, entry->key_size), key);
}

static bool is_alive(const struct near_cache *cache, const struct near_entry *entry)
{
    if (cache->mono_ms - entry->filled_ms >= version_life_ms(cache->versions)) return false;
    return entry->expiry < 0 || entry->expiry > cache->now_ms + NEAR_EXPIRY_MARGIN_MS;
}

bool near_cache_answers(const struct near_cache *cache, struct near_entry *entry, struct span key, uint64_t hash)
{
    if (!has_key(entry, key, hash) || !is_alive(cache, entry)) return false;
    if (!version_stands(cache->versions, hash, entry->stamp)) return false;
    entry->hits++;
    return true;
}

/* ---- Storing ---- */

uint32_t near_cache_take_hits(struct near_entry *entry, uint64_t hash)
{
    if (!entry || entry->hash != hash) return 0;
    uint32_t hits = entry->hits;
    entry->hits = 0;
    return hits;
}

bool near_cache_wants(struct near_cache *cache, const struct near_entry *entry, uint64_t hash)
{
    if (!cache->has_been_full) return true;
    if (entry && entry->hash == hash) {
        if (entry->hits >= HITS_WORTH) return true;
        struct bucket *bucket = bucket_of(cache, hash);
        size_t slot = find_slot(bucket, tag_of(hash));
        if (slot < BUCKET_SLOTS) drop_slot(cache, bucket, slot); /* it is gone already where the key was asked for twice */
    }
    uint64_t bit = (hash >> 20) % SEEN_BITS;
    uint64_t *bits = &cache->seen[bit / 64];
    if (*bits >> bit % 64 & 1) return true;
    if (++cache->seen_count > SEEN_MOST) {
        memset(cache->seen, 0, sizeof cache->seen);
        cache->seen_count = 0;
    }
    *bits |= UINT64_C(1) << bit % 64;
    return false;
}

/* As if it had been made earlier; by which time, the key says. */
static void shorten_first_life(const struct near_cache *cache, struct near_entry *entry)
{
    entry->filled_ms -= (uint32_t)(entry->hash >> 32) % (version_life_ms(cache->versions) / NEAR_LIFE_SPREAD + 1);
}

static void fill(const struct near_cache *cache, struct near_entry *entry, struct span key, struct span value,
                 const struct near_entry *item)
{
    *entry = *item;
    entry->filled_ms = cache->mono_ms;
    entry->value_size = (uint16_t)value.size;
    entry->key_size = (uint8_t)key.size;
    entry->hits = 0;
    memcpy(entry->bytes, key.data, key.size);
    if (value.size > 0) memcpy(entry->bytes + key.size, value.data, value.size);
}

void near_cache_store(struct near_cache *cache, struct span key, uint64_t hash, struct span value,
                      const struct near_entry *item)
{
    if (!cache->buckets || value.size > NEAR_VALUE_MAX || key.size > UINT8_MAX) return;
    struct near_entry head = *item;
    head.hash = hash;
    size_t size = entry_size(key.size, value.size);
    struct bucket *bucket = bucket_of(cache, hash);
    size_t slot = find_slot(bucket, tag_of(hash));
    if (slot < BUCKET_SLOTS) {
        struct near_entry *present = entry_at(cache, bucket->places[slot]);
        if (size_of_entry(present) == size) {
            fill(cache, present, key, value, &head);
            return;
        }
        drop_slot(cache, bucket, slot);
    }
    struct near_entry *entry = allocate(cache, size); /* first: it may free a slot of the bucket */
    fill(cache, entry, key, value, &head);
    shorten_first_life(cache, entry);
    slot = claim_slot(cache, bucket);
    bucket->tags[slot] = tag_of(hash);
    bucket->places[slot] = place_of(cache, entry);
    count_entry(cache, size);
}
