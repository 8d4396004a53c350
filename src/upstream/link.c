#include "upstream/link.h"

#include "base/clock.h"
#include "base/number.h"
#include "net/ring.h"
#include "net/transport.h"
#include "upstream/dial.h"
#include "upstream/link_jobs.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A connection that is not made by then is given up, unless somebody waits for longer. */
#define CONNECT_TIMEOUT_US 1000000u
/* Bytes that are received at once; values that are known to be larger get their room at once. */
#define RECEIVE_SIZE ((size_t)64 * 1024)
/* No value is larger: the largest item that may be stored here. */
#define VALUE_MOST ((size_t)512 * 1024 * 1024)
#define BUFFER_KEPT ((size_t)256 * 1024)
#define TLS_OUTPUT_MOST ((size_t)2 * 1024)
/* The first version whose meta commands speak as we do. */
#define META_MAJOR 1
#define META_MINOR 6

static void queue_append(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->last)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
}

static struct job *queue_take(struct job_queue *queue)
{
    struct job *job = queue->first;
    if (!job) return NULL;
    queue->first = job->next;
    if (!queue->first) queue->last = NULL;
    return job;
}

static void set_state(struct link *link, enum link_state state)
{
    static const enum server_state shown[] = {
        [LINK_CLOSED] = SERVER_IDLE,         [LINK_CONNECTING] = SERVER_CONNECTING, [LINK_SHAKING_HANDS] = SERVER_CONNECTING,
        [LINK_GREETING] = SERVER_CONNECTING, [LINK_READY] = SERVER_READY,
    };
    link->state = state;
    /* Whoever looks while a probe is under way shall not wait for it. */
    enum server_state server = breaker_is_open(&link->breaker) ? SERVER_DOWN : shown[state];
    atomic_store_explicit(&link->status->state, (int)server, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- The end of a connection ---- */

static void close_socket(struct link *link)
{
    if (link->descriptor >= 0) {
        (void)epoll_ctl(link->owner->epoll, EPOLL_CTL_DEL, link->descriptor, NULL); /* a forked child may hold it open */
        transport_close(link->descriptor, &link->tls);
    }
    link->descriptor = -1;
}

static void hang_up(struct link *link)
{
    close_socket(link);
    buffer_reset(&link->input, BUFFER_KEPT);
    buffer_reset(&link->output, BUFFER_KEPT);
    set_state(link, LINK_CLOSED);
}

static void finish_all(struct link *link, struct job_queue *queue, enum job_outcome outcome)
{
    for (struct job *job = queue_take(queue); job; job = queue_take(queue)) {
        job->outcome = outcome;
        link->owner->finish(link->owner, job);
    }
}

static void fail(struct link *link, enum job_outcome outcome, uint64_t now_us)
{
    count(&link->status->failures);
    breaker_fail(&link->breaker, now_us);
    hang_up(link);
    finish_all(link, &link->flying, outcome);
    finish_all(link, &link->waiting, outcome);
}

/* ---- Its beginning ---- */

static void watch_socket(struct link *link)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &link->source};
    int failure = epoll_ctl(link->owner->epoll, EPOLL_CTL_ADD, link->descriptor, &event);
    CHECK(failure == 0);
}

/* False when there is no address left to try. */
static bool dial(struct link *link)
{
    link->descriptor = dial_start(link->target, &link->address);
    if (link->descriptor < 0) return false;
    watch_socket(link);
    return true;
}

/* A name often has an address of IPv6 and one of IPv4, and the server listens on one of them. */
static bool dial_next(struct link *link)
{
    close_socket(link);
    link->address++;
    return dial(link);
}

static void connect_link(struct link *link, uint64_t now_us)
{
    link->address = 0;
    if (!dial(link)) {
        fail(link, JOB_UNREACHABLE, now_us);
        return;
    }
    link->deadline_us = now_us + CONNECT_TIMEOUT_US;
    const struct job *waits = link->waiting.first;
    if (waits && waits->deadline_us > link->deadline_us) link->deadline_us = waits->deadline_us;
    set_state(link, LINK_CONNECTING);
}

static void greet(struct link *link)
{
    set_state(link, LINK_GREETING);
    link->greetings = 2;
    link->dialect = CLIENT_CLASSIC;
    client_put_version(&link->output);
    client_put_mn(&link->output);
}

/* True when the connection may be spoken through. */
static bool shake_hands(struct link *link, uint64_t now_us)
{
    ERR_clear_error();
    int result = SSL_connect(link->tls);
    if (result == 1) return true;
    int reason = SSL_get_error(link->tls, result);
    ERR_clear_error();
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return false;
    SSL_set_quiet_shutdown(link->tls, 1);
    fail(link, JOB_UNREACHABLE, now_us);
    return false;
}

