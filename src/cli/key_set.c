#include "cli/key_set.h"

#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>

#define CAPACITY_LEAST 1024

void key_set_init(struct key_set *set)
{
    *set = (struct key_set){.slots = NULL};
}

void key_set_deinit(struct key_set *set)
{
    free(set->slots);
    key_set_init(set);
}

/* Where the hash is or belongs. */
static uint64_t *find(const struct key_set *set, uint64_t hash)
{
    for (size_t i = hash & (set->capacity - 1);; i = (i + 1) & (set->capacity - 1)) {
        if (set->slots[i] == 0 || set->slots[i] == hash) {
            return &set->slots[i];
        }
    }
}

static void grow(struct key_set *set, size_t capacity)
{
    struct key_set larger = {.capacity = capacity, .count = set->count};
    larger.slots = check_calloc(larger.capacity, sizeof *larger.slots);
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != 0) {
            *find(&larger, set->slots[i]) = set->slots[i];
        }
    }
    free(set->slots);
    *set = larger;
}

static bool is_crowded(size_t count, size_t capacity)
{
    return count * 4 >= capacity * 3;
}

void key_set_reserve(struct key_set *set, size_t count)
{
    size_t capacity = CAPACITY_LEAST;
    while (is_crowded(count, capacity)) {
        capacity *= 2;
    }
    if (capacity > set->capacity) {
        grow(set, capacity);
    }
}

/* 0 stands for a free slot. */
uint64_t key_set_hash(struct span key)
{
    uint64_t hash = hash_key(key);
    return hash + (hash == 0);
}

void key_set_prefetch(const struct key_set *set, uint64_t hash)
{
    if (set->capacity > 0) {
        __builtin_prefetch(&set->slots[hash & (set->capacity - 1)], 1);
    }
}

bool key_set_add(struct key_set *set, uint64_t hash)
{
    if (is_crowded(set->count, set->capacity)) {
        grow(set, set->capacity ? set->capacity * 2 : CAPACITY_LEAST);
    }
    uint64_t *slot = find(set, hash);
    bool is_new = *slot == 0;
    *slot = hash;
    set->count += is_new;
    return is_new;
}
