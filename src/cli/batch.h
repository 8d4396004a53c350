/* A handful of items that are asked for together, of either side: the requests in one packet, the answers in order. */
#ifndef DIGLOT_CLI_BATCH_H
#define DIGLOT_CLI_BATCH_H

#include "cli/link.h"
#include "cli/spool.h"
#include "wire/client_reply.h"
#include "wire/client_request.h"

#define BATCH_ITEMS 1024
/* What a batch's values take at most, but for a single item that is larger. */
#define BATCH_BYTES (8 * 1024 * 1024)
/* memcached's largest item. */
#define BATCH_VALUE_MAX (1024u * 1024 * 1024)

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

struct batch_item {
    struct listed_key key;
    enum item_state state;
    uint32_t flags;
    int64_t ttl; /* seconds to live, -1: never expires */
};

struct batch {
    struct batch_item items[BATCH_ITEMS];
    size_t count;
    uint64_t bytes; /* of its items, as the list of keys tells them */
};

static inline struct span batch_item_key(const struct batch_item *item)
{
    return span_of(item->key.name, item->key.size);
}

/* One side's connection for reading items. */
struct reader {
    struct link *link;
    enum client_dialect dialect;
};

/* Finds out what the server speaks. False: `error` of the link tells. */
MUST_USE bool reader_init(struct reader *reader, struct link *link);

/* What comes of an item that was asked for; `value` holds until the visitor returns. `text` is the server's error with
 * ITEM_FAILED. */
typedef void batch_visitor(void *context, struct batch_item *item, struct span value, struct span text);

/* Queues requests for all items that are WANTED (items that cannot be named become UNNAMEABLE), and sends what can be sent
 * without waiting. */
MUST_USE bool batch_ask(struct reader *reader, struct batch *batch);

/* Takes the answers: items that were WANTED become FOUND, MISSING, STALE or FAILED, and the visitor is told in their order. The clocks of
 * a classic server's items are those of the list of keys; `now`: unix seconds. */
MUST_USE bool batch_collect(struct reader *reader, struct batch *batch, int64_t now, batch_visitor *visitor, void *context);

/* Asks whether items that are WANTED are there, without their values, and makes those that are THERE. Meta. */
MUST_USE bool batch_look(struct link *link, struct batch *batch);

/* The next reply. False: `error` of the link tells. */
MUST_USE bool batch_take_reply(struct link *link, struct client_reply *reply);

#endif