/* The socket is ready for something: goes as far as that leads. True when it may be spoken through. */
static bool make_connection(struct link *link, uint64_t now_us)
{
    if (link->state == LINK_CONNECTING) {
        switch (dial_finish(link->descriptor)) {
        case DIAL_WAITS: return false;
        case DIAL_FAILED:
            if (!dial_next(link)) fail(link, JOB_UNREACHABLE, now_us);
            return false;
        case DIAL_CONNECTED: break;
        }
        if (link->tls_context) {
            link->tls = dial_tls(link->tls_context, link->target, link->descriptor);
            set_state(link, LINK_SHAKING_HANDS);
        } else {
            greet(link);
        }
    }
    if (link->state != LINK_SHAKING_HANDS) return true;
    if (!shake_hands(link, now_us)) return false;
    greet(link);
    return true;
}

/* "1.6.45", whatever follows it. */
static uint32_t parse_version(struct span text)
{
    uint32_t version = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t size = 0;
        uint32_t number = 0;
        while (size < text.size && text.data[size] >= '0' && text.data[size] <= '9') size++;
        if (!number_parse_strict_u32(span_of(text.data, size), &number) || number > UINT8_MAX) number = 0;
        version = version << 8 | number;
        text = span_skip(text, size < text.size ? size + 1 : size);
    }
    return version;
}

/* The greeting asks for the version and whether the meta command without effect is known. */
static void take_greeting(struct link *link, const struct client_reply *reply)
{
    link->greetings--;
    if (reply->kind == CLIENT_REPLY_VERSION)
        atomic_store_explicit(&link->status->version, parse_version(reply->text), memory_order_relaxed);
    if (link->greetings > 0) return;
    uint32_t version = atomic_load_explicit(&link->status->version, memory_order_relaxed);
    bool has_meta = reply->kind == CLIENT_REPLY_NOOP && version >= (META_MAJOR << 16 | META_MINOR << 8);
    atomic_store_explicit(&link->status->has_meta, has_meta, memory_order_relaxed);
    link->dialect = has_meta ? CLIENT_META : CLIENT_CLASSIC;
    breaker_succeed(&link->breaker);
    set_state(link, LINK_READY);
}

/* ---- Replies ---- */

/* False when the server has said what nobody asked. */
static bool take_reply(struct link *link, const struct client_reply *reply)
{
    if (link->state == LINK_GREETING) {
        take_greeting(link, reply);
        return true;
    }
    struct job *job = link->flying.first;
    if (!job) return false;
    if (!link_take_reply(job, reply)) return true;
    (void)queue_take(&link->flying);
    link->breaker.failures = 0;
    count(&link->status->answered);
    link->owner->finish(link->owner, job);
    return true;
}

static bool take_replies(struct link *link, uint64_t now_us)
{
    struct client_reply reply;
    enum client_decode_status status;
    while ((status = client_reply_decode(buffer_content(&link->input), VALUE_MOST, &reply)) == CLIENT_REPLY) {
        link->heard_us = now_us;
        if (!take_reply(link, &reply)) return false;
        buffer_consume(&link->input, reply.consumed);
    }
    if (buffer_size(&link->input) == 0) buffer_reset(&link->input, BUFFER_KEPT);
    return status == CLIENT_PARTIAL;
}

static size_t room_wanted(const struct link *link)
{
    size_t size = client_reply_size(buffer_content(&link->input), VALUE_MOST);
    size_t there = buffer_size(&link->input);
    return size > there + RECEIVE_SIZE ? size - there : RECEIVE_SIZE;
}

/* Reads until there is nothing more. False when the connection is over. */
static bool receive(struct link *link, uint64_t now_us)
{
    for (;;) {
        buffer_reserve(&link->input, room_wanted(link));
        ssize_t size = transport_receive(link->descriptor, link->tls, link->input.data + link->input.end,
                                         buffer_room(&link->input));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN;
        if (size == 0) return false;
        link->input.end += (size_t)size;
        if (!take_replies(link, now_us)) return false;
    }
}

/* ---- Requests ---- */

/* With TLS a little at a time, and only when all before is sent, so that no request begins in one record and ends in the next with
 * others behind it: memcached 1.6.18 keeps the rest of a record that it had no room for until more comes. */
static bool may_encode(const struct link *link)
{
    bool has_room = !link->tls || buffer_size(&link->output) < TLS_OUTPUT_MOST;
    return link->state == LINK_READY && link->waiting.first && has_room;
}

