#define _GNU_SOURCE 1 /* memmem */
#include "engine/audience.h"

#include "base/span.h"

/* A cluster's node propagates to others besides, when slots move; no number tells of all of them. */
void audience_begin_turn(struct audience *audience, RedisModuleCtx *ctx, int context_flags)
{
    bool is_plain = !(context_flags & (API_CONTEXT_AOF | API_CONTEXT_CLUSTER));
    *audience = (struct audience){ctx, is_plain ? AUDIENCE_UNKNOWN : AUDIENCE_ASSUMED, AUDIENCE_ASKED_AFTER};
}

void audience_end_turn(struct audience *audience)
{
    *audience = (struct audience){0};
}

static bool has_line(struct span text, struct span line)
{
    return memmem(text.data, text.size, line.data, line.size) != NULL;
}

/* These are the very conditions under which the engine throws away what it is told to propagate. */
void audience_ask(struct audience *audience)
{
    audience->state = AUDIENCE_ASSUMED;
    RedisModuleCallReply *reply = api.Call(audience->ctx, "INFO", "c", "replication");
    if (!reply) return;
    size_t size = 0;
    const char *data = api.CallReplyStringPtr(reply, &size);
    struct span text = span_of(data, data ? size : 0);
    if (text.size > 0 && has_line(text, SPAN("\nconnected_slaves:0\r\n")) && has_line(text, SPAN("\nrepl_backlog_active:0\r\n")))
        audience->state = AUDIENCE_ABSENT;
    api.FreeCallReply(reply);
}
