/* The usage report: who still speaks memcached, and what for. It answers whether the door may be closed. Kept only while
 * diglot.usage is on, in bounded memory (about a megabyte, from then on). Main thread only. */
#ifndef DIGLOT_OBSERVE_USAGE_H
#define DIGLOT_OBSERVE_USAGE_H

#include "base/buffer.h"
#include "observe/heavy_hitters.h"

#include <stdint.h>

/* How many keys of each side are remembered, to find those that both touch; a newer one takes an older one's place. */
#define USAGE_REMEMBERED (1u << 16)
/* Sizes of values are counted by powers of two: up to 64 bytes, … up to 1 MiB, more. */
#define USAGE_SIZES 16 /* 64 << 14 is 1 MiB */

enum usage_protocol { USAGE_CLASSIC, USAGE_META, USAGE_BINARY, USAGE_PROTOCOLS };

/* When an item is to expire, by what the client sent. */
enum usage_expiry {
    USAGE_EXPIRY_ORDINARY,
    USAGE_EXPIRY_UNIX_TIME, /* more than 30 days, so a unix time */
    USAGE_EXPIRY_MISTAKEN,  /* the same, and long past: meant as seconds, most likely */
};

/* A memcached request that has been executed. */
struct usage_request {
    const char *client; /* "tcp:10.0.0.7:4711" (net/address.h) */
    const char *command;
    enum usage_protocol protocol;
    struct span key;
    struct span name; /* the engine's key: with the prefix */
    bool has_item;    /* one that was stored or found: flags and size are its own */
    uint32_t flags;
    size_t size;
    enum usage_expiry expiry;
};

struct usage_tables; /* usage.c */

struct usage {
    struct usage_tables *tables; /* NULL: off, and nothing was counted */
    bool is_on;
};

/* A zeroed struct is off. */
void usage_deinit(struct usage *usage);

/* Switching on starts anew; what was counted stays when it is switched off. */
void usage_switch(struct usage *usage, bool is_on, int64_t now_ms);

/* Only while it is on. */
void usage_note_request(struct usage *usage, const struct usage_request *request, int64_t now_ms);
/* A RESP client has named a key. Only while it is on. */
void usage_note_resp(struct usage *usage, struct span name);

/* Appends pairs (observe/stats.h). */
void usage_render(const struct usage *usage, int64_t now_ms, struct buffer *output);

#endif
