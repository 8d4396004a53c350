#include "observe/detail.h"

#include "base/check.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACES ((size_t)2 * DETAIL_PREFIXES)

void detail_deinit(struct detail_table *table)
{
    detail_reset(table);
    table->is_on = false;
}

void detail_switch(struct detail_table *table, bool is_on)
{
    table->is_on = is_on;
}

void detail_reset(struct detail_table *table)
{
    free(table->entries);
    table->entries = NULL;
    table->count = 0;
}

static bool holds(const struct detail_entry *entry, struct span prefix)
{
    return span_equal(span_of(entry->prefix, entry->size), prefix);
}

/* The place of a prefix, or the free one where it belongs: half of them are free, so the search ends. */
static struct detail_entry *find(struct detail_table *table, struct span prefix)
{
    size_t at = hash_key(prefix) % PLACES;
    while (table->entries[at].is_used && !holds(&table->entries[at], prefix)) at = (at + 1) % PLACES;
    return &table->entries[at];
}

/* Whether the prefix can stand in a line. Binary keys may hold any byte. */
static bool is_tellable(struct span prefix)
{
    for (size_t i = 0; i < prefix.size; i++)
        if ((unsigned char)prefix.data[i] <= ' ') return false;
    return prefix.size <= DETAIL_PREFIX_MAX;
}

/* The counts of a key's prefix; NULL for a key without one, and when the table is full. */
static struct detail_entry *entry_of(struct detail_table *table, struct span key)
{
    const char *colon = key.size > 0 ? memchr(key.data, ':', key.size) : NULL;
    if (colon == NULL) return NULL;
    struct span prefix = span_of(key.data, (size_t)(colon - key.data));
    if (!is_tellable(prefix)) return NULL;
    if (table->entries == NULL) table->entries = check_calloc(PLACES, sizeof *table->entries);
    struct detail_entry *entry = find(table, prefix);
    if (entry->is_used) return entry;
    if (table->count == DETAIL_PREFIXES) return NULL;
    table->count++;
    entry->is_used = true;
    entry->size = (uint8_t)prefix.size;
    memcpy(entry->prefix, prefix.data, prefix.size);
    return entry;
}

void detail_count_get(struct detail_table *table, struct span key, bool hits)
{
    struct detail_entry *entry = entry_of(table, key);
    if (entry == NULL) return;
    entry->gets++;
    entry->hits += hits;
}

void detail_count_set(struct detail_table *table, struct span key)
{
    struct detail_entry *entry = entry_of(table, key);
    if (entry != NULL) entry->sets++;
}

void detail_count_delete(struct detail_table *table, struct span key)
{
    struct detail_entry *entry = entry_of(table, key);
    if (entry != NULL) entry->deletes++;
}

static void render_entry(const struct detail_entry *entry, struct buffer *output)
{
    char counts[128];
    int size = snprintf(counts, sizeof counts, " get %" PRIu64 " hit %" PRIu64 " set %" PRIu64 " del %" PRIu64 "\r\n", entry->gets,
                        entry->hits, entry->sets, entry->deletes);
    buffer_append(output, SPAN("PREFIX "));
    buffer_append(output, span_of(entry->prefix, entry->size));
    buffer_append(output, span_of(counts, (size_t)size));
}

void detail_render(const struct detail_table *table, struct buffer *output)
{
    for (size_t i = 0; table->entries != NULL && i < PLACES; i++) {
        if (table->entries[i].is_used) render_entry(&table->entries[i], output);
    }
}
