/* Which database the client of a COPY works on. Valkey 8.1 forgets: when a module listens to events, it leaves a client in
 * the database of the key that an event was about, so that what follows in the same transaction or script, and behind it,
 * goes to the wrong one. A command filter sees the client before that, though for a command that is queued in MULTI long
 * before: then what the transaction selects has to be followed. This is a forecast, good enough to send a client back where
 * it would be lost otherwise; flags are never decided by it. Main thread only. */
#ifndef DIGLOT_ENGINE_CLIENT_DB_H
#define DIGLOT_ENGINE_CLIENT_DB_H

#include "base/span.h"
#include "engine/api.h"

#define CLIENT_DB_SELECTIONS 64

/* Zeroed: nothing is known. */
struct client_db_tracker {
    struct {
        uint64_t client_id;
        int db;
    } selections[CLIENT_DB_SELECTIONS]; /* by client: what its transaction has selected last */
    uint64_t caller_id;                 /* of the script that began last; 0: of none */
    int script_db;                      /* where that script works */
};

/* Sees every command on its way, as the filter does; costs next to nothing for all but a few. */
void client_db_note_command(struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter, struct span name,
                            int count);

/* In the filter of a command: where its client will be when the command is executed; -1: not known. */
int client_db_forecast(const struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter);

/* Behind a COPY: where the transaction or script that began last works, if it is the one at work; -1: not known. */
int client_db_at_work(const struct client_db_tracker *tracker, RedisModuleCtx *ctx);

#endif
