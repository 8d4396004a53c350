/* A turn of a worker: wait for events, hand each to the handler of its source, let those connections go on that gave way
 * in the turn before, and free what was closed. */
#include "net/worker.h"

#include "base/clock.h"
#include "net/acceptor.h"
#include "net/connection.h"
#include "net/memory.h"
#include "net/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_TURN 128
/* How often timeouts are looked at; also the longest that a worker's thread sleeps. */
#define EXPIRE_INTERVAL_US 1000000u
#define THREAD_SLEEP_MS 1000
/* Connections that timeouts close in one turn. */
#define CLOSES_PER_TURN 64
/* Lone reads that wait for memory together. */
#define FETCHING_MOST 16

/* A mailbox in the epoll set. */
struct bell {
    struct event_source source;
    struct worker *worker;
};

struct worker {
    struct connection_set set;
    struct mailbox newcomers; /* connections that a peer has accepted for this worker; also rung to wake it */
    struct bell newcomers_bell;
    struct bell completions_bell;
    struct bell watchers_bell;
    bool has_completions_bell;
    struct acceptor acceptors[LISTENERS_MAX];
    size_t acceptor_count;
    uint64_t next_expire_us;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
};

/* What holds for a turn: the time, and how much memory may be held. */
static void look_around(struct worker *worker)
{
    worker->set.now_us = clock_monotonic_us();
    worker->set.now_wall_ms = clock_wall_ms();
    memory_begin_turn(&worker->set);
    const struct worker_shared *shared = worker->set.shared;
    if (worker->set.cache == NULL) {
        return;
    }
    near_cache_set_clocks(worker->set.cache, worker->set.now_us, worker->set.now_wall_ms);
    near_cache_set_size(worker->set.cache, (size_t)option_get(shared->options, cache_size) / shared->workers);
}

/* Opens the connections that peers have accepted for this worker. */
static void greet_newcomers(struct event_source *source, uint32_t events)
{
    (void)events;
    struct worker *worker = CONTAINER_OF(source, struct bell, source)->worker;
    struct mail *next;
    for (struct mail *mail = mailbox_take(&worker->newcomers); mail != NULL; mail = next) {
        next = mail->next;
        connection_open(CONTAINER_OF(mail, struct connection, mail), &worker->set);
    }
}

static void take_completions(struct connection_set *set)
{
    struct mail *next;
    for (struct mail *mail = mailbox_collect(&set->completions); mail != NULL; mail = next) {
        next = mail->next;
        struct batch *batch = CONTAINER_OF(mail, struct batch, mail);
        connection_take_back(batch->owner);
    }
}

/* It has ended the wait, which is all that it is for: every turn takes the completions. */
static void hear_completions(struct event_source *source, uint32_t events)
{
    (void)source, (void)events;
}

/* Watchers that have something to tell. */
static void deliver_watched(struct event_source *source, uint32_t events)
{
    (void)events;
    struct connection_set *set = &CONTAINER_OF(source, struct bell, source)->worker->set;
    struct mail *next;
    for (struct mail *mail = mailbox_take(&set->watchers); mail != NULL; mail = next) {
        next = mail->next;
        connection_deliver(set, mail);
    }
}

static void admit(void *owner, struct worker *peer, struct connection *connection)
{
    struct worker *worker = owner;
    if (peer == worker) {
        connection_open(connection, &worker->set);
    } else {
        worker_admit(peer, connection);
    }
}

void worker_admit(struct worker *worker, struct connection *connection)
{
    mailbox_post(&worker->newcomers, &connection->mail);
}

static bool watch_bell(struct worker *worker, struct bell *bell, const struct mailbox *box,
                       void (*handle)(struct event_source *, uint32_t), uint32_t edge)
{
    bell->source.handle = handle;
    bell->worker = worker;
    struct epoll_event event = {.events = EPOLLIN | edge, .data.ptr = &bell->source};
    return epoll_ctl(worker->set.epoll, EPOLL_CTL_ADD, box->bell, &event) == 0;
}

static bool watch_bells(struct worker *worker)
{
    /* Nobody silences the completions' bell: that takes a system call. Each ring is an event of its own. */
    return watch_bell(worker, &worker->newcomers_bell, &worker->newcomers, greet_newcomers, 0)
           && watch_bell(worker, &worker->watchers_bell, &worker->set.watchers, deliver_watched, 0)
           && (!worker->has_completions_bell
               || watch_bell(worker, &worker->completions_bell, &worker->set.completions, hear_completions, EPOLLET));
}

static void init_set(struct connection_set *set, struct worker_shared *shared, struct counters *counters)
{
    set->shared = shared;
    set->counters = counters;
    set->cache = shared->versions != NULL ? near_cache_new(shared->versions, counters) : NULL;
    set->epoll = -1;
    pool_init(&set->pool);
    ring_init(&set->open);
    ring_init(&set->ready);
    ring_init(&set->ready_heavy);
    ring_init(&set->fetching);
    ring_init(&set->marker);
    ring_init(&set->holders);
    ring_init(&set->orphaned);
    ring_init(&set->dead);
}

