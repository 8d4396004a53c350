#include "command/flag_ledger.h"

#include "base/check.h"
#include "command/flag_ledger_parts.h"

#include <stdlib.h>

#define LEDGER_PREFIX SPAN("diglot:flags:")

/* Finds for each slot the first tag, counting in base 36, whose hash is the slot. */
static void find_tags(struct flag_ledger *ledger)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    size_t missing = HASH_SLOTS;
    for (uint32_t number = 0; missing > 0; number++) {
        char reversed[TAG_SIZE], tag[TAG_SIZE];
        size_t size = 0;
        for (uint32_t rest = number; size == 0 || rest > 0; rest /= 36) reversed[size++] = digits[rest % 36];
        for (size_t i = 0; i < size; i++) tag[i] = reversed[size - 1 - i];
        char *slot_tag = ledger->tags[hash_slot(span_of(tag, size))];
        if (slot_tag[0]) continue;
        memcpy(slot_tag, tag, size);
        slot_tag[size] = '\0';
        missing--;
    }
}

struct flag_ledger *flag_ledger_new(struct keyspace *keyspace, struct version_clock *versions, int databases)
{
    struct flag_ledger *ledger = check_calloc(1, sizeof *ledger);
    ledger->keyspace = keyspace;
    ledger->versions = versions;
    ledger->databases = databases;
    ledger->is_primary = true;
    buffer_init(&ledger->scratch);
    buffer_init(&ledger->found);
    buffer_init(&ledger->rescued);
    find_tags(ledger);
    return ledger;
}

void flag_ledger_free(struct flag_ledger **ledger)
{
    if (!*ledger) return;
    slot_map_deinit(&(*ledger)->slots);
    buffer_deinit(&(*ledger)->scratch);
    buffer_deinit(&(*ledger)->found);
    buffer_deinit(&(*ledger)->rescued);
    free((*ledger)->notes);
    ledger_drop_waiting(*ledger);
    free(*ledger);
    *ledger = NULL;
}

void flag_ledger_set_role(struct flag_ledger *ledger, bool is_primary, bool is_writable)
{
    if (ledger->is_primary && !is_primary) {
        ledger_drop_notes(ledger);
        ledger_drop_waiting(ledger);
        slot_map_forget_losses(&ledger->slots);
    }
    ledger->is_primary = is_primary;
    ledger->is_writable = is_primary && is_writable;
}

bool flag_ledger_has_notes(const struct flag_ledger *ledger)
{
    return ledger->note_count > 0;
}

bool flag_ledger_has_work(const struct flag_ledger *ledger)
{
    return ledger->note_count > 0 || ledger->slots.poisoned > 0;
}

struct span flag_ledger_name(const struct flag_ledger *ledger, uint16_t slot, char name[LEDGER_NAME_SIZE])
{
    static const char head[] = "diglot:flags:{";
    size_t size = sizeof head - 1;
    memcpy(name, head, size);
    for (const char *tag = ledger->tags[slot]; *tag; tag++) name[size++] = *tag;
    name[size++] = '}';
    return span_of(name, size);
}

bool flag_ledger_reserves(struct span name)
{
    return span_starts_with(name, LEDGER_PREFIX);
}

bool flag_ledger_owns(const struct flag_ledger *ledger, const struct item_key *key)
{
    char name[LEDGER_NAME_SIZE];
    return flag_ledger_reserves(key->name) && span_equal(key->name, flag_ledger_name(ledger, key->slot, name));
}

static enum keyspace_kind open_ledger(struct flag_ledger *ledger, int db, uint16_t slot, enum keyspace_mode mode)
{
    char name[LEDGER_NAME_SIZE];
    return ledger->keyspace->api->open(ledger->keyspace, db, flag_ledger_name(ledger, slot, name), mode);
}

/* Takes over what a slot's ledger string says of itself. */
static void learn_slot(struct flag_ledger *ledger, int db, uint16_t slot, struct span table)
{
    slot_map_set(slot_map_database(&ledger->slots, db), slot, SLOT_PRESENT);
    if (!ledger_is_poisoned(table))
        slot_map_clean(&ledger->slots, db, slot);
    else if (!slot_map_is_poisoned(&ledger->slots, db, slot))
        slot_map_poison(&ledger->slots, db, slot);
}

/* A key in the ledger's place that is no ledger counts as its loss. A slot that leaves and has none: nobody knows whether it
 * ever had one. */
enum slot_ledger ledger_resolve_slot(struct flag_ledger *ledger, int db, uint16_t slot)
{
    struct slot_states *states = slot_map_database(&ledger->slots, db);
    if (states->ledger[slot] != SLOT_UNKNOWN) return states->ledger[slot];

