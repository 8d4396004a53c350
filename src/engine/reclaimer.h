/* The reclaimer: has the engine evict. Direct writes never make it do so; a command that arrives on a client connection
 * while memory is above maxmemory does (it is evicted for before the command is looked at). So the reclaimer is a client:
 * one loopback connection that sends RESET, which needs no password and no permission. Where that gets no answer (the server
 * listens nowhere in the clear, or has no room for a client), setting maxmemory to a byte less and back has the same effect,
 * with two lines in the log, for a while; then the connection is tried again.
 *
 * Evicting for each write by itself would cost a turn of the loop for each. So where evicting is known to help, the writes of
 * a turn may go above the limit by a little, and the engine evicts for all of them together. docs/memory.md tells operators.
 * Used only above maxmemory. Main thread only. */
#ifndef DIGLOT_ENGINE_RECLAIMER_H
#define DIGLOT_ENGINE_RECLAIMER_H

#include "engine/api.h"

enum reclaimer_verdict {
    RECLAIMER_WORKS, /* it is worth waiting for */
    RECLAIMER_FAILS, /* the engine has evicted nothing: there is nothing that its policy lets it evict */
};

/* Memory is told as the engine's ratio: used memory, without what it does not count, to maxmemory. */
struct reclaimer {
    int descriptor;          /* -1: not connected */
    bool is_waiting;         /* a RESET is not answered yet */
    bool has_answered;       /* this connection has been answered before */
    uint64_t avoids_until_us; /* the connection does not work; 0: it does, as far as is known */
    uint64_t asked_us;       /* when the engine was last asked */
    uint64_t failed_us;      /* when it was last found to evict nothing; 0: never */
    uint64_t evicted;        /* keys that the engine has evicted, ever */
    uint64_t evicted_before; /* … when it was last asked */
    float ratio_before;      /* memory when it was last asked */
    float least_ratio;       /* since memory was last below the limit */
    unsigned looks;          /* at an asking that is under way */
    unsigned asked;          /* how often, since memory was last at its least */
    unsigned fruitless;      /* how often in a row it evicted nothing */
    bool helps;              /* when it was last asked, it did evict */
};

void reclaimer_init(struct reclaimer *reclaimer);
void reclaimer_deinit(struct reclaimer *reclaimer);

/* The engine has evicted a key, for whatever reason. */
void reclaimer_note_eviction(struct reclaimer *reclaimer);

/* How far memory may go until the engine is to be asked, when it is at `ratio`: above 1 by a little, if that helps; further
 * above, by half of what was freed since it was last asked, so that writes go on while a lot is being evicted. */
float reclaimer_ceiling(const struct reclaimer *reclaimer, float ratio);

/* Memory is above the limit: asks for an eviction unless one is under way, and tells whether it is worth waiting for. */
enum reclaimer_verdict reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx, float ratio);

/* Memory is below the limit. */
void reclaimer_rest(struct reclaimer *reclaimer);

#endif
