/* Reading through: a key that is missing here is asked for at the old server that has it, once, however many wait for it; and what
 * comes is stored if nothing has happened to the key meanwhile, which is what its version tells. */
#include "base/clock.h"
#include "command/carry.h"
#include "item/expiry.h"
#include "upstream/bridge_parts.h"

#include <stdlib.h>

/* Keys that are asked for at a time; more are misses. */
#define ASKS_MOST 65536
/* A counter of the version clock is shared by keys, so an answer may be discarded without need; then the key is asked for again. */
#define ATTEMPTS_MOST 3

struct question {
    struct named named; /* first */
    struct ring link;   /* in `asked` while the job is under way and somebody may wait, in `stalled` with its answer */
    struct job *answer; /* while it is stalled */
    uint64_t token;     /* the version of the absent key when the question left */
    int64_t asked_ms;   /* wall clock: expiries that come are counted from then */
    uint64_t give_up_us;
    unsigned attempts;
    bool is_removing; /* somebody waits to remove the key: if it does not come to be here, it counts as removed */
    struct errand **waiters;
    size_t waiter_count;
    size_t waiter_capacity;
};

static struct question *question_of_link(struct ring *link)
{
    return CONTAINER_OF(link, struct question, link);
}

static void free_question(struct named *entry)
{
    struct question *question = (struct question *)entry;
    job_free(&question->answer);
    free(question->waiters);
    free(question);
}

void bridge_free_asks(struct bridge *bridge)
{
    name_table_deinit(&bridge->asks, free_question);
    ring_init(&bridge->asked);
    ring_init(&bridge->stalled);
}

static void add_waiter(struct question *question, struct errand *errand)
{
    /* Those of one batch come one behind the other. */
    if (question->waiter_count > 0 && question->waiters[question->waiter_count - 1] == errand) return;
    if (question->waiter_count == question->waiter_capacity) {
        question->waiter_capacity = question->waiter_capacity ? 2 * question->waiter_capacity : 2;
        question->waiters = check_realloc(question->waiters, question->waiter_capacity * sizeof(struct errand *));
    }
    question->waiters[question->waiter_count++] = errand;
    errand->waits++;
}

static void release_waiters(struct bridge *bridge, struct question *question)
{
    for (size_t i = 0; i < question->waiter_count; i++) errand_arrive(bridge, question->waiters[i]);
    question->waiter_count = 0;
}

static void end_question(struct bridge *bridge, struct question *question)
{
    release_waiters(bridge, question);
    ring_remove(&question->link);
    name_table_remove(&bridge->asks, &question->named);
    free_question(&question->named);
}

/* ---- Asking ---- */

/* What is not to be there afterwards, whether or not it was found. */
static bool removes(const struct bridge *bridge, const struct request *request)
{
    int64_t now_ms = bridge->command->now_ms;
    if (request->op == REQUEST_SET) return expiry_has_passed(expiry_from_exptime(request->exptime, now_ms), now_ms);
    return request->op == REQUEST_DELETE || request->op == REQUEST_SET_TOO_LARGE;
}

/* A set needs to know nothing of what was there, unless it compares, or leaves nothing behind. */
static bool must_know(const struct bridge *bridge, const struct request *request)
{
    if (request->op != REQUEST_SET) return true;
    return (request->extras && (request->extras->asks & ASK_COMPARE)) || removes(bridge, request);
}

/* Somebody else has, or may have, a key that was removed here; unless it lives here no more, and is removed there. */
static void count_as_removed(struct bridge *bridge, struct span name, uint64_t hash)
{
    if (bridge_is_here(bridge, hash)) bridge_note_change(bridge, bridge->command->db, name);
}

static void send_question(struct bridge *bridge, struct question *question, size_t server)
{
    uint64_t now_us = clock_monotonic_us();
    struct job *job = job_new(JOB_FETCH, (uint32_t)server, bridge_key_of(bridge, named_span(&question->named)));
    job->owner = question;
    job->deadline_us = bridge_deadline(bridge, now_us);
    question->give_up_us = job->deadline_us + GIVE_UP_US;
    question->token = version_current(bridge->command->versions, question->named.hash);
    question->asked_ms = clock_wall_ms();
    question->attempts++;
    ring_remove(&question->link);
    ring_append(&bridge->asked, &question->link);
    counter_add(bridge->counters, COUNTER_UPSTREAM_GETS, 1);
    bridge->host->send(bridge->host, job);
}

