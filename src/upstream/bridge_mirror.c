/* Mirroring: whatever happens to a key here, its present state is copied to the old server that would have it. A key has one job
 * under way at most, and what happens to it meanwhile is copied behind that; so the copies of a key arrive in order, and a busy
 * key costs no more than its server can take. */
#include "base/clock.h"
#include "command/carry.h"
#include "item/expiry.h"
#include "upstream/bridge_parts.h"
#include "upstream/link.h"

#include <stdlib.h>

/* What one server is sent before it has answered. */
#define FLYING_MOST 128
#define FLYING_BYTES_MOST ((size_t)4 * 1024 * 1024)
/* Copies may take that long at least, and as long as clients wait for answers: what comes too late ends the connection, and with it
 * whatever clients have asked there. */
#define COPY_TIMEOUT_US LINK_COPY_GRACE_US

struct echo {
    struct named named;  /* first */
    struct ring link;    /* in its server's queue; a ring of its own while the job is under way */
    uint32_t server;
    uint64_t generation; /* of the roster that the job under way was sent with */
    bool is_flying;
    bool is_again;   /* it has changed since the job left */
    bool is_refused; /* the server has not taken it: its old value is to go */
    bool is_dropped; /* nothing is to be done when the job is back */
    size_t bytes;    /* of the value under way */
    struct passage *behind; /* requests that wait for it, in their order */
};

static struct echo *echo_of_link(struct ring *link)
{
    return CONTAINER_OF(link, struct echo, link);
}

static void free_echo(struct named *entry)
{
    struct echo *echo = (struct echo *)entry;
    ring_remove(&echo->link);
    while (echo->behind) {
        struct passage *passage = echo->behind;
        echo->behind = passage->next;
        bridge_free_passage(passage);
    }
    free(echo);
}

void bridge_free_echoes(struct bridge *bridge)
{
    name_table_deinit(&bridge->echoes, free_echo);
}

/* Requests that have waited go on. */
static void send_those_behind(struct bridge *bridge, struct echo *echo)
{
    while (echo->behind) {
        struct passage *passage = echo->behind;
        echo->behind = passage->next;
        bridge_send_passage(bridge, passage);
    }
}

static void end_echo(struct bridge *bridge, struct echo *echo)
{
    struct passage *behind = echo->behind;
    name_table_remove(&bridge->echoes, &echo->named);
    echo->behind = NULL;
    struct echo ended = {.behind = behind};
    free_echo(&echo->named);
    send_those_behind(bridge, &ended);
}

void bridge_drop_echoes(struct bridge *bridge)
{
    for (size_t i = 0; bridge->roster && i < bridge->roster->fleet->count; i++) {
        struct ring *queue = &bridge->servers[i].queue;
        for (struct ring *link = queue->next, *next; link != queue; link = next) {
            next = link->next;
            counter_add(bridge->counters, COUNTER_MIRROR_DROPPED, 1);
            end_echo(bridge, echo_of_link(link));
        }
    }
    for (size_t i = 0; bridge->echoes.buckets && i < NAME_BUCKETS; i++)
        for (struct named *entry = bridge->echoes.buckets[i]; entry; entry = entry->next)
            ((struct echo *)entry)->is_dropped = true;
}

static void enqueue(struct bridge *bridge, struct echo *echo)
{
    ring_append(&bridge->servers[echo->server].queue, &echo->link);
}

void bridge_echo(struct bridge *bridge, struct span name, uint64_t hash)
{
    struct echo *echo = (struct echo *)name_table_find(&bridge->echoes, name, hash);
    if (echo) {
        echo->is_again = echo->is_flying;
        echo->is_dropped = false;
        return;
    }
    if (bridge->echoes.count >= (size_t)option_get(bridge->options, upstream_queue)) {
        counter_add(bridge->counters, COUNTER_MIRROR_DROPPED, 1);
        return;
    }
    echo = named_new(sizeof *echo, name, hash);
    ring_init(&echo->link);
    echo->server = (uint32_t)bridge_server_of(bridge, name);
    name_table_add(&bridge->echoes, &echo->named);
    enqueue(bridge, echo);
    counter_add(bridge->counters, COUNTER_MIRROR_QUEUED, 1);
}

bool bridge_wait_for_echo(struct bridge *bridge, struct span name, uint64_t hash, struct passage *passage)
{
    struct echo *echo = (struct echo *)name_table_find(&bridge->echoes, name, hash);
    if (!echo) return false;
    struct passage **end = &echo->behind;
    while (*end) end = &(*end)->next;
    passage->next = NULL;
    *end = passage;
    return true;
}

/* ---- Sending ---- */

/* An exptime that means this moment to the old server. False: it has passed. */
static bool exptime_of(int64_t expiry, int64_t now_ms, int64_t *exptime)
{
    *exptime = 0;
    if (expiry == EXPIRY_NEVER) return true;
    if (expiry_has_passed(expiry, now_ms)) return false;
    int64_t seconds = (expiry - now_ms + 999) / 1000;
    *exptime = seconds <= EXPIRY_RELATIVE_MAX ? seconds : (expiry + 999) / 1000;
    return true;
}