static void encode_waiting(struct link *link)
{
    if (link->tls && buffer_size(&link->output) > 0) return;
    while (may_encode(link)) {
        struct job *job = queue_take(&link->waiting);
        if (link_put_job(&link->output, link->dialect, job)) {
            queue_append(&link->flying, job);
            continue;
        }
        job->outcome = JOB_REFUSED;
        link->owner->finish(link->owner, job);
    }
}

/* False when the connection is over. */
static bool send_output(struct link *link)
{
    while (buffer_size(&link->output) > 0) {
        ssize_t size = transport_send(link->descriptor, link->tls, buffer_content(&link->output));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN;
        buffer_consume(&link->output, (size_t)size);
    }
    buffer_reset(&link->output, BUFFER_KEPT);
    return true;
}

void link_flush(struct link *link, uint64_t now_us)
{
    if (link->state == LINK_CLOSED && link->waiting.first) connect_link(link, now_us);
    if (link->state < LINK_GREETING) return;
    do {
        encode_waiting(link);
        if (!send_output(link)) {
            fail(link, JOB_UNREACHABLE, now_us);
            return;
        }
    } while (may_encode(link) && buffer_size(&link->output) == 0);
}

/* A connection that ends while nobody waits for it has done nothing wrong. */
static void end(struct link *link, uint64_t now_us)
{
    if (link->state == LINK_READY && !link->flying.first)
        hang_up(link);
    else
        fail(link, JOB_UNREACHABLE, now_us);
}

static void handle_event(struct event_source *source, uint32_t events)
{
    (void)events;
    struct link *link = CONTAINER_OF(source, struct link, source);
    uint64_t now_us = clock_monotonic_us();
    if (link->state == LINK_CLOSED || !make_connection(link, now_us)) return;
    if (!receive(link, now_us)) end(link, now_us);
    link_flush(link, now_us);
}

/* ---- Time ---- */

static bool somebody_waits(const struct job *job)
{
    return job->kind == JOB_FETCH || job->kind == JOB_PASS;
}

/* The first job that somebody waits for is the one of these whose time ends first, or nearly so. The bridge has few copies under way at a
 * time. */
static uint64_t queue_deadline(const struct link *link, const struct job_queue *queue)
{
    uint64_t due = UINT64_MAX, grace_us = link->heard_us + LINK_COPY_GRACE_US;
    for (const struct job *job = queue->first; job; job = job->next) {
        uint64_t job_due = job->deadline_us < grace_us && !somebody_waits(job) ? grace_us : job->deadline_us;
        if (job_due < due) due = job_due;
        if (somebody_waits(job)) break;
    }
    return due;
}

static uint64_t job_deadline(const struct link *link)
{
    uint64_t flying = queue_deadline(link, &link->flying), waiting = queue_deadline(link, &link->waiting);
    return flying < waiting ? flying : waiting;
}

static bool is_connecting(const struct link *link)
{
    return link->state == LINK_CONNECTING || link->state == LINK_SHAKING_HANDS || link->state == LINK_GREETING;
}

uint64_t link_next_due(const struct link *link)
{
    uint64_t due = job_deadline(link);
    if (is_connecting(link) && link->deadline_us < due) due = link->deadline_us;
    bool will_probe = breaker_is_open(&link->breaker) && link->state == LINK_CLOSED;
    if (will_probe && link->breaker.retry_us < due) due = link->breaker.retry_us;
    return due;
}

void link_check_time(struct link *link, uint64_t now_us)
{
    bool is_late = now_us >= job_deadline(link) || (is_connecting(link) && now_us >= link->deadline_us);
    if (is_late) fail(link, JOB_LATE, now_us);
    if (link->state == LINK_CLOSED && breaker_is_due(&link->breaker, now_us)) connect_link(link, now_us);
}

/* ---- The link ---- */

void link_init(struct link *link, struct link_owner *owner, const struct fleet_server *target, struct server_status *status,
               struct ssl_ctx_st *tls_context)
{
    *link = (struct link){.source.handle = handle_event,
                          .owner = owner,
                          .target = target,
                          .status = status,
                          .tls_context = tls_context,
                          .descriptor = -1};
    buffer_init(&link->input);
    buffer_init(&link->output);
}

void link_deinit(struct link *link)
{
    hang_up(link);
    finish_all(link, &link->flying, JOB_UNREACHABLE);
    finish_all(link, &link->waiting, JOB_UNREACHABLE);
    buffer_deinit(&link->input);
    buffer_deinit(&link->output);
}

void link_submit(struct link *link, struct job *job)
{
    if (breaker_is_open(&link->breaker)) {
        job->outcome = JOB_UNREACHABLE;
        link->owner->finish(link->owner, job);
        return;
    }
    queue_append(&link->waiting, job);
}
