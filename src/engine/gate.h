/* The gate: what a direct write must ask before it touches the keyspace, because the engine does not ask for it. Law 3: a
 * memcached write is taken, refused or kept waiting exactly where the same write over RESP would be. Main thread only. */
#ifndef DIGLOT_ENGINE_GATE_H
#define DIGLOT_ENGINE_GATE_H

#include "engine/api.h"
#include "engine/reclaimer.h"
#include "wire/message.h"

enum gate_verdict {
    GATE_OPEN,
    GATE_WAIT,   /* try again at a later turn */
    GATE_REFUSE, /* the result says why */
};

struct gate {
    struct reclaimer reclaimer;
    RedisModuleCtx *ctx;
    int flags; /* of the context, this turn */
    bool is_checked;
    enum gate_verdict verdict;
    struct span reason;
};

void gate_init(struct gate *gate);
void gate_deinit(struct gate *gate);

/* A turn begins: what was known is asked anew when the first write comes. */
void gate_begin_turn(struct gate *gate, RedisModuleCtx *ctx);

/* Whether this request may be executed now; on GATE_REFUSE fills `result`. */
enum gate_verdict gate_check(struct gate *gate, const struct request *request, struct result *result);

/* Whether the module itself may write now: a primary that need not avoid replica traffic. */
bool gate_lets_maintenance_write(const struct gate *gate);
/* Whether the server is a primary. */
bool gate_is_primary(const struct gate *gate);
/* Whether acknowledged writes go to an append-only file. */
bool gate_has_aof(const struct gate *gate);

#endif
