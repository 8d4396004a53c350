/* The bytes of a flag ledger: a hash table inside a plain Redis string. docs/flags.md tells the whole idea.
 *
 * The string is a run of records of 12 bytes, little endian: 8 bytes of which the low 4 bits are marks and the others the
 * first 60 bits of the key's hash, and 4 bytes flags. A record lies at its home, the place that the hash's first 32 bits have
 * among all there are, or behind it, around the end. All used records between a record's home and the record have smaller
 * hashes (around the circle of all hashes), so a search ends at the first that has a greater one, or was never used (hash 0).
 * Flags and marks both 0: the record's key has no flags any more; free for reuse, but a search goes on. No record is further
 * from home than half of the table, less one: that is what makes smaller and greater clear around a circle.
 *
 * How many records there are: as many as fit with 10 bytes into 4, 5, 6 or 7 times a power of two, from 64 on; those are the sizes in
 * which the engines' allocator gives memory. A string of another size is no ledger (ledger_is_valid).
 *
 * Pure functions; any thread. */
#ifndef DIGLOT_ITEM_LEDGER_H
#define DIGLOT_ITEM_LEDGER_H

#include "base/buffer.h"

#include <stdint.h>

#define LEDGER_RECORD_SIZE 12

enum ledger_mark {
    LEDGER_STALE = 1u << 0, /* meta: invalidated, may still be served */
    LEDGER_WON = 1u << 1,   /* meta: a client was told to refresh it */
    LEDGER_KNOWN = 1u << 2, /* in the ledger of a poisoned slot: written since, the flags are these */
    LEDGER_LOST = 1u << 3,  /* its flags are not known any more: it must answer as a miss */
};

struct ledger_record {
    uint64_t hash; /* of the key, all 64 bits */
    uint32_t flags;
    uint32_t marks;
};

bool ledger_is_valid(struct span table);

/* True when the table has a record for this hash that says something; *record is zero otherwise. */
bool ledger_find(struct span table, uint64_t hash, struct ledger_record *record);

/* True when the table says that its whole slot is poisoned: the ledger before it was lost, and only items that have a record
 * here are known. */
bool ledger_is_poisoned(struct span table);

/* True when no record says anything. */
bool ledger_is_blank(struct span table);

/* What a change writes into a table: a record, and behind it those that move on to make room for it. What is behind the
 * table's end belongs to its beginning, and is to be written first. */
#define LEDGER_MOVED_MOST 63
struct ledger_patch {
    size_t offset, size;
    char bytes[(LEDGER_MOVED_MOST + 1) * LEDGER_RECORD_SIZE];
};

/* What is to be written to set a record in a valid table; of size 0 where it is as it should be. False when the table should be
 * rebuilt with it instead: there is no room, or it has become slow to search. */
bool ledger_put(struct span table, const struct ledger_record *record, struct ledger_patch *patch);

/* Appends to `output` a table of this record, which may be zero, and all others that say something, with room for more. There
 * are none in an invalid table. */
void ledger_rebuild(struct span table, const struct ledger_record *record, struct buffer *output);

/* The same of a slot that is no longer poisoned: without the record that says so, and without the marks KNOWN. */
void ledger_rebuild_clean(struct span table, struct buffer *output);

/* The same where no record can be trusted: each that says something is marked LOST instead. */
void ledger_rebuild_lost(struct span table, struct buffer *output);

/* Appends to `output` a table that says that its slot is poisoned, and nothing else. */
void ledger_build_poisoned(struct buffer *output);

#endif