/* Makes the kernel's part; what it has not come to stays -1. */
static bool open_worker(struct worker *worker)
{
    worker->newcomers.bell = -1;
    worker->set.completions.bell = -1;
    worker->set.watchers.bell = -1;
    worker->set.epoll = epoll_create1(EPOLL_CLOEXEC);
    return worker->set.epoll >= 0 && mailbox_init(&worker->newcomers, true)
           && mailbox_init(&worker->set.watchers, true)
           && mailbox_init(&worker->set.completions, worker->has_completions_bell) && watch_bells(worker);
}

static void close_worker(struct worker *worker)
{
    mailbox_deinit(&worker->newcomers);
    mailbox_deinit(&worker->set.completions);
    mailbox_deinit(&worker->set.watchers);
    pool_deinit(&worker->set.pool);
    near_cache_free(&worker->set.cache);
    if (worker->set.epoll >= 0) {
        (void)close(worker->set.epoll);
    }
}

struct worker *worker_new(struct worker_shared *shared, struct counters *counters, bool completions_bell)
{
    struct worker *worker = check_calloc_aligned(_Alignof(struct worker), sizeof(*worker));
    init_set(&worker->set, shared, counters);
    worker->has_completions_bell = completions_bell;
    worker->set.is_with_executor = !completions_bell;
    look_around(worker);
    if (!open_worker(worker)) {
        int reason = errno;
        close_worker(worker);
        free(worker);
        errno = reason;
        return NULL;
    }
    return worker;
}

static void abandon_newcomers(struct worker *worker)
{
    struct mail *next;
    for (struct mail *mail = mailbox_take(&worker->newcomers); mail != NULL; mail = next) {
        next = mail->next;
        connection_abandon(CONTAINER_OF(mail, struct connection, mail), worker->set.shared);
    }
}

static void free_connections(struct ring *ring)
{
    while (!ring_is_empty(ring)) {
        connection_free(CONTAINER_OF(ring->next, struct connection, link));
    }
}

void worker_free(struct worker **worker)
{
    if (*worker == NULL) {
        return;
    }
    struct connection_set *set = &(*worker)->set;
    CHECK(!(*worker)->has_thread);
    for (size_t i = 0; i < (*worker)->acceptor_count; i++) {
        acceptor_deinit(&(*worker)->acceptors[i]);
    }
    abandon_newcomers(*worker);
    while (!ring_is_empty(&set->open)) {
        connection_close(CONTAINER_OF(set->open.next, struct connection, link));
    }
    take_completions(set);
    deliver_watched(&(*worker)->watchers_bell.source, 0); /* their clients are gone, and so are they */
    free_connections(&set->dead);
    /* The executor holds no batch of ours, so what it did not send back it has dropped. */
    free_connections(&set->orphaned);
    close_worker(*worker);
    free(*worker);
    *worker = NULL;
}

int worker_descriptor(const struct worker *worker)
{
    return worker->set.epoll;
}

bool worker_listen(struct worker *worker, int listener, const char *address, struct worker **peers, size_t peer_count)
{
    if (worker->acceptor_count == LISTENERS_MAX) {
        errno = ENOSPC;
        return false;
    }
    struct acceptor *acceptor = &worker->acceptors[worker->acceptor_count];
    *acceptor = (struct acceptor){.owner = worker,
                                  .epoll = worker->set.epoll,
                                  .shared = worker->set.shared,
                                  .counters = worker->set.counters,
                                  .turn = &worker->set.turn,
                                  .refusal = SPAN("ERROR Too many open connections\r\n"),
                                  .admit = admit};
    if (!acceptor_init(acceptor, listener, address, peers, peer_count)) {
        return false;
    }
    worker->acceptor_count++;
    return true;
}

/* Lets the connections in front of the marker go on once, one at least, and all if they do little. */
static void run_to_marker(struct connection_set *set, struct ring *ready)
{
    for (bool is_first = true; ready->next != &set->marker && (is_first || !turn_is_over(&set->turn)); is_first = false) {
        connection_advance(CONTAINER_OF(ready->next, struct connection, ready));
    }
    ring_remove(&set->marker);
}

/* Returns how many are patient, and left. */
static int handle_impatient(struct connection_set *set, const struct epoll_event *events, int count)
{
    int left = 0;
    for (int i = 0; i < count; i++) {
        struct event_source *source = events[i].data.ptr;
        left += source->is_patient;
        if (!source->is_patient) source->handle(source, events[i].events);
        if (set->fetching_count >= FETCHING_MOST) connection_end_fetching(set);
    }
    return left;
}

