/* Who a connection acts as: an ACL user of the engine, by name. A connection without an identity is anonymous and acts as
 * diglot.user, if that user needs no password.
 *
 * Sessions and batches carry identities around and know nothing of what they allow. The main thread makes them, one for each
 * user that has logged in, and keeps in them what it has found out (struct grant). What is the user's is looked up by name
 * each time: users come, change and go at any time, and an identity outlives its user. */
#ifndef DIGLOT_COMMAND_IDENTITY_H
#define DIGLOT_COMMAND_IDENTITY_H

#include "base/cache_line.h"
#include "base/span.h"

#include <stdatomic.h>
#include <stdint.h>

/* What a user may do. The main thread's alone; valid while `generation` is that of engine/access.h. */
struct grant {
    uint64_t generation; /* 0: nothing is known */
    bool is_open;        /* everything, on every key */
    bool is_locked;      /* nothing: there is no such user (any longer), or an anonymous connection has to log in */
    bool has_all_keys;   /* what is allowed does not depend on the key, so it is kept */
    uint32_t allowed;    /* what is known to be allowed, a bit for each RESP command (command/permits.h) */
};

struct identity {
    atomic_uint references;
    atomic_bool reads_freely; /* every read of every key is allowed, without being asked for; any thread */
    struct grant grant;
    size_t name_size;
    char name[]; /* the user's, may hold any byte */
};

/* With one reference, the caller's. */
struct identity *identity_new(struct span name);

/* Any thread. Takes one more reference; NULL stays NULL. */
struct identity *identity_retain(struct identity *identity);

/* Any thread. Gives a reference back, if there is one, and sets *identity to NULL; the last one frees it. */
void identity_release(struct identity **identity);

static inline struct span identity_name(const struct identity *identity)
{
    return span_of(identity->name, identity->name_size);
}

static inline bool identity_reads_freely(const struct identity *identity)
{
    return atomic_load_explicit(&identity->reads_freely, memory_order_acquire);
}

/* What the main thread lets the sessions know of those who have not logged in: whether they have to, which says how their
 * bytes are read, and whether they may be answered from the near cache. Who else may do what is decided where requests are
 * executed. */
struct doorkeeper {
    _Alignas(CACHE_LINE) atomic_bool asks_login; /* looked at for every read of a socket: nothing that moves stands beside it */
    atomic_bool reads_freely; /* an anonymous client does, see struct identity */
};

static inline bool doorkeeper_asks_login(const struct doorkeeper *keeper)
{
    return atomic_load_explicit(&keeper->asks_login, memory_order_relaxed);
}

static inline bool doorkeeper_reads_freely(const struct doorkeeper *keeper)
{
    return atomic_load_explicit(&keeper->reads_freely, memory_order_acquire);
}

#endif
