/* What the engine tells: changes of keys, of databases, of the server's role, and the turns of its loop. Callbacks note and
 * count; they write nothing. */
#include "base/check.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/usage_notes.h"

#include <string.h>

/* ---- Keyspace events ---- */

/* What an event means for an item that has the key's name. */
enum change {
    CHANGE_OVERWRITE, /* new content: no flags */
    CHANGE_REMOVED,   /* none any more */
    CHANGE_CONTENT,   /* new content that keeps its flags */
    CHANGE_NOTHING,   /* the content stays */
    CHANGE_NEW,       /* the key came into being; what follows tells how */
    CHANGE_MOVED_FROM,
    CHANGE_MOVED_TO,
    CHANGE_COPIED_TO,
    CHANGE_IMPORTED, /* the key came from another server as it was */
};

/* Events that mean something else than an overwrite. */
static const struct {
    const char *event;
    enum change change;
} changes[] = {
    {"set", CHANGE_OVERWRITE}, /* by far the most common: first */
    {"new", CHANGE_NEW},
    {"del", CHANGE_REMOVED},
    {"expired", CHANGE_REMOVED},
    {"evicted", CHANGE_REMOVED},
    {"expire", CHANGE_NOTHING},
    {"persist", CHANGE_NOTHING},
    {"incrby", CHANGE_CONTENT},
    {"append", CHANGE_CONTENT},
    {"setrange", CHANGE_CONTENT},
    {"setbit", CHANGE_CONTENT},
    {"incrbyfloat", CHANGE_CONTENT},
    {"rename_from", CHANGE_MOVED_FROM},
    {"move_from", CHANGE_MOVED_FROM},
    {"rename_to", CHANGE_MOVED_TO},
    {"move_to", CHANGE_MOVED_TO},
    {"copy_to", CHANGE_COPIED_TO},
    {"restore", CHANGE_IMPORTED},
};

static enum change change_of(const char *event)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strcmp(changes[i].event, event) == 0) return changes[i].change;
    return CHANGE_OVERWRITE;
}

static bool is_move(const char *event)
{
    return strcmp(event, "move_to") == 0;
}

/* What RESTORE makes has no flags; what another node has sent has those that the slot's ledger tells. */
static void note_import(struct engine *engine, int db, const struct item_key *key)
{
    if (engine->traffic == TRAFFIC_ARRIVES)
        flag_ledger_note_came(engine->ledger, db, key);
    else
        flag_ledger_note_overwrite(engine->ledger, db, key);
}

static void note_item_change(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key,
                             enum change change, const char *event)
{
    switch (change) {
    case CHANGE_NEW:
        if (engine->traffic != TRAFFIC_ARRIVES) flag_ledger_note_new(engine->ledger, db, key);
        return;
    case CHANGE_NOTHING: version_note_change(&engine->versions, key->hash); return;
    case CHANGE_CONTENT: break;
    case CHANGE_OVERWRITE: flag_ledger_note_overwrite(engine->ledger, db, key); break;
    case CHANGE_REMOVED: flag_ledger_note_removed(engine->ledger, db, key); break;
    case CHANGE_IMPORTED: note_import(engine, db, key); break;
    case CHANGE_MOVED_FROM: relocations_note_moved_from(engine, db, key); break;
    case CHANGE_MOVED_TO: relocations_note_moved_to(engine, ctx, db, key, is_move(event)); break;
    case CHANGE_COPIED_TO: relocations_note_copied_to(engine, ctx, db, key); break;
    }
    version_advance(&engine->versions, key->hash);
    history_forget(&engine->history, key->hash);
}

/* Somebody else than us changed a ledger string. On a replica that is the primary at its work, which tells of a loss in the
 * ledger itself; on a primary, only a string that is restored can have come with its slot. */
