/* Keys that come from another key: RENAME, MOVE and COPY, whose flags go along. The events tell it in pieces, and engines
 * differ in what they tell:
 *
 * - RENAME and MOVE fire two events, one for the old place and, right behind it, one for the new.
 * - COPY fires one, for the target. Its source is learned from a command filter (command/copy_table.h); the filter knows the
 *   client's database only from Redis 7.2 on, and not for what is queued in MULTI.
 * - Valkey from 8.1 on hands events the context of the client at work, selecting the key's database for it. 8.1 leaves the
 *   client there (mended in 9.1): behind a MOVE or COPY to another database we select its own again, for a COPY the one
 *   that engine/client_db.h tells. While it loads the append-only file we hear nothing (events.c).
 *
 * Main thread only. */
#ifndef DIGLOT_ENGINE_RELOCATIONS_H
#define DIGLOT_ENGINE_RELOCATIONS_H

#include "command/copy_table.h"
#include "engine/api.h"
#include "engine/client_db.h"

struct engine;

struct relocations {
    struct copy_table copies;
    int moving_from_db;
    struct item_key moving_from; /* without its name */
    int copying_client_db;       /* of the client whose COPY with option DB was seen last; -1: not known */
    struct client_db_tracker client_dbs; /* Valkey only */
    uint64_t next_tidy_us;       /* monotonic */
};

void relocations_init(struct relocations *relocations);

/* The command filter: sees every command before it is executed or queued. `name` is the command's. */
void relocations_note_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, struct span name, int count);

/* A moment has passed: what commands that failed have left behind is forgotten when there is much of it, and no client has
 * commands queued in MULTI. */
void relocations_note_time(struct engine *engine, RedisModuleCtx *ctx, uint64_t now_us);

/* The events. Those about a key that is a ledger string itself carry no flags. */
void relocations_note_moved_from(struct engine *engine, int db, const struct item_key *key);
void relocations_note_moved_to(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key, bool is_move);
void relocations_note_copied_to(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key);

/* An item was moved into a ledger's place: its own flags stay behind. */
void relocations_note_moved_to_ledger(struct engine *engine, RedisModuleCtx *ctx, bool is_move);

/* A string was copied into a ledger's place: nothing of it is an item's. */
void relocations_note_copied_to_ledger(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key);

#endif
