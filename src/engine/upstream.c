#include "engine/upstream.h"

#include <errno.h>
#include <string.h>

static struct engine_upstream *of(struct bridge_host *host)
{
    return (struct engine_upstream *)host; /* its first member */
}

static void send_job(struct bridge_host *host, struct job *job)
{
    courier_send(of(host)->courier, job);
}

static bool may_ask(struct bridge_host *host, struct identity *identity, const struct request *request)
{
    return identity->grant.is_open || access_may(of(host)->access, identity, request);
}

/* What comes is stored as if a client had set it. */
static enum bridge_leave may_store(struct bridge_host *host)
{
    static const struct request set = {.op = REQUEST_SET};
    struct result result = {0};
    switch (gate_check(of(host)->gate, &set, &result)) {
    case GATE_OPEN: return BRIDGE_MAY;
    case GATE_WAIT: return BRIDGE_WAITS;
    case GATE_REFUSE: break;
    }
    return BRIDGE_MAY_NOT;
}

static bool configure(struct bridge_host *host, struct roster *roster)
{
    struct engine_upstream *upstream = of(host);
    if (!upstream->courier) upstream->courier = courier_start(&upstream->answers);
    if (!upstream->courier) {
        api.Log(NULL, "warning", "cannot speak with the old memcached servers: %s", strerror(errno));
        return false;
    }
    courier_configure(upstream->courier, roster);
    return true;
}

const char *engine_upstream_refusal(const struct options *options, bool is_in_cluster, char error[BRIDGE_ERROR_SIZE])
{
    if (is_in_cluster && bridge_is_wanted(options))
        return "diglot.upstream does not work on the nodes of a cluster: migrate to one server, and make a cluster of it then";
    return bridge_refusal(options, error);
}

bool engine_upstream_init(struct engine_upstream *upstream, struct command_context *command, struct gate *gate,
                          struct access *access)
{
    *upstream = (struct engine_upstream){
        .host = {.send = send_job, .may_ask = may_ask, .may_store = may_store, .configure = configure},
        .gate = gate,
        .access = access,
    };
    if (!mailbox_init(&upstream->answers, true)) return false;
    bridge_init(&upstream->bridge, &upstream->host, command, command->options, command->counters);
    return true;
}

void engine_upstream_stop(struct engine_upstream *upstream)
{
    courier_stop(&upstream->courier);
}

void engine_upstream_deinit(struct engine_upstream *upstream)
{
    engine_upstream_stop(upstream);
    for (struct mail *mail = mailbox_poll(&upstream->answers); mail;) {
        struct job *job = CONTAINER_OF(mail, struct job, mail);
        mail = mail->next;
        if (job->kind == JOB_FLUSH) roster_release((struct roster **)&job->owner);
        job_free(&job);
    }
    bridge_deinit(&upstream->bridge);
    if (upstream->bridge.host) mailbox_deinit(&upstream->answers);
}

void engine_upstream_collect(struct engine_upstream *upstream)
{
    for (struct mail *mail = mailbox_poll(&upstream->answers); mail;) {
        struct job *job = CONTAINER_OF(mail, struct job, mail);
        mail = mail->next;
        bridge_take_job(&upstream->bridge, job);
    }
}