static void note_ledger_change(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key,
                               enum change change, const char *event)
{
    if (change == CHANGE_NEW) return;
    if (change == CHANGE_MOVED_FROM) relocations_note_moved_from(engine, db, key);
    if (change == CHANGE_MOVED_TO) relocations_note_moved_to_ledger(engine, ctx, is_move(event));
    if (change == CHANGE_COPIED_TO) relocations_note_copied_to_ledger(engine, ctx, db, key);
    bool is_deleted = change == CHANGE_REMOVED && strcmp(event, "del") == 0;
    bool has_left = is_deleted && cluster_traffic_takes_ledger(engine, ctx, key->slot);
    if (change == CHANGE_IMPORTED || !engine->is_primary)
        flag_ledger_note_ledger_changed(engine->ledger, db, key->slot);
    else if (has_left)
        flag_ledger_note_ledger_left(engine->ledger, db, key->slot);
    else
        flag_ledger_note_ledger_lost(engine->ledger, db, key->slot);
}

static void note_eviction(struct engine *engine, int db, struct span name)
{
    turnover_note_eviction(&engine->turnover);
    executor_note_eviction(&engine->executor);
    command_tell_eviction(&engine->command, db, name);
}

static int on_keyspace_event(RedisModuleCtx *ctx, int type, const char *event, RedisModuleString *name)
{
    struct engine *engine = engine_instance();
    if (!engine || engine->is_loading) return API_OK;
    if (engine->keyspace.is_changing) {
        settling_return_client(engine, ctx);
        return API_OK;
    }

    size_t size;
    const char *data = api.StringPtrLen(name, &size);
    struct item_key key = item_key_of(span_of(data, size));
    int db = api_selected_db(ctx);
    enum change change = change_of(event);
    if (type == API_NOTIFY_EVICTED) note_eviction(engine, db, key.name);
    bool is_ledger = flag_ledger_owns(engine->ledger, &key);
    if (is_ledger && type == API_NOTIFY_EVICTED && engine->is_primary)
        flag_ledger_note_ledger_evicted(engine->ledger, db, key.slot);
    else if (is_ledger)
        note_ledger_change(engine, ctx, db, &key, change, event);
    else
        note_item_change(engine, ctx, db, &key, change, event);
    bool has_gone = type == API_NOTIFY_EVICTED || (type == API_NOTIFY_EXPIRED && !engine->may_expire);
    if (!has_gone && change != CHANGE_NEW) bridge_note_change(&engine->upstream.bridge, db, key.name);
    settling_schedule(engine, ctx);
    return API_OK;
}

/* Valkey 8.1 leaves the client that loads the append-only file in the database of the last event that anybody heard: behind
 * a MOVE or COPY to another one, all that follows would be loaded into that. So we hear nothing while a server starts, which
 * tells nothing that the end of loading does not. */
static void hear_keys(struct engine *engine, RedisModuleCtx *ctx)
{
    const int classes = API_NOTIFY_GENERIC | API_NOTIFY_STRING | API_NOTIFY_LIST | API_NOTIFY_SET | API_NOTIFY_HASH |
                        API_NOTIFY_ZSET | API_NOTIFY_EXPIRED | API_NOTIFY_EVICTED | API_NOTIFY_STREAM | API_NOTIFY_MODULE |
                        API_NOTIFY_NEW;
    engine->hears_keys = api.SubscribeToKeyspaceEvents(ctx, classes, on_keyspace_event) == API_OK;
    CHECK(engine->hears_keys);
}

/* Somebody is there who may send a command before the loop's next turn: who has sent MODULE LOAD, for one. */
static bool has_clients(RedisModuleCtx *ctx)
{
    int error = API_OK;
    RedisModuleServerInfoData *info = api.GetServerInfo(ctx, "clients");
    bool has_clients = api.ServerInfoGetFieldUnsigned(info, "connected_clients", &error) > 0;
    api.FreeServerInfo(ctx, info);
    return has_clients || error != API_OK;
}

/* ---- Server events ---- */

/* Whether reads may be answered without the executor: not where the gate, or the cluster that may have moved their slot, can
 * refuse them, nor while each is counted, or seen by the LRU. */
