#include "cli/slot_order.h"

#include "base/hash.h"

#include <stdlib.h>

/* So many keys are put in order together: several of each slot. */
#define KEYS_MOST ((size_t)128 * 1024)
/* How far ahead of its turn a key is fetched into the processor's caches. */
#define AHEAD 8
/* A key's place in `keys`, where its fields can be read as they are. */
#define KEY_SIZE(name_size) ((offsetof(struct listed_key, name) + (name_size) + 7) / 8 * 8)

void slot_order_init(struct slot_order *order, struct spool *spool)
{
    *order = (struct slot_order){.spool = spool};
    buffer_init(&order->keys);
}

void slot_order_deinit(struct slot_order *order)
{
    buffer_deinit(&order->keys);
    free(order->sorted);
    order->sorted = NULL;
}

/* Keys in hand, with the place and the slot of each. */
struct hand {
    uint32_t places[KEYS_MOST];
    uint16_t slots[KEYS_MOST];
    uint32_t ends[HASH_SLOTS + 1]; /* of each slot's keys in the order, behind the one before */
};

static void take_all(struct slot_order *order, struct hand *hand)
{
    buffer_reset(&order->keys, KEYS_MOST * sizeof(struct listed_key));
    for (order->count = 0; order->count < KEYS_MOST; order->count++) {
        buffer_reserve(&order->keys, sizeof(struct listed_key));
        struct listed_key *key = (struct listed_key *)(void *)(order->keys.data + order->keys.end);
        if (!spool_take(order->spool, key)) {
            return;
        }
        uint16_t slot = hash_slot(span_of(key->name, key->size));
        hand->places[order->count] = (uint32_t)order->keys.end;
        hand->slots[order->count] = slot;
        hand->ends[slot + 1]++;
        order->keys.end += KEY_SIZE(key->size);
    }
}

/* A counting sort: keys of one slot stay in their order. */
static void sort(struct slot_order *order, struct hand *hand)
{
    for (size_t slot = 1; slot <= HASH_SLOTS; slot++) {
        hand->ends[slot] += hand->ends[slot - 1];
    }
    for (size_t i = 0; i < order->count; i++) {
        order->sorted[hand->ends[hand->slots[i]]++] = hand->places[i];
    }
}

static void fill(struct slot_order *order)
{
    struct hand *hand = check_calloc(1, sizeof *hand);
    if (!order->sorted) {
        order->sorted = check_calloc(KEYS_MOST, sizeof *order->sorted);
    }
    order->next = 0;
    take_all(order, hand);
    sort(order, hand);
    free(hand);
}

static const struct listed_key *key_at(const struct slot_order *order, size_t index)
{
    return (const struct listed_key *)(const void *)(order->keys.data + order->sorted[index]);
}

bool slot_order_take(struct slot_order *order, struct listed_key *key)
{
    if (order->next == order->count && !order->is_wanted) {
        return spool_take(order->spool, key);
    }
    if (order->next == order->count) {
        fill(order);
    }
    if (order->next == order->count) {
        return false;
    }
    if (order->next + AHEAD < order->count) {
        __builtin_prefetch(key_at(order, order->next + AHEAD));
    }
    const struct listed_key *next = key_at(order, order->next++);
    memcpy(key, next, offsetof(struct listed_key, name) + next->size);
    return true;
}

bool slot_order_is_over(const struct slot_order *order)
{
    return order->next == order->count && spool_is_over(order->spool);
}

void slot_order_wait(struct slot_order *order)
{
    if (order->next == order->count) {
        spool_wait(order->spool);
    }
}
