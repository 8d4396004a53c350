#define _GNU_SOURCE 1 /* memmem */
#include "engine/audience.h"

#include "base/span.h"

/* A cluster's node propagates to others besides, when slots move; no number tells of all of them. */
static bool is_plain(int context_flags)
{
    return !(context_flags & (API_CONTEXT_AOF | API_CONTEXT_CLUSTER));
}

void audience_begin_turn(struct audience *audience, struct calm *calm, RedisModuleCtx *ctx, int context_flags)
{
    audience->ctx = ctx;
    audience->calm = calm;
    if (!calm_holds(calm, audience->since)) {
        audience->answer = AUDIENCE_UNKNOWN;
        audience->writes = AUDIENCE_ASKED_AFTER;
        audience->since = calm_mark_now(calm);
    }
    audience->state = is_plain(context_flags) ? audience->answer : AUDIENCE_ASSUMED;
}

void audience_end_turn(struct audience *audience)
{
    audience->ctx = NULL;
    audience->state = AUDIENCE_ASSUMED;
}

static bool has_line(struct span text, struct span line)
{
    return memmem(text.data, text.size, line.data, line.size) != NULL;
}

/* These are the very conditions under which the engine throws away what it is told to propagate. */
static bool tells_of_nobody(struct span text)
{
    return has_line(text, SPAN("\nconnected_slaves:0\r\n")) && has_line(text, SPAN("\nrepl_backlog_active:0\r\n"));
}

static enum audience_state ask(RedisModuleCtx *ctx)
{
    RedisModuleCallReply *reply = api.Call(ctx, "INFO", "c", "replication");
    if (!reply) return AUDIENCE_ASSUMED;
    size_t size = 0;
    const char *data = api.CallReplyStringPtr(reply, &size);
    bool is_absent = data && tells_of_nobody(span_of(data, size));
    api.FreeCallReply(reply);
    return is_absent ? AUDIENCE_ABSENT : AUDIENCE_ASSUMED;
}

void audience_ask(struct audience *audience)
{
    audience->since = calm_mark_now(audience->calm);
    audience->calm->is_asking = true;
    audience->state = audience->answer = ask(audience->ctx);
    audience->calm->is_asking = false;
}
