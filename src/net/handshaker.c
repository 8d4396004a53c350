/* Each handshake is moved by the events of its socket, until it succeeds, fails or is out of time. Those under way stand in
 * a ring in the order of their beginning, so that the first is always the one whose time ends next. */
#include "net/handshaker.h"

#include "base/clock.h"
#include "net/acceptor.h"
#include "net/connection.h"
#include "net/thread.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
/* How often timeouts are looked at while there is something that may time out. */
#define TURN_MS 500
#define EXPIRE_INTERVAL_US 250000u
#define MICROSECONDS 1000000u

struct handshaker {
    struct event_source bell_source;
    struct mailbox bell; /* holds no mail; rung to wake the thread */
    struct worker_shared *shared;
    struct counters *counters;
    int epoll;
    struct acceptor acceptors[LISTENERS_MAX];
    size_t acceptor_count;
    struct ring pending;    /* oldest first */
    struct handshake *dead; /* over; freed at the end of the turn: events in hand may still point to them */
    uint64_t next_expire_us;
    pthread_mutex_t lock;
    SSL_CTX *context; /* under the lock */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
};

struct handshake {
    struct event_source source;
    struct ring link; /* in pending */
    struct handshake *next_dead;
    struct handshaker *handshaker;
    struct connection *connection; /* NULL once it has gone on */
    struct worker *peer;           /* whose connection it will be */
    uint64_t began_us;
};

/* Takes the connection out of the handshake, which is over. */
static struct connection *end_handshake(struct handshake *handshake)
{
    struct handshaker *handshaker = handshake->handshaker;
    struct connection *connection = handshake->connection;
    CHECK(connection != NULL);
    handshake->connection = NULL;
    ring_remove(&handshake->link);
    handshake->next_dead = handshaker->dead;
    handshaker->dead = handshake;
    /* While a forked child holds a duplicate, closing would not end the registration. */
    (void)epoll_ctl(handshaker->epoll, EPOLL_CTL_DEL, connection->descriptor, NULL);
    return connection;
}

static void fail_handshake(struct handshake *handshake)
{
    struct handshaker *handshaker = handshake->handshaker;
    struct connection *connection = end_handshake(handshake);
    counter_add(handshaker->counters, COUNTER_TLS_HANDSHAKE_ERRORS, 1); /* before the client can know of it */
    SSL_set_quiet_shutdown(connection->tls, 1); /* there is nobody yet to say goodbye to */
    connection_abandon(connection, handshaker->shared);
}

static void advance_handshake(struct handshake *handshake)
{
    SSL *tls = handshake->connection->tls;
    ERR_clear_error();
    int result = SSL_accept(tls);
    if (result == 1) {
        struct worker *peer = handshake->peer;
        worker_admit(peer, end_handshake(handshake));
        return;
    }
    int reason = SSL_get_error(tls, result);
    ERR_clear_error();
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
        fail_handshake(handshake);
    }
}

static void handle_event(struct event_source *source, uint32_t events)
{
    (void)events;
    struct handshake *handshake = CONTAINER_OF(source, struct handshake, source);
    if (handshake->connection != NULL) {
        advance_handshake(handshake);
    }
}

/* Reading the bell is all that it asks for: the turn ends, and the thread looks whether it is to stop. */
static void handle_bell(struct event_source *source, uint32_t events)
{
    (void)events;
    mailbox_silence(&CONTAINER_OF(source, struct handshaker, bell_source)->bell);
}

static SSL *make_tls(struct handshaker *handshaker, int descriptor)
{
    (void)pthread_mutex_lock(&handshaker->lock);
    SSL *tls = SSL_new(handshaker->context);
    (void)pthread_mutex_unlock(&handshaker->lock);
    if (tls != NULL && SSL_set_fd(tls, descriptor) != 1) {
        SSL_free(tls);
        return NULL;
    }
    return tls;
}

static void begin_handshake(void *owner, struct worker *peer, struct connection *connection)
{
    struct handshaker *handshaker = owner;
    connection->tls = make_tls(handshaker, connection->descriptor);
    if (connection->tls == NULL) {
        connection_abandon(connection, handshaker->shared);
        counter_add(handshaker->counters, COUNTER_TLS_HANDSHAKE_ERRORS, 1);
        return;
    }
    struct handshake *handshake = check_calloc(1, sizeof(*handshake));
    handshake->source.handle = handle_event;
    handshake->handshaker = handshaker;
    handshake->connection = connection;
    handshake->peer = peer;
    handshake->began_us = clock_monotonic_us();
    ring_append(&handshaker->pending, &handshake->link);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &handshake->source};
    if (epoll_ctl(handshaker->epoll, EPOLL_CTL_ADD, connection->descriptor, &event) != 0) {
        fail_handshake(handshake);
    }
}

static void fail_late_handshakes(struct handshaker *handshaker, uint64_t now_us)
{
    while (!ring_is_empty(&handshaker->pending)) {
        struct handshake *oldest = CONTAINER_OF(handshaker->pending.next, struct handshake, link);
        if (now_us - oldest->began_us < (uint64_t)HANDSHAKE_TIMEOUT_S * MICROSECONDS) {
            return;
        }
        fail_handshake(oldest);
    }
}

