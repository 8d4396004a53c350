/* A growing set of 64-bit hashes. Not thread-safe. */
#ifndef DIGLOT_BASE_HASH_SET_H
#define DIGLOT_BASE_HASH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_set {
    uint64_t *members; /* 0: free place */
    size_t capacity;   /* power of two, or 0 */
    size_t count;
};

/* A zeroed struct is an empty set. */
void hash_set_clear(struct hash_set *set);
void hash_set_add(struct hash_set *set, uint64_t hash);
void hash_set_remove(struct hash_set *set, uint64_t hash);
bool hash_set_has(const struct hash_set *set, uint64_t hash);

#endif
