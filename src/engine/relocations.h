/* Keys that come from another key: RENAME, MOVE and COPY, whose flags go along. The events tell it in pieces, and engines
 * differ in what they tell:
 *
 * - RENAME and MOVE fire two events, one for the old place and, right behind it, one for the new.
 * - COPY fires one, for the target. Its source is learned from a command filter (command/copy_table.h); the filter knows the
 *   client's database only from Redis 7.2 on, and not for what is queued in MULTI.
 * - Valkey from 8.1 on hands events the context of the client at work, selecting the key's database for it. 8.1 leaves the
 *   client there (mended in 9.1): behind a MOVE or COPY to another database we select its own again, but for a COPY inside
 *   MULTI, where nobody tells which that was, and replicas and the append-only file are told of the copy in the wrong one,
 *   too. While it loads that file we hear nothing (events.c).
 *
 * Main thread only. */
#ifndef DIGLOT_ENGINE_RELOCATIONS_H
#define DIGLOT_ENGINE_RELOCATIONS_H

#include "command/copy_table.h"
#include "engine/api.h"

struct engine;

struct relocations {
    struct copy_table copies;
    int moving_from_db;
    struct item_key moving_from; /* without its name */
    int copying_client_db;       /* of the client whose COPY with option DB was seen last; -1: not known */
};

void relocations_init(struct relocations *relocations);

/* The command filter: sees every command before it is executed or queued. `name` is the command's. */
void relocations_note_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, struct span name, int count);

/* The events. Those about a key that is a ledger string itself carry no flags. */
void relocations_note_moved_from(struct engine *engine, int db, const struct item_key *key);
void relocations_note_moved_to(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key, bool is_move);
void relocations_note_copied_to(struct engine *engine, RedisModuleCtx *ctx, int db, const struct item_key *key);

/* An item was moved into a ledger's place: its own flags stay behind. */
void relocations_note_moved_to_ledger(struct engine *engine, RedisModuleCtx *ctx, bool is_move);

#endif
