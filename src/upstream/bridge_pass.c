/* Passing through: requests on keys that live in the old fleet still. */
#include "base/clock.h"
#include "command/carry.h"
#include "upstream/bridge_parts.h"

#include <stdlib.h>

static struct passage *passage_of_link(struct ring *link)
{
    return CONTAINER_OF(link, struct passage, link);
}

void bridge_free_passage(struct passage *passage)
{
    ring_remove(&passage->link);
    job_free(&passage->job);
    free(passage);
}

void bridge_free_passages(struct bridge *bridge)
{
    for (struct ring *link = bridge->passages.next, *next; link != &bridge->passages; link = next) {
        next = link->next;
        bridge_free_passage(passage_of_link(link));
    }
}

static void count_read(struct bridge *bridge, const struct request *request, const struct job *job)
{
    if (request->op != REQUEST_GET && request->op != REQUEST_GAT) return;
    counter_add(bridge->counters, pass_has_found(job) ? COUNTER_UPSTREAM_PASSED_HITS : COUNTER_UPSTREAM_PASSED_MISSES, 1);
}

/* The answer, or a job that says that there is none, is the message's result when its turn comes; NULL: it is prepared anew. */
static void arrive(struct bridge *bridge, struct passage *passage, struct job *job)
{
    struct errand *errand = passage->errand;
    passage->errand = NULL;
    if (job) count_read(bridge, &errand->batch->messages[passage->index].request, job);
    errand->answers[passage->index] = job;
    errand_arrive(bridge, errand);
}

static struct job *unanswered(void)
{
    struct job *job = job_new(JOB_PASS, 0, SPAN(""));
    job->outcome = JOB_LATE;
    return job;
}

/* What is changed in the old fleet has no copy here any more; a copy that is left is as good as the original. */
static void drop_copy(struct bridge *bridge, const struct job *job)
{
    if (!request_writes(job->request.op) || !bridge->may_write) return;
    bridge->is_quiet = true;
    carry_away(bridge->command, command_full_key(bridge->command, job_key(job)));
    bridge->is_quiet = false;
}

static bool has_come_here(const struct bridge *bridge, const struct job *job)
{
    return bridge_is_here(bridge, hash_key(command_full_key(bridge->command, job_key(job))));
}

/* Whoever has waited for it in vain would have it executed when he believes that it was not: then it is not sent. Nor is it when
 * its key lives here meanwhile: without an answer, the message is prepared anew. */
void bridge_send_passage(struct bridge *bridge, struct passage *passage)
{
    struct job *job = passage->job;
    passage->job = NULL;
    if (!passage->errand || !bridge->roster || has_come_here(bridge, job)) {
        if (passage->errand) arrive(bridge, passage, bridge->roster ? NULL : unanswered());
        job_free(&job);
        bridge_free_passage(passage);
        return;
    }
    drop_copy(bridge, job);
    job->deadline_us = bridge_deadline(bridge, clock_monotonic_us());
    bridge->host->send(bridge->host, job);
}

void bridge_pass(struct bridge *bridge, struct batch *batch, uint32_t index, struct span name, uint64_t hash)
{
    const struct request *request = &batch->messages[index].request;
    struct passage *passage = check_calloc(1, sizeof *passage);
    struct job *job = job_new(JOB_PASS, (uint32_t)bridge_server_of(bridge, name), bridge_key_of(bridge, name));
    pass_take(job, request);
    job->owner = passage;
    passage->errand = errand_of(batch);
    passage->errand->waits++;
    passage->index = index;
    passage->job = job;
    passage->give_up_us = bridge_deadline(bridge, clock_monotonic_us()) + GIVE_UP_US;
    ring_init(&passage->link);
    ring_append(&bridge->passages, &passage->link);
    counter_add(bridge->counters, COUNTER_UPSTREAM_PASSED, 1);
    if (bridge_wait_for_echo(bridge, name, hash, passage)) return;
    bridge_send_passage(bridge, passage);
}

void bridge_take_passed(struct bridge *bridge, struct job *job)
{
    struct passage *passage = job->owner;
    if (job->outcome == JOB_LATE) counter_add(bridge->counters, COUNTER_UPSTREAM_TIMEOUTS, 1);
    if (job->outcome == JOB_UNREACHABLE) counter_add(bridge->counters, COUNTER_UPSTREAM_ERRORS, 1);
    if (passage->errand)
        arrive(bridge, passage, job);
    else
        job_free(&job);
    bridge_free_passage(passage);
}

void bridge_give_up_passages(struct bridge *bridge, uint64_t now_us)
{
    while (!ring_is_empty(&bridge->passages)) {
        struct passage *passage = passage_of_link(bridge->passages.next);
        if (now_us < passage->give_up_us) return;
        counter_add(bridge->counters, COUNTER_UPSTREAM_TIMEOUTS, 1);
        ring_remove(&passage->link);
        arrive(bridge, passage, unanswered());
    }
}