/* The key's present state as a job. An item that is marked stale is not to be taken for a good one there. */
static struct job *make_job(struct bridge *bridge, struct echo *echo)
{
    struct span name = named_span(&echo->named), key = bridge_key_of(bridge, name);
    struct carried_item item;
    int64_t exptime;
    buffer_reset(&bridge->value, 0);
    bool is_there = !echo->is_refused && carry_out(bridge->command, name, &item, &bridge->value) && !item.is_stale;
    if (!is_there || !exptime_of(item.expiry, bridge->command->now_ms, &exptime))
        return job_new(JOB_REMOVE, echo->server, key);
    struct job *job = job_new(JOB_STORE, echo->server, key);
    job->flags = item.flags;
    job->exptime = exptime;
    buffer_append(&job->bytes, item.value);
    return job;
}

static uint64_t copy_deadline(const struct bridge *bridge, uint64_t now_us)
{
    uint64_t clients_us = bridge_deadline(bridge, now_us), least_us = now_us + COPY_TIMEOUT_US;
    return clients_us > least_us ? clients_us : least_us;
}

static void send_echo(struct bridge *bridge, struct echo *echo, uint64_t now_us)
{
    struct bridge_server *server = &bridge->servers[echo->server];
    struct job *job = make_job(bridge, echo);
    ring_remove(&echo->link);
    echo->is_flying = true;
    echo->generation = bridge->generation;
    echo->is_again = false;
    echo->bytes = buffer_size(&job->bytes);
    job->owner = echo;
    job->deadline_us = copy_deadline(bridge, now_us);
    server->flying++;
    server->flying_bytes += echo->bytes;
    bridge->host->send(bridge->host, job);
}

static void send_flush(struct bridge *bridge, size_t index, uint64_t now_us)
{
    struct bridge_server *server = &bridge->servers[index];
    struct job *job = job_new(JOB_FLUSH, (uint32_t)index, SPAN(""));
    job->owner = roster_retain(bridge->roster);
    job->deadline_us = copy_deadline(bridge, now_us);
    server->owes_flush = false;
    server->is_flushing = true;
    bridge->host->send(bridge->host, job);
}

static bool has_room(const struct bridge_server *server)
{
    return server->flying < FLYING_MOST && server->flying_bytes < FLYING_BYTES_MOST;
}

void bridge_send_echoes(struct bridge *bridge)
{
    uint64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < bridge->roster->fleet->count; i++) {
        struct bridge_server *server = &bridge->servers[i];
        if (roster_state(bridge->roster, i) == SERVER_DOWN) continue;
        if (server->owes_flush) send_flush(bridge, i, now_us);
        while (!server->is_flushing && !ring_is_empty(&server->queue) && has_room(server))
            send_echo(bridge, echo_of_link(server->queue.next), now_us);
    }
}

/* ---- Answers ---- */

static bool is_taken(const struct job *job)
{
    if (job->outcome != JOB_DONE) return false;
    enum client_reply_kind kind = job->reply.kind;
    if (job->kind == JOB_STORE) return kind == CLIENT_REPLY_DONE || kind == CLIENT_REPLY_STORED || kind == CLIENT_REPLY_OK;
    return kind == CLIENT_REPLY_DONE || kind == CLIENT_REPLY_DELETED || kind == CLIENT_REPLY_NOT_FOUND || kind == CLIENT_REPLY_OK;
}

/* Those that come back unsent keep their place ahead of what was changed later. */
static void enqueue_first(struct bridge *bridge, struct echo *echo)
{
    ring_append(bridge->servers[echo->server].queue.next, &echo->link);
}

void bridge_take_echoed(struct bridge *bridge, struct job *job)
{
    struct echo *echo = job->owner;
    bool is_refused = job->outcome == JOB_REFUSED || (job->outcome == JOB_DONE && !is_taken(job));
    echo->is_flying = false;
    if (echo->generation == bridge->generation && bridge->roster) {
        bridge->servers[echo->server].flying--;
        bridge->servers[echo->server].flying_bytes -= echo->bytes;
    }
    if (is_taken(job)) counter_add(bridge->counters, COUNTER_MIRROR_SENT, 1);
    if (is_refused) counter_add(bridge->counters, COUNTER_MIRROR_FAILED, 1);
    if (echo->is_dropped || !bridge->roster) {
        end_echo(bridge, echo);
        job_free(&job);
        return;
    }
    echo->server = (uint32_t)bridge_server_of(bridge, named_span(&echo->named));
    if (job->outcome == JOB_LATE || job->outcome == JOB_UNREACHABLE) {
        counter_add(bridge->counters, COUNTER_MIRROR_RETRIED, 1);
        enqueue_first(bridge, echo);
    } else if (echo->is_again) {
        echo->is_refused = false;
        enqueue(bridge, echo);
    } else if (is_refused && job->kind == JOB_STORE) {
        echo->is_refused = true;
        enqueue(bridge, echo);
    } else {
        end_echo(bridge, echo);
    }
    job_free(&job);
}

void bridge_take_flushed(struct bridge *bridge, struct job *job)
{
    struct roster *roster = job->owner;
    if (roster == bridge->roster) {
        bool is_late = job->outcome == JOB_LATE || job->outcome == JOB_UNREACHABLE;
        bridge->servers[job->server].is_flushing = false;
        bridge->servers[job->server].owes_flush |= is_late;
        bool is_done = job->outcome == JOB_DONE && job->reply.kind == CLIENT_REPLY_OK;
        if (!is_done && !is_late) counter_add(bridge->counters, COUNTER_MIRROR_FAILED, 1);
    }
    roster_release(&roster);
    job_free(&job);
}
