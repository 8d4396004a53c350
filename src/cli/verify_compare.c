/* Compares one server, in rounds: all keys first, then again and again those that differed, with growing pauses, since what
 * a client changes between the two readings looks like a difference. What differs in the last round counts. */
#include "base/clock.h"
#include "cli/key_list.h"
#include "cli/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Before the first look again; each pause is three times the one before. */
#define FIRST_PAUSE_MS 100

struct comparer {
    struct verify *verify;
    struct verify_server *server;
    struct reader from, to;
    struct parcel *old, *new;
    struct buffer values; /* of the old side's items, one behind the other */
    size_t *offsets;      /* into them; the item's value ends at the next one's */
    size_t collected;
    struct spool spools[2], *keys, *suspects;
    unsigned rounds_left;
    bool is_spool_full;
};

enum difference verify_judge(const struct parcel_item *from, struct span from_value, const struct parcel_item *to, struct span to_value,
                             int64_t tolerance)
{
    if (from->state != ITEM_FOUND) {
        return DIFFERENCE_NONE; /* gone meanwhile: what only the new side has is fine */
    }
    if (to->state != ITEM_FOUND) {
        return DIFFERENCE_MISSING;
    }
    if (!span_equal(from_value, to_value)) {
        return DIFFERENCE_VALUE;
    }
    if (from->flags != to->flags) {
        return DIFFERENCE_FLAGS;
    }
    int64_t apart = from->ttl - to->ttl;
    bool is_same_kind = (from->ttl < 0) == (to->ttl < 0);
    return is_same_kind && apart <= tolerance && -apart <= tolerance ? DIFFERENCE_NONE : DIFFERENCE_TTL;
}

static void keep_value(void *context, struct parcel_item *item, struct span value, struct span text)
{
    struct comparer *comparer = context;
    size_t index = (size_t)(item - comparer->old->items);
    for (; comparer->collected <= index; comparer->collected++) {
        comparer->offsets[comparer->collected] = buffer_size(&comparer->values);
    }
    buffer_append(&comparer->values, value);
    if (item->state == ITEM_FAILED) {
        failures_add(&comparer->verify->failures, text, parcel_item_key(item));
    }
}

static struct span kept_value(const struct comparer *comparer, size_t index)
{
    size_t end = index + 1 < comparer->collected ? comparer->offsets[index + 1] : buffer_size(&comparer->values);
    return span_of(buffer_content(&comparer->values).data + comparer->offsets[index], end - comparer->offsets[index]);
}

/* What differs goes to the next round, or counts. */
static void settle(struct comparer *comparer, struct parcel_item *item, enum difference difference)
{
    struct verify_server *server = comparer->server;
    if (difference != DIFFERENCE_NONE && comparer->rounds_left > 0) {
        comparer->is_spool_full |= !spool_put(comparer->suspects, &item->key);
        return;
    }
    atomic_fetch_add(&server->compared, 1);
    divergence_add(&comparer->verify->divergence, parcel_item_key(item), difference);
}

static void compare_item(void *context, struct parcel_item *item, struct span value, struct span text)
{
    struct comparer *comparer = context;
    size_t index = (size_t)(item - comparer->new->items);
    struct parcel_item *old = &comparer->old->items[index];
    if (item->state == ITEM_FAILED) {
        failures_add(&comparer->verify->failures, text, parcel_item_key(item));
    }
    if (old->state == ITEM_FAILED || item->state == ITEM_FAILED) {
        atomic_fetch_add(&comparer->server->failed, 1);
    } else if (old->state == ITEM_MISSING) {
        atomic_fetch_add(&comparer->server->gone, 1);
    } else if (old->state == ITEM_STALE) {
        atomic_fetch_add(&comparer->server->stale, 1);
    } else {
        settle(comparer, item, verify_judge(old, kept_value(comparer, index), item, value, comparer->verify->tolerance));
    }
}

