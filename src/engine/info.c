/* INFO diglot: the counters of the memcached door. */
#include "engine/engine.h"

static void on_info(RedisModuleInfoCtx *info, int for_crash_report)
{
    (void)for_crash_report;
    struct engine *engine = engine_instance();
    if (!engine || api.InfoAddSection(info, "stats") != API_OK) return;
#define COUNTER(id, name, is_gauge, description) \
    api.InfoAddFieldULongLong(info, name, counter_board_read(engine->board, COUNTER_##id));
    COUNTERS_LIST(COUNTER)
#undef COUNTER
}

bool engine_register_info(RedisModuleCtx *ctx)
{
    return api.RegisterInfoFunc(ctx, on_info) == API_OK;
}
