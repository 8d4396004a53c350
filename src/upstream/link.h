/* The connection to one old server: made when it is needed, kept, and made anew when it breaks. Jobs go out in the order of
 * their coming, many at a time, and their answers come in that order. The upstream thread's alone.
 *
 * A job is given back by `finish` exactly once, with its outcome. Where a server does not answer in time the connection is
 * closed, since nobody could tell its late answers from those to come; after some such failures the breaker opens, and jobs
 * come back at once until a probe has succeeded. Copies, which nobody waits for, have time as long as the server answers at all. */
#ifndef DIGLOT_UPSTREAM_LINK_H
#define DIGLOT_UPSTREAM_LINK_H

#include "net/event.h"
#include "upstream/breaker.h"
#include "upstream/job.h"
#include "upstream/roster.h"
#include "wire/client_request.h"

struct ssl_st;

enum link_state {
    LINK_CLOSED,
    LINK_CONNECTING,
    LINK_SHAKING_HANDS, /* TLS */
    LINK_GREETING,      /* asks which commands the server has */
    LINK_READY,
};

/* A copy is not late before the server has been silent for so long. */
#define LINK_COPY_GRACE_US 2000000u

/* Jobs in their order. */
struct job_queue {
    struct job *first;
    struct job *last;
};

struct link_owner {
    void (*finish)(struct link_owner *owner, struct job *job);
    int epoll;
};

struct link {
    struct event_source source;
    struct link_owner *owner;
    const struct fleet_server *target;
    struct server_status *status;
    struct ssl_ctx_st *tls_context; /* NULL: in the clear */
    enum link_state state;
    enum client_dialect dialect;
    unsigned greetings; /* replies of the greeting that are still to come */
    int descriptor;
    unsigned address; /* which of those that the server's name has */
    struct ssl_st *tls;
    struct breaker breaker;
    uint64_t deadline_us;      /* of making the connection */
    uint64_t heard_us;         /* when the server has answered last */
    struct job_queue waiting;  /* not sent yet */
    struct job_queue flying;   /* sent, not answered */
    struct buffer input;
    struct buffer output;
};

/* The roster that the two come from must outlive the link. */
void link_init(struct link *link, struct link_owner *owner, const struct fleet_server *target, struct server_status *status,
               struct ssl_ctx_st *tls_context);
/* Gives all its jobs back as unreachable. */
void link_deinit(struct link *link);

/* Takes a job over. It goes out with link_flush. */
void link_submit(struct link *link, struct job *job);

/* Sends what waits, as far as the connection takes it. */
void link_flush(struct link *link, uint64_t now_us);

/* Does what is due: gives up what is late, probes. */
void link_check_time(struct link *link, uint64_t now_us);

/* When link_check_time has something to do at the earliest; UINT64_MAX: nothing. */
uint64_t link_next_due(const struct link *link);

#endif