static void take_keys(struct comparer *comparer)
{
    size_t most = pace_parcel(&comparer->verify->pace, PARCEL_ITEMS);
    struct parcel *old = comparer->old, *new = comparer->new;
    old->count = old->bytes = 0;
    while (old->count < most && old->bytes < PARCEL_BYTES) {
        struct parcel_item *item = &old->items[old->count];
        *item = (struct parcel_item){.state = ITEM_WANTED, .ttl = -1};
        if (!spool_take(comparer->keys, &item->key)) {
            break;
        }
        if (!client_can_name(comparer->from.dialect, parcel_item_key(item)) || !client_can_name(comparer->to.dialect, parcel_item_key(item))) {
            failures_add(&comparer->verify->failures, SPAN("no request can name this key"), parcel_item_key(item));
            atomic_fetch_add(&comparer->server->failed, 1);
            continue;
        }
        new->items[old->count] = *item;
        old->bytes += item->key.item_size;
        new->count = ++old->count;
    }
}

/* Both sides are asked at once, so that little can happen between the two readings. */
static bool compare_parcel(struct comparer *comparer)
{
    struct verify *verify = comparer->verify;
    pace_wait(pace_spend(&verify->pace, comparer->old->count, comparer->old->bytes, clock_monotonic_us()), &verify->stops);
    buffer_reset(&comparer->values, 2 * PARCEL_BYTES);
    comparer->collected = 0;
    int64_t now = clock_wall_ms() / 1000;
    return parcel_ask(&comparer->from, comparer->old) && parcel_ask(&comparer->to, comparer->new) &&
           parcel_collect(&comparer->from, comparer->old, now, keep_value, comparer) &&
           parcel_collect(&comparer->to, comparer->new, now, compare_item, comparer);
}

static bool tell_spool(struct comparer *comparer, const char *what)
{
    (void)snprintf(comparer->server->error, CHANNEL_ERROR_SIZE, "the file of keys (TMPDIR) %s: %s", what, strerror(errno));
    return false;
}

static bool compare_round(struct comparer *comparer)
{
    for (;;) {
        take_keys(comparer);
        if (comparer->old->count == 0 || atomic_load(&comparer->verify->stops)) {
            return !comparer->keys->has_failed || tell_spool(comparer, "cannot be read");
        }
        if (!compare_parcel(comparer)) {
            return false;
        }
        if (comparer->is_spool_full) {
            return tell_spool(comparer, "has no room");
        }
    }
}

/* The suspects become the keys of the next round. */
static bool turn_over(struct comparer *comparer)
{
    struct spool *done = comparer->keys;
    comparer->keys = comparer->suspects;
    comparer->suspects = done;
    spool_close(done);
    return spool_end(comparer->keys) && spool_open(done);
}

static bool compare_all(struct comparer *comparer)
{
    uint64_t pause_ms = FIRST_PAUSE_MS;
    for (comparer->rounds_left = comparer->verify->rechecks;; comparer->rounds_left--) {
        if (!compare_round(comparer)) {
            return false;
        }
        if (comparer->suspects->count == 0 || comparer->rounds_left == 0 || atomic_load(&comparer->verify->stops)) {
            return true;
        }
        if (!turn_over(comparer)) {
            return false;
        }
        pace_wait(pause_ms * 1000, &comparer->verify->stops);
        pause_ms *= 3;
    }
}

/* ---- Which keys ---- */

/* Each key of the list has the same chance to be among the `most` (reservoir sampling). */
static enum key_list_status sample_keys(struct comparer *comparer, struct key_list *list, uint64_t most)
{
    struct listed_key *chosen = check_calloc(most, sizeof *chosen), key;
    unsigned short dice[3] = {(unsigned short)clock_monotonic_us(), (unsigned short)(clock_monotonic_us() >> 16), 1};
    enum key_list_status status;
    uint64_t seen = 0;
    while ((status = key_list_next(list, &key)) == KEY_LIST_KEY && !atomic_load(&comparer->verify->stops)) {
        uint64_t place = seen < most ? seen : (uint64_t)(erand48(dice) * (double)(seen + 1));
        if (place < most) {
            chosen[place] = key;
        }
        seen++;
        atomic_fetch_add(&comparer->server->listed, 1);
    }
    bool is_kept = true;
    for (uint64_t i = 0; i < seen && i < most; i++) {
        is_kept &= spool_put(comparer->keys, &chosen[i]);
    }
    free(chosen);
    return status == KEY_LIST_END && !(is_kept && spool_end(comparer->keys)) ? KEY_LIST_STOPPED : status;
}

