#include "command/copy_table.h"

static bool notes_equal(const struct copy_note *a, const struct copy_note *b)
{
    return a->target == b->target && a->source == b->source && a->names_db == b->names_db;
}

static bool is_noted(const struct copy_table *table, const struct copy_note *note)
{
    for (size_t i = 0; i < table->count; i++)
        if (notes_equal(&table->notes[i], note)) return true;
    return false;
}

static void remove_at(struct copy_table *table, size_t index)
{
    table->count--;
    memmove(&table->notes[index], &table->notes[index + 1], (table->count - index) * sizeof *table->notes);
}

void copy_table_note(struct copy_table *table, const struct item_key *source, const struct item_key *target, bool names_db)
{
    struct copy_note note = {target->hash, source->hash, source->slot, names_db};
    if (is_noted(table, &note)) return;
    if (table->count == COPY_NOTES) {
        table->dropped[table->notes[0].target % COPY_DROPPED] = true;
        remove_at(table, 0);
    }
    table->notes[table->count++] = note;
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
