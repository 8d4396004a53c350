#include "engine/turnover.h"

#include "base/clock.h"
#include "base/number.h"
#include "engine/keyspace.h"

#include <stdio.h>
#include <string.h>

/* How often it is judged. */
#define WINDOW_US UINT64_C(250000)
/* All items are others within so many lives: the hit rates of tests/faults/test_near_cache_eviction.py hold from there on. */
#define LIVES_OF_RENEWAL 8
#define LIFE_LEAST_MS 1000
/* From here on, memory that fills will soon be full. */
#define RATIO_OF_FULL 0.5f

void turnover_init(struct turnover *turnover)
{
    *turnover = (struct turnover){.keys = TURNOVER_NOT_COUNTED, .life_ms = TURNOVER_LIFE_MOST_MS};
}

/* Where the policy is one of those, items that last are not renewed, however many they are. */
static bool evicts_only_expiring(RedisModuleCtx *ctx)
{
    RedisModuleServerInfoData *facts = api.GetServerInfo(ctx, "memory");
    const char *policy = api.ServerInfoGetFieldC(facts, "maxmemory_policy");
    bool is_so = policy && strncmp(policy, "volatile-", strlen("volatile-")) == 0;
    api.FreeServerInfo(ctx, facts);
    return is_so;
}

/* From what the engine tells of a database, like "keys=5,expires=3,avg_ttl=900"; NULL: it is empty. */
static uint64_t read_expiring(const char *text)
{
    static const char name[] = "expires=";
    const char *number = text ? strstr(text, name) : NULL;
    uint64_t count = 0;
    if (!number) return 0;
    number += strlen(name);
    return number_read_plain(span_of(number, strcspn(number, ",")), &count) ? count : 0;
}

static uint64_t count_expiring(RedisModuleCtx *ctx, int db)
{
    char name[16];
    (void)snprintf(name, sizeof name, "db%d", db);
    RedisModuleServerInfoData *facts = api.GetServerInfo(ctx, "keyspace");
    uint64_t count = read_expiring(api.ServerInfoGetFieldC(facts, name));
    api.FreeServerInfo(ctx, facts);
    return count;
}

static uint64_t count_evictable(struct engine_keyspace *keyspace, RedisModuleCtx *ctx, int db)
{
    if (evicts_only_expiring(ctx)) return count_expiring(ctx, db);
    engine_keyspace_enter(keyspace, ctx);
    uint64_t count = engine_keyspace_count(keyspace, db);
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

/* Whether something is evicted, or may be soon. */
static bool is_near(const struct turnover *turnover, RedisModuleCtx *ctx)
{
    if (turnover->evicted > 0) return true;
    return api.GetContextFlags(ctx) & API_CONTEXT_EVICTS && api.GetUsedMemoryRatio() >= RATIO_OF_FULL;
}

/* How many items have come: one for each that had to go, and those that there are more. */
static uint64_t count_newcomers(const struct turnover *turnover, uint64_t keys)
{
    return turnover->evicted + (keys > turnover->keys ? keys - turnover->keys : 0);
}

void turnover_judge(struct turnover *turnover, struct engine_keyspace *keyspace, RedisModuleCtx *ctx, int db)
{
    uint64_t now_us = clock_monotonic_us(), passed_us = now_us - turnover->since_us;
    if (passed_us < WINDOW_US) return;
    uint64_t keys = is_near(turnover, ctx) ? count_evictable(keyspace, ctx, db) : TURNOVER_NOT_COUNTED;
    uint64_t newcomers = keys == TURNOVER_NOT_COUNTED ? 0 : count_newcomers(turnover, keys);
    turnover->life_ms = newcomers > 0 ? life_for(keys * (passed_us / 1000) / newcomers) : TURNOVER_LIFE_MOST_MS;
    turnover->since_us = now_us;
    turnover->keys = keys;
    turnover->evicted = 0;
}
