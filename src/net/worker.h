/* A worker owns an epoll set and its connections: accepts, reads, lets sessions decode, submits batches, writes replies.
 * worker_poll is one turn. Either a thread of its own turns it, or the engine's event loop does (diglot.io-threads 0). */
#ifndef DIGLOT_NET_WORKER_H
#define DIGLOT_NET_WORKER_H

#include "base/check.h"
#include "base/mailbox.h"
#include "command/identity.h"
#include "config/options.h"
#include "item/version.h"
#include "observe/clients.h"
#include "observe/counters.h"
#include "observe/watch.h"

struct worker;
struct connection;

/* What all workers of one server share; outlives them. */
struct worker_shared {
    const struct options *options;
    struct client_list *clients;
    struct watch_hub *watch;   /* whom connections that come and go are told; NULL: nobody */
    const struct doorkeeper *doorkeeper;
    struct mailbox *executor; /* where batches go to be executed */
    const struct version_clock *versions; /* what near caches ask whether they still know; NULL: there are none */
    size_t workers;            /* who share diglot.cache-size */
    size_t worker_count;       /* 0: one */
    uint32_t keepalive_s;      /* silence after which the kernel asks whether a client is still there; 0: as the kernel is set */
    int descriptor_floor;      /* connections get descriptors from this number on, where there are any; 0: any number */
    /* What follows is written to, by turns by all of them. */
    _Alignas(CACHE_LINE) atomic_size_t connections; /* open now, over all workers; the bound is diglot.maxconns */
    atomic_uint threads;                            /* started so far, for their names */
    /* Bytes of values on their way home from the executor, which waits when they are many. */
    _Alignas(CACHE_LINE) atomic_size_t lent;
};

/* Makes a worker with an epoll set. `completions_bell`: batches come back from another thread, so their mailbox gets a
 * bell; without it the caller calls worker_collect. NULL with errno set when the kernel refuses. */
MUST_USE struct worker *worker_new(struct worker_shared *shared, struct counters *counters, bool completions_bell);

/* Closes its connections and accepts no more. Its thread and those of its peers must be stopped, and the executor must
 * hold no batch of this worker. Sets *worker to NULL. */
void worker_free(struct worker **worker);

/* Becomes readable when a turn has something to do. */
int worker_descriptor(const struct worker *worker);

/* Accepts on this listening socket, which stays the caller's, and deals the connections out to `peers` in turn (itself
 * among them). Before the worker is turned. */
MUST_USE bool worker_listen(struct worker *worker, int listener, const char *address, struct worker **peers, size_t peer_count);

/* Hands over a connection that has been accepted elsewhere and wakes the worker to open it. Any thread; takes ownership. */
void worker_admit(struct worker *worker, struct connection *connection);

/* One turn: waits up to `timeout_ms` (-1 forever, 0 not at all) for events and handles them. */
void worker_poll(struct worker *worker, int timeout_ms);

/* The engine's loop, which turns the worker, is about to execute: what is moved from here on counts as another turn's. */
void worker_begin_execution(struct worker *worker);

/* Takes the executed batches back: encodes, writes, goes on reading. worker_poll does it by itself where there is a bell. */
void worker_collect(struct worker *worker);

/* Closes connections whose idle-timeout or write-timeout has passed; cheap when called too often. Part of worker_poll
 * where there is a bell, else the caller's duty a few times a second. */
void worker_expire_connections(struct worker *worker);

/* Runs worker_poll in a thread of its own ("diglot-io-N") that takes no signals, until worker_stop_thread, which joins it
 * and does nothing when there is none. False, with errno set, when the thread cannot be made. */
MUST_USE bool worker_start_thread(struct worker *worker);
void worker_stop_thread(struct worker *worker);

#endif
