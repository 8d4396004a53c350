#include "upstream/job.h"

#include <stdlib.h>

struct job *job_new(enum job_kind kind, uint32_t server, struct span key)
{
    struct job *job = check_calloc(1, sizeof *job);
    CHECK(key.size <= sizeof job->key);
    job->kind = kind;
    job->server = server;
    job->key_size = key.size;
    if (key.size > 0) memcpy(job->key, key.data, key.size);
    buffer_init(&job->bytes);
    return job;
}

void job_free(struct job **job)
{
    if (!*job) return;
    buffer_deinit(&(*job)->bytes);
    free(*job);
    *job = NULL;
}

void job_take_reply(struct job *job, const struct client_reply *reply)
{
    job->reply = *reply;
    bool has_value = reply->kind == CLIENT_REPLY_VALUE;
    buffer_reset(&job->bytes, 0);
    buffer_append(&job->bytes, has_value ? reply->value : reply->text);
    struct span kept = buffer_content(&job->bytes);
    job->reply.value = has_value ? kept : SPAN("");
    job->reply.text = has_value ? SPAN("") : kept;
    job->reply.key = job->reply.opaque = SPAN("");
}
