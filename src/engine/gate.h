/* The gate: what a direct write must ask before it touches the keyspace, because the engine does not ask for it. Law 3
 * (docs/architecture.md): a memcached request is taken, refused or kept waiting exactly where the same request over RESP would
 * be. What holds is found out once per turn, when the first request of its kind comes; where there are no replicas and no
 * append-only file, that writes are taken holds until something happens that may change it (engine/calm.h). Main thread only. */
#ifndef DIGLOT_ENGINE_GATE_H
#define DIGLOT_ENGINE_GATE_H

#include "engine/api.h"
#include "engine/calm.h"
#include "engine/pauses.h"
#include "engine/reclaimer.h"
#include "wire/message.h"

enum gate_verdict {
    GATE_OPEN,
    GATE_WAIT,   /* try again at a later turn */
    GATE_REFUSE, /* the result says why */
};

/* What was found for one kind of requests, for the present turn, and some of it for later ones. */
struct gate_answer {
    bool is_known;
    enum gate_verdict verdict;
    enum result_status status; /* GATE_REFUSE: with what */
    struct span reason;
};

struct gate {
    struct reclaimer reclaimer;
    struct pauses pauses;
    RedisModuleCtx *ctx;
    struct calm *calm;
    int flags; /* of the context, this turn */
    RedisModuleString *local_key; /* in a cluster: a key of a slot that is ours, for the probes; else NULL */
    struct gate_answer reads;  /* whether the server answers reads */
    struct gate_answer writes; /* whether it takes writes … */
    struct gate_answer growth; /* … and such that need memory */
    struct calm_mark writes_since; /* when that was found out */
    float ceiling;             /* how far memory may go in this turn, while growth is open (reclaimer.h) */
};

void gate_init(struct gate *gate);
void gate_deinit(struct gate *gate);

/* A turn begins: what was known is asked anew when it is needed. `context_flags`: of ctx; `is_alone`: there is neither a
 * replica nor an append-only file. */
void gate_begin_turn(struct gate *gate, struct calm *calm, RedisModuleCtx *ctx, int context_flags, bool is_alone);

/* The turn ends: has the engine evict for what its writes have taken above the limit. */
void gate_end_turn(struct gate *gate);

/* Whether this request may be executed now; on GATE_REFUSE fills `result`. */
enum gate_verdict gate_check(struct gate *gate, const struct request *request, struct result *result);

/* True when it is known that writes are taken in this turn, and, as far as was asked for, those that need memory. */
bool gate_is_known_open(const struct gate *gate);

/* Whether a request that can do without may write a mark (docs/flags.md), which may take memory. */
enum gate_verdict gate_check_mark(struct gate *gate);

/* True when requests wait for memory, and the engine should go on with its loop at once. */
bool gate_is_reclaiming(const struct gate *gate);

/* Whether the engine evicts, or may soon. */
bool gate_is_near_eviction(const struct gate *gate);

/* Whether the module itself may write now: a primary that need not avoid replica traffic. */
bool gate_lets_maintenance_write(const struct gate *gate);
/* Whether the server is a primary. */
bool gate_is_primary(const struct gate *gate);
/* Whether acknowledged writes go to an append-only file. */
bool gate_has_aof(const struct gate *gate);

#endif