static bool list_keys(struct comparer *comparer)
{
    struct verify *verify = comparer->verify;
    struct verify_server *server = comparer->server;
    struct channel *channel = sides_open_from(&verify->sides, &server->endpoint, server->error);
    if (!channel) {
        return false;
    }
    struct key_list list;
    key_list_init(&list, channel, &verify->stops);
    uint64_t share = (verify->sample + verify->count - 1) / verify->count;
    enum key_list_status status = share ? sample_keys(comparer, &list, share)
                                        : key_list_spool(&list, comparer->keys, &server->listed);
    if (status == KEY_LIST_UNSUPPORTED) {
        atomic_store(&server->is_unsupported, true);
        (void)snprintf(server->error, CHANNEL_ERROR_SIZE, "%s: cannot list its keys (it says: %s)", server->endpoint.name, list.refusal);
    } else if (status == KEY_LIST_BROKEN) {
        memcpy(server->error, channel->error, CHANNEL_ERROR_SIZE);
    }
    channel_close(&channel);
    atomic_store(&server->chosen, comparer->keys->count);
    return status == KEY_LIST_END;
}

/* ---- The whole ---- */

static bool connect_both(struct comparer *comparer, struct channel **from, struct channel **to)
{
    const struct sides *sides = &comparer->verify->sides;
    char *error = comparer->server->error;
    *from = sides_open_from(sides, &comparer->server->endpoint, error);
    *to = *from ? sides_open_to(sides, error) : NULL;
    return *to && reader_init(&comparer->from, *from) && reader_init(&comparer->to, *to);
}

static enum verify_state run(struct comparer *comparer, struct channel **from, struct channel **to)
{
    struct verify_server *server = comparer->server;
    comparer->keys = &comparer->spools[0];
    comparer->suspects = &comparer->spools[1];
    if (!spool_open(comparer->keys) || !spool_open(comparer->suspects)) {
        (void)snprintf(server->error, CHANNEL_ERROR_SIZE, "no place for the list of keys (TMPDIR): %s", strerror(errno));
        return VERIFY_BROKEN;
    }
    atomic_store(&server->state, VERIFY_LISTS);
    bool is_listed = list_keys(comparer);
    atomic_store(&server->state, VERIFY_COMPARES);
    bool is_compared = is_listed && connect_both(comparer, from, to) && compare_all(comparer);
    return atomic_load(&comparer->verify->stops) ? VERIFY_STOPPED : is_compared ? VERIFY_DONE : VERIFY_BROKEN;
}

static void tell_error(struct verify_server *server, const struct channel *channel)
{
    if (channel && server->error[0] == '\0') {
        memcpy(server->error, channel->error, CHANNEL_ERROR_SIZE);
    }
}

void verify_server(struct verify *verify, struct verify_server *server)
{
    struct comparer comparer = {.verify = verify, .server = server};
    struct channel *from = NULL, *to = NULL;
    comparer.old = check_calloc(1, sizeof *comparer.old);
    comparer.new = check_calloc(1, sizeof *comparer.new);
    comparer.offsets = check_calloc(PARCEL_ITEMS + 1, sizeof *comparer.offsets);
    buffer_init(&comparer.values);
    enum verify_state state = run(&comparer, &from, &to);
    tell_error(server, to);
    tell_error(server, from);
    channel_close(&to);
    channel_close(&from);
    spool_close(&comparer.spools[0]);
    spool_close(&comparer.spools[1]);
    buffer_deinit(&comparer.values);
    free(comparer.offsets);
    free(comparer.old);
    free(comparer.new);
    atomic_store(&server->state, state);
}
