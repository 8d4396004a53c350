/* What the old server's answer is to the client. */
#include "base/number.h"
#include "upstream/pass.h"

/* What an error is to the client, by its words; other errors are refusals. */
static const struct {
    struct span words;
    enum result_status status;
} errors[] = {
    {SPAN("CLIENT_ERROR cannot increment or decrement non-numeric value"), RESULT_NON_NUMERIC},
    {SPAN("SERVER_ERROR object too large for cache"), RESULT_TOO_LARGE},
    {SPAN("SERVER_ERROR out of memory"), RESULT_OUT_OF_MEMORY},
};

static bool is_read(const struct request *request)
{
    return request->op == REQUEST_GET || request->op == REQUEST_GAT || request->op == REQUEST_DEBUG;
}

static void refuse(struct result *result, struct span reason)
{
    result->status = RESULT_REFUSED;
    result->text = reason;
}

/* A read is a miss, whatever the reason; a write must not be taken for done. */
static void settle_failure(const struct job *job, const struct request *request, struct result *result)
{
    if (is_read(request)) {
        result->status = RESULT_NOT_FOUND;
        return;
    }
    if (job->outcome != JOB_REFUSED) {
        refuse(result, SPAN("the old memcached does not answer"));
        return;
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (!span_starts_with(job->reply.text, errors[i].words)) continue;
        result->status = errors[i].status;
        return;
    }
    refuse(result, SPAN("the old memcached refuses this"));
}

static void tell(const struct job *job, const struct request *request)
{
    static const struct {
        uint32_t field;
        uint32_t told;
    } tells[] = {
        {CLIENT_HAS_WON, TELL_WON},         {CLIENT_IS_STALE, TELL_STALE},         {CLIENT_WON_BEFORE, TELL_WON_BEFORE},
        {CLIENT_HAS_IDLE, TELL_IDLE},       {CLIENT_HAS_HISTORY, TELL_HISTORY},    {CLIENT_WAS_READ, TELL_HIT_BEFORE},
    };
    struct extras *extras = request->extras;
    if (!extras) return;
    const struct client_reply *reply = &job->reply;
    extras->told = 0;
    for (size_t i = 0; i < sizeof tells / sizeof *tells; i++)
        if (reply->fields & tells[i].field) extras->told |= tells[i].told;
    extras->idle_seconds = (int64_t)reply->idle_seconds;
    extras->remaining_seconds = reply->ttl;
    if (reply->fields & CLIENT_HAS_TOKEN)
        extras->token = reply->token;
    else
        extras->token = 0;
}

static bool wants_value(const struct request *request, const struct client_reply *reply)
{
    const struct extras *extras = request->extras;
    if (!extras) return true;
    bool knows_it = (extras->asks & ASK_COMPARE) && extras->compare == reply->token;
    return !(extras->asks & ASK_NO_VALUE) && !knows_it;
}

bool pass_has_found(const struct job *job)
{
    return job->outcome == JOB_DONE && (job->reply.kind == CLIENT_REPLY_VALUE || job->reply.kind == CLIENT_REPLY_DONE);
}

static void settle_read(const struct job *job, const struct request *request, struct result *result, struct buffer *values)
{
    const struct client_reply *reply = &job->reply;
    if (!pass_has_found(job)) {
        result->status = RESULT_NOT_FOUND;
        return;
    }
    result->status = RESULT_HIT;
    result->flags = reply->flags;
    if (request->extras) request->extras->size = reply->fields & CLIENT_HAS_SIZE ? reply->size : reply->value.size;
    if (request->want_cas && !request->extras) result->number = reply->token;
    if (reply->kind != CLIENT_REPLY_VALUE || !wants_value(request, reply)) return;
    result->value_offset = (uint32_t)buffer_size(values);
    result->value_size = (uint32_t)reply->value.size;
    buffer_append(values, reply->value);
}

/* meta's v, or classic's line; a number that became shorter may have blanks behind it. */
static void settle_count(const struct job *job, const struct request *request, struct result *result)
{
    const struct client_reply *reply = &job->reply;
    bool is_value = reply->kind == CLIENT_REPLY_VALUE && number_parse_u64(reply->value, &result->number);
    if (reply->kind == CLIENT_REPLY_NUMBER) result->number = reply->number;
    if (!is_value && reply->kind != CLIENT_REPLY_NUMBER) {
        refuse(result, SPAN("the old memcached gave no number"));
        return;
    }
    char text[NUMBER_TEXT_SIZE];
    result->status = RESULT_NUMBER;
    if (request->extras) request->extras->size = number_format_u64(text, result->number);
}

static void settle_done(const struct request *request, const struct client_reply *reply, struct result *result)
{
    bool stores = request->op >= REQUEST_SET && request->op <= REQUEST_CAS;
    result->status = stores ? RESULT_STORED : RESULT_OK;
    result->flags = reply->flags; /* touch tells them in binary */
    if (request->want_cas && !request->extras) result->number = reply->token;
}

/* append and prepend of a missing key, and replace, are NOT_STORED in every dialect but binary's, which knows by itself. */
static void settle_write(const struct job *job, const struct request *request, struct result *result)
{
    switch (job->reply.kind) {
    case CLIENT_REPLY_NOT_STORED: result->status = RESULT_NOT_STORED; return;
    case CLIENT_REPLY_EXISTS: result->status = RESULT_EXISTS; return;
    case CLIENT_REPLY_NOT_FOUND:
    case CLIENT_REPLY_MISS: result->status = RESULT_NOT_FOUND; return;
    case CLIENT_REPLY_VALUE:
    case CLIENT_REPLY_NUMBER: settle_count(job, request, result); return;
    case CLIENT_REPLY_DONE:
    case CLIENT_REPLY_STORED:
    case CLIENT_REPLY_DELETED:
    case CLIENT_REPLY_TOUCHED:
    case CLIENT_REPLY_OK: settle_done(request, &job->reply, result); return;
    default: refuse(result, SPAN("the old memcached gave no answer that is known")); return;
    }
}

void pass_settle(const struct job *job, const struct request *request, struct result *result, struct buffer *values)
{
    if (job->outcome != JOB_DONE) {
        tell(job, request);
        settle_failure(job, request, result);
        return;
    }
    if (is_read(request))
        settle_read(job, request, result, values);
    else
        settle_write(job, request, result);
    tell(job, request);
    if (request->op == REQUEST_SET_TOO_LARGE) result->status = RESULT_TOO_LARGE;
}
