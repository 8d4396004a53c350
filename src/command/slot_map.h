/* What is known of each hash slot's flag ledger, in memory: whether it has one, and whether its flags were lost.
 *
 * A slot whose ledger string was lost is poisoned: nobody knows which of its items had flags, so all of them answer as
 * misses until the sweep (command/ledger_sweep.h) has removed them. Keys written since are rescued: their flags are known
 * again. Main thread only. */
#ifndef DIGLOT_COMMAND_SLOT_MAP_H
#define DIGLOT_COMMAND_SLOT_MAP_H

#include "base/hash_set.h"
#include "item/key.h"

enum slot_ledger {
    SLOT_UNKNOWN, /* look it up */
    SLOT_EMPTY,   /* no item has flags */
    SLOT_PRESENT, /* there is a ledger string */
};

enum slot_poison {
    SLOT_CLEAN,
    SLOT_WAITING, /* poisoned since the present sweep began: the next one will clean it */
    SLOT_SWEPT,   /* poisoned; the present sweep cleans it */
};

struct slot_states {
    uint8_t ledger[HASH_SLOTS]; /* enum slot_ledger */
    uint8_t poison[HASH_SLOTS]; /* enum slot_poison */
    uint32_t poisoning[HASH_SLOTS]; /* which poisoning of all it was: a rescue holds for that one only */
    size_t poisoned;            /* how many slots are not clean */
};

struct slot_map {
    struct slot_states **databases; /* NULL: everything is unknown and clean */
    size_t count;
    size_t poisoned; /* over all databases */
    uint32_t poisonings;
    struct hash_set rescued; /* hashes of keys, each mixed with its slot's poisoning */
};

/* A zeroed struct is a map in which everything is unknown. */
void slot_map_deinit(struct slot_map *map);

/* A database's slots, made when first asked for. */
struct slot_states *slot_map_database(struct slot_map *map, int db);

void slot_map_poison(struct slot_map *map, int db, uint16_t slot);
void slot_map_rescue(struct slot_map *map, int db, const struct item_key *key);

/* True when nobody knows this key's flags. */
bool slot_map_is_lost(const struct slot_map *map, int db, uint16_t slot, uint64_t hash);

/* Begins a sweep of `db`: what waited is now being swept. */
void slot_map_begin_sweep(struct slot_map *map, int db);
/* Ends it: what was swept is clean. */
void slot_map_end_sweep(struct slot_map *map, int db);

/* The database was emptied. */
void slot_map_empty(struct slot_map *map, int db);
void slot_map_swap(struct slot_map *map, int first, int second);
/* All databases were loaded anew. */
void slot_map_forget(struct slot_map *map);

#endif
