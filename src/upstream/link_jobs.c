#include "upstream/link_jobs.h"

#include "upstream/pass.h"

static void put_fetch(struct buffer *output, enum client_dialect dialect, struct job *job)
{
    if (dialect == CLIENT_META)
        client_put_mg(output, job_key(job), SPAN("v f t"));
    else
        client_put_get(output, job_key(job));
}

static void put_store(struct buffer *output, enum client_dialect dialect, struct job *job)
{
    struct span value = buffer_content(&job->bytes);
    if (dialect == CLIENT_META)
        client_put_ms(output, job_key(job), job->flags, job->exptime, SPAN(""), value);
    else
        client_put_store(output, SPAN("set"), job_key(job), job->flags, job->exptime, value);
}

static void put_remove(struct buffer *output, enum client_dialect dialect, struct job *job)
{
    if (dialect == CLIENT_META)
        client_put_md(output, job_key(job), SPAN(""));
    else
        client_put_delete(output, job_key(job));
}

bool link_put_job(struct buffer *output, enum client_dialect dialect, struct job *job)
{
    job->is_classic = dialect == CLIENT_CLASSIC;
    if (job->kind == JOB_FLUSH) {
        buffer_append(output, SPAN("flush_all\r\n"));
        return true;
    }
    if (!client_can_name(dialect, job_key(job))) return false;
    switch (job->kind) {
    case JOB_FETCH: put_fetch(output, dialect, job); return true;
    case JOB_STORE: put_store(output, dialect, job); return true;
    case JOB_REMOVE: put_remove(output, dialect, job); return true;
    case JOB_PASS: return pass_put(output, dialect, job);
    case JOB_CONFIGURE:
    case JOB_FLUSH: break;
    }
    return false;
}

bool link_take_reply(struct job *job, const struct client_reply *reply)
{
    if (job->has_value) { /* what follows the VALUE of a classic get */
        job->outcome = reply->kind == CLIENT_REPLY_END ? JOB_DONE : JOB_REFUSED;
        return true;
    }
    job_take_reply(job, reply);
    job->outcome = reply->kind == CLIENT_REPLY_ERROR || reply->kind == CLIENT_REPLY_LINE ? JOB_REFUSED : JOB_DONE;
    if (job->kind == JOB_PASS && reply->kind == CLIENT_REPLY_LINE) job->outcome = JOB_DONE;
    job->has_value = job->is_classic && reply->kind == CLIENT_REPLY_VALUE;
    return !job->has_value;
}
