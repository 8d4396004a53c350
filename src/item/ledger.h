/* The bytes of a flag ledger: a hash table inside a plain Redis string. docs/flags.md tells the whole idea.
 *
 * The string is 2^n records of 16 bytes, little endian: 8 bytes key hash, 4 bytes flags, 4 bytes marks. A record lies at
 * index hash mod 2^n or, where that is taken, behind it (linear probing, around the end). Hash 0: never used, ends a search.
 * Flags and marks both 0: the record's key has no flags any more; free for reuse, but a search goes on.
 *
 * Pure functions; any thread. A table that is not 2^n records long is no ledger (ledger_is_valid). */
#ifndef DIGLOT_ITEM_LEDGER_H
#define DIGLOT_ITEM_LEDGER_H

#include "base/buffer.h"

#include <stdint.h>

#define LEDGER_RECORD_SIZE 16

enum ledger_mark {
    LEDGER_STALE = 1u << 0, /* meta: invalidated, may still be served */
    LEDGER_WON = 1u << 1,   /* meta: a client was told to refresh it */
    LEDGER_KNOWN = 1u << 30, /* in the ledger of a poisoned slot: written since, the flags are these */
    LEDGER_LOST = 1u << 31,  /* its flags are not known any more: it must answer as a miss */
};

/* The record of this hash, marked LOST, says that the whole slot is poisoned: its ledger was lost before this one was made,
 * and only items that have a record here are known. */
#define LEDGER_POISON UINT64_MAX

struct ledger_record {
    uint64_t hash;
    uint32_t flags;
    uint32_t marks;
};

bool ledger_is_valid(struct span table);

/* True when the table has a record for this hash that says something; *record is zero otherwise. */
bool ledger_find(struct span table, uint64_t hash, struct ledger_record *record);

/* True when no record says anything. */
bool ledger_is_blank(struct span table);

/* Where a record for this hash is or belongs. False when the table should be rebuilt first: it has no room, or has
 * become slow to search. */
bool ledger_place(struct span table, uint64_t hash, size_t *offset);

/* The 16 bytes of a record. */
void ledger_encode(const struct ledger_record *record, char bytes[LEDGER_RECORD_SIZE]);

/* Appends to `output` a table of all records that say something, with room for more. An empty or invalid table gives the
 * smallest one. */
void ledger_rebuild(struct span table, struct buffer *output);

/* The same for a slot that is no longer poisoned: without the record that says so, and without the marks KNOWN. */
void ledger_rebuild_clean(struct span table, struct buffer *output);

/* The same where no record can be trusted: each that says something is marked LOST instead. */
void ledger_rebuild_lost(struct span table, struct buffer *output);

#endif
