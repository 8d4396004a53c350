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

/* True when the key was not in the set before. */
bool key_set_add(struct key_set *set, struct span key);

#endif
