/* The fleet as both threads know it: the servers, how they are connected to, and what is known of each. Shared by reference;
 * immutable but for what is atomic. */
#ifndef DIGLOT_UPSTREAM_ROSTER_H
#define DIGLOT_UPSTREAM_ROSTER_H

#include "upstream/fleet.h"

#include <stdatomic.h>

struct ssl_ctx_st;

enum server_state {
    SERVER_IDLE,       /* not connected; nobody has asked */
    SERVER_CONNECTING,
    SERVER_READY,
    SERVER_DOWN,       /* the breaker is open */
};

/* Written by the upstream thread, read by any. */
struct server_status {
    atomic_int state; /* enum server_state */
    atomic_bool has_meta;
    _Atomic uint32_t version; /* major · 65536 + minor · 256 + patch, 0: not known */
    _Atomic uint64_t answered;
    _Atomic uint64_t failures; /* connections that failed, broke, or did not answer in time */
};

struct roster {
    atomic_uint references;
    struct fleet *fleet;
    struct ssl_ctx_st *tls;        /* NULL: in the clear */
    struct server_status *servers; /* fleet->count of them */
};

/* Takes the fleet and the context over. With one reference. */
struct roster *roster_new(struct fleet *fleet, struct ssl_ctx_st *tls);

/* Any thread. */
struct roster *roster_retain(struct roster *roster);
/* Any thread. Sets *roster to NULL; nothing happens to NULL. */
void roster_release(struct roster **roster);

static inline enum server_state roster_state(const struct roster *roster, size_t server)
{
    return (enum server_state)atomic_load_explicit(&roster->servers[server].state, memory_order_relaxed);
}

#endif
