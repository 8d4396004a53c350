/* The sweep: removes the items whose flags were lost with their slot's ledger string, in the background.
 *
 * It walks the whole database a few buckets at a time. What was poisoned before the walk began is clean at its end; what was
 * poisoned meanwhile takes another walk. A replica removes nothing, it only walks until its primary has done so. */
#include "base/check.h"
#include "command/flag_ledger_parts.h"

/* Buckets of the keyspace per step. */
#define SWEEP_EFFORT 64

static bool find_poisoned_db(struct flag_ledger *ledger)
{
    struct slot_map *slots = &ledger->slots;
    for (size_t db = 0; db < slots->count; db++) {
        if (!slots->databases[db] || slots->databases[db]->poisoned == 0) continue;
        ledger->sweep_db = (int)db;
        return true;
    }
    return false;
}

static void begin_sweep(struct flag_ledger *ledger)
{
    slot_map_begin_sweep(&ledger->slots, ledger->sweep_db);
    ledger->sweep_cursor = 0;
    ledger->is_sweeping = true;
    ledger->has_put_off = false;
}

/* A visitor of the keyspace's walk: keeps the names of keys in poisoned slots. */
static void keep_suspect(void *context, struct span name)
{
    struct flag_ledger *ledger = context;
    struct item_key key = item_key_of(name);
    if (!slot_map_is_poisoned(&ledger->slots, ledger->sweep_db, key.slot) || flag_ledger_owns(ledger, &key)) return;
    buffer_append(&ledger->found, span_of(&name.size, sizeof name.size));
    buffer_append(&ledger->found, name);
}

static struct span take_found(struct buffer *found)
{
    size_t size;
    memcpy(&size, buffer_content(found).data, sizeof size);
    buffer_consume(found, sizeof size);
    struct span name = span_of(buffer_content(found).data, size);
    buffer_consume(found, size);
    return name;
}

static bool is_lost(struct flag_ledger *ledger, struct span name)
{
    struct item_key key = item_key_of(name);
    struct ledger_record record;
    return !ledger_read_record(ledger, (struct item_place){ledger->sweep_db, key.slot, key.hash}, &record);
}

/* Removes a string; where nothing may be written its slot stays poisoned for another walk. */
static void remove_string(struct flag_ledger *ledger, struct span name)
{
    const struct keyspace_api *api = ledger->keyspace->api;
    enum keyspace_mode mode = ledger->is_writable ? KEYSPACE_WRITE : KEYSPACE_READ;
    if (api->open(ledger->keyspace, ledger->sweep_db, name, mode) == KEYSPACE_STRING) {
        if (ledger->is_writable)
            api->remove(ledger->keyspace);
        else
            slot_map_database(&ledger->slots, ledger->sweep_db)->poison[hash_slot(name)] = SLOT_WAITING;
    }
    api->close(ledger->keyspace);
}

static void remove_lost(struct flag_ledger *ledger)
{
    while (buffer_size(&ledger->found) > 0) {
        struct span name = take_found(&ledger->found);
        if (is_lost(ledger, name) && ledger_confirm_tenure(ledger, hash_slot(name)) == TENURE_OURS) remove_string(ledger, name);
    }
    buffer_reset(&ledger->found, 64 * 1024);
}

/* What is leaving for another node of the cluster is not ours to sweep, nor to clean; it may stay in the end. */
static void put_off(struct flag_ledger *ledger, uint16_t slot)
{
    struct slot_states *states = slot_map_database(&ledger->slots, ledger->sweep_db);
    if (states->poison[slot] != SLOT_CLEAN) states->poison[slot] = SLOT_WAITING;
    ledger->has_put_off = true;
}

/* Every slot that was swept is clean. A replica's ledgers are its primary's business; a primary that may not write now
 * sweeps again. */
static void end_sweep(struct flag_ledger *ledger)
{
    const struct slot_states *states = slot_map_database(&ledger->slots, ledger->sweep_db);
    ledger->is_sweeping = false;
    if (ledger->is_primary && !ledger->is_writable) return;
    for (uint16_t slot = 0; slot < HASH_SLOTS; slot++) {
        if (states->poison[slot] != SLOT_SWEPT) continue;
        if (ledger->is_writable && ledger_confirm_tenure(ledger, slot) != TENURE_OURS)
            put_off(ledger, slot);
        else if (ledger->is_writable)
            ledger_clean_slot(ledger, ledger->sweep_db, slot);
        else
            slot_map_clean(&ledger->slots, ledger->sweep_db, slot);
    }
}

bool flag_ledger_sweep(struct flag_ledger *ledger)
{
    flag_ledger_settle(ledger);
    bool must_wait = ledger->is_primary && !ledger->is_writable;
    if (must_wait || ledger->slots.poisoned == 0) return false;
    if (!ledger->is_sweeping) {
        if (!find_poisoned_db(ledger)) return false;
        begin_sweep(ledger);
    }
    bool goes_on = ledger->keyspace->api->scan(ledger->keyspace, ledger->sweep_db, &ledger->sweep_cursor, SWEEP_EFFORT,
                                               keep_suspect, ledger);
    remove_lost(ledger);
    if (!goes_on) end_sweep(ledger);
    bool must_hurry = ledger->is_sweeping || !ledger->has_put_off;
    return ledger->is_writable && ledger->slots.poisoned > 0 && must_hurry;
}
