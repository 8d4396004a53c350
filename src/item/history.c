#include "item/history.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static struct history_entry *entry_of(const struct history *history, uint64_t key_hash)
{
    return &history->entries[key_hash % HISTORY_ENTRIES];
}

bool history_begin(struct history *history)
{
    if (history->entries) return false;
    history->entries = check_calloc(HISTORY_ENTRIES, sizeof *history->entries);
    return true;
}

void history_deinit(struct history *history)
{
    free(history->entries);
    history->entries = NULL;
}

bool history_find(const struct history *history, uint64_t key_hash, bool *was_read, int64_t *last_use)
{
    if (!history->entries || key_hash == 0) return false;
    const struct history_entry *entry = entry_of(history, key_hash);
    if (entry->key_hash != key_hash) return false;
    *was_read = entry->last_use & 1;
    *last_use = entry->last_use >> 1;
    return true;
}

static void note(struct history *history, uint64_t key_hash, int64_t now, bool was_read)
{
    if (history->entries) *entry_of(history, key_hash) = (struct history_entry){key_hash, now * 2 + was_read};
}

void history_note_stored(struct history *history, uint64_t key_hash, int64_t now)
{
    note(history, key_hash, now, false);
}

void history_note_read(struct history *history, uint64_t key_hash, int64_t now)
{
    note(history, key_hash, now, true);
}

void history_forget(struct history *history, uint64_t key_hash)
{
    if (!history->entries) return;
    struct history_entry *entry = entry_of(history, key_hash);
    if (entry->key_hash == key_hash) *entry = (struct history_entry){0};
}

void history_forget_all(struct history *history)
{
    if (history->entries) memset(history->entries, 0, HISTORY_ENTRIES * sizeof *history->entries);
}
