/* INFO diglot: the general statistics, as memcached's `stats` and DIGLOT.STATS tell them, and, in a migration, those of the old
 * servers. */
#include "base/clock.h"
#include "base/number.h"
#include "engine/engine.h"
#include "observe/stats.h"

void engine_read_facts(struct engine *engine, RedisModuleCtx *ctx, struct engine_facts *facts)
{
    struct keyspace *keyspace = &engine->keyspace.keyspace;
    *facts = (struct engine_facts){.asks_login = doorkeeper_asks_login(&engine->access.keeper)};
    engine_keyspace_enter(&engine->keyspace, ctx);
    keyspace->api->facts(keyspace, engine->command.db, facts);
    engine_keyspace_leave(&engine->keyspace);
}

/* Names and values are ended by NULs (observe/stats.h). */
static void add_pair(RedisModuleInfoCtx *info, struct span name, struct span value)
{
    uint64_t number;
    if (number_parse_u64(value, &number))
        (void)api.InfoAddFieldULongLong(info, name.data, number);
    else
        (void)api.InfoAddFieldCString(info, name.data, value.data);
}

static void add_group(RedisModuleInfoCtx *info, const struct engine *engine, const struct engine_facts *facts,
                      struct span group)
{
    struct buffer pairs;
    buffer_init(&pairs);
    (void)stats_render(engine->command.stats, facts, group, clock_wall_ms(), &pairs);
    struct span rest = buffer_content(&pairs), name, value;
    while (stats_next_pair(&rest, &name, &value)) add_pair(info, name, value);
    buffer_deinit(&pairs);
}

static void add_general(RedisModuleInfoCtx *info, struct engine *engine)
{
    struct engine_facts facts;
    engine_read_facts(engine, engine->ctx, &facts);
    add_group(info, engine, &facts, SPAN(""));
    if (bridge_is_on(&engine->upstream.bridge) && api.InfoAddSection(info, "upstream") == API_OK)
        add_group(info, engine, &facts, SPAN("upstream"));
}

/* A crash may have come in the middle of anything: only what can be read without a lock and without the engine. */
static void add_counters(RedisModuleInfoCtx *info, const struct engine *engine)
{
#define COUNTER(id, name, is_gauge, description) \
    (void)api.InfoAddFieldULongLong(info, name, counter_board_read(engine->board, COUNTER_##id));
    COUNTERS_LIST(COUNTER)
#undef COUNTER
#define PEAK(id, name, description) (void)api.InfoAddFieldULongLong(info, name, counter_board_peak(engine->board, PEAK_##id));
    PEAKS_LIST(PEAK)
#undef PEAK
}

static void on_info(RedisModuleInfoCtx *info, int for_crash_report)
{
    struct engine *engine = engine_instance();
    if (!engine || api.InfoAddSection(info, "stats") != API_OK) return;
    bool is_busy = engine->keyspace.ctx != NULL; /* another module asks from inside an event of ours */
    if (for_crash_report || is_busy)
        add_counters(info, engine);
    else
        add_general(info, engine);
}

bool engine_register_info(RedisModuleCtx *ctx)
{
    return api.RegisterInfoFunc(ctx, on_info) == API_OK;
}