static bool reads_are_free(struct engine *engine, RedisModuleCtx *ctx)
{
    const struct command_context *command = &engine->command;
    if (engine->is_loading || !engine->hears_keys || command->detail->is_on || command->usage->is_on) return false;
    if (engine->turnover.life_ms == 0) return false;
    if (engine->cluster.is_enabled || pauses_hold_reads(&engine->executor.gate.pauses)) return false;
    return engine->is_primary || !(api.GetContextFlags(ctx) & API_CONTEXT_STALE);
}

static void on_loop(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)event, (void)data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    if (subevent == API_LOOP_BEFORE_SLEEP) {
        if (!engine->hears_keys && !engine->is_loading) hear_keys(engine, ctx);
        engine->on_turn(engine->owner);
        calm_note_loop(&engine->calm);
        access_begin_turn(&engine->access, ctx);
        usage_notes_follow_option(engine);
        engine->traffic = TRAFFIC_NONE;
        version_set_life(&engine->versions, engine->turnover.life_ms);
        version_set_open(&engine->versions, reads_are_free(engine, ctx));
        executor_turn(&engine->executor, ctx);
        access_end_turn(&engine->access);
        engine->may_expire = false;
    } else {
        executor_release(&engine->executor);
    }
}

void engine_note_all_changed(struct engine *engine)
{
    version_catch_up(&engine->versions, clock_wall_ns());
    version_advance_all(&engine->versions);
    history_forget_all(&engine->history);
}

static void on_flush(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event;
    struct engine *engine = engine_instance();
    if (!engine || subevent != API_FLUSH_END) return;
    const struct api_flush_info *info = data;
    engine_note_all_changed(engine);
    bridge_note_emptied(&engine->upstream.bridge, info->db < 0 ? engine->command.db : info->db, engine->keyspace.is_flushing);
    if (info->db < 0)
        flag_ledger_note_loaded(engine->ledger);
    else
        flag_ledger_note_emptied(engine->ledger, info->db);
}

static void on_swap(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event, (void)subevent;
    struct engine *engine = engine_instance();
    if (!engine) return;
    const struct api_swap_info *info = data;
    engine_note_all_changed(engine);
    bridge_note_replaced(&engine->upstream.bridge);
    flag_ledger_note_swapped(engine->ledger, info->first, info->second);
}

static void note_dataset_replaced(struct engine *engine)
{
    engine_note_all_changed(engine);
    cluster_note_upheaval(&engine->cluster);
    bridge_note_replaced(&engine->upstream.bridge);
    flag_ledger_note_loaded(engine->ledger);
}

static void on_loading(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event, (void)data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    engine->is_loading = subevent != API_LOADING_ENDED && subevent != API_LOADING_FAILED;
    calm_note_event(&engine->calm);
    version_set_open(&engine->versions, false); /* until a turn finds that all is well */
    note_dataset_replaced(engine);
}

static void on_async_load(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event, (void)subevent, (void)data;
    struct engine *engine = engine_instance();
    if (engine) note_dataset_replaced(engine);
}

/* Tokens of the old role must not succeed in the new one; what was lost stays lost. */
static void on_role(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event, (void)data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    calm_note_event(&engine->calm);
    engine->is_primary = subevent == API_ROLE_NOW_PRIMARY;
    version_set_open(&engine->versions, false);
    engine->command.flush_at_ms = 0; /* it was asked of the old role */
    engine_note_all_changed(engine);
    cluster_note_upheaval(&engine->cluster);
    bridge_note_replaced(&engine->upstream.bridge);
    bridge_note_options(&engine->upstream.bridge);
    flag_ledger_set_role(engine->ledger, engine->is_primary, false);
}

static void on_shutdown(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event, (void)subevent, (void)data;
    struct engine *engine = engine_instance();
    if (engine) engine->on_shutdown(engine->owner);
}

/* Modules come and go; they may listen to events. */
static void on_modules(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)ctx, (void)event, (void)subevent, (void)data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    calm_note_event(&engine->calm);
    engine->keyspace.has_met_modules = false;
}

static bool is_tls_option(const char *name)
{
    return strncmp(name, "tls-", 4) == 0 || strncmp(name, "diglot.tls-", 11) == 0;
}

