/* Whether anybody hears what a write is propagated to: an append-only file, a replica, the backlog that a replica may come
 * back to. Where nobody does, a write need not be put into words for them, which costs as much as the write itself.
 *
 * Nobody can come or go within a turn, but a replica may between two. So the engine is asked anew in each turn before which
 * something happened that may have brought one (engine/calm.h), once enough was written since for the question to pay. Until
 * then, and wherever the answer is not plain, there is an audience. Main thread only. */
#ifndef DIGLOT_ENGINE_AUDIENCE_H
#define DIGLOT_ENGINE_AUDIENCE_H

#include "engine/api.h"
#include "engine/calm.h"

/* Writes before the engine is asked: the question costs about as much as as many times telling. */
#define AUDIENCE_ASKED_AFTER 8

enum audience_state {
    AUDIENCE_ASSUMED, /* the answer was not plain, or it is not to be asked for: outside of turns */
    AUDIENCE_UNKNOWN, /* to be asked for after some more writes */
    AUDIENCE_ABSENT,
};

/* All zero: there is an audience. */
struct audience {
    RedisModuleCtx *ctx;
    struct calm *calm;
    enum audience_state state;  /* now */
    enum audience_state answer; /* what was found out … */
    struct calm_mark since;     /* … at this moment; unknown: since when the writes are counted */
    unsigned writes;            /* until the engine is asked */
};

/* A turn of the executor begins; `ctx` is its before-sleep event's, and `context_flags` are those of it. */
void audience_begin_turn(struct audience *audience, struct calm *calm, RedisModuleCtx *ctx, int context_flags);

/* The turn is over. */
void audience_end_turn(struct audience *audience);

/* Asks the engine. */
void audience_ask(struct audience *audience);

/* True when nobody hears of the write at hand. To be asked once for each write that would be propagated. */
static inline bool audience_is_absent(struct audience *audience)
{
    if (audience->state == AUDIENCE_UNKNOWN && --audience->writes == 0) audience_ask(audience);
    return audience->state == AUDIENCE_ABSENT;
}

#endif
