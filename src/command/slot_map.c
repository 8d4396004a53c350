#include "command/slot_map.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static struct slot_states *existing(const struct slot_map *map, int db)
{
    return (size_t)db < map->count ? map->databases[db] : NULL;
}

void slot_map_deinit(struct slot_map *map)
{
    slot_map_forget(map);
    free(map->databases);
    *map = (struct slot_map){0};
}

struct slot_states *slot_map_database(struct slot_map *map, int db)
{
    CHECK(db >= 0);
    if ((size_t)db >= map->count) {
        size_t count = (size_t)db + 1;
        map->databases = check_realloc(map->databases, count * sizeof *map->databases);
        while (map->count < count) map->databases[map->count++] = NULL;
    }
    if (!map->databases[db]) {
        map->databases[db] = check_calloc(1, sizeof **map->databases);
        map->databases[db]->counts[SLOT_UNKNOWN] = HASH_SLOTS;
    }
    return map->databases[db];
}

void slot_map_set(struct slot_states *states, uint16_t slot, enum slot_ledger ledger)
{
    states->counts[states->ledger[slot]]--;
    states->counts[ledger]++;
    states->ledger[slot] = (uint8_t)ledger;
}

bool slot_map_is_blank(const struct slot_map *map, int db)
{
    const struct slot_states *states = existing(map, db);
    return states && states->counts[SLOT_EMPTY] == HASH_SLOTS && states->poisoned == 0;
}

size_t slot_map_count(const struct slot_map *map, int db, enum slot_ledger ledger)
{
    const struct slot_states *states = existing(map, db);
    return states ? states->counts[ledger] : 0;
}

void slot_map_poison(struct slot_map *map, int db, uint16_t slot)
{
    struct slot_states *states = slot_map_database(map, db);
    if (states->poison[slot] == SLOT_CLEAN) {
        states->poisoned++;
        map->poisoned++;
    }
    states->poison[slot] = SLOT_WAITING;
}

void slot_map_clean(struct slot_map *map, int db, uint16_t slot)
{
    struct slot_states *states = existing(map, db);
    if (!states || states->poison[slot] == SLOT_CLEAN) return;
    states->poison[slot] = SLOT_CLEAN;
    states->poisoned--;
    map->poisoned--;
}

bool slot_map_is_poisoned(const struct slot_map *map, int db, uint16_t slot)
{
    if (map->poisoned == 0) return false;
    const struct slot_states *states = existing(map, db);
    return states && states->poison[slot] != SLOT_CLEAN;
}

void slot_map_begin_sweep(struct slot_map *map, int db)
{
    struct slot_states *states = slot_map_database(map, db);
    for (size_t slot = 0; slot < HASH_SLOTS; slot++)
        if (states->poison[slot] == SLOT_WAITING) states->poison[slot] = SLOT_SWEPT;
}

void slot_map_empty(struct slot_map *map, int db)
{
    struct slot_states *states = slot_map_database(map, db);
    map->poisoned -= states->poisoned;
    *states = (struct slot_states){.counts[SLOT_EMPTY] = HASH_SLOTS, .explored = HASH_SLOTS};
    memset(states->ledger, SLOT_EMPTY, sizeof states->ledger);
}

void slot_map_swap(struct slot_map *map, int first, int second)
{
    struct slot_states *states = slot_map_database(map, first);
    struct slot_states *other = slot_map_database(map, second);
    map->databases[first] = other;
    map->databases[second] = states;
}

void slot_map_forget_losses(struct slot_map *map)
{
    for (size_t db = 0; db < map->count; db++) {
        if (!map->databases[db]) continue;
        struct slot_states *states = map->databases[db];
        for (uint16_t slot = 0; slot < HASH_SLOTS; slot++)
            if (states->ledger[slot] == SLOT_LOST) slot_map_set(states, slot, SLOT_UNKNOWN);
    }
}

void slot_map_forget(struct slot_map *map)
{
    for (size_t db = 0; db < map->count; db++) {
        free(map->databases[db]);
        map->databases[db] = NULL;
    }
    map->poisoned = 0;
}