    const struct keyspace_api *api = ledger->keyspace->api;
    enum keyspace_kind kind = open_ledger(ledger, db, slot, KEYSPACE_READ);
    bool is_valid = kind == KEYSPACE_STRING && ledger_is_valid(api->value(ledger->keyspace));
    if (is_valid) learn_slot(ledger, db, slot, api->value(ledger->keyspace));
    api->close(ledger->keyspace);

    if (states->ledger[slot] == SLOT_LOST) return SLOT_LOST; /* it expired when it was opened */
    if (kind == KEYSPACE_ABSENT)
        slot_map_set(states, slot, ledger_tenure(ledger, slot) == TENURE_LEAVING ? SLOT_GONE : SLOT_EMPTY);
    else if (!is_valid)
        flag_ledger_note_ledger_lost(ledger, db, slot);
    return states->ledger[slot];
}

bool ledger_read_record(struct flag_ledger *ledger, struct item_place place, struct ledger_record *record)
{
    *record = (struct ledger_record){0};
    bool is_found = false;
    enum slot_ledger state = ledger_resolve_slot(ledger, place.db, place.slot);
    if (state == SLOT_GONE) return false;
    if (state == SLOT_PRESENT) {
        const struct keyspace_api *api = ledger->keyspace->api;
        if (open_ledger(ledger, place.db, place.slot, KEYSPACE_READ) == KEYSPACE_STRING)
            is_found = ledger_find(api->value(ledger->keyspace), place.hash, record);
        api->close(ledger->keyspace);
    }
    if (!is_found && slot_map_is_poisoned(&ledger->slots, place.db, place.slot)) return false;
    return !(record->marks & LEDGER_LOST);
}

/* Removes the open ledger string if it says nothing. */
static bool remove_blank_ledger(struct flag_ledger *ledger, int db, uint16_t slot)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    if (!ledger_is_blank(api->value(ledger->keyspace))) return false;
    api->remove(ledger->keyspace);
    slot_map_set(slot_map_database(&ledger->slots, db), slot, SLOT_EMPTY);
    return true;
}

/* A table to be built, and then stored. */
static struct buffer *begin_table(struct flag_ledger *ledger)
{
    buffer_reset(&ledger->scratch, 64 * 1024);
    return &ledger->scratch;
}

/* Writes the table that was built into the open ledger string, or makes the string. */
static void store_table(struct flag_ledger *ledger)
{
    ledger->keyspace->api->store(ledger->keyspace, buffer_content(&ledger->scratch), KEYSPACE_NO_EXPIRY, "set");
}

/* Around the end it takes two writes. The one at the beginning comes first, so that nothing is missing in between. */
static void patch_table(struct flag_ledger *ledger, size_t table_size, const struct ledger_patch *patch)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    size_t behind = table_size - patch->offset;
    size_t first = patch->size < behind ? patch->size : behind;
    if (first < patch->size) api->patch(ledger->keyspace, 0, span_of(patch->bytes + first, patch->size - first));
    api->patch(ledger->keyspace, patch->offset, span_of(patch->bytes, first));
}

/* Puts a record into the open ledger string, or makes the string. False: there is nothing to change. */
static bool put_record(struct flag_ledger *ledger, enum keyspace_kind kind, const struct ledger_record *record)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    struct span table = kind == KEYSPACE_STRING ? api->value(ledger->keyspace) : SPAN("");
    bool is_valid = ledger_is_valid(table);
    struct ledger_patch patch;
    if (is_valid && ledger_put(table, record, &patch)) {
        if (patch.size > 0) patch_table(ledger, table.size, &patch);
        return patch.size > 0;
    }
    if (!is_valid && record->flags == 0 && record->marks == 0) return false;
    ledger_rebuild(table, record, begin_table(ledger));
    store_table(ledger);
    api->retain(ledger->keyspace);
    return true;
}

void ledger_write_record(struct flag_ledger *ledger, struct item_place place, uint32_t flags, uint32_t marks)
{
    enum slot_ledger state = ledger_resolve_slot(ledger, place.db, place.slot);
    if (state == SLOT_GONE) return; /* it must not be made anew: its like is on its way */
    if (slot_map_is_poisoned(&ledger->slots, place.db, place.slot) && !(marks & LEDGER_LOST)) marks |= LEDGER_KNOWN;
    bool clears = flags == 0 && marks == 0;
    if (state != SLOT_PRESENT && clears) return;

    const struct keyspace_api *api = ledger->keyspace->api;
    enum keyspace_kind kind = open_ledger(ledger, place.db, place.slot, KEYSPACE_WRITE);
    bool may_put = kind == KEYSPACE_STRING || tenure_serves(ledger_tenure(ledger, place.slot));
    if (may_put && put_record(ledger, kind, &(struct ledger_record){place.hash, flags, marks})) {
        version_note_change(ledger->versions, place.hash);
        struct slot_states *states = slot_map_database(&ledger->slots, place.db);
        if (states->ledger[place.slot] != SLOT_LOST) slot_map_set(states, place.slot, SLOT_PRESENT);
    }
    api->close(ledger->keyspace);
}

