#include "observe/heavy_hitters.h"

#include "base/hash.h"
#include "base/uri.h"
#include "observe/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LABEL_SIZE 32
#define NAME_SIZE (LABEL_SIZE + URI_SIZE_MAX(HEAVY_HITTER_TEXT_MAX) + 1)

/* The entry of a text that is there, or the number of entries. */
static size_t find(const struct heavy_hitters *table, uint64_t hash, struct span text)
{
    for (size_t i = 0; i < table->used; i++) {
        const struct heavy_hitter *entry = &table->entries[i];
        if (table->hashes[i] == hash && span_equal(span_of(entry->text, entry->size), text)) return i;
    }
    return table->used;
}

static size_t find_rarest(const struct heavy_hitters *table)
{
    size_t rarest = 0;
    for (size_t i = 1; i < table->used; i++)
        if (table->entries[i].count < table->entries[rarest].count) rarest = i;
    return rarest;
}

/* A place for a text that is not there, with the count of the one that had it before. */
static size_t make_room(struct heavy_hitters *table)
{
    if (table->used < HEAVY_HITTERS) return table->used++;
    size_t place = find_rarest(table);
    table->entries[place].excess = table->entries[place].count;
    return place;
}

void heavy_hitters_count(struct heavy_hitters *table, struct span text)
{
    if (text.size > HEAVY_HITTER_TEXT_MAX) text.size = HEAVY_HITTER_TEXT_MAX;
    uint64_t hash = hash_key(text);
    size_t place = find(table, hash, text);
    if (place == table->used) {
        place = make_room(table);
        struct heavy_hitter *entry = &table->entries[place];
        table->hashes[place] = hash;
        entry->size = text.size;
        memcpy(entry->text, text.data, text.size);
    }
    table->entries[place].count++;
}

static int compare_counts(const void *a, const void *b)
{
    const struct heavy_hitter *first = *(const struct heavy_hitter *const *)a, *second = *(const struct heavy_hitter *const *)b;
    if (first->count != second->count) return first->count < second->count ? 1 : -1;
    return first < second ? -1 : first > second;
}

static void render_entry(const struct heavy_hitter *entry, const char *label, struct buffer *output)
{
    char name[NAME_SIZE], value[64];
    size_t size = (size_t)snprintf(name, LABEL_SIZE, "%s:", label);
    *uri_put(name + size, span_of(entry->text, entry->size)) = '\0';
    if (entry->excess > 0)
        (void)snprintf(value, sizeof value, "%" PRIu64 "-%" PRIu64, entry->count - entry->excess, entry->count);
    else
        (void)snprintf(value, sizeof value, "%" PRIu64, entry->count);
    stats_add_text(output, name, value);
}

void heavy_hitters_render(const struct heavy_hitters *table, const char *label, struct buffer *output)
{
    const struct heavy_hitter *sorted[HEAVY_HITTERS];
    for (size_t i = 0; i < table->used; i++) sorted[i] = &table->entries[i];
    qsort(sorted, table->used, sizeof *sorted, compare_counts);
    for (size_t i = 0; i < table->used; i++) render_entry(sorted[i], label, output);
}
