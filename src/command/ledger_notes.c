/* What events tell the flag ledger. Nothing is written here, because engines forbid or discourage it inside an event:
 * notes are kept in order and settled before the ledger is next read or written. */
#include "base/check.h"
#include "command/flag_ledger_parts.h"

#include <stdlib.h>

/* A burst of notes may take this much memory for good. */
#define NOTES_KEPT 4096
/* The same for ledgers that were evicted, in bytes; and how many more are kept at all. */
#define RESCUED_KEPT (64 * 1024)
#define RESCUED_MOST (16 * 1024 * 1024)

void ledger_add_note(struct flag_ledger *ledger, struct note note)
{
    if (!ledger->is_primary) return;
    if (ledger->note_count == ledger->note_capacity) {
        ledger->note_capacity = ledger->note_capacity ? ledger->note_capacity * 2 : 64;
        ledger->notes = check_realloc(ledger->notes, ledger->note_capacity * sizeof *ledger->notes);
    }
    ledger->notes[ledger->note_count++] = note;
    bool makes_ledger = note.kind == NOTE_MOVE || note.kind == NOTE_COPY || note.kind == NOTE_UNKNOWN;
    ledger->has_carry |= makes_ledger || note.kind == NOTE_LEDGER_CAME;
}

void ledger_put_notes_first(struct flag_ledger *ledger, const struct note *notes, size_t count)
{
    size_t before = ledger->note_count;
    for (size_t i = 0; i < count; i++) ledger_add_note(ledger, notes[i]);
    size_t added = ledger->note_count - before;
    if (added == 0) return;
    memmove(ledger->notes + added, ledger->notes, before * sizeof *ledger->notes);
    memcpy(ledger->notes, notes, added * sizeof *notes);
}

void ledger_drop_notes(struct flag_ledger *ledger)
{
    ledger->note_count = 0;
    ledger->has_carry = false;
    ledger->leaving_size = 0;
    buffer_reset(&ledger->rescued, RESCUED_KEPT);
    if (ledger->note_capacity <= NOTES_KEPT) return;
    free(ledger->notes);
    ledger->notes = NULL;
    ledger->note_capacity = 0;
}

static struct item_place place_of(int db, const struct item_key *key)
{
    return (struct item_place){db, item_key_slot(key), key->hash};
}

bool ledger_has_note(const struct flag_ledger *ledger, struct item_place place)
{
    for (size_t i = 0; i < ledger->note_count; i++) {
        const struct note *note = &ledger->notes[i];
        if (places_equal(note->item, place) || places_equal(note->from, place)) return true;
        if (note_is_about_ledger(note) && note->item.db == place.db && note->item.slot == place.slot) return true;
    }
    return false;
}

/* Nothing is to be done for a key of a slot without flags. */
static bool may_have_flags(struct flag_ledger *ledger, int db, uint16_t slot)
{
    if (db == ANY_DB || ledger->has_carry || !tenure_serves(ledger_tenure(ledger, slot))) return true;
    return slot_map_database(&ledger->slots, db)->ledger[slot] != SLOT_EMPTY ||
           slot_map_is_poisoned(&ledger->slots, db, slot);
}

/* A command that makes a key tells so twice: as new, and by its own name. */
static bool is_noted_last(const struct flag_ledger *ledger, const struct note *note)
{
    if (ledger->note_count == 0) return false;
    const struct note *last = &ledger->notes[ledger->note_count - 1];
    return last->kind == note->kind && places_equal(last->item, note->item);
}

static void note_item(struct flag_ledger *ledger, enum note_kind kind, int db, const struct item_key *key)
{
    struct note note = {.kind = kind, .item = place_of(db, key)};
    if (may_have_flags(ledger, db, key->slot) && !is_noted_last(ledger, &note)) ledger_add_note(ledger, note);
}

void flag_ledger_note_overwrite(struct flag_ledger *ledger, int db, const struct item_key *key)
{
    note_item(ledger, NOTE_OVERWRITE, db, key);
}

void flag_ledger_note_removed(struct flag_ledger *ledger, int db, const struct item_key *key)
{
    note_item(ledger, NOTE_REMOVED, db, key);
}

void flag_ledger_note_came(struct flag_ledger *ledger, int db, const struct item_key *key)
{
    note_item(ledger, NOTE_CAME, db, key);
}

/* What a key of this name had before is over, even where nobody told of its end. */
void flag_ledger_note_new(struct flag_ledger *ledger, int db, const struct item_key *key)
{
    flag_ledger_note_overwrite(ledger, db, key);
}

static void note_carry(struct flag_ledger *ledger, struct note note)
{
    if (may_have_flags(ledger, note.from.db, note.from.slot) || may_have_flags(ledger, note.item.db, note.item.slot))
        ledger_add_note(ledger, note);
}

void flag_ledger_note_move(struct flag_ledger *ledger, int from_db, const struct item_key *from, int to_db,
                           const struct item_key *to)
{
    note_carry(ledger, (struct note){.kind = NOTE_MOVE, .item = place_of(to_db, to), .from = place_of(from_db, from)});
}

