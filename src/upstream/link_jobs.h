/* What a job is on the wire: the request's bytes, and the reply that answers it. The upstream thread's alone. */
#ifndef DIGLOT_UPSTREAM_LINK_JOBS_H
#define DIGLOT_UPSTREAM_LINK_JOBS_H

#include "base/check.h"
#include "upstream/job.h"
#include "wire/client_request.h"

/* Appends the job's request. False: it cannot be said in this dialect, and nothing was appended. */
MUST_USE bool link_put_job(struct buffer *output, enum client_dialect dialect, struct job *job);

/* Gives the job a reply. True when that was its last: its outcome is set. */
MUST_USE bool link_take_reply(struct job *job, const struct client_reply *reply);

#endif
