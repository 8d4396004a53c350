/* Keys on their way from one cluster node to another, key by key: MIGRATE here, RESTORE-ASKING there. Main thread only.
 *
 * The flags of a slot's items go with the slot's ledger string, and whatever is changed here behind it, the ledger does not
 * know. So it has to go last. Tools take the keys as CLUSTER GETKEYSINSLOT gives them; therefore a MIGRATE that names the
 * ledger while other keys of the slot are still here takes one of those instead, and one that names it among others takes
 * only the others, or, where these are all, it behind them. Tools go on until the slot is empty, so nothing is left behind.
 *
 * When a move is called off and keys are brought back, the other way round: what was done to them meanwhile the ledger here may
 * not know. So it goes first, and whatever comes to a slot that is the receiver's and has a ledger has lost its flags. A second
 * ledger that comes to such a slot says nothing more, and is let through without being stored. */
#ifndef DIGLOT_ENGINE_CLUSTER_TRAFFIC_H
#define DIGLOT_ENGINE_CLUSTER_TRAFFIC_H

#include "base/span.h"
#include "engine/api.h"

struct engine;

/* What the command does that is being executed; none that has waited in MULTI. */
enum cluster_traffic {
    TRAFFIC_NONE,
    TRAFFIC_LEAVES,  /* MIGRATE */
    TRAFFIC_ARRIVES, /* RESTORE-ASKING, which nobody sends but another node's MIGRATE */
};

/* The command filter. */
void cluster_traffic_note_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, struct span name, int count);

/* The event "del" of a slot's ledger: true when it has gone to another node. */
bool cluster_traffic_takes_ledger(struct engine *engine, RedisModuleCtx *ctx, uint16_t slot);

#endif
