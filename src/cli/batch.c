#include "cli/batch.h"

#include <stdio.h>

static bool fail(struct link *link, const char *what)
{
    (void)snprintf(link->error, sizeof link->error, "%s: %s", link->peer, what);
    return false;
}

/* The bytes stay in place until the next fill. */
bool batch_take_reply(struct link *link, struct client_reply *reply)
{
    for (;;) {
        struct span input = buffer_content(&link->input);
        switch (client_reply_decode(input, BATCH_VALUE_MAX, reply)) {
        case CLIENT_REPLY:
            buffer_consume(&link->input, reply->consumed);
            return true;
        case CLIENT_GARBAGE:
            return fail(link, "answers what no memcached does");
        case CLIENT_PARTIAL: {
            size_t size = client_reply_size(input, BATCH_VALUE_MAX);
            if (size > input.size) {
                buffer_reserve(&link->input, size - input.size);
            }
            if (!link_fill(link)) {
                return false;
            }
        }
        }
    }
}

bool reader_init(struct reader *reader, struct link *link)
{
    struct client_reply reply;
    *reader = (struct reader){link, CLIENT_CLASSIC};
    client_put_mn(&link->output);
    if (!batch_take_reply(link, &reply)) {
        return false;
    }
    if (reply.kind == CLIENT_REPLY_NOOP) {
        reader->dialect = CLIENT_META;
    } else if (reply.kind != CLIENT_REPLY_ERROR) {
        return fail(link, "answers what no memcached does");
    }
    return true;
}

/* u: the look is no use of the item, so it keeps its place in the LRU. */
static void put_request(struct reader *reader, struct span key)
{
    if (reader->dialect == CLIENT_META) {
        client_put_mg(&reader->link->output, key, SPAN("v f t u"));
    } else {
        client_put_get(&reader->link->output, key);
    }
}

bool batch_ask(struct reader *reader, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (item->state != ITEM_WANTED) {
            continue;
        }
        if (client_can_name(reader->dialect, batch_item_key(item))) {
            put_request(reader, batch_item_key(item));
        } else {
            item->state = ITEM_UNNAMEABLE;
        }
    }
    return link_push(reader->link);
}

static void take_hit(struct batch_item *item, const struct client_reply *reply, int64_t now)
{
    item->state = reply->fields & CLIENT_IS_STALE ? ITEM_STALE : ITEM_FOUND;
    item->flags = reply->flags;
    item->ttl = reply->ttl;
    if (!(reply->fields & CLIENT_HAS_TTL)) {
        item->ttl = item->key.expiry < 0 ? -1 : item->key.expiry > now ? item->key.expiry - now : 0;
    }
}

/* Takes all that answers one request: classic's VALUE has an END behind it. */
static bool collect_one(struct reader *reader, struct batch_item *item, int64_t now, batch_visitor *visitor, void *context)
{
    struct client_reply reply;
    if (!batch_take_reply(reader->link, &reply)) {
        return false;
    }
    switch (reply.kind) {
    case CLIENT_REPLY_VALUE: take_hit(item, &reply, now); break;
    case CLIENT_REPLY_MISS:
    case CLIENT_REPLY_END: item->state = ITEM_MISSING; break;
    case CLIENT_REPLY_ERROR: item->state = ITEM_FAILED; break;
    default: return fail(reader->link, "answers what no memcached does");
    }
    visitor(context, item, reply.kind == CLIENT_REPLY_VALUE ? reply.value : SPAN(""), reply.text);
    if (reply.kind != CLIENT_REPLY_VALUE || reader->dialect == CLIENT_META) {
        return true;
    }
    return batch_take_reply(reader->link, &reply) &&
           (reply.kind == CLIENT_REPLY_END || fail(reader->link, "answers what no memcached does"));
}

bool batch_collect(struct reader *reader, struct batch *batch, int64_t now, batch_visitor *visitor, void *context)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (item->state == ITEM_WANTED && !collect_one(reader, item, now, visitor, context)) {
            return false;
        }
    }
    return true;
}

bool batch_look(struct link *link, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (item->state == ITEM_WANTED && !client_can_name(CLIENT_META, batch_item_key(item))) {
            item->state = ITEM_UNNAMEABLE;
        }
        if (item->state == ITEM_WANTED) {
            client_put_mg(&link->output, batch_item_key(item), SPAN("u"));
        }
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        struct client_reply reply;
        if (item->state != ITEM_WANTED) {
            continue;
        }
        if (!batch_take_reply(link, &reply)) {
            return false;
        }
        if (reply.kind == CLIENT_REPLY_DONE) {
            item->state = ITEM_THERE;
        }
    }
    return true;
}
