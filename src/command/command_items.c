#include "command/command_parts.h"

#include "command/report.h"
#include "item/expiry.h"

void item_look_up(struct command_context *context, struct item *item)
{
    item->flags = (struct item_flags){0};
    item->is_lost = false;
    if (flag_ledger_is_blank(context->ledger, context->db)) return;
    item->key.slot = item_key_slot(&item->key);
    item->is_lost = !flag_ledger_read(context->ledger, context->db, &item->key, &item->flags);
}

void item_open_found(struct command_context *context, enum keyspace_mode mode, struct item *item)
{
    item->kind = context->keyspace->api->open(context->keyspace, context->db, item->key.name, mode);
    item->is_lost &= item->kind == KEYSPACE_STRING;
    if (item->is_lost) item->kind = KEYSPACE_ABSENT;
    if (report_is_wanted(context)) report_note_found(context, item->kind == KEYSPACE_STRING);
}

void item_open_to_replace(struct command_context *context, struct span name, struct item *item)
{
    *item = (struct item){.key = item_key_for(context, name)};
    version_prefetch(context->versions, item->key.hash);
    item_open_found(context, KEYSPACE_WRITE, item);
}

void item_open(struct command_context *context, struct span name, struct item *item)
{
    item->key = item_key_for(context, name);
    version_prefetch(context->versions, item->key.hash);
    item_look_up(context, item);
    item_open_found(context, KEYSPACE_WRITE, item);
}

void item_open_missing(struct command_context *context, struct span name, struct item *item)
{
    item->key = item_key_for(context, name);
    item->flags = (struct item_flags){0};
    item->is_lost = false;
    version_prefetch(context->versions, item->key.hash);
    flag_ledger_settle(context->ledger);
    item_open_found(context, KEYSPACE_WRITE, item);
    if (item->kind != KEYSPACE_STRING) return;
    item_close(context);
    item_look_up(context, item);
    item_open_found(context, KEYSPACE_WRITE, item);
}

void item_close(struct command_context *context)
{
    context->keyspace->api->close(context->keyspace);
}

enum result_status item_refuse(struct command_context *context, enum result_status status)
{
    item_close(context);
    return status;
}

void item_renew_token(struct command_context *context, const struct item *item, const struct request *request)
{
    if (request_asks(request, ASK_TOKEN))
        version_advance_to(context->versions, item->key.hash, request->extras->token);
    else
        version_advance(context->versions, item->key.hash);
}

uint64_t item_token(const struct command_context *context, const struct item *item)
{
    return version_current(context->versions, item->key.hash);
}

int64_t item_expiry(struct command_context *context)
{
    return context->keyspace->api->expiry(context->keyspace);
}

static int64_t now_seconds(const struct command_context *context)
{
    return context->now_ms / 1000;
}

void item_note_read(struct command_context *context, const struct item *item)
{
    history_note_read(context->history, item->key.hash, now_seconds(context));
}

/* The open item has got another value. */
static void settle_change(struct command_context *context, const struct item *item, const struct request *request,
                          struct item_flags flags)
{
    item_close(context);
    item_renew_token(context, item, request);
    flag_ledger_write(context->ledger, context->db, &item->key, flags);
}

void item_overwrite(struct command_context *context, const struct item *item, const struct request *request,
                    struct span value, int64_t expiry, struct item_flags flags, const char *event)
{
    context->keyspace->api->store(context->keyspace, value, expiry, event);
    settle_change(context, item, request, flags);
}

void item_append(struct command_context *context, const struct item *item, const struct request *request, struct span bytes,
                 struct item_flags flags)
{
    context->keyspace->api->append(context->keyspace, bytes);
    settle_change(context, item, request, flags);
    history_note_stored(context->history, item->key.hash, now_seconds(context));
}

void item_store(struct command_context *context, const struct item *item, const struct request *request, struct span value,
                int64_t expiry, struct item_flags flags, const char *event)
{
    item_overwrite(context, item, request, value, expiry, flags, event);
    history_note_stored(context->history, item->key.hash, now_seconds(context));
}

void item_remove(struct command_context *context, const struct item *item)
{
    history_forget(context->history, item->key.hash);
    context->keyspace->api->remove(context->keyspace);
    item_close(context);
    version_advance(context->versions, item->key.hash);
    flag_ledger_write(context->ledger, context->db, &item->key, (struct item_flags){0});
}

