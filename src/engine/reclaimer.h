/* The reclaimer: has the engine evict. Direct writes never make it do so; a command that arrives on a client connection
 * while memory is above maxmemory does (it is evicted for before the command is looked at). So the reclaimer is a client:
 * one loopback connection that sends RESET, which needs no password and no permission. Where that gets no answer (the server
 * listens nowhere in the clear, or has no room for a client), setting maxmemory to a byte less and back has the same effect.
 * Used only above maxmemory. Main thread only. */
#ifndef DIGLOT_ENGINE_RECLAIMER_H
#define DIGLOT_ENGINE_RECLAIMER_H

#include "engine/api.h"

enum reclaimer_verdict {
    RECLAIMER_WORKS, /* it is worth waiting for */
    RECLAIMER_FAILS, /* the engine has evicted nothing: there is nothing that its policy lets it evict */
};

struct reclaimer {
    int descriptor;        /* -1: not connected */
    bool is_waiting;       /* a RESET is not answered yet */
    bool avoids_socket;    /* it does not work here */
    uint64_t asked_us;     /* when the engine was last asked */
    uint64_t failed_us;    /* when it was last found to evict nothing; 0: never */
    uint64_t evicted;      /* keys that the engine had evicted when it was last asked */
    unsigned asked;        /* how often, since memory was last below the limit */
    unsigned fruitless;    /* how often in a row it evicted nothing */
};

void reclaimer_init(struct reclaimer *reclaimer);
void reclaimer_deinit(struct reclaimer *reclaimer);

/* Memory is above the limit: asks for an eviction unless one is under way, and tells whether it is worth waiting for. */
enum reclaimer_verdict reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx);

/* Memory is below the limit. */
void reclaimer_rest(struct reclaimer *reclaimer);

#endif
