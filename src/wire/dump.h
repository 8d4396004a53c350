/* The lines of lru_crawler metadump and mgdump. Pure; any thread.
 * Source: memcached's doc/protocol.txt; the bytes are memcached 1.6.45's, whose metadump tells the flags, too. */
#ifndef DIGLOT_WIRE_DUMP_H
#define DIGLOT_WIRE_DUMP_H

#include "base/buffer.h"

#include <stdint.h>

/* What a dump begins with. */
#define DUMP_BEGIN SPAN("OK\r\n")
#define DUMP_END_META SPAN("END\r\n")
#define DUMP_END_MG SPAN("EN\r\n")

struct dump_item {
    struct span key;
    int64_t expiry;   /* unix seconds, -1: never */
    int64_t accessed; /* unix seconds of the last access, 0: not known */
    uint64_t token;
    bool was_fetched;
    size_t size; /* counted as memcached counts an item (wire/size.h) */
    uint32_t flags;
};

/* key=… exp=… la=… cas=… fetch=… cls=1 size=… flags=…: the engine sorts nothing into size classes, so all items are in
 * class 1. The parsers of these lines want every field, so what is not known tells 0. */
void dump_append_meta(const struct dump_item *item, struct buffer *output);

/* The request that a meta client fetches the item with: a key that no text line can hold is told in base64. */
void dump_append_mg(struct span key, struct buffer *output);

/* stats cachedump: ITEM key [size b; expiry s]. The expiry is in unix seconds, 0: never. Nothing for a key that no text line
 * can hold. */
#define DUMP_ITEM_MAX 320
void dump_append_item(struct span key, size_t size, int64_t expiry, struct buffer *output);

#endif
