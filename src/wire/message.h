/* The one message type: what any of memcached's protocols asks, and what comes of it.
 *
 * A request is made by a decoder, executed by command/, and its result is turned into bytes by the encoder of the same
 * protocol. Spans point into the connection's input buffer (or the request's extras), which stays in place until the reply
 * is encoded. Request and result together fill two cache lines: what only meta and binary know is in the extras. */
#ifndef DIGLOT_WIRE_MESSAGE_H
#define DIGLOT_WIRE_MESSAGE_H

#include "base/check.h"
#include "base/span.h"

#include <stdint.h>

/* Longest key of an item, in bytes, in every protocol. */
#define ITEM_KEY_MAX 250

enum request_op {
    /* Answered by the session alone. */
    REQUEST_REPLY, /* answered with `text`, line end not included; binary: the body, and `flags` is the status */
    REQUEST_QUIT,  /* closes the connection behind the replies before it */
    /* Executed on the keyspace. */
    REQUEST_GET,
    REQUEST_GAT, /* get and touch; a meta get that may change the item in any way */
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
    REQUEST_DEBUG,         /* meta: what is known of an item (me) */
    REQUEST_FLUSH_ALL,
    /* Executed on the server. */
    REQUEST_STATS,     /* `text` is the group, empty for the general one, and what it is asked */
    REQUEST_AUTH,      /* `key` is the user, `value` the password */
    REQUEST_METADUMP,  /* lru_crawler metadump: all items, in parts (RESULT_PART) */
    REQUEST_MGDUMP,    /* the same as mg lines */
    REQUEST_WATCH,     /* `text` names the streams; result.number has them as bits of enum watch_stream (observe/watch.h) */
    REQUEST_REFRESH_CERTS, /* read the files of the TLS door anew */
    REQUEST_SHUTDOWN,  /* `text`: empty or "graceful", which are the same here */
    REQUEST_OPS
};

/* What a request with extras asks beyond its operation. Meta's letter or binary's field behind each. */
enum ask {
    ASK_COMPARE = 1 << 0,    /* C, header CAS: only if the token is `compare`; a read that finds it tells no value. An add
                              * stores only what is missing, whatever the token: binary's Add with a CAS is a SET */
    ASK_TOKEN = 1 << 1,      /* E: the item's new token is `token` */
    ASK_TOUCH = 1 << 2,      /* T: the item's new expiry is request.exptime (storage commands have one anyway) */
    ASK_VIVIFY = 1 << 3,     /* N, initial value: what is missing is made, with `vivify_exptime` */
    ASK_RECACHE = 1 << 4,    /* R: the client wins the refresh of an item that has less than `recache_seconds` to live */
    ASK_INVALIDATE = 1 << 5, /* I: mark stale instead of delete; store although `compare` is older, as stale */
    ASK_NO_BUMP = 1 << 6,    /* u: the read does not count for the engine's LRU or LFU */
    ASK_CLEAR = 1 << 7,      /* x: the value goes, the flags are the request's, the item stays */
    ASK_NO_VALUE = 1 << 8,   /* the value itself is not wanted (its size always is told) */
    ASK_HISTORY = 1 << 9,    /* h, l: whether the item was read before, and when */
    ASK_META = 1 << 14,      /* every meta request: a read tells and takes the marks, and what is counted is as meta's */
    ASK_TTL = 1 << 15,       /* t: how long the item has left to live; a read need not tell it else */
    /* The order of meta's flags, where it shows: an earlier one does not see what a later one changes. */
    ASK_TTL_BEFORE_TOUCH = 1 << 10,     /* t stands before T */
    ASK_TTL_BEFORE_VIVIFY = 1 << 11,    /* t stands before N */
    ASK_RECACHE_BEFORE_TOUCH = 1 << 12, /* R stands before T */
    ASK_TOUCH_BEFORE_VIVIFY = 1 << 13,  /* T stands before N: what is vivified has N's expiry, else T's */
};

