/* The command filter: the one place where every RESP command passes, before it is queued or executed. */
#include "engine/engine.h"
#include "engine/usage_notes.h"
#include "engine/words.h"

static void on_command(RedisModuleCommandFilterCtx *filter)
{
    struct engine *engine = engine_instance();
    int count = api.CommandFilterArgsCount(filter);
    if (!engine || count < 1 || engine->cluster.is_asking) return;
    struct span name = words_argument(filter, 0);
    if (engine->cluster.is_enabled) cluster_traffic_note_command(engine, filter, name, count);
    if (!engine->keyspace.ctx) calm_note_command(&engine->calm, name); /* else it is a question of our own */
    access_note_command(&engine->access, filter, name, count);
    pauses_note_command(&engine->executor.gate.pauses, filter, name, count);
    relocations_note_command(engine, filter, name, count);
    usage_notes_command(engine, filter, count);
}

bool engine_register_filter(RedisModuleCtx *ctx)
{
    return api.RegisterCommandFilter(ctx, on_command, 0) != NULL;
}
