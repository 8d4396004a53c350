/* When the flag ledger settles what keyspace events left to be done: as part of the very change where the engine can do that
 * (all but Redis 7.0), so that no snapshot, no AOF and no replica sees the one without the other. On Redis 7.0 a timer settles
 * at the end of the loop's turn, ahead of the engine's own cron, which is where it forks for snapshots; there a SAVE or BGSAVE
 * command in the same turn as the change can still come first. Main thread only. */
#ifndef DIGLOT_ENGINE_SETTLING_H
#define DIGLOT_ENGINE_SETTLING_H

#include "engine/api.h"

struct engine;

struct settling {
    bool has_job;   /* the engine will call back */
    bool has_timer; /* the same, and it can be stopped */
    uint64_t timer;
    uint64_t client_id; /* of the client whose command left the notes; 0: not known */
    int client_db;      /* while the job runs: where that client must be found afterwards; -1: not known */
};

void settling_init(struct settling *settling);

/* From inside a keyspace event: has the notes settled soon, if there are any. */
void settling_schedule(struct engine *engine, RedisModuleCtx *ctx);

/* From inside an event of our own doing: Valkey 8.1 hands events the client at work, and leaves it in the event's database. */
void settling_return_client(struct engine *engine, RedisModuleCtx *ctx);

/* Settles for the last time, before the module goes. False when the engine will still call back. */
MUST_USE bool settling_finish(struct engine *engine, RedisModuleCtx *ctx);

#endif
