#include "net/connection.h"

#include "base/check.h"
#include "net/input.h"
#include "net/memory.h"
#include "net/output.h"
#include "observe/watch_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Steps that one connection may take before the others have their turn. */
#define STEPS_PER_TURN 16
/* What one step moves at most. */
#define BYTES_PER_STEP TURN_COST_MOST
/* One connection gives way to the others when it has moved so many in a turn, … */
#define BYTES_PER_ADVANCE ((size_t)128 * 1024)
/* … and with more than these they go before it in the next. */
#define BYTES_OF_LIGHT ((size_t)16 * 1024)
#define MICROSECONDS 1000000u

/* What comes of a step. */
enum step {
    STEP_NEXT,  /* there is more to do at once */
    STEP_WAIT,  /* an event or the batch's return will go on from here */
    STEP_FETCH, /* its lone read waits for memory while others take their steps */
    STEP_CLOSE, /* nothing more can be done for this client */
};

struct connection *connection_new(int descriptor, const char *address, const char *listening)
{
    struct connection *connection = check_calloc(1, sizeof(*connection));
    connection->descriptor = descriptor;
    connection->is_writable = true;
    connection->needs_input = true;
    connection->client.descriptor = descriptor;
    (void)snprintf(connection->client.address, sizeof(connection->client.address), "%s", address);
    (void)snprintf(connection->client.listening, sizeof(connection->client.listening), "%s", listening);
    buffer_init(&connection->input);
    buffer_init(&connection->output);
    ring_init(&connection->link);
    ring_init(&connection->ready);
    ring_init(&connection->holders);
    return connection;
}

void connection_abandon(struct connection *connection, struct worker_shared *shared)
{
    atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
    transport_close(connection->descriptor, &connection->tls);
    free(connection);
}

static void put_off(struct connection *connection)
{
    struct connection_set *set = connection->set;
    ring_remove(&connection->ready);
    ring_append(connection->is_heavy ? &set->ready_heavy : &set->ready, &connection->ready);
}

/* Large ones, and those whose clients have gone, come in this turn, too, but behind the others. */
static void wait_behind_others(struct connection *connection)
{
    if (ring_is_empty(&connection->ready)) {
        ring_append(&connection->set->marker, &connection->ready);
    }
}

static void advance_in_turn(struct connection *connection)
{
    if (connection->is_heavy || connection->has_hung_up) {
        wait_behind_others(connection);
    } else if (turn_is_over(&connection->set->turn)) {
        put_off(connection);
    } else {
        connection_advance(connection);
    }
}

static void handle_event(struct event_source *source, uint32_t events)
{
    struct connection *connection = CONTAINER_OF(source, struct connection, source);
    if (connection->descriptor < 0) {
        return;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        connection->has_hung_up = true;
        connection->is_readable = true;
    }
    if (events & EPOLLIN) {
        connection->is_readable = true;
    }
    /* After a failure the next write is the one that tells. */
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        connection->is_writable = true;
    }
    if (connection->tls != NULL) {
        /* Reading may have waited for room to write, and the reverse. */
        connection->is_readable = true;
        connection->is_writable = true;
    }
    advance_in_turn(connection);
}

/* `reason`: NULL when the connection is new. */
static void tell_watchers(const struct connection *connection, const char *reason)
{
    struct watch_hub *hub = connection->set->shared->watch;
    if (watch_wants(hub, WATCH_CONNEVENTS)) {
        watch_tell_connection(hub, connection->client.address, reason, connection->descriptor);
    }
}

void connection_open(struct connection *connection, struct connection_set *set)
{
    connection->set = set;
    connection->source.handle = handle_event;
    output_init_outlet(connection);
    connection->active_us = set->now_us;
    atomic_store_explicit(&connection->client.last_request_ms, set->now_wall_ms, memory_order_relaxed);
    session_init(&connection->session, set->shared->options, set->counters, set->shared->doorkeeper);
    connection->session.cache = set->cache;
    connection->session.hub = set->shared->watch;
    connection->session.bell = &set->watchers;
    connection->session.owner = connection;

    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &connection->source};
    if (epoll_ctl(set->epoll, EPOLL_CTL_ADD, connection->descriptor, &event) != 0) {
        connection_abandon(connection, set->shared);
        return;
    }
    ring_append(&set->open, &connection->link);
    client_list_add(set->shared->clients, &connection->client);
    counter_add(set->counters, COUNTER_CURR_CONNECTIONS, 1);
    counter_add(set->counters, COUNTER_TOTAL_CONNECTIONS, 1);
    tell_watchers(connection, NULL);
}

