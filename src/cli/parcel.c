#include "cli/parcel.h"

#include <stdio.h>

static bool fail(struct channel *channel, const char *what)
{
    (void)snprintf(channel->error, sizeof channel->error, "%s: %s", channel->peer, what);
    return false;
}

/* The bytes stay in place until the next fill. */
bool parcel_take_reply(struct channel *channel, struct client_reply *reply)
{
    for (;;) {
        struct span input = buffer_content(&channel->input);
        switch (client_reply_decode(input, PARCEL_VALUE_MAX, reply)) {
        case CLIENT_REPLY:
            buffer_consume(&channel->input, reply->consumed);
            return true;
        case CLIENT_GARBAGE:
            return fail(channel, "answers what no memcached does");
        case CLIENT_PARTIAL: {
            size_t size = client_reply_size(input, PARCEL_VALUE_MAX);
            if (size > input.size) {
                buffer_reserve(&channel->input, size - input.size);
            }
            if (!channel_fill(channel)) {
                return false;
            }
        }
        }
    }
}

bool reader_init(struct reader *reader, struct channel *channel)
{
    struct client_reply reply;
    *reader = (struct reader){channel, CLIENT_CLASSIC};
    client_put_mn(&channel->output);
    if (!parcel_take_reply(channel, &reply)) {
        return false;
    }
    if (reply.kind == CLIENT_REPLY_NOOP) {
        reader->dialect = CLIENT_META;
    } else if (reply.kind != CLIENT_REPLY_ERROR) {
        return fail(channel, "answers what no memcached does");
    }
    return true;
}

/* u: the look is no use of the item, so it keeps its place in the LRU. */
static void put_request(struct reader *reader, struct span key)
{
    if (reader->dialect == CLIENT_META) {
        client_put_mg(&reader->channel->output, key, SPAN("v f t u"));
    } else {
        client_put_get(&reader->channel->output, key);
    }
}

bool parcel_ask(struct reader *reader, struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        if (item->state != ITEM_WANTED) {
            continue;
        }
        if (client_can_name(reader->dialect, parcel_item_key(item))) {
            put_request(reader, parcel_item_key(item));
        } else {
            item->state = ITEM_UNNAMEABLE;
        }
    }
    return channel_push(reader->channel);
}

static void take_hit(struct parcel_item *item, const struct client_reply *reply, int64_t now)
{
    item->state = reply->fields & CLIENT_IS_STALE ? ITEM_STALE : ITEM_FOUND;
    item->flags = reply->flags;
    item->value_size = reply->value.size;
    item->ttl = reply->ttl;
    if (!(reply->fields & CLIENT_HAS_TTL)) {
        item->ttl = item->key.expiry < 0 ? -1 : item->key.expiry > now ? item->key.expiry - now : 0;
    }
}

/* Takes all that answers one request: classic's VALUE has an END behind it. */
static bool collect_one(struct reader *reader, struct parcel_item *item, int64_t now, parcel_visitor *visitor, void *context)
{
    struct client_reply reply;
    if (!parcel_take_reply(reader->channel, &reply)) {
        return false;
    }
    switch (reply.kind) {
    case CLIENT_REPLY_VALUE: take_hit(item, &reply, now); break;
    case CLIENT_REPLY_MISS:
    case CLIENT_REPLY_END: item->state = ITEM_MISSING; break;
    case CLIENT_REPLY_ERROR: item->state = ITEM_FAILED; break;
    default: return fail(reader->channel, "answers what no memcached does");
    }
    visitor(context, item, reply.kind == CLIENT_REPLY_VALUE ? reply.value : SPAN(""), reply.text);
    if (reply.kind != CLIENT_REPLY_VALUE || reader->dialect == CLIENT_META) {
        return true;
    }
    return parcel_take_reply(reader->channel, &reply) &&
           (reply.kind == CLIENT_REPLY_END || fail(reader->channel, "answers what no memcached does"));
}

/* The list counts what the server needs for an item besides, so half of that will come, or an item has gone. */
static size_t expected_of(const struct parcel_item *item)
{
    return PARCEL_ANSWER_LEAST + item->key.item_size / 2;
}

bool parcel_collect(struct reader *reader, struct parcel *parcel, int64_t now, parcel_visitor *visitor, void *context)
{
    size_t expected = 0;
    for (size_t i = 0; i < parcel->count; i++) {
        expected += expected_of(&parcel->items[i]);
    }
    bool is_collected = true;
    for (size_t i = 0; i < parcel->count && is_collected; i++) {
        struct parcel_item *item = &parcel->items[i];
        channel_expect(reader->channel, expected);
        expected -= expected_of(item);
        is_collected = item->state != ITEM_WANTED || collect_one(reader, item, now, visitor, context);
    }
    channel_expect(reader->channel, 0);
    return is_collected;
}

bool parcel_look(struct channel *channel, struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        if (item->state == ITEM_WANTED && !client_can_name(CLIENT_META, parcel_item_key(item))) {
            item->state = ITEM_UNNAMEABLE;
        }
        if (item->state == ITEM_WANTED) {
            client_put_mg(&channel->output, parcel_item_key(item), SPAN("u"));
        }
    }
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        struct client_reply reply;
        if (item->state != ITEM_WANTED) {
            continue;
        }
        channel_expect(channel, (parcel->count - i) * PARCEL_ANSWER_LEAST);
        if (!parcel_take_reply(channel, &reply)) {
            return false;
        }
        if (reply.kind == CLIENT_REPLY_DONE) {
            item->state = ITEM_THERE;
        }
    }
    channel_expect(channel, 0);
    return true;
}