/* Setting a file's name again, ours or the engine's, is how an operator says that the file has changed. The engine tells
 * us here even where the value is the same, which it does not apply. */
static void on_config(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)event, (void)subevent;
    struct engine *engine = engine_instance();
    const struct api_config_info *info = data;
    bool is_tls = false, is_upstream = false;
    for (uint32_t i = 0; i < info->count; i++) {
        is_tls |= is_tls_option(info->names[i]);
        is_upstream |= strncmp(info->names[i], "diglot.upstream", 15) == 0;
    }
    if (engine) calm_note_event(&engine->calm); /* whoever has set it */
    if (engine) engine->keyspace.frequency.is_known = false;
    if (engine && is_upstream) {
        bridge_note_options(&engine->upstream.bridge);
        version_note_change_of_all(&engine->versions); /* what is near may be another's now (diglot.upstream-share) */
    }
    if (engine) access_note_change(&engine->access); /* the default user's password, maybe */
    char sentence[TLS_ERROR_SIZE];
    if (engine && is_tls && !engine->reload_tls(engine->owner, sentence)) api.Log(ctx, "warning", "%s", sentence);
}

static void on_cron(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)event, (void)subevent, (void)data;
    struct engine *engine = engine_instance();
    if (!engine) return;
    calm_note_cron(&engine->calm);
    uint64_t now_us = clock_monotonic_us();
    relocations_note_time(engine, ctx, now_us);
    access_note_time(&engine->access, now_us);
    executor_note_time(&engine->executor, now_us);
    turnover_judge(&engine->turnover, &engine->keyspace, ctx, engine->command.db);
}

/* The engine evicts a ledger: what it says is put back as part of the same change. */
static void on_key(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data)
{
    (void)event;
    struct engine *engine = engine_instance();
    if (!engine || subevent != API_KEY_EVICTED || engine->is_loading || !engine->hears_keys) return;
    const struct api_key_info *info = data;
    size_t size;
    const char *text = api.StringPtrLen(api.GetKeyNameFromModuleKey(info->key), &size);
    struct span name = span_of(text, size);
    if (!flag_ledger_reserves(name) || api.KeyType(info->key) != API_KEY_STRING) return;
    struct item_key key = item_key_of(name);
    if (!flag_ledger_owns(engine->ledger, &key)) return;
    const char *table = api.StringDMA(info->key, &size, API_READ);
    flag_ledger_note_ledger_leaving(engine->ledger, api_selected_db(ctx), key.slot, span_of(table, size));
}

/* Nothing is asked of an engine that evicts no ledgers: each overwriting would pay for it. It stays, because events cannot be
 * left from inside one. */
void engine_hear_evictions(RedisModuleCtx *ctx)
{
    struct engine *engine = engine_instance();
    if (engine->hears_evictions) return;
    engine->hears_evictions = true;
    (void)api.SubscribeToServerEvent(ctx, (struct api_event){API_EVENT_KEY, 1}, on_key);
}

static const struct {
    struct api_event event;
    api_on_server_event *callback;
} server_events[] = {
    {{API_EVENT_LOOP, 1}, on_loop},       {{API_EVENT_FLUSH, 1}, on_flush},
    {{API_EVENT_SWAPDB, 1}, on_swap},     {{API_EVENT_LOADING, 1}, on_loading},
    {{API_EVENT_ASYNC_LOAD, 1}, on_async_load}, {{API_EVENT_ROLE, 1}, on_role},
    {{API_EVENT_SHUTDOWN, 1}, on_shutdown}, {{API_EVENT_MODULES, 1}, on_modules},
    {{API_EVENT_CONFIG, 1}, on_config},   {{API_EVENT_CRON, 1}, on_cron},
};

bool engine_subscribe(RedisModuleCtx *ctx)
{
    for (size_t i = 0; i < sizeof server_events / sizeof *server_events; i++)
        if (api.SubscribeToServerEvent(ctx, server_events[i].event, server_events[i].callback) != API_OK) return false;
    if (has_clients(ctx)) hear_keys(engine_instance(), ctx);
    return engine_register_filter(ctx);
}
