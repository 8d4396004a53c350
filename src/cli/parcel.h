/* A handful of items that are asked for together, of either side: the requests in one packet, the answers in order. */
#ifndef DIGLOT_CLI_PARCEL_H
#define DIGLOT_CLI_PARCEL_H

#include "cli/channel.h"
#include "cli/spool.h"
#include "wire/client_reply.h"
#include "wire/client_request.h"

#define PARCEL_ITEMS 1024
/* What a parcel's values take at most, but for a single item that is larger. */
#define PARCEL_BYTES (8 * 1024 * 1024)
/* memcached's largest item. */
#define PARCEL_VALUE_MAX (1024u * 1024 * 1024)

/* Bytes of the shortest answer. */
#define PARCEL_ANSWER_LEAST 4

enum item_state {
    ITEM_WANTED,     /* to be asked for */
    ITEM_FOUND,
    ITEM_MISSING,
    ITEM_STALE,      /* invalidated, to be made anew by a client (meta's X) */
    ITEM_THERE,      /* the new side has it already */
    ITEM_COPIED,
    ITEM_UNNAMEABLE, /* no request can name its key */
    ITEM_FAILED,     /* an error was answered */
};

struct parcel_item {
    enum item_state state;
    uint32_t flags;
    int64_t ttl; /* seconds to live, -1: never expires */
    uint64_t value_size;
    struct listed_key key; /* last: see there */
};

struct parcel {
    struct parcel_item items[PARCEL_ITEMS];
    size_t count;
    uint64_t bytes; /* of its items, as the list of keys tells them */
};

static inline struct span parcel_item_key(const struct parcel_item *item)
{
    return span_of(item->key.name, item->key.size);
}

/* One side's connection for reading items. */
struct reader {
    struct channel *channel;
    enum client_dialect dialect;
};

/* Finds out what the server speaks. False: `error` of the channel tells. */
MUST_USE bool reader_init(struct reader *reader, struct channel *channel);

/* What comes of an item that was asked for; `value` holds until the visitor returns. `text` is the server's error with
 * ITEM_FAILED. */
typedef void parcel_visitor(void *context, struct parcel_item *item, struct span value, struct span text);

/* Queues requests for all items that are WANTED (items that cannot be named become UNNAMEABLE), and sends what can be sent
 * without waiting. */
MUST_USE bool parcel_ask(struct reader *reader, struct parcel *parcel);

/* Takes the answers: items that were WANTED become FOUND, MISSING, STALE or FAILED, and the visitor is told in their order. The clocks of
 * a classic server's items are those of the list of keys; `now`: unix seconds. */
MUST_USE bool parcel_collect(struct reader *reader, struct parcel *parcel, int64_t now, parcel_visitor *visitor, void *context);

/* Asks whether items that are WANTED are there, without their values, and makes those that are THERE. Meta. */
MUST_USE bool parcel_look(struct channel *channel, struct parcel *parcel);

/* The next reply. False: `error` of the channel tells. */
MUST_USE bool parcel_take_reply(struct channel *channel, struct client_reply *reply);

#endif
