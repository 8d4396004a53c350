/* What a memcached answers to the requests of client_request.h, classic and meta alike: their words differ, so one decoder
 * reads both. Pure, no allocation; any thread. */
#ifndef DIGLOT_WIRE_CLIENT_REPLY_H
#define DIGLOT_WIRE_CLIENT_REPLY_H

#include "base/span.h"

#include <stdint.h>

/* No line of a reply is longer; a version, a statistic, a meta line with a key in it. */
#define CLIENT_LINE_MAX 8192

enum client_decode_status {
    CLIENT_PARTIAL, /* more bytes are needed; nothing was consumed */
    CLIENT_REPLY,
    CLIENT_GARBAGE, /* this is no memcached, or it has gone mad: close the connection */
};

enum client_reply_kind {
    CLIENT_REPLY_VALUE,      /* VALUE …, VA …: with value */
    CLIENT_REPLY_END,        /* END: of classic's get and of dumps; behind no VALUE it is a miss */
    CLIENT_REPLY_DONE,       /* HD: stored, deleted, touched; mg without v: a hit */
    CLIENT_REPLY_MISS,       /* EN */
    CLIENT_REPLY_STORED,     /* STORED */
    CLIENT_REPLY_DELETED,    /* DELETED */
    CLIENT_REPLY_TOUCHED,    /* TOUCHED */
    CLIENT_REPLY_OK,         /* OK */
    CLIENT_REPLY_NOT_STORED, /* NOT_STORED, NS */
    CLIENT_REPLY_EXISTS,     /* EXISTS, EX */
    CLIENT_REPLY_NOT_FOUND,  /* NOT_FOUND, NF */
    CLIENT_REPLY_NOOP,       /* MN */
    CLIENT_REPLY_NUMBER,     /* a number: incr, decr */
    CLIENT_REPLY_VERSION,    /* `text` is the version */
    CLIENT_REPLY_STAT,       /* `text` is "name value" */
    CLIENT_REPLY_ERROR,      /* ERROR, CLIENT_ERROR …, SERVER_ERROR …: `text` is the line */
    CLIENT_REPLY_LINE,       /* any other line, as dumps have them: `text` */
};

/* Which of the fields a reply had. */
enum client_field {
    CLIENT_HAS_FLAGS = 1 << 0,
    CLIENT_HAS_TTL = 1 << 1,
    CLIENT_HAS_TOKEN = 1 << 2,
    CLIENT_HAS_SIZE = 1 << 3,
    CLIENT_HAS_KEY = 1 << 4,
    CLIENT_HAS_OPAQUE = 1 << 5,
    CLIENT_IS_BASE64 = 1 << 6, /* `key` is */
    CLIENT_HAS_WON = 1 << 7,   /* W: this client is to make the item anew */
    CLIENT_IS_STALE = 1 << 8,  /* X */
    CLIENT_HAS_IDLE = 1 << 9,
    CLIENT_WON_BEFORE = 1 << 10,  /* Z: another client is at it */
    CLIENT_HAS_HISTORY = 1 << 11, /* h: whether it was read before is told */
    CLIENT_WAS_READ = 1 << 12,
};

struct client_reply {
    enum client_reply_kind kind;
    uint32_t fields; /* of enum client_field */
    uint32_t flags;
    int64_t ttl;     /* seconds that the item has still to live; -1: it never expires */
    uint64_t token;
    uint64_t size;   /* s */
    uint64_t number; /* CLIENT_REPLY_NUMBER */
    uint64_t idle_seconds; /* l */
    struct span key;    /* as it stood in the reply; may be base64 */
    struct span opaque;
    struct span value;  /* into the input, as are all spans */
    struct span text;
    size_t consumed; /* bytes of the input that this reply took */
};

/* Decodes the first reply of `input`. A value above `value_most` bytes is garbage. */
enum client_decode_status client_reply_decode(struct span input, size_t value_most, struct client_reply *reply);

/* What is to come, when the answer was CLIENT_PARTIAL: the reply takes that many bytes in all, as far as can be told by now; 0: not
 * known yet. So that room is made once. */
size_t client_reply_size(struct span input, size_t value_most);

#endif
