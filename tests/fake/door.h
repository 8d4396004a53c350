/* A memcached door without an engine: real workers and sockets on loopback, and an executor that keeps a few items in a
 * table. With 0 threads whoever calls door_turn turns everything, as the engine's loop does; else workers and executor
 * have threads of their own. */
#ifndef DIGLOT_TESTS_FAKE_DOOR_H
#define DIGLOT_TESTS_FAKE_DOOR_H

#include "net/listener.h"
#include "net/worker.h"

#include "command/batch.h"

#define DOOR_WORKERS_MAX 4
#define DOOR_ITEMS_MAX 16
#define DOOR_BULK_SIZE 100000
#define DOOR_KEEPALIVE_S 240

struct door_item {
    char key[32];
    struct buffer value;
};

struct door {
    struct options options;
    struct client_list clients;
    struct counter_board board;
    struct mailbox executor;
    struct worker_shared shared;
    struct version_clock versions;
    struct doorkeeper doorkeeper;
    struct worker *workers[DOOR_WORKERS_MAX];
    size_t worker_count;
    size_t threads;
    struct listener_set listeners;
    uint16_t port;
    pthread_t executor_thread;
    atomic_bool is_stopping;
    atomic_bool is_held;      /* the executor executes nothing */
    atomic_size_t executed;   /* messages */
    struct mail *waiting;     /* batches that the executor has, oldest first */
    struct door_item items[DOOR_ITEMS_MAX];
    size_t item_count;
};

/* Opens a door with the options' defaults; they may be changed while it is open. Where `doorkeeper.reads_freely` is set, near caches
 * answer. The key "bulk" holds DOOR_BULK_SIZE
 * bytes from the start. */
struct door *door_open(size_t threads);
/* Stops and frees everything; clients see the end. Sets *door to NULL. */
void door_close(struct door **door);

/* One turn of everything, or a moment's sleep where threads do the work. */
void door_turn(struct door *door);

/* A connected non-blocking client socket; `receive_buffer` > 0 sets its size in bytes. */
int door_connect(struct door *door, int receive_buffer);

/* Sends `request` and appends what comes to `reply` until it holds `size` bytes. False when the other side closes
 * before that, or some seconds pass in which nothing moves. Turns the door meanwhile. */
bool door_ask(struct door *door, int client, struct span request, struct buffer *reply, size_t size);

/* Appends what comes to `reply` until the other side closes. False when some seconds pass without a byte. */
bool door_read_to_end(struct door *door, int client, struct buffer *reply);

/* The same counter of all workers. Not exact while threads run. */
uint64_t door_count(const struct door *door, enum counter_id id);

/* Turns the door until the counter has the value; false after some seconds. */
bool door_await_count(struct door *door, enum counter_id id, uint64_t value);

#endif