bool flag_ledger_is_blank(const struct flag_ledger *ledger, int db)
{
    return ledger->note_count == 0 && slot_map_is_blank(&ledger->slots, db);
}

size_t flag_ledger_strings(const struct flag_ledger *ledger, int db)
{
    return slot_map_count(&ledger->slots, db, SLOT_PRESENT);
}

/* Looking a slot up takes about as long as reading one item. */
#define EXPLORED_AT_ONCE 32

void flag_ledger_explore(struct flag_ledger *ledger, int db)
{
    struct slot_states *states = slot_map_database(&ledger->slots, db);
    unsigned end = states->explored + EXPLORED_AT_ONCE;
    for (; states->explored < HASH_SLOTS && states->explored < end; states->explored++)
        ledger_resolve_slot(ledger, db, states->explored);
}

/* A ledger that says nothing any more gives its memory back instead. */
static void retain_ledger(struct flag_ledger *ledger, int db, uint16_t slot)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    enum keyspace_mode mode = ledger->is_writable ? KEYSPACE_WRITE : KEYSPACE_READ;
    enum keyspace_kind kind = open_ledger(ledger, db, slot, mode);
    bool is_removed = kind == KEYSPACE_STRING && ledger->is_writable && remove_blank_ledger(ledger, db, slot);
    if (kind != KEYSPACE_ABSENT && !is_removed) api->retain(ledger->keyspace);
    api->close(ledger->keyspace);
}

void flag_ledger_retain(struct flag_ledger *ledger, int db)
{
    if (slot_map_count(&ledger->slots, db, SLOT_PRESENT) == 0) return;
    const struct slot_states *states = slot_map_database(&ledger->slots, db);
    for (unsigned i = 0; i < FLAG_LEDGER_RETAINED_AT_ONCE; i++) {
        uint16_t slot = ledger->next_retained;
        ledger->next_retained = (uint16_t)((slot + 1) % HASH_SLOTS);
        if (states->ledger[slot] == SLOT_PRESENT) retain_ledger(ledger, db, slot);
    }
}

bool flag_ledger_read(struct flag_ledger *ledger, int db, const struct item_key *key, struct item_flags *flags)
{
    *flags = (struct item_flags){0};
    if (flag_ledger_is_blank(ledger, db)) return true;
    struct item_place place = {db, item_key_slot(key), key->hash};
    if (ledger->note_count > 0) {
        flag_ledger_settle(ledger);
        if (ledger_has_note(ledger, place)) return false;
    }
    struct ledger_record record;
    bool is_known = ledger_read_record(ledger, place, &record);
    *flags = (struct item_flags){record.flags, record.marks & (LEDGER_STALE | LEDGER_WON)};
    return is_known;
}

void flag_ledger_write(struct flag_ledger *ledger, int db, const struct item_key *key, struct item_flags flags)
{
    bool clears = flags.flags == 0 && flags.marks == 0;
    if (clears && flag_ledger_is_blank(ledger, db)) return; /* so there is nothing to settle */
    flag_ledger_settle(ledger);
    if (clears && flag_ledger_is_blank(ledger, db)) return;
    struct item_place place = {db, item_key_slot(key), key->hash};
    ledger_write_record(ledger, place, flags.flags, flags.marks);
    if (ledger->note_count == 0) return;
    flag_ledger_settle(ledger); /* the ledger was found to be lost: what is written now is known all the same */
    ledger_write_record(ledger, place, flags.flags, flags.marks);
}

/* The first record of a new ledger tells that the one before was lost. */
static void poison_ledger(struct flag_ledger *ledger, int db, uint16_t slot)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    if (open_ledger(ledger, db, slot, KEYSPACE_WRITE) != KEYSPACE_ABSENT) api->remove(ledger->keyspace);
    ledger_build_poisoned(begin_table(ledger));
    store_table(ledger);
    api->retain(ledger->keyspace);
    api->close(ledger->keyspace);
    slot_map_set(slot_map_database(&ledger->slots, db), slot, SLOT_PRESENT);
    if (!slot_map_is_poisoned(&ledger->slots, db, slot)) slot_map_poison(&ledger->slots, db, slot);
}

void ledger_clean_slot(struct flag_ledger *ledger, int db, uint16_t slot)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    if (open_ledger(ledger, db, slot, KEYSPACE_WRITE) == KEYSPACE_STRING) {
        ledger_rebuild_clean(api->value(ledger->keyspace), begin_table(ledger));
        store_table(ledger);
        (void)remove_blank_ledger(ledger, db, slot);
    }
    api->close(ledger->keyspace);
    slot_map_clean(&ledger->slots, db, slot);
}

