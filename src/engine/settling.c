#include "engine/settling.h"

#include "engine/engine.h"

static void settle(struct engine *engine, RedisModuleCtx *ctx)
{
    engine_keyspace_enter(&engine->keyspace, ctx);
    flag_ledger_set_role(engine->ledger, engine->is_primary, !api.AvoidReplicaTraffic());
    flag_ledger_settle(engine->ledger);
    engine_keyspace_leave(&engine->keyspace);
}

static void on_job(RedisModuleCtx *ctx, void *user_data)
{
    (void)user_data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    engine->settling.has_job = false;
    settle(engine, ctx);
}

static void on_timer(RedisModuleCtx *ctx, void *user_data)
{
    (void)user_data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    engine->settling.has_timer = false;
    settle(engine, ctx);
}

void settling_schedule(struct engine *engine, RedisModuleCtx *ctx)
{
    struct settling *settling = &engine->settling;
    if (settling->has_job || settling->has_timer || !flag_ledger_has_notes(engine->ledger)) return;
    if (api.AddPostNotificationJob) {
        settling->has_job = api.AddPostNotificationJob(ctx, on_job, NULL, NULL) == API_OK;
    } else {
        settling->timer = api.CreateTimer(ctx, 0, on_timer, NULL);
        settling->has_timer = true;
    }
}

bool settling_finish(struct engine *engine, RedisModuleCtx *ctx)
{
    struct settling *settling = &engine->settling;
    if (settling->has_job) return false;
    if (settling->has_timer) api.StopTimer(ctx, settling->timer, NULL);
    settling->has_timer = false;
    settle(engine, ctx);
    return true;
}
