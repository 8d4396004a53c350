#include "upstream/name_table.h"

#include "base/check.h"

#include <stdlib.h>

void *named_new(size_t size, struct span name, uint64_t hash)
{
    struct named *entry = check_calloc(1, size + name.size);
    char *copy = (char *)entry + size;
    memcpy(copy, name.data, name.size);
    *entry = (struct named){.hash = hash, .name = copy, .name_size = name.size};
    return entry;
}

static struct named **bucket_of(const struct name_table *table, uint64_t hash)
{
    return &table->buckets[hash % NAME_BUCKETS];
}

void name_table_deinit(struct name_table *table, void (*free_entry)(struct named *entry))
{
    for (size_t i = 0; table->buckets && i < NAME_BUCKETS; i++) {
        for (struct named *entry = table->buckets[i]; entry;) {
            struct named *next = entry->next;
            free_entry(entry);
            entry = next;
        }
    }
    free(table->buckets);
    *table = (struct name_table){0};
}

struct named *name_table_find(const struct name_table *table, struct span name, uint64_t hash)
{
    if (table->count == 0) return NULL;
    for (struct named *entry = *bucket_of(table, hash); entry; entry = entry->next)
        if (entry->hash == hash && span_equal(named_span(entry), name)) return entry;
    return NULL;
}

void name_table_add(struct name_table *table, struct named *entry)
{
    if (!table->buckets) table->buckets = check_calloc(NAME_BUCKETS, sizeof *table->buckets);
    struct named **bucket = bucket_of(table, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    table->count++;
}

void name_table_remove(struct name_table *table, struct named *entry)
{
    struct named **at = bucket_of(table, entry->hash);
    while (*at != entry) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    table->count--;
}
