/* An item's key as the engine knows it (prefix included), with what is derived from it. Pure; any thread. */
#ifndef DIGLOT_ITEM_KEY_H
#define DIGLOT_ITEM_KEY_H

#include "base/hash.h"

struct item_key {
    struct span name;
    uint64_t hash;
    uint16_t slot;
};

static inline struct item_key item_key_of(struct span name)
{
    return (struct item_key){name, hash_key(name), hash_slot(name)};
}

#endif
