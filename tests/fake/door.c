#include "fake/door.h"

#include "base/clock.h"
#include "base/hash.h"
#include "item/expiry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US 20000000u

static struct door_item *find_item(struct door *door, struct span key, bool make)
{
    for (size_t i = 0; i < door->item_count; i++) {
        if (span_equal(span_of(door->items[i].key, strlen(door->items[i].key)), key)) {
            return &door->items[i];
        }
    }
    if (!make) {
        return NULL;
    }
    CHECK(door->item_count < DOOR_ITEMS_MAX && key.size < sizeof(door->items[0].key));
    struct door_item *item = &door->items[door->item_count++];
    memcpy(item->key, key.data, key.size);
    item->key[key.size] = '\0';
    buffer_init(&item->value);
    return item;
}

static void store(struct door *door, const struct request *request, struct result *result)
{
    struct door_item *item = find_item(door, request->key, true);
    buffer_reset(&item->value, 0);
    buffer_append(&item->value, request->value);
    version_advance(&door->versions, hash_key(request->key));
    result->status = RESULT_STORED;
}

/* What the near cache is told, as all is read without flags and for ever. */
static void sight(const struct door *door, struct sighting *sighting)
{
    sighting->stamp = version_stamp(&door->versions);
    sighting->token = version_current(&door->versions, sighting->hash);
    sighting->expiry = EXPIRY_NEVER;
}

static void fetch(struct door *door, const struct request *request, struct result *result, struct batch *batch)
{
    const struct door_item *item = find_item(door, request->key, false);
    if (item == NULL) {
        result->status = RESULT_NOT_FOUND;
        return;
    }
    result->status = RESULT_HIT;
    result->value_offset = buffer_size(&batch->values);
    result->value_size = buffer_size(&item->value);
    if (batch->has_sightings) sight(door, &batch->sightings[batch->executed]);
    struct outlet *outlet = batch->outlet;
    if (outlet != NULL && result->value_size >= outlet->least
        && outlet->offer(outlet, result, buffer_content(&item->value))) {
        return;
    }
    buffer_append(&batch->values, buffer_content(&item->value));
}

static void execute_message(struct door *door, struct batch *batch, struct message *message)
{
    atomic_fetch_add(&door->executed, 1);
    switch (message->request.op) {
    case REQUEST_REPLY:
    case REQUEST_QUIT:
        break;
    case REQUEST_SET:
        store(door, &message->request, &message->result);
        break;
    case REQUEST_GET:
        fetch(door, &message->request, &message->result, batch);
        break;
    default:
        message->result.status = RESULT_NOT_FOUND;
    }
}

static size_t held_of(const struct batch *batch)
{
    return batch->outlet != NULL ? batch->outlet->held : 0;
}

static void settle(struct batch *batch)
{
    if (held_of(batch) > 0) {
        batch->outlet->settle(batch->outlet);
    }
}

/* What the outlet holds stays in place until something is stored. */
static void execute_batch(struct door *door, struct batch *batch)
{
    do {
        struct message *message = &batch->messages[batch->executed];
        if (message->request.op != REQUEST_GET) {
            settle(batch);
        }
        execute_message(door, batch, message);
        batch->executed++;
    } while (batch->executed < batch->count && buffer_size(&batch->values) + held_of(batch) < BATCH_REPLY_LIMIT
             && batch->apart.size == held_of(batch));
    settle(batch);
    batch->lent = batch->values.capacity;
    atomic_fetch_add(&door->shared.lent, batch->lent);
    mailbox_post(batch->home, &batch->mail);
}

static void execute(struct door *door)
{
    struct mail **last = &door->waiting;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = mailbox_take(&door->executor);
    while (door->waiting != NULL && !atomic_load(&door->is_held)) {
        struct batch *batch = (struct batch *)door->waiting;
        door->waiting = door->waiting->next;
        execute_batch(door, batch);
    }
}

static void *run_executor(void *argument)
{
    struct door *door = argument;
    while (!atomic_load(&door->is_stopping)) {
        struct pollfd bell = {.fd = door->executor.bell, .events = POLLIN};
        (void)poll(&bell, 1, 5);
        execute(door);
    }
    return NULL;
}

static void make_bulk(struct door *door)
{
    struct buffer *value = &find_item(door, SPAN("bulk"), true)->value;
    buffer_reserve(value, DOOR_BULK_SIZE);
    memset(value->data, 'b', DOOR_BULK_SIZE);
    value->end = DOOR_BULK_SIZE;
}

static void open_listener(struct door *door)
{
    char error[LISTENER_ERROR_SIZE];
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    bool is_open = listener_set_open(&door->listeners, SPAN("127.0.0.1"), 0, error);
    CHECK(is_open);
    CHECK(getsockname(door->listeners.listeners[0].descriptor, (struct sockaddr *)&address, &length) == 0);
    door->port = ntohs(address.sin_port);
}

static void open_workers(struct door *door)
{
    door->worker_count = door->threads > 0 ? door->threads : 1;
    CHECK(door->worker_count <= DOOR_WORKERS_MAX);
    for (size_t i = 0; i < door->worker_count; i++) {
        door->workers[i] = worker_new(&door->shared, &door->board.sets[i], door->threads > 0);
        CHECK(door->workers[i] != NULL);
    }
    const struct listener *listener = &door->listeners.listeners[0];
    bool listens = worker_listen(door->workers[0], listener->descriptor, listener->address, door->workers,
                                 door->worker_count);
    CHECK(listens);
}

