#define _GNU_SOURCE 1 /* memmem */
#include "engine/relocations.h"

#include "engine/engine.h"
#include "engine/words.h"

void relocations_init(struct relocations *relocations)
{
    *relocations = (struct relocations){.copying_client_db = -1};
}

/* ---- The command filter ---- */

/* The database of the client that sends a command; -1 where it is not told, or may change before the command's turn. */
static int client_db(RedisModuleCommandFilterCtx *filter)
{
    struct api_client_info info = {.version = 1};
    if (!api.CommandFilterGetClientId) return -1;
    if (api.GetClientInfoById(&info, api.CommandFilterGetClientId(filter)) != API_OK) return -1;
    return info.flags & API_CLIENT_MULTI ? -1 : info.db;
}

void relocations_note_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, struct span name, int count)
{
    struct client_db_tracker *client_dbs = &engine->relocations.client_dbs;
    if (api.is_valkey) client_db_note_command(client_dbs, filter, name, count);
    if (count < 3 || !words_equal(name, "copy")) return;
    struct item_key source = item_key_of(words_argument(filter, 1));
    struct item_key target = item_key_of(words_argument(filter, 2));
    int forecast = api.is_valkey ? client_db_forecast(client_dbs, filter) : -1;
    int target_db = forecast;
    bool names_db = false;
    for (int i = 3; i < count; i++) {
        if (!words_equal(words_argument(filter, i), "db")) continue;
        names_db = true;
        target_db = i + 1 < count ? words_db(words_argument(filter, i + 1)) : -1;
    }
    copy_table_note(&engine->relocations.copies, &source, &target, names_db, forecast, target_db);
    engine->relocations.copying_client_db = names_db ? client_db(filter) : -1;
}

/* The clients' list is long where there are many; a "multi=-1" is one that queues nothing. */
#define TIDY_INTERVAL_US 1000000u

static bool somebody_queues(RedisModuleCtx *ctx)
{
    RedisModuleCallReply *reply = api.Call(ctx, "CLIENT", "c", "LIST");
    if (!reply) return true;
    size_t size = 0;
    const char *data = api.CallReplyStringPtr(reply, &size);
    struct span list = span_of(data ? data : "", size);
    bool queues = list.size == 0;
    const struct span mark = SPAN(" multi=");
    for (const char *at = list.data; !queues && (at = memmem(at, (size_t)(list.data + list.size - at), mark.data, mark.size));) {
        at += mark.size;
        queues = at < list.data + list.size && *at != '-';
    }
    api.FreeCallReply(reply);
    return queues;
}

/* While writes are paused, a command may have been seen that is executed later. */
void relocations_note_time(struct engine *engine, RedisModuleCtx *ctx, uint64_t now_us)
{
    struct relocations *relocations = &engine->relocations;
    if (!copy_table_is_crowded(&relocations->copies) || now_us < relocations->next_tidy_us || api.AvoidReplicaTraffic()) return;
    relocations->next_tidy_us = now_us + TIDY_INTERVAL_US;
    if (!somebody_queues(ctx)) copy_table_reset(&relocations->copies);
}

/* ---- The events ---- */

void relocations_note_moved_from(struct engine *engine, int db, const struct item_key *key)
{
    /* The name holds only until the event returns. */
    engine->relocations.moving_from_db = db;
    engine->relocations.moving_from = (struct item_key){.hash = key->hash, .slot = key->slot};
}

/* The client that has moved a key is in the target's database now; it began in the source's. */
static void return_mover(const struct relocations *relocations, RedisModuleCtx *ctx)
{
    if (api.is_valkey) api.SelectDb(ctx, relocations->moving_from_db);
}

void relocations_note_moved_to(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key, bool is_move)
{
    struct relocations *relocations = &engine->relocations;
    if (is_move && db == relocations->moving_from_db)
        flag_ledger_note_unknown(engine->ledger, db, key); /* a MOVE goes to another database: this one was not told */
    else
        flag_ledger_note_move(engine->ledger, relocations->moving_from_db, &relocations->moving_from, db, key);
    if (is_move) return_mover(relocations, ctx);
}

void relocations_note_moved_to_ledger(struct engine *engine, RedisModuleCtx *ctx, bool is_move)
{
    struct relocations *relocations = &engine->relocations;
    flag_ledger_note_overwrite(engine->ledger, relocations->moving_from_db, &relocations->moving_from);
    if (is_move) return_mover(relocations, ctx);
}

static void note_copy_between_databases(struct engine *engine, int source_db, int db, const struct item_key *source,
                                        const struct item_key *key)
{
    if (source_db >= 0)
        flag_ledger_note_copy(engine->ledger, source_db, source, db, key);
    else
        flag_ledger_note_copy_from_any_db(engine->ledger, source, db, key);
}

/* The same for one that has copied a key. `known_db` is where a COPY that was not queued found it, or -1. */
static void return_copier(const struct relocations *relocations, RedisModuleCtx *ctx, int known_db, int target_db,
                          const struct item_key *target)
{
    if (!api.is_valkey) return;
    int db = known_db >= 0 ? known_db : copy_table_client_db(&relocations->copies, target, target_db);
    if (db < 0) db = client_db_at_work(&relocations->client_dbs, ctx);
    if (db >= 0) api.SelectDb(ctx, db);
}

static int take_copying_client(struct relocations *relocations)
{
    int db = relocations->copying_client_db;
    relocations->copying_client_db = -1;
    return db;
}

void relocations_note_copied_to_ledger(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key)
{
    struct relocations *relocations = &engine->relocations;
    struct copy_note note;
    return_copier(relocations, ctx, take_copying_client(relocations), db, key);
    (void)copy_table_take(&relocations->copies, key, &note);
}

void relocations_note_copied_to(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key)
{
    struct relocations *relocations = &engine->relocations;
    struct copy_note note;
    int source_db = take_copying_client(relocations);
    return_copier(relocations, ctx, source_db, db, key);
    if (!copy_table_take(&relocations->copies, key, &note)) {
        flag_ledger_note_unknown(engine->ledger, db, key);
        return;
    }
    struct item_key source = {.hash = note.source, .slot = note.source_slot};
    if (note.names_db)
        note_copy_between_databases(engine, source_db, db, &source, key);
    else
        flag_ledger_note_copy(engine->ledger, db, &source, db, key);
}
