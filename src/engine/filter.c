/* The command filter: the one place where every RESP command passes, before it is queued or executed. */
#include "engine/engine.h"
#include "engine/usage_notes.h"
#include "engine/words.h"

/* Commands that can give a key an expiry that has passed, or can hold such commands. Valkey 9 tells of that as it tells of a key that
 * has expired by itself, and old servers must not be asked for a key that somebody has ended (upstream/bridge.h). */
static bool may_expire_key(struct span name)
{
    static const char *const words[] = {"expire", "pexpire", "expireat", "pexpireat", "getex", "set", "restore", "exec",
                                        "eval", "evalsha", "fcall"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words_equal(name, words[i])) return true;
    return false;
}

static void on_command(RedisModuleCommandFilterCtx *filter)
{
    struct engine *engine = engine_instance();
    int count = api.CommandFilterArgsCount(filter);
    if (!engine || count < 1 || engine->cluster.is_asking) return;
    struct span name = words_argument(filter, 0);
    if (engine->cluster.is_enabled) cluster_traffic_note_command(engine, filter, name, count);
    /* In a turn of ours there are our own commands, and those of modules that what we do gives occasion to. */
    bool is_alone = engine->keyspace.has_met_modules && engine->keyspace.is_alone;
    if (!engine->keyspace.ctx || !is_alone) calm_note_command(&engine->calm, is_alone);
    if (bridge_is_on(&engine->upstream.bridge) && may_expire_key(name)) engine->may_expire = true;
    access_note_command(&engine->access, filter, name, count);
    pauses_note_command(&engine->executor.gate.pauses, filter, name, count);
    relocations_note_command(engine, filter, name, count);
    usage_notes_command(engine, filter, count);
}

bool engine_register_filter(RedisModuleCtx *ctx)
{
    return api.RegisterCommandFilter(ctx, on_command, 0) != NULL;
}