void ledger_distrust(struct flag_ledger *ledger, int db, uint16_t slot)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    enum keyspace_kind kind = open_ledger(ledger, db, slot, KEYSPACE_WRITE);
    if (kind == KEYSPACE_STRING && ledger_is_valid(api->value(ledger->keyspace))) {
        ledger_rebuild_lost(api->value(ledger->keyspace), begin_table(ledger));
        store_table(ledger);
    }
    api->close(ledger->keyspace);
}

const char *flag_ledger_tag(const struct flag_ledger *ledger, uint16_t slot)
{
    return ledger->tags[slot];
}

/* A copy from a database that nobody told us: only where no database has flags for the key they are known to be none. */
static bool any_db_has_record(struct flag_ledger *ledger, struct item_place from, struct ledger_record *record)
{
    bool has_record = false;
    for (from.db = 0; from.db < ledger->databases; from.db++)
        has_record |= !ledger_read_record(ledger, from, record) || record->flags || (record->marks & ~(uint32_t)LEDGER_KNOWN);
    *record = (struct ledger_record){0};
    return has_record;
}

/* The flags of `from` become those of `item`. */
static void carry_flags(struct flag_ledger *ledger, const struct note *note)
{
    struct ledger_record record;
    bool is_known = note->from.db == ANY_DB ? !any_db_has_record(ledger, note->from, &record)
                                            : ledger_read_record(ledger, note->from, &record);
    uint32_t marks = record.marks & ~(uint32_t)LEDGER_KNOWN;
    ledger_write_record(ledger, note->item, record.flags, is_known ? marks : marks | LEDGER_LOST);
    if (note->kind == NOTE_MOVE) ledger_write_record(ledger, note->from, 0, 0);
}

void ledger_apply_note(struct flag_ledger *ledger, const struct note *note)
{
    switch (note->kind) {
    case NOTE_OVERWRITE:
    case NOTE_REMOVED: ledger_write_record(ledger, note->item, 0, 0); break;
    case NOTE_MOVE:
    case NOTE_COPY: carry_flags(ledger, note); break;
    case NOTE_UNKNOWN: ledger_write_record(ledger, note->item, 0, LEDGER_LOST); break;
    case NOTE_POISON: poison_ledger(ledger, note->item.db, note->item.slot); break;
    case NOTE_NOTHING:
    case NOTE_CAME:
    case NOTE_LEDGER_CAME:
    case NOTE_LEDGER_LEFT: break; /* nothing, without a cluster */
    }
}

/* Puts a ledger back that was evicted, unless somebody has written in its place, or it is another cluster node's. One that says
 * nothing need not be. */
static void restore_ledger(struct flag_ledger *ledger, struct note *note)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    int db = note->item.db;
    uint16_t slot = note->item.slot;
    struct span table = span_of(buffer_content(&ledger->rescued).data + note->rescued_offset, note->rescued_size);
    bool is_blank = ledger_is_blank(table);
    if (!tenure_serves(ledger_confirm_tenure(ledger, slot))) return;
    if (open_ledger(ledger, db, slot, KEYSPACE_WRITE) == KEYSPACE_ABSENT) {
        note->kind = NOTE_NOTHING;
        if (!is_blank) api->store(ledger->keyspace, table, KEYSPACE_NO_EXPIRY, "set");
        learn_slot(ledger, db, slot, table);
        if (is_blank) slot_map_set(slot_map_database(&ledger->slots, db), slot, SLOT_EMPTY);
    }
    api->close(ledger->keyspace);
}

/* What was evicted knows of none of the notes, so it is put back ahead of them all. */
static void restore_ledgers(struct flag_ledger *ledger)
{
    for (size_t i = 0; i < ledger->note_count; i++)
        if (ledger->notes[i].kind == NOTE_POISON && ledger->notes[i].rescued_size > 0) restore_ledger(ledger, &ledger->notes[i]);
}

/* Settling may itself bring in notes (a ledger that expires when it is opened), so the end is looked at anew each time. */
void flag_ledger_settle(struct flag_ledger *ledger)
{
    if (ledger->note_count == 0 || !ledger->is_writable || ledger->is_settling) return;
    ledger->is_settling = true;
    if (buffer_size(&ledger->rescued) > 0) restore_ledgers(ledger);
    for (size_t i = 0; i < ledger->note_count; i++) {
        struct note note = ledger->notes[i];
        if (ledger->tenures.authority)
            ledger_settle_in_cluster(ledger, &note);
        else
            ledger_apply_note(ledger, &note);
    }
    ledger_drop_notes(ledger);
    ledger->is_settling = false;
}
