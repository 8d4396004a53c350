/* Copies one server: while the target takes a parcel in, the old server reads the next one. */
#include "base/clock.h"
#include "cli/import.h"
#include "wire/size.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* So much is queued for the target before it is sent. */
#define QUEUE_MOST (256 * 1024)
/* How far the list's expiry and the item's remaining seconds may lie apart to mean the same moment. */
#define CLOCKS_APART 2

struct copier {
    struct import *import;
    struct import_server *server;
    struct channel *from, *to;
    struct spool keys;
    struct reader reader;
    struct parcel *current, *next;
    bool is_listed; /* the list has been read to its end */
    bool looks_first;
    int64_t now; /* unix seconds, when the present parcel was answered */
    enum import_state end;
};

/* The moment of expiry as the target is told: a unix time, because a number of seconds beyond 30 days would be taken for one. The list has
 * it exactly; the item's own remaining seconds count where somebody has touched it since. */
static int64_t exptime_of(const struct parcel_item *item, int64_t now)
{
    if (item->ttl < 0) {
        return 0;
    }
    int64_t moment = now + item->ttl, listed = item->key.expiry;
    bool is_same = listed > 0 && listed - moment <= CLOCKS_APART && moment - listed <= CLOCKS_APART;
    return is_same ? listed : moment;
}

static void fail_item(struct copier *copier, struct parcel_item *item, struct span reason)
{
    item->state = ITEM_FAILED;
    failures_add(&copier->import->failures, reason, parcel_item_key(item));
}

/* Hands a found item to the target. Mode E is add: what is there stays; and P, which memcached ignores, tells a bridge that the item
 * comes from an old server, so that what was removed here stays removed (docs/upstream.md). */
static void put_item(struct copier *copier, struct parcel_item *item, struct span value)
{
    if (item_size(item->key.size, item->flags, value.size) > copier->import->item_size_max) {
        fail_item(copier, item, SPAN("larger than the target's diglot.max-item-size"));
        return;
    }
    int64_t exptime = exptime_of(item, copier->now);
    if (exptime > 0 && exptime <= copier->now) {
        item->state = ITEM_MISSING; /* in its last second */
        return;
    }
    client_put_ms(&copier->to->output, parcel_item_key(item), item->flags, exptime, SPAN("ME Pcarry"), value);
}

/* A failure shows when the answers are taken. */
static void push_early(struct channel *to)
{
    if (buffer_size(&to->output) > QUEUE_MOST && !channel_push(to)) {
        buffer_reset(&to->output, 0);
    }
}

static void on_item(void *context, struct parcel_item *item, struct span value, struct span text)
{
    struct copier *copier = context;
    if (item->state == ITEM_FOUND) {
        put_item(copier, item, value);
    } else if (item->state == ITEM_FAILED) {
        fail_item(copier, item, text);
    }
    push_early(copier->to);
}

static bool take_answer(struct copier *copier, struct parcel_item *item)
{
    struct client_reply reply;
    if (!parcel_take_reply(copier->to, &reply)) {
        return false;
    }
    switch (reply.kind) {
    case CLIENT_REPLY_DONE: item->state = ITEM_COPIED; return true;
    case CLIENT_REPLY_NOT_STORED: item->state = ITEM_THERE; return true;
    case CLIENT_REPLY_ERROR: fail_item(copier, item, reply.text); return true;
    default:
        (void)snprintf(copier->to->error, CHANNEL_ERROR_SIZE, "%s: answers what no memcached does", copier->to->peer);
        return false;
    }
}

static void count_item(struct copier *copier, struct parcel_item *item)
{
    static const enum import_count counts[] = {
        [ITEM_COPIED] = IMPORT_COPIED, [ITEM_THERE] = IMPORT_THERE, [ITEM_MISSING] = IMPORT_GONE, [ITEM_STALE] = IMPORT_STALE,
        [ITEM_FAILED] = IMPORT_FAILED, [ITEM_UNNAMEABLE] = IMPORT_FAILED, [ITEM_WANTED] = IMPORT_FAILED, [ITEM_FOUND] = IMPORT_FAILED};
    if (item->state == ITEM_UNNAMEABLE) {
        fail_item(copier, item, SPAN("no request can name this key: it is too long for what it holds"));
    }
    import_add(copier->server, counts[item->state], 1);
    import_add(copier->server, IMPORT_BYTES, item->state == ITEM_COPIED ? item->value_size : 0);
}