static void set_stalled(struct connection *connection, bool is_stalled)
{
    if (connection->is_stalled == is_stalled) {
        return;
    }
    connection->is_stalled = is_stalled;
    if (is_stalled) {
        connection->set->stalled_count++;
        connection->wrote_us = connection->set->now_us;
    } else {
        connection->set->stalled_count--;
    }
}

void connection_close(struct connection *connection)
{
    struct connection_set *set = connection->set;
    watcher_free(set->shared->watch, &connection->session.watcher);
    tell_watchers(connection, connection->end != NULL ? connection->end : "normal");
    set_stalled(connection, false);
    ring_remove(&connection->ready);
    memory_forget(connection);
    ring_remove(&connection->link);
    ring_append(connection->is_away ? &set->orphaned : &set->dead, &connection->link);
    client_list_remove(set->shared->clients, &connection->client);
    counter_add(set->counters, COUNTER_CURR_CONNECTIONS, (uint64_t)-1);
    atomic_fetch_sub_explicit(&set->shared->connections, 1, memory_order_relaxed);
    turn_charge(&set->turn, COST_OF_CONNECTION);

    /* While a forked child holds a duplicate, closing does not end the registration. */
    (void)epoll_ctl(set->epoll, EPOLL_CTL_DEL, connection->descriptor, NULL);
    transport_close(connection->descriptor, &connection->tls);
    connection->descriptor = -1;
}

void connection_free(struct connection *connection)
{
    struct pool *pool = &connection->set->pool;
    ring_remove(&connection->link);
    session_deinit(&connection->session, &connection->input);
    memory_settle_loan(connection);
    pool_reclaim_batch(pool, &connection->batch);
    pool_reclaim_buffer(pool, &connection->input);
    pool_reclaim_buffer(pool, &connection->output);
    free(connection);
}

static void set_state(struct connection *connection, enum client_state state)
{
    atomic_store_explicit(&connection->client.state, (int)state, memory_order_relaxed);
}

/* What it waits for. */
static void tell_state(struct connection *connection)
{
    if (output_size(connection) > 0) {
        set_state(connection, CLIENT_WRITES);
    } else {
        set_state(connection, connection->session.watcher != NULL ? CLIENT_WATCHES : CLIENT_READS);
    }
}

/* Hands the batch to the executor. */
static enum step submit_batch(struct connection *connection)
{
    struct batch *batch = connection->batch;
    batch_begin_journey(batch, OUTPUT_LIMIT);
    batch->home = &connection->set->completions;
    batch->owner = connection;
    batch->descriptor = connection->descriptor;
    batch->peer = connection->client.address;
    batch->outlet = connection->set->is_with_executor ? &connection->outlet : NULL;
    connection->is_away = true;
    set_state(connection, CLIENT_EXECUTES);
    mailbox_post(connection->set->shared->executor, &batch->mail);
    return STEP_WAIT;
}

static void count_read(struct connection *connection, size_t size, size_t room)
{
    struct connection_set *set = connection->set;
    turn_move(&set->turn, size);
    turn_charge(&set->turn, COST_OF_CALL);
    connection->has_moved = true;
    connection->active_us = set->now_us;
    atomic_store_explicit(&connection->client.last_request_ms, set->now_wall_ms, memory_order_relaxed);
    counter_add(set->counters, COUNTER_BYTES_READ, size);
    /* A short read has emptied the socket, and whatever comes now raises a new event; but the end already did. TLS may
     * hold more. */
    if (size < room && !connection->has_hung_up && connection->tls == NULL) {
        connection->is_readable = false;
    }
}

/* What comes next belongs to a value that was refused: the kernel throws it away, and nobody copies it. */
static bool can_discard(const struct connection *connection)
{
    return connection->session.swallow > 0 && buffer_size(&connection->input) == 0 && connection->is_tcp && connection->tls == NULL;
}

/* Both return what recv does. */
static ssize_t discard(struct connection *connection)
{
    size_t wanted = connection->session.swallow < BYTES_PER_STEP ? connection->session.swallow : BYTES_PER_STEP;
    ssize_t size = recv(connection->descriptor, NULL, wanted, MSG_TRUNC);
    if (size > 0) {
        connection->session.swallow -= (size_t)size;
        count_read(connection, (size_t)size, wanted);
    }
    return size;
}

