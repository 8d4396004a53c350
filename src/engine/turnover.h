/* How fast eviction renews the memory. The engine's LRU does not see what a near cache answers, for a second at a time: that is nothing
 * where items stay for long, and costs hits where all of them are others within a few seconds. Main thread. */
#ifndef DIGLOT_ENGINE_TURNOVER_H
#define DIGLOT_ENGINE_TURNOVER_H

#include <stdbool.h>
#include <stdint.h>

struct engine_keyspace;
struct RedisModuleCtx;

struct turnover {
    uint64_t since_us;
    uint64_t evicted; /* since then */
    bool is_fast;
};

static inline void turnover_note_eviction(struct turnover *turnover)
{
    turnover->evicted++;
}

/* True where the engine should see every read. In each turn; `db` is where memcached's items are. */
bool turnover_is_fast(struct turnover *turnover, struct engine_keyspace *keyspace, struct RedisModuleCtx *ctx, int db);

#endif