/* The old server's answers go on to the target, and the target's are counted. Between the two the next parcel is asked for. */
static bool finish_parcel(struct copier *copier, bool (*ask_next)(struct copier *copier))
{
    struct parcel *parcel = copier->current;
    copier->now = clock_wall_ms() / 1000;
    if (!parcel_collect(&copier->reader, parcel, copier->now, on_item, copier) || !channel_push(copier->to) || !ask_next(copier)) {
        return false;
    }
    uint64_t there = 0;
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        if (item->state == ITEM_FOUND && !take_answer(copier, item)) {
            return false;
        }
        there += item->state == ITEM_THERE;
        count_item(copier, item);
    }
    copier->looks_first = copier->import->looks_first || there * 4 > parcel->count;
    return true;
}

static void wait_for_pace(struct copier *copier, const struct parcel *parcel)
{
    uint64_t wait = pace_spend(&copier->import->pace, parcel->count, parcel->bytes, clock_monotonic_us());
    const struct timespec step = {.tv_nsec = 100000000};
    for (; wait > 100000 && !atomic_load(&copier->import->stops); wait -= 100000) {
        (void)nanosleep(&step, NULL);
    }
    if (wait > 100000) {
        return; /* it was stopped */
    }
    const struct timespec rest = {.tv_nsec = (long)wait * 1000};
    (void)nanosleep(&rest, NULL);
}

/* Fills a parcel from the list. */
static void take_keys(struct copier *copier, struct parcel *parcel)
{
    size_t most = pace_parcel(&copier->import->pace, PARCEL_ITEMS);
    parcel->count = 0;
    parcel->bytes = 0;
    while (!copier->is_listed && parcel->count < most && parcel->bytes < PARCEL_BYTES) {
        struct parcel_item *item = &parcel->items[parcel->count];
        *item = (struct parcel_item){.state = ITEM_WANTED, .ttl = -1};
        copier->is_listed = !spool_take(&copier->keys, &item->key);
        if (!copier->is_listed) {
            parcel->count++;
            parcel->bytes += item->key.item_size;
        }
    }
    import_add(copier->server, IMPORT_READ, parcel->count);
}

static bool ask_next(struct copier *copier)
{
    copier->next->count = 0;
    if (atomic_load(&copier->import->stops)) {
        copier->end = IMPORT_STOPPED;
        return true;
    }
    if (copier->looks_first) {
        return true; /* as soon as this parcel is done */
    }
    take_keys(copier, copier->next);
    if (copier->next->count == 0) {
        return true;
    }
    wait_for_pace(copier, copier->next);
    return parcel_ask(&copier->reader, copier->next);
}

static bool ask_nothing(struct copier *copier)
{
    (void)copier;
    return true;
}

/* Where the target has much already it is looked what it has: then nothing is read for nothing, and one thing is done after the other. */
static bool copy_looking(struct copier *copier)
{
    take_keys(copier, copier->current);
    if (copier->current->count == 0) {
        return true;
    }
    wait_for_pace(copier, copier->current);
    return parcel_look(copier->to, copier->current) && parcel_ask(&copier->reader, copier->current) && finish_parcel(copier, ask_nothing);
}

static bool copy_pipelined(struct copier *copier)
{
    if (!finish_parcel(copier, ask_next)) {
        return false;
    }
    struct parcel *done = copier->current;
    copier->current = copier->next;
    copier->next = done;
    return true;
}

static void count_through(struct copier *copier, enum item_state state, enum import_count count)
{
    for (size_t i = 0; i < copier->current->count; i++) {
        struct parcel_item *item = &copier->current->items[i];
        if (item->state == state) {
            import_add(copier->server, count, 1);
        }
    }
}

/* The target has what it lacked as soon as it is asked for it. What it does not have then it will not take, unless it is gone from
 * the old server, too. */
static bool copy_through_one(struct copier *copier)
{
    struct parcel *parcel = copier->current;
    take_keys(copier, parcel);
    wait_for_pace(copier, parcel);
    if (!parcel_look(copier->to, parcel)) {
        return false;
    }
    count_through(copier, ITEM_THERE, IMPORT_COPIED);
    count_through(copier, ITEM_UNNAMEABLE, IMPORT_FAILED);
    for (size_t i = 0; i < parcel->count; i++) {
        if (parcel->items[i].state != ITEM_WANTED) {
            parcel->items[i].state = ITEM_COPIED;
        }
    }
    if (copier->reader.dialect == CLIENT_META && !parcel_look(copier->from, parcel)) {
        return false;
    }
    count_through(copier, ITEM_THERE, IMPORT_WITHHELD);
    count_through(copier, ITEM_WANTED, copier->reader.dialect == CLIENT_META ? IMPORT_GONE : IMPORT_WITHHELD);
    return true;
}

