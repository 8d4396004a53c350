/* Copies one server. Parcels of items are on their way all the time: while the target takes one in, the next one waits before its
 * door, the old server's answers to the one behind that are read, and one more is asked for. */
#include "base/clock.h"
#include "cli/import.h"
#include "cli/lister.h"
#include "cli/slot_order.h"
#include "wire/size.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* So much is queued for the target before it is sent. */
#define QUEUE_MOST ((size_t)64 * 1024)
/* How far the list's expiry and the item's remaining seconds may lie apart to mean the same moment. */
#define CLOCKS_APART 2
/* Parcels that the old server is asked for at a time, and that the target has to answer. */
#define ASKED_MOST 2
#define SENT_MOST 2
#define PARCELS (ASKED_MOST + SENT_MOST)
/* Where fewer than one item in so many has flags, it makes no difference in what order keys come. */
#define FLAGS_RARE 64

struct copier {
    struct import *import;
    struct import_server *server;
    struct channel *list, *from, *to;
    struct lister lister;
    struct spool keys;
    struct slot_order order;
    struct reader reader;
    struct parcel *parcels;          /* PARCELS of them, used in turn */
    uint64_t asked, sent, settled;   /* parcels so far: of the old server, to the target, and done with */
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

static void count_items(struct copier *copier, struct parcel *parcel)
{
    static const enum import_count columns[] = {
        [ITEM_COPIED] = IMPORT_COPIED, [ITEM_THERE] = IMPORT_THERE, [ITEM_MISSING] = IMPORT_GONE, [ITEM_STALE] = IMPORT_STALE,
        [ITEM_FAILED] = IMPORT_FAILED, [ITEM_UNNAMEABLE] = IMPORT_FAILED, [ITEM_WANTED] = IMPORT_FAILED, [ITEM_FOUND] = IMPORT_FAILED};
    uint64_t counts[IMPORT_COUNTS] = {0}, flagged = 0;
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        flagged += item->state == ITEM_COPIED && item->flags != 0;
        if (item->state == ITEM_UNNAMEABLE) {
            fail_item(copier, item, SPAN("no request can name this key: it is too long for what it holds"));
        }
        counts[columns[item->state]]++;
        counts[IMPORT_BYTES] += item->state == ITEM_COPIED ? item->value_size : 0;
    }
    copier->order.is_wanted |= flagged * FLAGS_RARE > parcel->count;
    for (int i = 0; i < IMPORT_COUNTS; i++) {
        import_add(copier->server, (enum import_count)i, counts[i]);
    }
    if (parcel->count > 0) {
        copier->looks_first = copier->import->looks_first || counts[IMPORT_THERE] * 4 > parcel->count;
    }
}

static struct parcel *parcel_at(struct copier *copier, uint64_t number)
{
    return &copier->parcels[number % PARCELS];
}

/* The old server's answers go on to the target. */
static bool forward_parcel(struct copier *copier)
{
    struct parcel *parcel = parcel_at(copier, copier->sent);
    copier->now = clock_wall_ms() / 1000;
    copier->sent++;
    return parcel_collect(&copier->reader, parcel, copier->now, on_item, copier) && channel_push(copier->to);
}

/* The target's answers are taken and counted. */
static bool settle_parcel(struct copier *copier)
{
    struct parcel *parcel = parcel_at(copier, copier->settled);
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        channel_expect(copier->to, (parcel->count - i) * PARCEL_ANSWER_LEAST);
        if (item->state == ITEM_FOUND && !take_answer(copier, item)) {
            return false;
        }
    }
    channel_expect(copier->to, 0);
    count_items(copier, parcel);
    copier->settled++;
    return true;
}

static void wait_for_pace(struct copier *copier, const struct parcel *parcel)
{
    pace_wait(pace_spend(&copier->import->pace, parcel->count, parcel->bytes, clock_monotonic_us()), &copier->import->stops);
}

