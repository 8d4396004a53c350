/* An item's key as the engine knows it (prefix included), with what is derived from it. Pure; any thread.
 *
 * The slot costs more than the hash, and where no item has flags nobody asks for it: a key may be without. */
#ifndef DIGLOT_ITEM_KEY_H
#define DIGLOT_ITEM_KEY_H

#include "base/hash.h"

#define ITEM_SLOT_UNKNOWN UINT16_MAX

struct item_key {
    struct span name;
    uint64_t hash;
    uint16_t slot; /* ITEM_SLOT_UNKNOWN: to be had from item_key_slot */
};

static inline struct item_key item_key_of(struct span name)
{
    return (struct item_key){name, hash_key(name), hash_slot(name)};
}

static inline uint16_t item_key_slot(const struct item_key *key)
{
    return key->slot != ITEM_SLOT_UNKNOWN ? key->slot : hash_slot(key->name);
}

#endif