static void start_threads(struct door *door)
{
    for (size_t i = 0; i < door->worker_count; i++) {
        bool is_started = worker_start_thread(door->workers[i]);
        CHECK(is_started);
    }
    CHECK(pthread_create(&door->executor_thread, NULL, run_executor, door) == 0);
}

struct door *door_open(size_t threads)
{
    struct door *door = check_calloc_aligned(_Alignof(struct door), sizeof(*door));
    door->threads = threads;
    options_init(&door->options);
    client_list_init(&door->clients);
    counter_board_init(&door->board, DOOR_WORKERS_MAX);
    version_clock_init(&door->versions, clock_wall_ns());
    version_set_open(&door->versions, true);
    version_set_life(&door->versions, 1000);
    bool has_mailbox = mailbox_init(&door->executor, threads > 0);
    CHECK(has_mailbox);
    door->shared.options = &door->options;
    door->shared.clients = &door->clients;
    door->shared.executor = &door->executor;
    door->shared.doorkeeper = &door->doorkeeper;
    door->shared.versions = &door->versions;
    door->shared.workers = threads > 0 ? threads : 1;
    door->shared.keepalive_s = DOOR_KEEPALIVE_S;
    make_bulk(door);
    open_listener(door);
    open_workers(door);
    if (threads > 0) {
        start_threads(door);
    }
    return door;
}

static void stop_threads(struct door *door)
{
    if (door->threads == 0) {
        return;
    }
    for (size_t i = 0; i < door->worker_count; i++) {
        worker_stop_thread(door->workers[i]);
    }
    atomic_store(&door->is_stopping, true);
    CHECK(pthread_join(door->executor_thread, NULL) == 0);
}

void door_close(struct door **door)
{
    struct door *d = *door;
    stop_threads(d);
    if (!atomic_load(&d->is_held)) {
        execute(d); /* what is held is dropped instead: the workers must free it either way */
    }
    for (size_t i = 0; i < d->worker_count; i++) {
        worker_free(&d->workers[i]);
    }
    CHECK(atomic_load(&d->shared.connections) == 0);
    listener_set_close(&d->listeners);
    mailbox_deinit(&d->executor);
    version_clock_deinit(&d->versions);
    counter_board_deinit(&d->board);
    client_list_deinit(&d->clients);
    for (size_t i = 0; i < d->item_count; i++) {
        buffer_deinit(&d->items[i].value);
    }
    free(d);
    *door = NULL;
}

void door_turn(struct door *door)
{
    if (door->threads > 0) {
        (void)usleep(200);
        return;
    }
    worker_poll(door->workers[0], 0);
    execute(door);
    worker_collect(door->workers[0]);
    worker_expire_connections(door->workers[0]);
}

int door_connect(struct door *door, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(door->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0);
    if (receive_buffer > 0) {
        (void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(fcntl(client, F_SETFL, O_NONBLOCK) == 0);
    return client;
}

/* Reads what is there; false at the end of the stream. */
static bool read_some(int client, struct buffer *reply)
{
    buffer_reserve(reply, 65536);
    ssize_t size = recv(client, reply->data + reply->end, buffer_room(reply), 0);
    if (size > 0) {
        reply->end += (size_t)size;
    }
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

bool door_ask(struct door *door, int client, struct span request, struct buffer *reply, size_t size)
{
    uint64_t deadline = clock_monotonic_us() + PATIENCE_US;
    while (request.size > 0 || buffer_size(reply) < size) {
        ssize_t sent = request.size > 0 ? send(client, request.data, request.size, MSG_NOSIGNAL) : 0;
        if (sent > 0) {
            request = span_skip(request, (size_t)sent);
        }
        door_turn(door);
        size_t before = buffer_size(reply);
        if (size > before && !read_some(client, reply)) {
            return request.size == 0 && buffer_size(reply) >= size;
        }
        if (sent > 0 || buffer_size(reply) > before) {
            deadline = clock_monotonic_us() + PATIENCE_US;
        }
        if (clock_monotonic_us() > deadline) {
            return false;
        }
    }
    return true;
}

bool door_read_to_end(struct door *door, int client, struct buffer *reply)
{
    uint64_t deadline = clock_monotonic_us() + PATIENCE_US;
    for (size_t before = buffer_size(reply); read_some(client, reply); before = buffer_size(reply)) {
        if (buffer_size(reply) > before) {
            deadline = clock_monotonic_us() + PATIENCE_US;
        }
        if (clock_monotonic_us() > deadline) {
            return false;
        }
        door_turn(door);
    }
    return true;
}

uint64_t door_count(const struct door *door, enum counter_id id)
{
    return counter_board_read(&door->board, id);
}

bool door_await_count(struct door *door, enum counter_id id, uint64_t value)
{
    uint64_t deadline = clock_monotonic_us() + PATIENCE_US;
    while (door_count(door, id) != value) {
        if (clock_monotonic_us() > deadline) {
            return false;
        }
        door_turn(door);
    }
    return true;
}
