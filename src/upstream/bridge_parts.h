/* What the files of the bridge share: bridge.c (options, turns, changes), bridge_ask.c (reading through), bridge_pass.c (passing
 * through), bridge_carry.c (what an importer brings), bridge_mirror.c (copying) and bridge_stats.c. Nobody else includes this. */
#ifndef DIGLOT_UPSTREAM_BRIDGE_PARTS_H
#define DIGLOT_UPSTREAM_BRIDGE_PARTS_H

#include "upstream/bridge.h"
#include "upstream/pass.h"

struct errand {
    struct errand *next; /* among the finished */
    struct batch *batch;
    uint32_t waits; /* for so many answers */
    struct job *answers[BATCH_CAPACITY]; /* to messages that were passed through */
};

/* The main thread gives up later than the upstream thread has to: only when that is stuck. */
#define GIVE_UP_US 250000u

uint64_t bridge_deadline(const struct bridge *bridge, uint64_t now_us);

struct errand *errand_of(struct batch *batch);
/* One answer fewer to wait for. */
void errand_arrive(struct bridge *bridge, struct errand *errand);

/* The item's key at the old server that has it; the name is the engine's. */
struct span bridge_key_of(const struct bridge *bridge, struct span name);
size_t bridge_server_of(const struct bridge *bridge, struct span name);
/* Whether a key lives here. */
static inline bool bridge_is_here(const struct bridge *bridge, uint64_t hash)
{
    return share_of(hash) < bridge->share;
}

/* bridge_ask.c: asks for the key of a request, where that has to be done before it is executed. True: the errand waits. */
bool bridge_ask(struct bridge *bridge, struct batch *batch, struct span name, uint64_t hash, const struct request *request);
void bridge_take_fetched(struct bridge *bridge, struct job *job);
void bridge_retry_stalled(struct bridge *bridge);
/* Those whose time is over by then go on without; UINT64_MAX: all. */
void bridge_give_up_asks(struct bridge *bridge, uint64_t now_us);
void bridge_free_asks(struct bridge *bridge);

/* bridge_carry.c: stores what an importer brings. False: the message is none of that kind, or the gate has to refuse it. */
bool bridge_carry(struct bridge *bridge, struct batch *batch, uint32_t index, struct span name, uint64_t hash);

/* bridge_pass.c: passes a message through. */
void bridge_pass(struct bridge *bridge, struct batch *batch, uint32_t index, struct span name, uint64_t hash);
void bridge_take_passed(struct bridge *bridge, struct job *job);
void bridge_give_up_passages(struct bridge *bridge, uint64_t now_us);
void bridge_free_passages(struct bridge *bridge);

struct passage {
    struct ring link;
    struct errand *errand; /* NULL: nobody waits any more */
    uint32_t index;
    uint64_t give_up_us;
    struct job *job;       /* while it waits behind an echo */
    struct passage *next;  /* the same */
};
/* Sends it, or, where nobody waits for it any more, frees it. */
void bridge_send_passage(struct bridge *bridge, struct passage *passage);
void bridge_free_passage(struct passage *passage);

/* bridge_mirror.c */
void bridge_echo(struct bridge *bridge, struct span name, uint64_t hash);
/* Puts the passage behind what is to be copied of the key. False: there is nothing. */
bool bridge_wait_for_echo(struct bridge *bridge, struct span name, uint64_t hash, struct passage *passage);
void bridge_take_echoed(struct bridge *bridge, struct job *job);
void bridge_take_flushed(struct bridge *bridge, struct job *job);
void bridge_send_echoes(struct bridge *bridge);
void bridge_drop_echoes(struct bridge *bridge);
void bridge_free_echoes(struct bridge *bridge);

#endif