/* What is done a few times a second at most. */
static void expire(struct handshaker *handshaker)
{
    uint64_t now_us = clock_monotonic_us();
    if (now_us < handshaker->next_expire_us) {
        return;
    }
    handshaker->next_expire_us = now_us + EXPIRE_INTERVAL_US;
    for (size_t i = 0; i < handshaker->acceptor_count; i++) {
        acceptor_resume(&handshaker->acceptors[i]);
    }
    fail_late_handshakes(handshaker, now_us);
}

static void free_dead(struct handshaker *handshaker)
{
    while (handshaker->dead != NULL) {
        struct handshake *handshake = handshaker->dead;
        handshaker->dead = handshake->next_dead;
        free(handshake);
    }
}

/* Acceptors that rest are resumed here, too. */
static bool has_time_limits(const struct handshaker *handshaker)
{
    for (size_t i = 0; i < handshaker->acceptor_count; i++) {
        if (handshaker->acceptors[i].is_paused) {
            return true;
        }
    }
    return !ring_is_empty(&handshaker->pending);
}

static void take_turn(struct handshaker *handshaker)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(handshaker->epoll, events, EVENTS_PER_TURN, has_time_limits(handshaker) ? TURN_MS : -1);
    for (int i = 0; i < count; i++) {
        struct event_source *source = events[i].data.ptr;
        source->handle(source, events[i].events);
    }
    expire(handshaker);
    free_dead(handshaker);
}

static void *run_thread(void *argument)
{
    struct handshaker *handshaker = argument;
    thread_lower_priority();
    while (!atomic_load_explicit(&handshaker->is_stopping, memory_order_acquire)) {
        take_turn(handshaker);
    }
    return NULL;
}

/* Makes the kernel's part; what it has not come to stays -1. */
static bool open_handshaker(struct handshaker *handshaker)
{
    handshaker->bell.bell = -1;
    handshaker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (handshaker->epoll < 0 || !mailbox_init(&handshaker->bell, true)) {
        return false;
    }
    handshaker->bell_source.handle = handle_bell;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &handshaker->bell_source};
    return epoll_ctl(handshaker->epoll, EPOLL_CTL_ADD, handshaker->bell.bell, &event) == 0;
}

struct handshaker *handshaker_new(struct worker_shared *shared, struct counters *counters, struct ssl_ctx_st *context)
{
    struct handshaker *handshaker = check_calloc_aligned(_Alignof(struct handshaker), sizeof(*handshaker));
    handshaker->shared = shared;
    handshaker->counters = counters;
    handshaker->context = context;
    ring_init(&handshaker->pending);
    int failure = pthread_mutex_init(&handshaker->lock, NULL);
    CHECK(failure == 0);
    if (!open_handshaker(handshaker)) {
        int reason = errno;
        handshaker_free(&handshaker);
        errno = reason;
    }
    return handshaker;
}

void handshaker_free(struct handshaker **handshaker)
{
    struct handshaker *gone = *handshaker;
    if (gone == NULL) {
        return;
    }
    CHECK(!gone->has_thread);
    for (size_t i = 0; i < gone->acceptor_count; i++) {
        acceptor_deinit(&gone->acceptors[i]);
    }
    while (!ring_is_empty(&gone->pending)) {
        fail_handshake(CONTAINER_OF(gone->pending.next, struct handshake, link));
    }
    free_dead(gone);
    mailbox_deinit(&gone->bell);
    if (gone->epoll >= 0) {
        (void)close(gone->epoll);
    }
    SSL_CTX_free(gone->context);
    (void)pthread_mutex_destroy(&gone->lock);
    free(gone);
    *handshaker = NULL;
}

bool handshaker_listen(struct handshaker *handshaker, int listener, const char *address, struct worker **peers,
                       size_t peer_count)
{
    if (handshaker->acceptor_count == LISTENERS_MAX) {
        errno = ENOSPC;
        return false;
    }
    struct acceptor *acceptor = &handshaker->acceptors[handshaker->acceptor_count];
    *acceptor = (struct acceptor){.owner = handshaker,
                                  .epoll = handshaker->epoll,
                                  .shared = handshaker->shared,
                                  .counters = handshaker->counters,
                                  .refusal = SPAN(""), /* no words before the handshake */
                                  .admit = begin_handshake};
    if (!acceptor_init(acceptor, listener, address, peers, peer_count)) {
        return false;
    }
    handshaker->acceptor_count++;
    return true;
}

void handshaker_set_context(struct handshaker *handshaker, struct ssl_ctx_st *context)
{
    (void)pthread_mutex_lock(&handshaker->lock);
    SSL_CTX *before = handshaker->context;
    handshaker->context = context;
    (void)pthread_mutex_unlock(&handshaker->lock);
    SSL_CTX_free(before);
}

bool handshaker_start_thread(struct handshaker *handshaker)
{
    atomic_store_explicit(&handshaker->is_stopping, false, memory_order_relaxed);
    handshaker->has_thread = thread_start(&handshaker->thread, "diglot-tls", run_thread, handshaker);
    return handshaker->has_thread;
}

void handshaker_stop_thread(struct handshaker *handshaker)
{
    if (!handshaker->has_thread) {
        return;
    }
    atomic_store_explicit(&handshaker->is_stopping, true, memory_order_release);
    mailbox_ring(&handshaker->bell);
    (void)pthread_join(handshaker->thread, NULL);
    handshaker->has_thread = false;
}
