/* A set of keys by their 64-bit hashes, about 20 bytes for each: two keys of one hash would be taken for one, less than once in a
 * million lists of ten million keys. */
#ifndef DIGLOT_CLI_KEY_SET_H
#define DIGLOT_CLI_KEY_SET_H

#include "base/span.h"

#include <stdint.h>

struct key_set {
    uint64_t *slots; /* open addressing; 0: free */
    size_t capacity, count;
};

void key_set_init(struct key_set *set);
void key_set_deinit(struct key_set *set);

/* Makes room for so many keys at once. */
void key_set_reserve(struct key_set *set, size_t count);

/* What the set knows a key by. The second has its place fetched into the processor's caches, for who asks a little later: sets are large. */
uint64_t key_set_hash(struct span key);
void key_set_prefetch(const struct key_set *set, uint64_t hash);

/* True when the key of this hash was not in the set before. */
bool key_set_add(struct key_set *set, uint64_t hash);

#endif