static struct question *new_question(struct bridge *bridge, struct span name, uint64_t hash)
{
    struct question *question = named_new(sizeof *question, name, hash);
    ring_init(&question->link);
    name_table_add(&bridge->asks, &question->named);
    return question;
}

bool bridge_ask(struct bridge *bridge, struct batch *batch, struct span name, uint64_t hash, const struct request *request)
{
    if (!must_know(bridge, request) || marks_has(&bridge->marks, hash) || carry_is_there(bridge->command, name)) return false;
    struct question *question = (struct question *)name_table_find(&bridge->asks, name, hash);
    size_t server = bridge_server_of(bridge, name);
    bool is_down = roster_state(bridge->roster, server) == SERVER_DOWN;
    if (!question && (is_down || bridge->asks.count >= ASKS_MOST)) {
        counter_add(bridge->counters, COUNTER_UPSTREAM_UNASKED, 1);
        if (removes(bridge, request)) count_as_removed(bridge, name, hash);
        return false;
    }
    if (!question) {
        question = new_question(bridge, name, hash);
        send_question(bridge, question, server);
    } else if (ring_is_empty(&question->link)) { /* others have given up on it */
        question->give_up_us = bridge_deadline(bridge, clock_monotonic_us()) + GIVE_UP_US;
        ring_append(&bridge->asked, &question->link);
    }
    question->is_removing |= removes(bridge, request);
    add_waiter(question, errand_of(batch));
    return true;
}

/* ---- Answers ---- */

/* When an item expires that had so many seconds to live when it was asked for; where that could not be told, as the option says. */
static int64_t expiry_of(const struct bridge *bridge, const struct question *question, const struct job *job)
{
    int64_t seconds = job->reply.ttl;
    if (job->is_classic) {
        seconds = option_get(bridge->options, upstream_ttl);
        if (seconds == 0) return EXPIRY_NEVER;
    }
    return seconds < 0 ? EXPIRY_NEVER : question->asked_ms + seconds * 1000;
}

/* True when nothing has happened to the key since the question left. */
static bool stands(struct bridge *bridge, const struct question *question)
{
    return version_current(bridge->command->versions, question->named.hash) == question->token &&
           !marks_has(&bridge->marks, question->named.hash);
}

static bool is_too_large(const struct bridge *bridge, const struct job *job)
{
    return job->reply.value.size > (size_t)option_get(bridge->options, max_item_size);
}

/* What has come of an answer. */
enum storing {
    STORING_DONE,
    STORING_STALE,  /* something has happened to the key */
    STORING_FAILED, /* it could not be stored */
    STORING_WAITS,
};

static enum storing store_answer(struct bridge *bridge, const struct question *question, const struct job *job)
{
    if (!stands(bridge, question)) return STORING_STALE;
    if (is_too_large(bridge, job)) return STORING_FAILED;
    switch (bridge->host->may_store(bridge->host)) {
    case BRIDGE_WAITS: return STORING_WAITS;
    case BRIDGE_MAY_NOT: return STORING_FAILED;
    case BRIDGE_MAY: break;
    }
    struct carried_item item = {job->reply.value, expiry_of(bridge, question, job), job->reply.flags,
                                job->reply.fields & CLIENT_IS_STALE};
    bridge->is_quiet = true;
    bool is_stored = carry_in(bridge->command, named_span(&question->named), &item);
    bridge->is_quiet = false;
    return is_stored ? STORING_DONE : STORING_FAILED;
}

static bool is_hit(const struct job *job)
{
    return job->outcome == JOB_DONE && job->reply.kind == CLIENT_REPLY_VALUE;
}

static bool is_miss(const struct job *job)
{
    return job->outcome == JOB_DONE && (job->reply.kind == CLIENT_REPLY_MISS || job->reply.kind == CLIENT_REPLY_END);
}

