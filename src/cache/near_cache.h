/* The near cache: hot items, kept by the worker that reads them, so that a read of one needs neither the main thread nor the
 * engine's memory. docs/near-cache.md tells the whole idea.
 *
 * Each worker has its own, so there are no locks. An entry holds what a read found, and the stamp of the moment when it did
 * (item/version.h); it answers as long as nothing of its key has moved behind the stamp, which is two atomic loads. So it is
 * never stale. It lives for some seconds at most: then the engine is asked again, whose LRU or LFU sees hot items that way.
 *
 * Entries lie in a log that is written around: the oldest give way. An index of buckets, one cache line each, leads to them.
 * As soon as all room has been used once, an item is let in when it is read for the second time in a while, as most items of a large
 * keyspace are not worth a copy.
 * One thread at a time. */
#ifndef DIGLOT_CACHE_NEAR_CACHE_H
#define DIGLOT_CACHE_NEAR_CACHE_H

#include "base/span.h"
#include "item/version.h"
#include "observe/counters.h"

/* Larger values are not kept: what a copy of them costs is near to what it saves. */
#define NEAR_VALUE_MAX 4096u
/* An entry answers for as long as the version clock lets it live; the first time for less, by up to this part of that, so that
 * entries that were made together, when a server or a client has started, are not renewed together for ever. */
#define NEAR_LIFE_SPREAD 2
/* An item this near to its expiry is the engine's to answer for, as a clock that is read once in a turn may be late. */
#define NEAR_EXPIRY_MARGIN_MS 100

/* What is kept of an item; in the log, where its key and its value follow. */
struct near_entry {
    uint64_t hash;
    uint64_t stamp;     /* when it was read, by the version clock */
    uint64_t token;
    int64_t expiry;     /* ms since the epoch, or EXPIRY_NEVER */
    uint32_t filled_ms; /* monotonic */
    uint32_t flags;
    uint32_t hits; /* since it was filled */
    uint16_t value_size;
    uint8_t key_size;
    char bytes[];
};

static inline struct span near_entry_value(const struct near_entry *entry)
{
    return span_of(entry->bytes + entry->key_size, entry->value_size);
}

struct near_cache;

/* `versions` and `counters` (of the thread that uses it) must outlive it. It keeps nothing before it is given a size. */
struct near_cache *near_cache_new(const struct version_clock *versions, struct counters *counters);
void near_cache_free(struct near_cache **cache);

/* How many bytes it may take, entries and index together; another number than before empties it. Too few to be of use, or
 * more than the machine has: it keeps nothing. */
void near_cache_set_size(struct near_cache *cache, size_t size);

/* Once in each turn: the monotonic clock in microseconds, the wall clock in ms since the epoch. */
void near_cache_set_clocks(struct near_cache *cache, uint64_t now_us, int64_t now_ms);
int64_t near_cache_now_ms(const struct near_cache *cache);

/* True when it may answer at all now. NULL: never. */
bool near_cache_is_open(const struct near_cache *cache);

/* Whether a read that comes alone, in the engine's own thread, should be looked up: there a miss costs about as much as a hit saves.
 * True for as long as half of them are answered, and after that for a trial every half minute. */
bool near_cache_pays_alone(const struct near_cache *cache);
/* Such a read has been looked up. */
void near_cache_note_alone(struct near_cache *cache, bool is_answered);

/* A read in three steps, so that those of many keys wait for memory together. First: fetches what the second step needs. */
void near_cache_prefetch(const struct near_cache *cache, uint64_t hash);
/* Second: what may be the entry, whose bytes it fetches; NULL when there is none. Holds until something is stored. */
struct near_entry *near_cache_locate(const struct near_cache *cache, uint64_t hash);
/* Third: whether it is the key's entry, and still answers. */
bool near_cache_answers(const struct near_cache *cache, struct near_entry *entry, struct span key, uint64_t hash);

/* How often the key's entry has answered since the engine was last asked; tells it once. `entry` is what was located. */
uint32_t near_cache_take_hits(struct near_entry *entry, uint64_t hash);

/* Whether an item that it did not answer for is worth being stored; `entry` is what was located, and is dropped where it has
 * answered too seldom in its life. Remembers the key. */
bool near_cache_wants(struct near_cache *cache, const struct near_entry *entry, uint64_t hash);

/* Keeps an item; all but the key, its hash and the value is taken from `item`. No effect for values that are too large. */
void near_cache_store(struct near_cache *cache, struct span key, uint64_t hash, struct span value,
                      const struct near_entry *item);

#endif
