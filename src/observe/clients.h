/* The list of connected clients and of the sockets that they come in by, for `stats conns`. Connections come and go rarely compared with requests, so one lock
 * guards the list; what changes with every request is an atomic inside the entry. */
#ifndef DIGLOT_OBSERVE_CLIENTS_H
#define DIGLOT_OBSERVE_CLIENTS_H

#include "base/buffer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define CLIENT_ADDRESS_SIZE 128

/* What a connection is at, in the nearest of memcached's words. */
enum client_state {
    CLIENT_READS,    /* waits for its client */
    CLIENT_EXECUTES, /* its requests are being executed */
    CLIENT_WRITES,   /* replies wait for their client to read */
    CLIENT_WATCHES,
    CLIENT_LISTENS,  /* no client: a listening socket */
};

struct client_entry {
    struct client_entry *next;
    struct client_entry *previous;
    int descriptor;
    char address[CLIENT_ADDRESS_SIZE];  /* "tcp:127.0.0.1:4711", terminated */
    char listening[CLIENT_ADDRESS_SIZE]; /* address of the door that it came through; empty for the door itself */
    _Atomic int state;                  /* enum client_state */
    _Atomic int64_t last_request_ms;    /* wall clock; a door: since when it is open */
};

struct client_list {
    pthread_mutex_t lock;
    struct client_entry first; /* sentinel of a ring */
    size_t count;
};

void client_list_init(struct client_list *list);
void client_list_deinit(struct client_list *list);

/* Any thread. The entry stays its owner's and must be removed before it is freed. */
void client_list_add(struct client_list *list, struct client_entry *entry);
void client_list_remove(struct client_list *list, struct client_entry *entry);

/* Appends the clients as pairs (observe/stats.h), at most `most` of them. Any thread. */
void client_list_render(struct client_list *list, int64_t now_ms, size_t most, struct buffer *output);

#endif
