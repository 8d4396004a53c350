#include "engine/turnover.h"

#include "base/clock.h"
#include "engine/keyspace.h"

/* How often it is judged. */
#define WINDOW_US UINT64_C(250000)
/* All items are others within so many lives: the hit rates of tests/faults/test_near_cache_eviction.py hold from there on. */
#define LIVES_OF_RENEWAL 8
#define LIFE_LEAST_MS 1000

void turnover_init(struct turnover *turnover)
{
    *turnover = (struct turnover){.life_ms = TURNOVER_LIFE_MOST_MS};
}

static size_t count_keys(struct engine_keyspace *keyspace, RedisModuleCtx *ctx, int db)
{
    engine_keyspace_enter(keyspace, ctx);
    size_t count = engine_keyspace_count(keyspace, db);
    engine_keyspace_leave(keyspace);
    return count;
}

/* `renewal_ms`: how long it takes until all items are others. */
static uint32_t life_for(uint64_t renewal_ms)
{
    uint64_t life_ms = renewal_ms / LIVES_OF_RENEWAL;
    if (life_ms < LIFE_LEAST_MS) return 0;
    return life_ms < TURNOVER_LIFE_MOST_MS ? (uint32_t)life_ms : TURNOVER_LIFE_MOST_MS;
}

void turnover_judge(struct turnover *turnover, struct engine_keyspace *keyspace, RedisModuleCtx *ctx, int db)
{
    if (turnover->evicted == 0 && turnover->life_ms == TURNOVER_LIFE_MOST_MS) return;
    uint64_t now_us = clock_monotonic_us(), passed_us = now_us - turnover->since_us;
    if (passed_us < WINDOW_US) return;
    uint64_t keys = count_keys(keyspace, ctx, db);
    turnover->life_ms = turnover->evicted > 0 ? life_for(keys * (passed_us / 1000) / turnover->evicted) : TURNOVER_LIFE_MOST_MS;
    turnover->since_us = now_us;
    turnover->evicted = 0;
}
