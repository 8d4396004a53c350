#include "base/hash_set.h"

#include "base/check.h"

#include <stdlib.h>

#define CAPACITY_LEAST 64

static uint64_t member_of(uint64_t hash)
{
    return hash ? hash : 1;
}

/* The place of a member, or the free place where it belongs. */
static size_t find_place(const struct hash_set *set, uint64_t member)
{
    size_t place = member & (set->capacity - 1);
    while (set->members[place] != 0 && set->members[place] != member) place = (place + 1) & (set->capacity - 1);
    return place;
}

static void grow(struct hash_set *set)
{
    struct hash_set grown = {
        .capacity = set->capacity ? set->capacity * 2 : CAPACITY_LEAST,
        .count = set->count,
    };
    grown.members = check_calloc(grown.capacity, sizeof *grown.members);
    for (size_t i = 0; i < set->capacity; i++)
        if (set->members[i] != 0) grown.members[find_place(&grown, set->members[i])] = set->members[i];
    free(set->members);
    *set = grown;
}

void hash_set_clear(struct hash_set *set)
{
    free(set->members);
    *set = (struct hash_set){0};
}

void hash_set_add(struct hash_set *set, uint64_t hash)
{
    if ((set->count + 1) * 2 > set->capacity) grow(set);
    size_t place = find_place(set, member_of(hash));
    set->count += set->members[place] == 0;
    set->members[place] = member_of(hash);
}

/* Moves the members behind the gap forward, so that no search ends at it too early. */
void hash_set_remove(struct hash_set *set, uint64_t hash)
{
    if (!hash_set_has(set, hash)) return;
    size_t mask = set->capacity - 1;
    size_t gap = find_place(set, member_of(hash));
    set->members[gap] = 0;
    set->count--;
    for (size_t next = (gap + 1) & mask; set->members[next] != 0; next = (next + 1) & mask) {
        uint64_t member = set->members[next];
        set->members[next] = 0;
        set->members[find_place(set, member)] = member;
    }
}

bool hash_set_has(const struct hash_set *set, uint64_t hash)
{
    return set->capacity != 0 && set->members[find_place(set, member_of(hash))] != 0;
}
