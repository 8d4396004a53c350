#include "cli/key_set.h"

#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>

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

static void grow(struct key_set *set)
{
    struct key_set larger = {.capacity = set->capacity ? set->capacity * 2 : 1024, .count = set->count};
    larger.slots = check_calloc(larger.capacity, sizeof *larger.slots);
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != 0) {
            *find(&larger, set->slots[i]) = set->slots[i];
        }
    }
    free(set->slots);
    *set = larger;
}

bool key_set_add(struct key_set *set, struct span key)
{
    if (set->count * 4 >= set->capacity * 3) {
        grow(set);
    }
    uint64_t hash = hash_key(key);
    hash += hash == 0;
    uint64_t *slot = find(set, hash);
    bool is_new = *slot == 0;
    *slot = hash;
    set->count += is_new;
    return is_new;
}