/* The token that is told was of an item for no time at all. */
static void item_store_expired(struct command_context *context, const struct item *item, const struct request *request)
{
    if (item->kind != KEYSPACE_ABSENT)
        item_remove(context, item);
    else
        item_close(context);
    item_renew_token(context, item, request);
}

void item_store_or_remove(struct command_context *context, const struct item *item, const struct request *request,
                          struct span value, int64_t expiry, struct item_flags flags)
{
    if (!expiry_has_passed(expiry, context->now_ms))
        item_store(context, item, request, value, expiry, flags, "set");
    else
        item_store_expired(context, item, request);
}

bool item_touch(struct command_context *context, const struct item *item, int64_t expiry)
{
    if (expiry_has_passed(expiry, context->now_ms)) {
        item_remove(context, item);
        return false;
    }
    context->keyspace->api->expire(context->keyspace, expiry);
    item_close(context);
    version_note_change(context->versions, item->key.hash);
    return true;
}

void item_mark(struct command_context *context, const struct item *item, uint32_t marks)
{
    flag_ledger_write(context->ledger, context->db, &item->key, (struct item_flags){item->flags.flags, marks});
    bool becomes_stale = marks & ~item->flags.marks & LEDGER_STALE;
    if (context->marks && becomes_stale) context->marks->on_stale(context->marks, context->db, item->key.name);
}

bool token_holds(const struct command_context *context, const struct item *item, const struct request *request)
{
    return !request_asks(request, ASK_COMPARE) || request->extras->compare == item_token(context, item);
}

void tell_remaining(const struct command_context *context, const struct request *request, int64_t before, int64_t after)
{
    if (!request->extras) return;
    int64_t seen = request_asks(request, ASK_TTL_BEFORE_TOUCH) ? before : after;
    request->extras->remaining_seconds = expiry_seconds_left(seen, context->now_ms);
}

int64_t vivified_expiry(const struct command_context *context, const struct request *request)
{
    bool touch_wins = request_asks(request, ASK_TOUCH) && !request_asks(request, ASK_TOUCH_BEFORE_VIVIFY);
    return expiry_from_exptime(touch_wins ? request->exptime : request->extras->vivify_exptime, context->now_ms);
}

/* As memcached goes through the flags: a new item never expires, until N or T come to pass. */
void tell_remaining_vivified(const struct command_context *context, const struct request *request)
{
    bool is_touched = request_asks(request, ASK_TOUCH) && !request_asks(request, ASK_TTL_BEFORE_TOUCH);
    bool is_vivified = !request_asks(request, ASK_TTL_BEFORE_VIVIFY);
    int64_t seen = EXPIRY_NEVER;
    if (is_touched && is_vivified)
        seen = vivified_expiry(context, request);
    else if (is_touched || is_vivified)
        seen = expiry_from_exptime(is_touched ? request->exptime : request->extras->vivify_exptime, context->now_ms);
    request->extras->remaining_seconds = expiry_seconds_left(seen, context->now_ms);
}

/* The engine's own clock of a key knows of RESP's uses, too; but it has one under some policies only. */
static int64_t idle_seconds_of(struct command_context *context, const struct item *item)
{
    const struct keyspace_api *api = context->keyspace->api;
    int64_t idle = -1;
    if (api->open(context->keyspace, context->db, item->key.name, KEYSPACE_READ_UNNOTICED) != KEYSPACE_ABSENT)
        idle = api->idle(context->keyspace);
    api->close(context->keyspace);
    return idle;
}

void tell_history(struct command_context *context, const struct request *request, const struct item *item)
{
    bool was_read;
    int64_t last_use, idle = idle_seconds_of(context, item);
    if (history_find(context->history, item->key.hash, &was_read, &last_use)) {
        request_tell(request, was_read ? TELL_HISTORY | TELL_HIT_BEFORE : TELL_HISTORY);
        if (idle < 0) idle = now_seconds(context) > last_use ? now_seconds(context) - last_use : 0;
    }
    if (idle < 0) return;
    request->extras->idle_seconds = idle;
    request_tell(request, TELL_IDLE);
}
