/* The reclaimer: has the engine evict. Direct writes never make it do so; a command that arrives on a client connection
 * while memory is above maxmemory does (it is evicted for before the command is looked at). So the reclaimer is a client:
 * one loopback connection that sends RESET, which needs no password and no permission. Used only above maxmemory. Where
 * the server listens nowhere in the clear, setting maxmemory to itself and a byte less has the same effect.
 * Main thread only. */
#ifndef DIGLOT_ENGINE_RECLAIMER_H
#define DIGLOT_ENGINE_RECLAIMER_H

#include "engine/api.h"

struct reclaimer {
    int descriptor; /* -1: not connected */
    bool is_waiting; /* a RESET is not answered yet */
};

void reclaimer_init(struct reclaimer *reclaimer);
void reclaimer_deinit(struct reclaimer *reclaimer);

/* Asks for an eviction, unless one that was asked for is still to come. The caller looks at its next turn whether memory
 * has come free. */
void reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx);

#endif
