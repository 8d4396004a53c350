/* What is known of each hash slot's flag ledger, in memory: whether it has one, and whether it is poisoned.
 *
 * A slot whose ledger string was lost is poisoned: nobody knows which of its items had flags, so all of them answer as
 * misses until the sweep (ledger_sweep.c) has removed them. The new ledger says that it is poisoned, and has a record for
 * every item that was written since, so that a restart forgets neither. Main thread only. */
#ifndef DIGLOT_COMMAND_SLOT_MAP_H
#define DIGLOT_COMMAND_SLOT_MAP_H

#include "base/hash.h"

#include <stdint.h>

enum slot_ledger {
    SLOT_UNKNOWN, /* look it up */
    SLOT_EMPTY,   /* no item has flags */
    SLOT_PRESENT, /* there is a ledger string */
    SLOT_LOST,    /* a new one is to be made that says so; until then, what is there says nothing */
    SLOT_GONE,    /* it has left for another node of the cluster, ahead of items that are still here */
    SLOT_LEDGERS
};

enum slot_poison {
    SLOT_CLEAN,
    SLOT_WAITING, /* poisoned since the present sweep began: the next one will clean it */
    SLOT_SWEPT,   /* poisoned; the present sweep cleans it */
};

struct slot_states {
    uint8_t ledger[HASH_SLOTS]; /* enum slot_ledger; slot_map_set alone writes it */
    uint8_t poison[HASH_SLOTS]; /* enum slot_poison */
    size_t poisoned;            /* how many slots are not clean */
    size_t counts[SLOT_LEDGERS]; /* how many slots are in each state of ledger */
    uint16_t explored;          /* the slots below this were looked up without being asked for */
};

struct slot_map {
    struct slot_states **databases; /* NULL: everything is unknown and clean */
    size_t count;
    size_t poisoned; /* over all databases */
};

/* A zeroed struct is a map in which everything is unknown. */
void slot_map_deinit(struct slot_map *map);

/* A database's slots, made when first asked for. */
struct slot_states *slot_map_database(struct slot_map *map, int db);

void slot_map_set(struct slot_states *states, uint16_t slot, enum slot_ledger ledger);

/* True when every slot of a database is known to be empty, and none is poisoned: no item of it has flags, or lost any. */
bool slot_map_is_blank(const struct slot_map *map, int db);

/* How many slots of the database are in this state; none, if nothing was asked of it yet. */
size_t slot_map_count(const struct slot_map *map, int db, enum slot_ledger ledger);

void slot_map_poison(struct slot_map *map, int db, uint16_t slot);
void slot_map_clean(struct slot_map *map, int db, uint16_t slot);
bool slot_map_is_poisoned(const struct slot_map *map, int db, uint16_t slot);

/* Begins a sweep of `db`: what waited is now being swept. */
void slot_map_begin_sweep(struct slot_map *map, int db);

/* The database was emptied. */
void slot_map_empty(struct slot_map *map, int db);
void slot_map_swap(struct slot_map *map, int first, int second);
/* What is to be written of lost ledgers will not be: they are looked up anew. Poisoned slots stay so. */
void slot_map_forget_losses(struct slot_map *map);
/* Everything was loaded anew. */
void slot_map_forget(struct slot_map *map);

#endif