static ssize_t receive(struct connection *connection)
{
    struct buffer *input = &connection->input;
    input_make_room(input, connection->session.needed, connection->expected, &connection->set->pool);
    size_t room = buffer_room(input) < BYTES_PER_STEP ? buffer_room(input) : BYTES_PER_STEP;
    ssize_t size = transport_receive(connection->descriptor, connection->tls, input->data + input->end, room);
    if (size > 0) {
        input->end += (size_t)size;
        connection->needs_input = false;
        count_read(connection, (size_t)size, room);
    }
    return size;
}

static enum step read_input(struct connection *connection)
{
    if (buffer_size(&connection->input) > 0 || connection->expected == 0) {
        input_give_back(&connection->input, connection->session.needed, &connection->set->pool);
    }
    if (!connection->is_readable) {
        return STEP_WAIT;
    }
    ssize_t size = can_discard(connection) ? discard(connection) : receive(connection);
    if (size > 0) {
        return STEP_NEXT;
    }
    if (size == 0) {
        connection->is_closing = true;
        return STEP_NEXT;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        connection->is_readable = false;
        return STEP_WAIT;
    }
    if (errno == EINTR) {
        return STEP_NEXT;
    }
    connection->end = "error";
    return STEP_CLOSE;
}

/* Who has sent a large request will send more: then they need not begin in a small input. */
static void note_size(struct connection *connection)
{
    if (connection->session.needed > POOL_BUFFER_SIZE) {
        connection->expected = connection->session.needed;
    } else if (connection->input.begin > 0 && connection->input.begin < POOL_BUFFER_SIZE) {
        connection->expected = 0;
    }
}

static enum step decode_input(struct connection *connection)
{
    if (connection->batch == NULL) {
        connection->batch = pool_lend_batch(&connection->set->pool);
    } else {
        batch_reset(connection->batch);
    }
    enum session_verdict verdict = session_decode(&connection->session, &connection->input, connection->batch);
    note_size(connection);
    switch (verdict) {
    case SESSION_HAS_BATCH:
        if (connection->batch->is_fetching && connection->set->may_fetch) {
            return STEP_FETCH;
        }
        session_answer(&connection->session, connection->batch);
        if (!connection->batch->is_local) {
            return submit_batch(connection);
        }
        turn_charge(&connection->set->turn, connection->batch->count * COST_OF_ANSWER);
        return STEP_NEXT;
    case SESSION_NEEDS_INPUT:
        connection->needs_input = true;
        return STEP_NEXT;
    case SESSION_CLOSES:
        connection->is_closing = true;
        return STEP_NEXT;
    }
    return STEP_CLOSE;
}

/* Takes what there is to tell a watcher; true when there was something. It waits with the watcher while the client does not
 * read. */
static bool take_watched(struct connection *connection)
{
    if (connection->session.watcher == NULL) {
        return false;
    }
    if (connection->output.data == NULL) {
        pool_lend_buffer(&connection->set->pool, &connection->output);
    }
    size_t before = buffer_size(&connection->output);
    watcher_take(connection->set->shared->watch, connection->session.watcher, &connection->output);
    return buffer_size(&connection->output) > before;
}

/* One step: first what is due to the client, then what the client asks next. */
static enum step take_step(struct connection *connection)
{
    if (connection->is_away) {
        return STEP_WAIT;
    }
    output_encode_due(connection);
    memory_settle_loan(connection);
    if (output_can_go(connection) && !output_write(connection, BYTES_PER_STEP)) {
        connection->end = "error";
        return STEP_CLOSE;
    }
    size_t pending = output_size(connection);
    if (pending > 0 && connection->is_writable) {
        return STEP_NEXT;
    }
    struct batch *batch = connection->batch;
    bool must_keep_values = batch != NULL && batch->apart.size > 0;
    if (pending >= OUTPUT_LIMIT || must_keep_values || (pending > 0 && memory_is_short(connection->set))) {
        return STEP_WAIT;
    }
    if (batch != NULL && batch->is_fetching) {
        session_answer(&connection->session, batch);
    }
    if (batch != NULL && batch->encoded < batch->count) {
        return batch_is_due(batch) ? STEP_NEXT : submit_batch(connection);
    }
    if (connection->is_closing) {
        return pending == 0 ? STEP_CLOSE : STEP_WAIT;
    }
    if (take_watched(connection)) {
        return STEP_NEXT;
    }
    return connection->needs_input ? read_input(connection) : decode_input(connection);
}