static void count_failure(struct bridge *bridge, const struct job *job)
{
    counter_add(bridge->counters, job->outcome == JOB_LATE ? COUNTER_UPSTREAM_TIMEOUTS : COUNTER_UPSTREAM_ERRORS, 1);
}

/* The key may still be at the old server, or an importer may hold it in his hands, and whoever waits may be about to remove it. */
static void end_unstored(struct bridge *bridge, struct question *question)
{
    if (question->is_removing) count_as_removed(bridge, named_span(&question->named), question->named.hash);
    end_question(bridge, question);
}

/* Discarded, and nothing here that tells why: a key of the same counter was changed. */
static bool is_worth_asking_again(struct bridge *bridge, const struct question *question)
{
    return bridge->is_active && bridge->reads && question->attempts < ATTEMPTS_MOST && !marks_has(&bridge->marks, question->named.hash) &&
           !carry_is_there(bridge->command, named_span(&question->named));
}

static void take_hit(struct bridge *bridge, struct question *question, struct job *job)
{
    enum storing storing = store_answer(bridge, question, job);
    if (storing == STORING_WAITS) {
        question->answer = job;
        ring_remove(&question->link);
        ring_append(&bridge->stalled, &question->link);
        return;
    }
    job_free(&job);
    if (storing == STORING_DONE) {
        counter_add(bridge->counters, COUNTER_UPSTREAM_STORED, 1);
        end_question(bridge, question);
    } else if (storing == STORING_STALE && is_worth_asking_again(bridge, question)) {
        counter_add(bridge->counters, COUNTER_UPSTREAM_STALE_DISCARDED, 1);
        send_question(bridge, question, bridge_server_of(bridge, named_span(&question->named)));
    } else {
        counter_add(bridge->counters,
                    storing == STORING_STALE ? COUNTER_UPSTREAM_STALE_DISCARDED : COUNTER_UPSTREAM_UNSTORED, 1);
        end_unstored(bridge, question);
    }
}

void bridge_take_fetched(struct bridge *bridge, struct job *job)
{
    struct question *question = job->owner;
    bool is_of_now = bridge->is_active && bridge->reads && bridge_is_here(bridge, question->named.hash);
    if (is_hit(job) && is_of_now) {
        counter_add(bridge->counters, COUNTER_UPSTREAM_HITS, 1);
        take_hit(bridge, question, job);
        return;
    }
    if (is_miss(job)) {
        counter_add(bridge->counters, COUNTER_UPSTREAM_MISSES, 1);
    } else if (!is_hit(job)) {
        count_failure(bridge, job);
    }
    end_unstored(bridge, question);
    job_free(&job);
}

void bridge_retry_stalled(struct bridge *bridge)
{
    if (ring_is_empty(&bridge->stalled)) return;
    uint64_t now_us = clock_monotonic_us();
    struct ring retried = bridge->stalled;
    retried.next->previous = retried.previous->next = &retried;
    ring_init(&bridge->stalled);
    while (!ring_is_empty(&retried)) {
        struct question *question = question_of_link(retried.next);
        struct job *job = question->answer;
        question->answer = NULL;
        ring_remove(&question->link);
        if (now_us < question->give_up_us) {
            take_hit(bridge, question, job);
            continue;
        }
        job_free(&job);
        counter_add(bridge->counters, COUNTER_UPSTREAM_UNSTORED, 1);
        end_unstored(bridge, question);
    }
}

/* The question itself stays: its answer may come yet, and is as good as any. */
static void give_up(struct bridge *bridge, struct question *question)
{
    counter_add(bridge->counters, COUNTER_UPSTREAM_TIMEOUTS, 1);
    if (question->is_removing) count_as_removed(bridge, named_span(&question->named), question->named.hash);
    release_waiters(bridge, question);
    ring_remove(&question->link);
}

void bridge_give_up_asks(struct bridge *bridge, uint64_t now_us)
{
    while (!ring_is_empty(&bridge->asked)) {
        struct question *question = question_of_link(bridge->asked.next);
        if (now_us < question->give_up_us) break;
        give_up(bridge, question);
    }
    while (now_us == UINT64_MAX && !ring_is_empty(&bridge->stalled)) end_unstored(bridge, question_of_link(bridge->stalled.next));
}
