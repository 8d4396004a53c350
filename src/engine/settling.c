#include "engine/settling.h"

#include "engine/engine.h"

static void settle(struct engine *engine, RedisModuleCtx *ctx)
{
    engine_keyspace_enter(&engine->keyspace, ctx);
    flag_ledger_set_role(engine->ledger, engine->is_primary, !api.AvoidReplicaTraffic());
    flag_ledger_settle(engine->ledger);
    engine_keyspace_leave(&engine->keyspace);
}

void settling_init(struct settling *settling)
{
    *settling = (struct settling){.client_db = -1};
}

static int db_of_client(uint64_t client_id)
{
    struct api_client_info info = {.version = 1};
    return client_id != 0 && api.GetClientInfoById(&info, client_id) == API_OK ? info.db : -1;
}

static void on_job(RedisModuleCtx *ctx, void *user_data)
{
    (void)user_data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    struct settling *settling = &engine->settling;
    settling->has_job = false;
    settling->client_db = db_of_client(settling->client_id);
    settle(engine, ctx);
    settling->client_db = -1;
}

void settling_return_client(struct engine *engine, RedisModuleCtx *ctx)
{
    const struct settling *settling = &engine->settling;
    if (settling->client_db >= 0 && api.GetClientId(ctx) == settling->client_id) api.SelectDb(ctx, settling->client_db);
}

/* A script has a client of its own, which is gone when the job runs: then its caller is at work. */
static uint64_t client_at_work(const struct engine *engine, RedisModuleCtx *ctx)
{
    if (!api.is_valkey) return 0;
    bool is_script = api.GetContextFlags(ctx) & API_CONTEXT_SCRIPT;
    return is_script ? engine->relocations.client_dbs.caller_id : api.GetClientId(ctx);
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
        settling->client_id = client_at_work(engine, ctx);
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