/* Gives back what a waiting connection does not need. */
static void release_memory(struct connection *connection)
{
    struct pool *pool = &connection->set->pool;
    struct batch *batch = connection->batch;
    if (buffer_size(&connection->output) == 0) {
        pool_reclaim_buffer(pool, &connection->output);
    }
    if (connection->is_away || (batch != NULL && batch->apart.size > 0)) {
        return;
    }
    if (!connection->needs_input) {
        if (batch != NULL && batch->encoded == batch->executed) {
            buffer_reset(&batch->values, 0); /* they have left, or are in the output */
        }
        return;
    }
    pool_reclaim_batch(pool, &connection->batch);
    if (buffer_size(&connection->input) == 0) {
        pool_reclaim_buffer(pool, &connection->input);
    }
}

/* Whether one connection may take another step before the others have their turn. */
static bool may_go_on(const struct connection_set *set, int steps, size_t moved)
{
    bool is_first = steps == 0;
    return is_first || (steps < STEPS_PER_TURN && moved < BYTES_PER_ADVANCE && !turn_is_over(&set->turn));
}

void connection_advance(struct connection *connection)
{
    ring_remove(&connection->ready);
    size_t begin = connection->set->turn.moved, moved = 0;
    enum step step = STEP_NEXT;
    for (int steps = 0; step == STEP_NEXT && may_go_on(connection->set, steps, moved); steps++) {
        step = take_step(connection);
        moved = connection->set->turn.moved - begin;
    }
    connection->is_heavy = moved > BYTES_OF_LIGHT;
    if (step == STEP_CLOSE) {
        connection_close(connection);
        return;
    }
    set_stalled(connection, output_size(connection) > 0);
    if (!connection->is_away) {
        tell_state(connection);
    }
    if (step == STEP_FETCH) {
        ring_append(&connection->set->fetching, &connection->ready);
        connection->set->fetching_count++;
    } else if (step == STEP_NEXT) {
        put_off(connection);
    } else {
        release_memory(connection);
    }
    memory_account(connection, connection->has_moved);
    connection->has_moved = false;
}

void connection_end_fetching(struct connection_set *set)
{
    for (struct ring *link = set->fetching.next; link != &set->fetching; link = link->next) {
        const struct connection *connection = CONTAINER_OF(link, struct connection, ready);
        session_prefetch(&connection->session, connection->batch);
    }
    set->may_fetch = false;
    while (!ring_is_empty(&set->fetching)) {
        connection_advance(CONTAINER_OF(set->fetching.next, struct connection, ready));
    }
    set->fetching_count = 0;
    set->may_fetch = true;
}

void connection_take_back(struct connection *connection)
{
    connection->is_away = false;
    if (connection->descriptor < 0) {
        ring_remove(&connection->link);
        ring_append(&connection->set->dead, &connection->link);
        return;
    }
    connection->active_us = connection->set->now_us;
    if (turn_is_over(&connection->set->turn) && connection->batch->lent > 0) {
        put_off(connection);
    } else {
        connection_advance(connection); /* a small reply */
    }
}

void connection_deliver(struct connection_set *set, struct mail *mail)
{
    struct connection *connection = watcher_arrive(set->shared->watch, mail);
    if (connection != NULL) {
        connection_advance(connection);
    }
}

static bool has_passed(uint64_t now_us, uint64_t since_us, int64_t seconds)
{
    return now_us > since_us && now_us - since_us > (uint64_t)seconds * MICROSECONDS;
}

void connection_check_timeouts(struct connection *connection)
{
    const struct connection_set *set = connection->set;
    const struct options *options = set->shared->options;
    int64_t idle_timeout = option_get(options, idle_timeout);
    if (connection->is_stalled) {
        if (has_passed(set->now_us, connection->wrote_us, option_get(options, write_timeout))) {
            connection->end = "error";
            counter_add(set->counters, COUNTER_SLOW_CONNECTIONS, 1);
            connection_close(connection);
        }
    } else if (idle_timeout > 0 && !connection->is_away && connection->session.watcher == NULL && has_passed(set->now_us, connection->active_us, idle_timeout)) {
        counter_add(set->counters, COUNTER_IDLE_KICKS, 1);
        connection->end = "idle_timeout";
        connection_close(connection);
    }
}
