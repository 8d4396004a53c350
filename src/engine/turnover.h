/* How fast eviction renews the memory, and how long it can therefore do without seeing what is read: the engine's LRU sees nothing
 * of what a near cache answers. That does not matter where items stay for long, and costs hits where all of them are others within a
 * few seconds, or where memory is filled within them: what is read then must not look older than what has come meanwhile. Main thread. */
#ifndef DIGLOT_ENGINE_TURNOVER_H
#define DIGLOT_ENGINE_TURNOVER_H

#include <stdint.h>

struct engine_keyspace;
struct RedisModuleCtx;

/* Where nothing is evicted, or slowly. (memcached itself notes that an item is used once in a minute.) */
#define TURNOVER_LIFE_MOST_MS 10000u

#define TURNOVER_NOT_COUNTED UINT64_MAX

struct turnover {
    uint64_t since_us;
    uint64_t evicted; /* since then */
    uint64_t keys;    /* that may be evicted, then; TURNOVER_NOT_COUNTED: not known */
    uint32_t life_ms; /* of a near cache's entry, between 1000 and TURNOVER_LIFE_MOST_MS; 0: the engine should see every read */
};

void turnover_init(struct turnover *turnover);

static inline void turnover_note_eviction(struct turnover *turnover)
{
    turnover->evicted++;
}

/* Some times a second; `db` is where memcached's items are. */
void turnover_judge(struct turnover *turnover, struct engine_keyspace *keyspace, struct RedisModuleCtx *ctx, int db);

#endif
