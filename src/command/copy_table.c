#include "command/copy_table.h"

static bool notes_equal(const struct copy_note *a, const struct copy_note *b)
{
    return a->target == b->target && a->source == b->source && a->names_db == b->names_db;
}

static void remove_at(struct copy_table *table, size_t index)
{
    table->count--;
    memmove(&table->notes[index], &table->notes[index + 1], (table->count - index) * sizeof *table->notes);
}

static void remove_equal(struct copy_table *table, const struct copy_note *note)
{
    for (size_t i = table->count; i-- > 0;)
        if (notes_equal(&table->notes[i], note)) remove_at(table, i);
}

void copy_table_note(struct copy_table *table, const struct item_key *source, const struct item_key *target, bool names_db,
                     int client_db, int target_db)
{
    struct copy_note note = {target->hash, source->hash, source->slot, names_db, client_db, target_db};
    remove_equal(table, &note); /* the newest is the last */
    if (table->count == COPY_NOTES) {
        table->dropped[table->notes[0].target % COPY_DROPPED] = true;
        table->has_dropped = true;
        remove_at(table, 0);
    }
    table->notes[table->count++] = note;
}

int copy_table_client_db(const struct copy_table *table, const struct item_key *target, int target_db)
{
    for (size_t i = table->count; i-- > 0;) {
        const struct copy_note *note = &table->notes[i];
        if (note->target == target->hash && note->target_db == target_db) return note->client_db;
    }
    return -1;
}

bool copy_table_is_crowded(const struct copy_table *table)
{
    return table->has_dropped || table->count > COPY_NOTES / 2;
}

void copy_table_reset(struct copy_table *table)
{
    *table = (struct copy_table){0};
}

bool copy_table_take(struct copy_table *table, const struct item_key *target, struct copy_note *note)
{
    size_t found = 0;
    for (size_t i = table->count; i-- > 0;) {
        if (table->notes[i].target != target->hash) continue;
        *note = table->notes[i];
        found++;
        remove_at(table, i);
    }
    return found == 1 && !table->dropped[target->hash % COPY_DROPPED];
}
