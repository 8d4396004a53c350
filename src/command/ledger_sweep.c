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
}

/* A visitor of the keyspace's walk: keeps the names of lost keys. */
static void keep_lost_key(void *context, struct span name)
{
    struct flag_ledger *ledger = context;
    struct item_key key = item_key_of(name);
    if (!slot_map_is_lost(&ledger->slots, ledger->sweep_db, key.slot, key.hash)) return;
    if (flag_ledger_owns(ledger, &key)) return;
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

/* Removes a lost string; where nothing may be written its slot stays poisoned for another walk. */
static void remove_lost_key(struct flag_ledger *ledger, struct span name)
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

bool flag_ledger_sweep(struct flag_ledger *ledger)
{
    if (ledger->slots.poisoned == 0) return false;
    if (!ledger->is_sweeping) {
        if (!find_poisoned_db(ledger)) return false;
        begin_sweep(ledger);
    }
    bool goes_on = ledger->keyspace->api->scan(ledger->keyspace, ledger->sweep_db, &ledger->sweep_cursor, SWEEP_EFFORT,
                                               keep_lost_key, ledger);
    while (buffer_size(&ledger->found) > 0) remove_lost_key(ledger, take_found(&ledger->found));
    buffer_reset(&ledger->found, 64 * 1024);
    if (!goes_on) {
        slot_map_end_sweep(&ledger->slots, ledger->sweep_db);
        ledger->is_sweeping = false;
    }
    return ledger->is_writable && ledger->slots.poisoned > 0;
}
