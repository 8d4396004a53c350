/* INFO diglot: the counters of the memcached door. */
#include "engine/engine.h"

static void add_watchers(RedisModuleInfoCtx *info, struct watch_hub *watch)
{
    if (api.InfoAddSection(info, "watchers") != API_OK) return;
    struct watch_counts counts = watch_count(watch);
    api.InfoAddFieldULongLong(info, "log_watchers", counts.watchers);
    api.InfoAddFieldULongLong(info, "log_watcher_sent", counts.sent);
    api.InfoAddFieldULongLong(info, "log_watcher_skipped", counts.skipped);
}

static void on_info(RedisModuleInfoCtx *info, int for_crash_report)
{
    struct engine *engine = engine_instance();
    if (!engine) return;
    /* A crash may have come while the lock was held. */
    if (!for_crash_report) add_watchers(info, engine->command.watch);
    if (api.InfoAddSection(info, "stats") != API_OK) return;
#define COUNTER(id, name, is_gauge, description) \
    api.InfoAddFieldULongLong(info, name, counter_board_read(engine->board, COUNTER_##id));
    COUNTERS_LIST(COUNTER)
#undef COUNTER
}

bool engine_register_info(RedisModuleCtx *ctx)
{
    return api.RegisterInfoFunc(ctx, on_info) == API_OK;
}
