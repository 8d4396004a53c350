/* What the connections of one worker hold in memory: input not yet answered, the batch under way, output not yet read. Each
 * connection is bounded by itself; together they are by diglot.maxmemory-clients, of which every worker has an equal share.
 * Beyond it those are dropped that wait for their client and have waited longest without a byte moving, so that one that
 * reads or sends, however slowly, outlives those that do not. The worker's thread only. */
#ifndef DIGLOT_NET_MEMORY_H
#define DIGLOT_NET_MEMORY_H

#include "net/connection.h"

/* Looks up this worker's share. */
void memory_begin_turn(struct connection_set *set);

/* Takes account of what the connection holds now. `has_moved`: bytes have come or gone since the last time. May close others,
 * never this one. */
void memory_account(struct connection *connection, bool has_moved);

/* True while they hold more than their share: then nothing more is executed for those whose client has not read all yet. */
static inline bool memory_is_short(const struct connection_set *set)
{
    return set->held > set->held_most;
}

/* What the executor has lent to the connection has been looked at. */
void memory_settle_loan(struct connection *connection);

/* The connection is closed: what it holds is about to be freed. */
void memory_forget(struct connection *connection);

#endif