/* Fills a parcel from the list, as far as that has come by now. */
static void take_keys(struct copier *copier, struct parcel *parcel)
{
    size_t most = pace_parcel(&copier->import->pace, PARCEL_ITEMS);
    parcel->count = 0;
    parcel->bytes = 0;
    while (parcel->count < most && parcel->bytes < PARCEL_BYTES) {
        struct parcel_item *item = &parcel->items[parcel->count];
        if (!slot_order_take(&copier->order, &item->key)) {
            break;
        }
        item->state = ITEM_WANTED;
        item->ttl = -1;
        parcel->count++;
        parcel->bytes += item->key.item_size;
    }
    import_add(copier->server, IMPORT_READ, parcel->count);
}

static bool is_stopped(const struct copier *copier)
{
    return atomic_load_explicit(&copier->import->stops, memory_order_relaxed);
}

/* Asks for as many parcels as may be asked for at a time. */
static bool ask_ahead(struct copier *copier)
{
    while (copier->asked - copier->sent < ASKED_MOST && !copier->looks_first && !is_stopped(copier)) {
        struct parcel *parcel = parcel_at(copier, copier->asked);
        take_keys(copier, parcel);
        if (parcel->count == 0) {
            return true;
        }
        wait_for_pace(copier, parcel);
        if (!parcel_ask(&copier->reader, parcel)) {
            return false;
        }
        copier->asked++;
    }
    return true;
}

/* Where the target has much already it is looked what it has: then nothing is read for nothing, and one thing is done after the other. */
static bool copy_looking(struct copier *copier)
{
    struct parcel *parcel = parcel_at(copier, copier->asked);
    take_keys(copier, parcel);
    wait_for_pace(copier, parcel);
    copier->asked++;
    return parcel_look(copier->to, parcel) && parcel_ask(&copier->reader, parcel) && forward_parcel(copier) && settle_parcel(copier);
}

static void count_through(struct copier *copier, const struct parcel *parcel, enum item_state state, enum import_count count)
{
    for (size_t i = 0; i < parcel->count; i++) {
        if (parcel->items[i].state == state) {
            import_add(copier->server, count, 1);
        }
    }
}

/* The target has what it lacked as soon as it is asked for it. What it does not have then it will not take, unless it is gone from
 * the old server, too. */
static bool copy_through(struct copier *copier)
{
    struct parcel *parcel = copier->parcels;
    take_keys(copier, parcel);
    wait_for_pace(copier, parcel);
    if (!parcel_look(copier->to, parcel)) {
        return false;
    }
    count_through(copier, parcel, ITEM_THERE, IMPORT_COPIED);
    count_through(copier, parcel, ITEM_UNNAMEABLE, IMPORT_FAILED);
    for (size_t i = 0; i < parcel->count; i++) {
        if (parcel->items[i].state != ITEM_WANTED) {
            parcel->items[i].state = ITEM_COPIED;
        }
    }
    if (copier->reader.dialect == CLIENT_META && !parcel_look(copier->from, parcel)) {
        return false;
    }
    count_through(copier, parcel, ITEM_THERE, IMPORT_WITHHELD);
    count_through(copier, parcel, ITEM_WANTED, copier->reader.dialect == CLIENT_META ? IMPORT_GONE : IMPORT_WITHHELD);
    return true;
}

/* What is to be done next: ask, read what was asked for, or take the target's answers, and only then wait for keys. */
static bool copy_some(struct copier *copier)
{
    if (!ask_ahead(copier)) {
        return false;
    }
    uint64_t unread = copier->asked - copier->sent, unanswered = copier->sent - copier->settled;
    if (unread > 0 && unanswered < SENT_MOST) {
        return forward_parcel(copier);
    }
    if (unanswered > 0) {
        return settle_parcel(copier);
    }
    if (copier->looks_first && !is_stopped(copier)) {
        return copy_looking(copier);
    }
    return true;
}