static bool copy_through(struct copier *copier)
{
    while (!copier->is_listed) {
        if (atomic_load(&copier->import->stops)) {
            copier->end = IMPORT_STOPPED;
            return true;
        }
        if (!copy_through_one(copier)) {
            return false;
        }
    }
    return true;
}

static bool copy_all(struct copier *copier)
{
    if (copier->import->goes_through) {
        return copy_through(copier);
    }
    copier->current->count = 0;
    while (!(copier->is_listed && copier->current->count == 0) && copier->end != IMPORT_STOPPED) {
        bool looks = copier->looks_first && copier->current->count == 0;
        if (looks && atomic_load(&copier->import->stops)) {
            copier->end = IMPORT_STOPPED;
        } else if (!(looks ? copy_looking(copier) : copy_pipelined(copier))) {
            return false;
        }
        if (looks) {
            copier->current->count = 0;
        }
    }
    return true;
}

static bool connect_both(struct copier *copier)
{
    const struct sides *sides = &copier->import->sides;
    char *error = copier->server->error;
    copier->from = sides_open_from(sides, &copier->server->endpoint, error);
    copier->to = copier->from ? sides_open_to(sides, error) : NULL;
    return copier->to && reader_init(&copier->reader, copier->from);
}

/* Takes the list of keys, on a connection that ends with it. */
static bool list_keys(struct copier *copier)
{
    char *error = copier->server->error;
    struct channel *channel = sides_open_from(&copier->import->sides, &copier->server->endpoint, error);
    if (!channel) {
        return false;
    }
    struct key_list list;
    key_list_init(&list, channel, &copier->import->stops);
    enum key_list_status status = key_list_spool(&list, &copier->keys, &copier->server->counts[IMPORT_LISTED]);
    if (status == KEY_LIST_UNSUPPORTED) {
        copier->end = IMPORT_UNSUPPORTED;
        (void)snprintf(error, CHANNEL_ERROR_SIZE, "%s", list.refusal);
    } else if (status == KEY_LIST_STOPPED) {
        copier->end = IMPORT_STOPPED;
    } else if (status == KEY_LIST_BROKEN) {
        memcpy(error, channel->error, CHANNEL_ERROR_SIZE);
    }
    channel_close(&channel);
    return status == KEY_LIST_END;
}

static void tell_error(struct copier *copier)
{
    char *error = copier->server->error;
    const struct channel *channels[] = {copier->to, copier->from};
    for (size_t i = 0; i < sizeof channels / sizeof *channels && error[0] == '\0'; i++) {
        if (channels[i] && channels[i]->error[0] != '\0') {
            memcpy(error, channels[i]->error, CHANNEL_ERROR_SIZE);
        }
    }
}

/* Makes the list's file, or tells why there is no place for it. */
static bool make_spool(struct copier *copier)
{
    if (spool_open(&copier->keys)) {
        return true;
    }
    (void)snprintf(copier->server->error, CHANNEL_ERROR_SIZE, "no place for the list of keys (TMPDIR): %s", strerror(errno));
    return false;
}

void import_copy_server(struct import *import, struct import_server *server)
{
    struct copier copier = {.import = import, .server = server, .end = IMPORT_BROKEN,
                            .looks_first = import->looks_first || server->was_begun};
    copier.current = check_calloc(1, sizeof *copier.current);
    copier.next = check_calloc(1, sizeof *copier.next);
    atomic_store(&server->state, IMPORT_RUNS);
    journal_note(&import->journal, JOURNAL_BEGUN, server->endpoint.name);
    if (make_spool(&copier) && list_keys(&copier) && connect_both(&copier) && copy_all(&copier) && copier.end != IMPORT_STOPPED) {
        copier.end = IMPORT_DONE;
        journal_note(&import->journal, JOURNAL_DONE, server->endpoint.name);
    } else {
        tell_error(&copier);
    }
    spool_close(&copier.keys);
    channel_close(&copier.from);
    channel_close(&copier.to);
    free(copier.current);
    free(copier.next);
    atomic_store(&server->state, copier.end);
}