static void handle_patient(const struct epoll_event *events, int left)
{
    for (; left > 0; events++) {
        struct event_source *source = events->data.ptr;
        left -= source->is_patient;
        if (source->is_patient) source->handle(source, events->events);
    }
}

/* Who waits for an answer comes first, in the order of waiting; then who moves much, or is at the end; then who is new. What
 * becomes ready meanwhile waits for the next turn. */
static void handle_events(struct connection_set *set, const struct epoll_event *events, int count)
{
    set->may_fetch = true;
    ring_append(&set->ready, &set->marker);
    run_to_marker(set, &set->ready);
    ring_append(&set->ready_heavy, &set->marker);
    int left = handle_impatient(set, events, count);
    run_to_marker(set, &set->ready_heavy);
    connection_end_fetching(set);
    set->may_fetch = false;
    handle_patient(events, left);
}

static bool has_ready(const struct connection_set *set)
{
    return !ring_is_empty(&set->ready) || !ring_is_empty(&set->ready_heavy);
}

/* Redis clients have waited for as long. */
static void note_turn(const struct connection_set *set)
{
    if (set->is_with_executor) {
        counter_raise_peak(set->counters, PEAK_LONGEST_TURN_US, clock_monotonic_us() - set->now_us);
    }
}

static void end_turn(struct worker *worker)
{
    free_connections(&worker->set.dead);
    if (worker->set.is_with_executor) {
        counter_raise_peak(worker->set.counters, PEAK_LARGEST_TURN_BYTES, worker->set.turn.moved);
    }
    /* Somebody else waits on our descriptor: it must tell that the next turn has something to do. */
    if (!worker->has_completions_bell && has_ready(&worker->set)) {
        mailbox_ring(&worker->newcomers);
    }
}

/* True when it may sleep: whoever has something for it from here on wakes it. */
static bool lie_down(struct worker *worker)
{
    return !has_ready(&worker->set)
           && (!worker->has_completions_bell || mailbox_rest(&worker->set.completions));
}

void worker_poll(struct worker *worker, int timeout_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(worker->set.epoll, events, EVENTS_PER_TURN, lie_down(worker) ? timeout_ms : 0);
    look_around(worker);
    turn_begin(&worker->set.turn);
    if (worker->has_completions_bell) {
        take_completions(&worker->set);
    }
    handle_events(&worker->set, events, count);
    if (worker->has_completions_bell) {
        worker_expire_connections(worker);
    }
    end_turn(worker);
    note_turn(&worker->set);
}

void worker_begin_execution(struct worker *worker)
{
    turn_begin(&worker->set.turn);
}

void worker_collect(struct worker *worker)
{
    look_around(worker);
    take_completions(&worker->set);
    end_turn(worker);
}

/* False when so many had to be closed that the rest waits for the next turn: a flood times out all at once. */
static bool check_timeouts(struct connection_set *set)
{
    if (set->stalled_count == 0 && option_get(set->shared->options, idle_timeout) == 0) {
        return true;
    }
    int closed = 0;
    struct ring *next;
    for (struct ring *link = set->open.next; link != &set->open && closed < CLOSES_PER_TURN; link = next) {
        next = link->next;
        struct connection *connection = CONTAINER_OF(link, struct connection, link);
        connection_check_timeouts(connection);
        closed += connection->descriptor < 0;
    }
    return closed < CLOSES_PER_TURN;
}

void worker_expire_connections(struct worker *worker)
{
    look_around(worker);
    if (worker->set.now_us < worker->next_expire_us) {
        return;
    }
    worker->next_expire_us = worker->set.now_us + EXPIRE_INTERVAL_US;
    for (size_t i = 0; i < worker->acceptor_count; i++) {
        acceptor_resume(&worker->acceptors[i]);
    }
    if (!check_timeouts(&worker->set)) {
        worker->next_expire_us = worker->set.now_us;
        mailbox_ring(&worker->newcomers);
    }
}

static void *run_thread(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load_explicit(&worker->is_stopping, memory_order_acquire)) {
        worker_poll(worker, THREAD_SLEEP_MS);
    }
    return NULL;
}

bool worker_start_thread(struct worker *worker)
{
    atomic_store_explicit(&worker->is_stopping, false, memory_order_relaxed);
    char name[16];
    unsigned number = atomic_fetch_add_explicit(&worker->set.shared->threads, 1, memory_order_relaxed);
    (void)snprintf(name, sizeof(name), "diglot-io-%u", number % 100000);
    worker->has_thread = thread_start(&worker->thread, name, run_thread, worker);
    return worker->has_thread;
}

void worker_stop_thread(struct worker *worker)
{
    if (!worker->has_thread) {
        return;
    }
    atomic_store_explicit(&worker->is_stopping, true, memory_order_release);
    mailbox_ring(&worker->newcomers);
    (void)pthread_join(worker->thread, NULL);
    worker->has_thread = false;
}
