/* A client's request, passed through whole: what it is to the old server, and what the answer is to the client. The first is
 * the upstream thread's, the second the main thread's. */
#ifndef DIGLOT_UPSTREAM_PASS_H
#define DIGLOT_UPSTREAM_PASS_H

#include "base/check.h"
#include "upstream/job.h"
#include "wire/client_request.h"

/* Copies what there is to say of the request into a job of kind JOB_PASS. */
void pass_take(struct job *job, const struct request *request);

/* Appends the request as the server knows it. False: it does not know it, and nothing was appended. */
MUST_USE bool pass_put(struct buffer *output, enum client_dialect dialect, const struct job *job);

/* Whether the request that a job was made of has found its key. */
bool pass_has_found(const struct job *job);

/* What has come of a job, as the result of the request that it was made of. Value bytes are appended to `values`. */
void pass_settle(const struct job *job, const struct request *request, struct result *result, struct buffer *values);

#endif
