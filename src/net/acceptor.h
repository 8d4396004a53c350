/* One listening socket in the epoll set of its owner, a worker or the handshaker: accepts, holds the bound on
 * connections, and deals what it has accepted out to the workers in turn. The owner's thread. */
#ifndef DIGLOT_NET_ACCEPTOR_H
#define DIGLOT_NET_ACCEPTOR_H

#include "net/connection.h"
#include "net/listener.h"
#include "net/turn.h"

struct acceptor {
    struct event_source source;
    void *owner;
    int epoll;
    struct worker_shared *shared;
    struct counters *counters; /* the owner's */
    struct turn *turn;         /* the owner's, where there are others whom accepting would keep waiting; NULL: nobody waits */
    struct span refusal;       /* what a connection too many is told before it is closed */
    struct worker **peers;     /* those that serve what is accepted here, in turn */
    size_t peer_count;
    size_t next_peer;
    /* Gives a connection that the owner has accepted to `peer`. */
    void (*admit)(void *owner, struct worker *peer, struct connection *connection);
    int listener; /* whoever opened it closes it */
    bool is_tcp;
    bool is_paused;
    struct client_entry door; /* its line in `stats conns` */
};

/* The struct must be zero but for owner, epoll, shared, counters, turn, refusal and admit. False with errno set when the kernel refuses. */
MUST_USE bool acceptor_init(struct acceptor *acceptor, int listener, const char *address, struct worker **peers,
                            size_t peer_count);
void acceptor_deinit(struct acceptor *acceptor);

/* Tries again after a pause: when the process was out of descriptors, accepting stopped instead of spinning. */
void acceptor_resume(struct acceptor *acceptor);

#endif
