/* A job: what the main thread has done at an old server. It travels to the upstream thread by mail, and comes back with what has
 * come of it; whoever holds it owns it. */
#ifndef DIGLOT_UPSTREAM_JOB_H
#define DIGLOT_UPSTREAM_JOB_H

#include "base/buffer.h"
#include "base/mailbox.h"
#include "wire/client_reply.h"
#include "wire/message.h"

enum job_kind {
    JOB_CONFIGURE, /* another roster; no server is asked */
    JOB_FETCH,     /* what is there of the key: value, flags, expiry */
    JOB_STORE,     /* the key is to be this */
    JOB_REMOVE,    /* the key is to be absent */
    JOB_FLUSH,     /* all keys are to be absent */
    JOB_PASS,      /* a client's request, whole */
};

enum job_outcome {
    JOB_DONE,        /* it has been answered: `reply` */
    JOB_REFUSED,     /* the server has answered with an error, which is reply.text, or the key cannot be named to it */
    JOB_LATE,        /* no answer in time; what was asked may have happened, or may happen yet */
    JOB_UNREACHABLE, /* the same where the connection broke, or there was none */
};

struct roster;

struct job {
    struct mail mail; /* first: a job travels by mail */
    struct job *next; /* in the queues of a connection */
    enum job_kind kind;
    enum job_outcome outcome;
    uint32_t server;      /* index into the roster */
    uint64_t deadline_us; /* monotonic */
    bool is_classic;      /* it was asked in the classic dialect: then of a fetched item the expiry is not known */
    bool has_value;       /* of a classic get, VALUE has come and END has not */
    uint32_t flags;       /* JOB_STORE */
    int64_t exptime;      /* JOB_STORE: as a client sends it */
    struct request request;     /* JOB_PASS: without spans into anybody's buffer */
    struct extras extras;       /* JOB_PASS: of the request, if it has any */
    struct client_reply reply;  /* its spans point into `bytes`, and `key` and `opaque` are not kept */
    struct roster *roster;      /* JOB_CONFIGURE */
    void *owner;                /* the main thread's */
    size_t key_size;
    char key[ITEM_KEY_MAX];
    struct buffer bytes; /* there: the value that is sent; back: the value or the text of the reply */
};

struct job *job_new(enum job_kind kind, uint32_t server, struct span key);
void job_free(struct job **job);

static inline struct span job_key(const struct job *job)
{
    return span_of(job->key, job->key_size);
}

/* Keeps a copy of the reply. */
void job_take_reply(struct job *job, const struct client_reply *reply);

#endif
