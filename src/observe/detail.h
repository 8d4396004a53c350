/* `stats detail`: gets, hits, sets and deletes by the part of the key that stands before its first ':'. Counted only while
 * switched on. Bounded: prefixes that find no room, are too long or hold blanks or control characters are not told. Main thread only. */
#ifndef DIGLOT_OBSERVE_DETAIL_H
#define DIGLOT_OBSERVE_DETAIL_H

#include "base/buffer.h"

#include <stdint.h>

#define DETAIL_PREFIXES 4096
#define DETAIL_PREFIX_MAX 64

struct detail_entry {
    uint8_t size; /* of the prefix */
    bool is_used;
    char prefix[DETAIL_PREFIX_MAX];
    uint64_t gets, hits, sets, deletes;
};

struct detail_table {
    bool is_on;
    size_t count;
    struct detail_entry *entries; /* NULL before the first is made; a hash table of 2 * DETAIL_PREFIXES places */
};

/* A zeroed struct is an empty table that is off. */
void detail_deinit(struct detail_table *table);

/* What is counted stays when it is switched off, as with memcached. */
void detail_switch(struct detail_table *table, bool is_on);
/* Forgets all counts (stats reset). */
void detail_reset(struct detail_table *table);

void detail_count_get(struct detail_table *table, struct span key, bool hits);
void detail_count_set(struct detail_table *table, struct span key);
void detail_count_delete(struct detail_table *table, struct span key);

/* Appends "PREFIX name get N hit N set N del N" lines, as they are to be sent; END not among them. */
void detail_render(const struct detail_table *table, struct buffer *output);

#endif