/* What the answer tells beyond the result. */
enum tell {
    TELL_WON = 1 << 0,        /* W: this client is to refresh the item */
    TELL_STALE = 1 << 1,      /* X */
    TELL_WON_BEFORE = 1 << 2, /* Z: another client is at it */
    TELL_HIT_BEFORE = 1 << 3, /* h1; with TELL_HISTORY only */
    TELL_HISTORY = 1 << 4,    /* whether it was read before is known */
    TELL_IDLE = 1 << 5,       /* `idle_seconds` is known */
};

/* Longest sentence of a refusal that is made for its request. */
#define REFUSAL_SIZE 80

struct extras {
    uint32_t asks; /* of enum ask; set by the decoder */
    uint32_t told; /* of enum tell; this and what follows `initial` is set by the executor */
    uint64_t compare;
    uint64_t token; /* asked for: ASK_TOKEN; told: the item's afterwards, 0 where there is none to tell */
    uint64_t initial; /* the number that incr and decr vivify with */
    int64_t vivify_exptime;
    int64_t recache_seconds;
    int64_t remaining_seconds; /* until the item expires, rounded up; -1: never */
    int64_t idle_seconds;      /* since the item was last read or written */
    uint64_t size;             /* of the value, in bytes */
    char key[ITEM_KEY_MAX];    /* a key that does not stand in the input as it is (base64) */
    char refusal[REFUSAL_SIZE]; /* room for the executor, for classic requests too */
};

struct request {
    enum request_op op;
    bool quiet;      /* nothing is sent where the protocol's quiet form sends nothing; classic: whatever comes of it */
    bool want_cas;   /* gets, gats: result.number is to be the item's token afterwards (with extras: always in those) */
    bool ends_reply; /* classic get, gat: the last key of its line, so END follows */
    uint8_t opcode;  /* binary: of the header that is answered */
    uint32_t flags;  /* storage commands; delete with ASK_CLEAR */
    uint32_t opaque; /* binary: as the bytes came */
    int64_t exptime; /* as the client sent it, see item/expiry.h; flush_all: the delay */
    uint64_t operand; /* incr, decr: the delta; cas: the token; dumps: the cursor */
    struct span key;
    struct span value; /* storage commands */
    struct span text;  /* meta: the flags of the line, as they stood; the answer's are told in their order */
    struct extras *extras; /* NULL: a classic request */
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
    RESULT_DENIED,  /* the user may not; `text` says what */
    RESULT_UNAUTHENTICATED, /* nobody may before logging in */
    RESULT_STATS,   /* the value holds name NUL value NUL … */
    RESULT_PART,    /* the value is a part of the reply as it is to be sent; the request goes on from `number` as its operand,
                     * or, where that is 0, is done */
    RESULT_NEEDS_WRITE, /* a read that has to change the item: to be executed again as a write. Never encoded */
    RESULT_STATUSES
};

struct result {
    enum result_status status;
    uint32_t flags;
    uint64_t number;       /* CAS token (want_cas, no extras); result of incr and decr */
    uint32_t value_offset; /* into the batch's value bytes */
    uint32_t value_size;
    struct span text; /* static, or in the message's extras */
};

/* The result's value among those of its batch. */
static inline struct span result_value(const struct result *result, struct span values)
{
    if (result->value_size == 0) return SPAN("");
    CHECK(result->value_offset <= values.size && result->value_size <= values.size - result->value_offset);
    return span_of(values.data + result->value_offset, result->value_size);
}

/* A request that changes the keyspace (or may). */
bool request_writes(enum request_op op);

/* A request that the session answers by itself. */
static inline bool request_is_local(enum request_op op)
{
    return op <= REQUEST_QUIT;
}

/* A request that is about one key. */
static inline bool request_is_keyed(enum request_op op)
{
    return op >= REQUEST_GET && op <= REQUEST_DEBUG;
}

/* A dump of items: answered in parts, in the background. */
static inline bool request_dumps(enum request_op op)
{
    return op == REQUEST_METADUMP || op == REQUEST_MGDUMP;
}

/* A request that is not about items. */
static inline bool request_is_on_server(enum request_op op)
{
    return op >= REQUEST_STATS;
}

#endif
