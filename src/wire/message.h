/* The one message type: what any of memcached's protocols asks, and what comes of it.
 *
 * A request is made by a decoder, executed by command/, and its result is turned into bytes by the encoder of the same
 * protocol. Spans point into the connection's input buffer, which stays in place until the reply is encoded. */
#ifndef DIGLOT_WIRE_MESSAGE_H
#define DIGLOT_WIRE_MESSAGE_H

#include "base/span.h"

#include <stdint.h>

enum request_op {
    /* Answered by the session alone. */
    REQUEST_REPLY, /* answered with `text`, line end not included */
    REQUEST_QUIT,  /* closes the connection behind the replies before it */
    /* Executed on the keyspace. */
    REQUEST_GET,
    REQUEST_GAT, /* get and touch */
    REQUEST_SET,
    REQUEST_ADD,
    REQUEST_REPLACE,
    REQUEST_APPEND,
    REQUEST_PREPEND,
    REQUEST_CAS,
    REQUEST_INCR,
    REQUEST_DECR,
    REQUEST_DELETE,
    REQUEST_TOUCH,
    REQUEST_SET_TOO_LARGE, /* a set whose value was refused and swallowed: the old value goes */
    REQUEST_FLUSH_ALL,
    REQUEST_STATS, /* `text` is the group, empty for the general one */
    REQUEST_OPS
};

struct request {
    enum request_op op;
    bool quiet;       /* noreply: nothing is sent, whatever comes of it */
    bool want_cas;    /* gets, gats */
    bool ends_reply;  /* get, gat: the last key of its line, so END follows */
    uint32_t flags;   /* storage commands */
    int64_t exptime;  /* as the client sent it, see item/expiry.h; flush_all: the delay */
    uint64_t operand; /* incr, decr: the delta; cas: the token */
    struct span key;
    struct span value; /* storage commands */
    struct span text;
};

enum result_status {
    RESULT_PENDING, /* not executed yet */
    RESULT_OK,
    RESULT_HIT,    /* value, flags, cas */
    RESULT_NUMBER, /* number */
    RESULT_STORED,
    RESULT_NOT_STORED,
    RESULT_EXISTS,
    RESULT_NOT_FOUND,
    RESULT_NON_NUMERIC,
    RESULT_TOO_LARGE,
    RESULT_OUT_OF_MEMORY,
    RESULT_NOT_ALLOWED,
    RESULT_REFUSED, /* the engine's state forbids it; `text` says why */
    RESULT_STATS,   /* the value holds name NUL value NUL … */
};

struct result {
    enum result_status status;
    uint32_t flags;
    uint64_t number;     /* CAS token of a hit; result of incr and decr */
    size_t value_offset; /* into the batch's value bytes */
    size_t value_size;
    struct span text; /* static text */
};

/* A request that changes the keyspace (or may). */
bool request_writes(enum request_op op);

/* A request that the session answers by itself. */
static inline bool request_is_local(enum request_op op)
{
    return op <= REQUEST_QUIT;
}

#endif