void flag_ledger_note_copy(struct flag_ledger *ledger, int from_db, const struct item_key *from, int to_db,
                           const struct item_key *to)
{
    note_carry(ledger, (struct note){.kind = NOTE_COPY, .item = place_of(to_db, to), .from = place_of(from_db, from)});
}

void flag_ledger_note_copy_from_any_db(struct flag_ledger *ledger, const struct item_key *from, int to_db,
                                       const struct item_key *to)
{
    note_carry(ledger, (struct note){.kind = NOTE_COPY, .item = place_of(to_db, to), .from = place_of(ANY_DB, from)});
}

void flag_ledger_note_unknown(struct flag_ledger *ledger, int db, const struct item_key *key)
{
    ledger_add_note(ledger, (struct note){.kind = NOTE_UNKNOWN, .item = place_of(db, key)});
}

void flag_ledger_note_ledger_lost(struct flag_ledger *ledger, int db, uint16_t slot)
{
    version_note_change_of_all(ledger->versions);
    struct slot_states *states = slot_map_database(&ledger->slots, db);
    slot_map_poison(&ledger->slots, db, slot);
    bool is_noted = states->ledger[slot] == SLOT_LOST;
    slot_map_set(states, slot, ledger->is_primary ? SLOT_LOST : SLOT_UNKNOWN);
    if (!is_noted) ledger_add_note(ledger, (struct note){.kind = NOTE_POISON, .item = {.db = db, .slot = slot}});
}

void flag_ledger_note_ledger_leaving(struct flag_ledger *ledger, int db, uint16_t slot, struct span table)
{
    ledger->leaving_size = 0;
    if (!ledger->is_primary || !ledger_is_valid(table) || buffer_size(&ledger->rescued) + table.size > RESCUED_MOST) return;
    buffer_append(&ledger->rescued, table);
    ledger->leaving_db = db;
    ledger->leaving_slot = slot;
    ledger->leaving_size = (uint32_t)table.size;
}

void flag_ledger_note_ledger_evicted(struct flag_ledger *ledger, int db, uint16_t slot)
{
    bool is_rescued = ledger->leaving_size > 0 && ledger->leaving_db == db && ledger->leaving_slot == slot;
    uint32_t size = is_rescued ? ledger->leaving_size : 0;
    size_t count = ledger->note_count;
    ledger->leaving_size = 0;
    flag_ledger_note_ledger_lost(ledger, db, slot);
    if (ledger->note_count == count) return; /* it was lost before */
    ledger->notes[count].rescued_size = size;
    ledger->notes[count].rescued_offset = (uint32_t)buffer_size(&ledger->rescued) - size;
}

/* On a primary only a ledger that comes to a slot without one can be the slot's. */
void flag_ledger_note_ledger_changed(struct flag_ledger *ledger, int db, uint16_t slot)
{
    version_note_change_of_all(ledger->versions);
    struct slot_states *states = slot_map_database(&ledger->slots, db);
    bool replaces = states->ledger[slot] == SLOT_PRESENT || slot_map_is_poisoned(&ledger->slots, db, slot);
    if (ledger->is_primary && ledger->tenures.authority)
        ledger_add_note(ledger, (struct note){.kind = NOTE_LEDGER_CAME, .item = {.db = db, .slot = slot}});
    else if (ledger->is_primary && replaces)
        flag_ledger_note_ledger_lost(ledger, db, slot);
    else
        slot_map_set(states, slot, SLOT_UNKNOWN);
}

/* Notes of a database that was emptied concern nothing any more, but as the source or the target of a move. Of a move into it
 * the record that the item left behind is still to be cleared; a move or copy out of it has lost the flags it carries: that
 * item's flags are unknown. */
void flag_ledger_note_emptied(struct flag_ledger *ledger, int db)
{
    size_t kept = 0;
    for (size_t i = 0; i < ledger->note_count; i++) {
        struct note note = ledger->notes[i];
        bool leaves_record = note.kind == NOTE_MOVE && note.from.db != db;
        if (note.item.db == db && !leaves_record) continue;
        if (note.item.db == db) note = (struct note){.kind = NOTE_OVERWRITE, .item = note.from};
        bool carries = note.kind == NOTE_MOVE || note.kind == NOTE_COPY;
        if (carries && (note.from.db == db || note.from.db == ANY_DB)) note.kind = NOTE_UNKNOWN;
        ledger->notes[kept++] = note;
    }
    ledger->note_count = kept;
    ledger_forget_arrivals(ledger);
    slot_map_empty(&ledger->slots, db);
}

static int swapped(int db, int first, int second)
{
    return db == first ? second : db == second ? first : db;
}

void flag_ledger_note_swapped(struct flag_ledger *ledger, int first, int second)
{
    slot_map_swap(&ledger->slots, first, second);
    for (size_t i = 0; i < ledger->note_count; i++) {
        struct note *note = &ledger->notes[i];
        note->item.db = swapped(note->item.db, first, second);
        note->from.db = swapped(note->from.db, first, second);
    }
    ledger->is_sweeping = false;
}

void flag_ledger_note_loaded(struct flag_ledger *ledger)
{
    ledger_drop_notes(ledger);
    ledger_forget_arrivals(ledger);
    slot_map_forget(&ledger->slots);
    ledger->is_sweeping = false;
}
