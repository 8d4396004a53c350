#include "engine/turnover.h"

#include "base/clock.h"
#include "engine/keyspace.h"

/* How often it is judged. */
#define WINDOW_US UINT64_C(250000)
/* All items are others within so long: it is fast. The hit rates of tests/faults/test_near_cache_eviction.py hold beyond it. */
#define RENEWAL_US UINT64_C(8000000)

static size_t count_keys(struct engine_keyspace *keyspace, RedisModuleCtx *ctx, int db)
{
    engine_keyspace_enter(keyspace, ctx);
    size_t count = engine_keyspace_count(keyspace, db);
    engine_keyspace_leave(keyspace);
    return count;
}

bool turnover_is_fast(struct turnover *turnover, struct engine_keyspace *keyspace, RedisModuleCtx *ctx, int db)
{
    if (turnover->evicted == 0 && !turnover->is_fast) return false;
    uint64_t now_us = clock_monotonic_us(), passed_us = now_us - turnover->since_us;
    if (passed_us < WINDOW_US) return turnover->is_fast;
    turnover->is_fast = turnover->evicted * RENEWAL_US / passed_us > count_keys(keyspace, ctx, db);
    turnover->since_us = now_us;
    turnover->evicted = 0;
    return turnover->is_fast;
}
