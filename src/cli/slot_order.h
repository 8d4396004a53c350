/* Keys from a spool, many at a time in the order of their hash slots. Flags are kept slot by slot (docs/flags.md), so where items
 * have flags the target finds its way faster when those of one slot come one behind the other. One thread. */
#ifndef DIGLOT_CLI_SLOT_ORDER_H
#define DIGLOT_CLI_SLOT_ORDER_H

#include "cli/spool.h"

struct slot_order {
    struct spool *spool;
    bool is_wanted;       /* false: keys come in the spool's order. Takes effect when what is in hand has been taken. */
    struct buffer keys;   /* in hand, each a listed_key without the rest of its name's room */
    uint32_t *sorted;     /* where they begin in `keys`, in the order of their slots */
    size_t count, next;   /* of these */
};

/* All zero but for the spool. */
void slot_order_init(struct slot_order *order, struct spool *spool);
void slot_order_deinit(struct slot_order *order);

/* As spool_take, spool_is_over and spool_wait. */
MUST_USE bool slot_order_take(struct slot_order *order, struct listed_key *key);
bool slot_order_is_over(const struct slot_order *order);
void slot_order_wait(struct slot_order *order);

#endif
