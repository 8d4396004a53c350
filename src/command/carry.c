#include "command/carry.h"

#include "command/command_parts.h"
#include "item/expiry.h"

bool carry_is_there(struct command_context *context, struct span name)
{
    const struct keyspace_api *api = context->keyspace->api;
    bool is_there = api->open(context->keyspace, context->db, name, KEYSPACE_READ_UNNOTICED) != KEYSPACE_ABSENT;
    api->close(context->keyspace);
    return is_there;
}

static void open_item(struct command_context *context, struct span name, enum keyspace_mode mode, struct item *item)
{
    *item = (struct item){.key = item_key_for(context, name)};
    item_look_up(context, item);
    item->kind = context->keyspace->api->open(context->keyspace, context->db, name, mode);
}

bool carry_in(struct command_context *context, struct span name, const struct carried_item *carried)
{
    struct item item;
    static const struct request no_request = {.op = REQUEST_SET};
    if (expiry_has_passed(carried->expiry, context->now_ms)) return false;
    open_item(context, name, KEYSPACE_WRITE, &item);
    if (item.kind != KEYSPACE_ABSENT) {
        item_close(context);
        return false;
    }
    struct item_flags flags = {carried->flags, carried->is_stale ? LEDGER_STALE : 0};
    item_store(context, &item, &no_request, carried->value, carried->expiry, flags, "set");
    return true;
}

bool carry_out(struct command_context *context, struct span name, struct carried_item *carried, struct buffer *value)
{
    struct item item;
    open_item(context, name, KEYSPACE_READ_UNNOTICED, &item);
    bool is_item = item.kind == KEYSPACE_STRING && !item.is_lost;
    if (is_item) {
        size_t begin = buffer_size(value);
        buffer_append(value, context->keyspace->api->value(context->keyspace));
        carried->value = span_skip(buffer_content(value), begin);
        carried->expiry = item_expiry(context);
        carried->flags = item.flags.flags;
        carried->is_stale = item.flags.marks & LEDGER_STALE;
    }
    item_close(context);
    return is_item;
}

void carry_away(struct command_context *context, struct span name)
{
    struct item item;
    open_item(context, name, KEYSPACE_WRITE, &item);
    if (item.kind != KEYSPACE_ABSENT)
        item_remove(context, &item);
    else
        item_close(context);
}
