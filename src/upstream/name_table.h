/* Tables of structs by a key's name in the engine. An entry begins with struct named, its name stands behind it in the same block.
 * One thread at a time. */
#ifndef DIGLOT_UPSTREAM_NAME_TABLE_H
#define DIGLOT_UPSTREAM_NAME_TABLE_H

#include "base/span.h"

#include <stdint.h>

#define NAME_BUCKETS (1u << 16)

struct named {
    struct named *next;
    uint64_t hash;
    const char *name;
    size_t name_size;
};

struct name_table {
    struct named **buckets; /* NULL until the first entry comes */
    size_t count;
};

/* A block of `size` bytes, zero but for its struct named, which it begins with, and room behind it. To be freed with free(). */
void *named_new(size_t size, struct span name, uint64_t hash);

static inline struct span named_span(const struct named *entry)
{
    return span_of(entry->name, entry->name_size);
}

void name_table_deinit(struct name_table *table, void (*free_entry)(struct named *entry));

struct named *name_table_find(const struct name_table *table, struct span name, uint64_t hash);
void name_table_add(struct name_table *table, struct named *entry);
/* The entry must be in it. */
void name_table_remove(struct name_table *table, struct named *entry);

#endif