static bool copy_all(struct copier *copier)
{
    for (;;) {
        bool is_idle = copier->asked == copier->settled;
        if (is_idle && (is_stopped(copier) || slot_order_is_over(&copier->order))) {
            return true;
        }
        if (is_idle) {
            slot_order_wait(&copier->order);
        }
        if (!(copier->import->goes_through ? copy_through(copier) : copy_some(copier))) {
            return false;
        }
    }
}

static bool connect_all(struct copier *copier)
{
    const struct sides *sides = &copier->import->sides;
    const struct endpoint *old = &copier->server->endpoint;
    char *error = copier->server->error;
    copier->list = sides_open_from(sides, old, error);
    copier->from = copier->list ? sides_open_from(sides, old, error) : NULL;
    copier->to = copier->from ? sides_open_to(sides, error) : NULL;
    return copier->to && reader_init(&copier->reader, copier->from);
}

static bool tell(struct copier *copier, const char *what)
{
    (void)snprintf(copier->server->error, CHANNEL_ERROR_SIZE, "%s (TMPDIR): %s", what, strerror(errno));
    return false;
}

/* Makes the list's file, and has the list taken. */
static bool begin_list(struct copier *copier)
{
    if (!spool_open(&copier->keys)) {
        return tell(copier, "no place for the list of keys");
    }
    slot_order_init(&copier->order, &copier->keys);
    return lister_start(&copier->lister, copier->list, &copier->keys, &copier->import->stops, &copier->server->counts[IMPORT_LISTED]) ||
           tell(copier, "no thread for the list of keys");
}

/* What came of the list, when all is done with it, or copying has failed. */
static bool end_list(struct copier *copier)
{
    enum key_list_status status = lister_end(&copier->lister);
    if (status == KEY_LIST_UNSUPPORTED) {
        copier->end = IMPORT_UNSUPPORTED;
        (void)snprintf(copier->server->error, CHANNEL_ERROR_SIZE, "%s", copier->lister.list.refusal);
    }
    return status == KEY_LIST_END && (!copier->keys.has_failed || tell(copier, "the list of keys cannot be read again"));
}

static void tell_error(struct copier *copier)
{
    char *error = copier->server->error;
    const struct channel *channels[] = {copier->to, copier->from, copier->list};
    for (size_t i = 0; i < sizeof channels / sizeof *channels && error[0] == '\0'; i++) {
        if (channels[i] && channels[i]->error[0] != '\0') {
            memcpy(error, channels[i]->error, CHANNEL_ERROR_SIZE);
        }
    }
}

static enum import_state copy_server(struct copier *copier)
{
    if (!connect_all(copier) || !begin_list(copier)) {
        return IMPORT_BROKEN;
    }
    bool is_copied = copy_all(copier), is_listed = end_list(copier);
    if (is_copied && is_listed && slot_order_is_over(&copier->order)) {
        return IMPORT_DONE;
    }
    return is_copied && is_stopped(copier) ? IMPORT_STOPPED : copier->end;
}

void import_copy_server(struct import *import, struct import_server *server)
{
    struct copier copier = {.import = import, .server = server, .end = IMPORT_BROKEN,
                            .looks_first = import->looks_first || server->was_begun};
    copier.parcels = check_calloc(PARCELS, sizeof *copier.parcels);
    atomic_store(&server->state, IMPORT_RUNS);
    journal_note(&import->journal, JOURNAL_BEGUN, server->endpoint.name);
    enum import_state state = copy_server(&copier);
    if (state == IMPORT_DONE) {
        journal_note(&import->journal, JOURNAL_DONE, server->endpoint.name);
    } else if (state != IMPORT_STOPPED) {
        tell_error(&copier);
    }
    channel_close(&copier.list);
    channel_close(&copier.from);
    channel_close(&copier.to);
    slot_order_deinit(&copier.order);
    spool_close(&copier.keys);
    free(copier.parcels);
    atomic_store(&server->state, state);
}
