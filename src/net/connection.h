/* One client's connection: a socket, a session, and the batch that is under way between them.
 *
 * Its life is a walk in steps: decode what has been read, submit the batch, take it back, encode, write, and over again;
 * read when the input holds no whole request more. It stops where it has to wait (for its batch, for the socket) and is
 * taken up again by the event that ends the waiting. Sockets are registered once, edge-triggered, so the connection
 * remembers what the socket is ready for. While its batch is away nothing is read, because the batch points into the
 * input. While more output is pending than OUTPUT_LIMIT nothing is executed or encoded: that is how a client that does
 * not read is throttled. The worker's thread only, save for connection_new and connection_abandon. */
#ifndef DIGLOT_NET_CONNECTION_H
#define DIGLOT_NET_CONNECTION_H

#include "net/event.h"
#include "net/pool.h"
#include "net/ring.h"
#include "net/transport.h"
#include "net/turn.h"
#include "net/worker.h"
#include "session/session.h"

/* What the connections of one worker share. */
struct connection_set {
    struct worker_shared *shared;
    struct counters *counters;
    struct near_cache *cache;   /* NULL: none */
    struct mailbox completions; /* where batches come back to */
    struct mailbox watchers;    /* where watchers come with something to tell their clients */
    int epoll;
    bool is_with_executor; /* one thread turns the worker and executes: values can be taken from where they lie */
    struct pool pool;
    struct ring open;     /* all that are connected */
    struct ring ready;    /* those of them that gave way to others and want to go on in the next turn: first … */
    struct ring ready_heavy; /* … or behind the others, because they moved much the last time, or are at their end */
    struct ring fetching;    /* those whose lone reads wait for memory together; none between two turns */
    size_t fetching_count;   /* how many, or more */
    bool may_fetch;          /* others may still join them */
    struct ring marker;      /* where those end that have not had this turn yet; else in no ring */
    struct ring orphaned; /* closed, their batch is still away */
    struct ring dead;     /* closed, freed at the end of the turn: events in hand may still point to them */
    size_t stalled_count; /* how many wait for their client to read */
    struct turn turn;     /* what has been done in it */
    struct ring holders;  /* those that hold memory while they wait for their client, the longest first (net/memory.h) */
    size_t held;          /* bytes that all connections hold */
    size_t held_most;     /* bytes that they may hold */
    uint64_t now_us;      /* monotonic, read once per turn */
    int64_t now_wall_ms;
};

struct connection {
    struct event_source source;
    struct mail mail; /* travels from the worker that accepted it to the one that serves it */
    struct connection_set *set;
    struct ring link;  /* in open, orphaned or dead */
    struct ring ready; /* in one of the ready rings */
    struct ring holders; /* in the ring of holders */
    size_t held;         /* bytes, as last accounted for */
    bool has_moved;      /* bytes have come or gone since then */
    struct client_entry client;
    int descriptor;     /* -1 once closed */
    struct ssl_st *tls; /* NULL: the bytes travel in the clear */
    bool is_readable;   /* a read may yield something */
    bool is_writable;   /* a write may be taken */
    bool has_hung_up;   /* the peer sends nothing more: the end must still be read */
    bool is_tcp;        /* what nobody looks at need not be copied out of the kernel */
    bool needs_input;   /* what has been read holds no whole request */
    bool is_away;       /* the batch is at the executor */
    bool is_closing;    /* closed once the output is written */
    bool is_stalled;    /* output is pending */
    bool is_heavy;      /* it moved much the last time that it went on */
    const char *end;    /* why it is closed, in watchers' words; NULL: as usual */
    uint64_t active_us; /* last time that something was read or answered */
    uint64_t wrote_us;  /* last time that pending output moved, or became pending */
    struct session session;
    struct buffer input;  /* without memory while idle */
    size_t expected;      /* bytes of the last request that was too large for common input; 0 where another has come since */
    struct buffer output; /* without memory while there is none */
    struct batch *batch;  /* NULL while idle */
    struct outlet outlet; /* for values of the batch while it is executed */
};

/* A connection on a connected non-blocking socket, which it owns, in the clear unless whoever makes it sets `tls`, which
 * it then owns, too. It counts in shared->connections already. */
struct connection *connection_new(int descriptor, const char *address, const char *listening);

/* Closes and frees a connection that was never opened; any thread that owns it. */
void connection_abandon(struct connection *connection, struct worker_shared *shared);

/* Makes it one of the set's: from here on events move it. */
void connection_open(struct connection *connection, struct connection_set *set);

/* Goes on as far as possible, or as is fair to the others. */
void connection_advance(struct connection *connection);

/* Those go on whose lone reads have been fetched meanwhile. */
void connection_end_fetching(struct connection_set *set);

/* Takes the connection's batch back from the executor, and goes on. */
void connection_take_back(struct connection *connection);

/* A watcher has come by mail: sends its client what it has to tell. */
void connection_deliver(struct connection_set *set, struct mail *mail);

/* Closes the connection if it has been silent, or deaf, for too long. */
void connection_check_timeouts(struct connection *connection);

/* Closes the socket. The connection is freed at the end of the turn, or when its batch is back. */
void connection_close(struct connection *connection);

/* Frees a closed connection, its batch included. */
void connection_free(struct connection *connection);

#endif
