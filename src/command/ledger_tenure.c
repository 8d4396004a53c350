/* Slots that move between the nodes of a cluster. docs/cluster.md tells the whole idea; in short:
 *
 * A slot moves key by key, its ledger like any other key, and the ledger is the last to go (engine/cluster_traffic.h). While it
 * leaves, a key that vanishes keeps its record: it may have gone to the other node, and whatever makes it anew anywhere
 * clears the record then. While it comes, no ledger is made here, as the one that is under way would find its place taken;
 * what clients do meanwhile to keys that have come waits in memory and is done to the ledger when that arrives. Where memory
 * does not cover all that happened, the records that arrive are not trusted: those items are misses.
 *
 * Nothing is ever written into a slot that is another node's: before a ledger is changed the engine is asked. */
#include "base/check.h"
#include "command/flag_ledger_parts.h"

#include <stdlib.h>

/* Notes that wait for ledgers to arrive, over all slots. */
#define WAITING_MAX 16384

void flag_ledger_join_cluster(struct flag_ledger *ledger, const struct slot_authority *authority)
{
    ledger->tenures.authority = authority;
}

enum slot_tenure ledger_confirm_tenure(struct flag_ledger *ledger, uint16_t slot)
{
    const struct slot_authority *authority = ledger->tenures.authority;
    return authority ? authority->confirm(authority->owner, slot) : TENURE_OURS;
}

/* ---- What waits ---- */

static void wait_for_ledger(struct note_list *waiting, const struct note *note)
{
    if (waiting->count == waiting->capacity) {
        waiting->capacity = waiting->capacity ? waiting->capacity * 2 : 64;
        waiting->notes = check_realloc(waiting->notes, waiting->capacity * sizeof *waiting->notes);
    }
    waiting->notes[waiting->count++] = *note;
}

void ledger_drop_waiting(struct flag_ledger *ledger)
{
    free(ledger->tenures.waiting.notes);
    ledger->tenures.waiting = (struct note_list){0};
}

void ledger_forget_arrivals(struct flag_ledger *ledger)
{
    ledger_drop_waiting(ledger);
    memset(ledger->tenures.has_arrived, 0, sizeof ledger->tenures.has_arrived);
    memset(ledger->tenures.watch, WATCH_UNDECIDED, sizeof ledger->tenures.watch);
}

/* Takes the notes of one slot out, in their order; the caller frees them. */
static struct note_list take_waiting(struct flag_ledger *ledger, uint16_t slot)
{
    struct note_list *waiting = &ledger->tenures.waiting;
    struct note_list taken = {0};
    size_t kept = 0;
    for (size_t i = 0; i < waiting->count; i++) {
        struct note note = waiting->notes[i];
        if (note.item.slot == slot)
            wait_for_ledger(&taken, &note);
        else
            waiting->notes[kept++] = note;
    }
    waiting->count = kept;
    if (kept == 0) ledger_drop_waiting(ledger);
    return taken;
}

static void drop_waiting_of(struct flag_ledger *ledger, uint16_t slot)
{
    struct note_list dropped = take_waiting(ledger, slot);
    free(dropped.notes);
}

/* The newest note that waits for this item. */
static const struct note *find_waiting(const struct flag_ledger *ledger, const struct note *note)
{
    const struct note_list *waiting = &ledger->tenures.waiting;
    for (size_t i = waiting->count; i > 0; i--) {
        const struct note *other = &waiting->notes[i - 1];
        if (places_equal(other->item, note->item)) return other;
    }
    return NULL;
}

/* What waits for ledgers, and behind it what waits to be settled. */
static const struct note *note_at(const struct flag_ledger *ledger, size_t index)
{
    const struct note_list *waiting = &ledger->tenures.waiting;
    return index < waiting->count ? &waiting->notes[index] : &ledger->notes[index - waiting->count];
}

static bool is_newest(const struct flag_ledger *ledger, size_t index, size_t count)
{
    for (size_t i = index + 1; i < count; i++)
        if (places_equal(note_at(ledger, i)->item, note_at(ledger, index)->item)) return false;
    return true;
}

/* How many keys of the slot are known to be here because somebody wrote them here. */
static size_t count_written(const struct flag_ledger *ledger, uint16_t slot)
{
    size_t count = ledger->tenures.waiting.count + ledger->note_count, written = 0;
    for (size_t i = 0; i < count; i++) {
        const struct note *note = note_at(ledger, i);
        written += note->item.slot == slot && note->kind == NOTE_OVERWRITE && is_newest(ledger, i, count);
    }
    return written;
}

/* What does not fit into memory: forgetting that an item was written anew is made good by trusting no record; where flags
 * were carried along, nobody knows any item's. */
static void forgo_note(struct flag_ledger *ledger, const struct note *note)
{
    ledger->tenures.watch[note->item.slot] = WATCH_BROKEN;
    if (note->kind == NOTE_OVERWRITE || note->kind == NOTE_REMOVED) return;
    drop_waiting_of(ledger, note->item.slot);
    wait_for_ledger(&ledger->tenures.waiting,
                    &(struct note){.kind = NOTE_POISON, .item = {.db = note->item.db, .slot = note->item.slot}});
}

/* The watch is complete if every key that the slot has here was noted. */
static void decide_watch(struct flag_ledger *ledger, uint16_t slot)
{
    const struct slot_authority *authority = ledger->tenures.authority;
    if (ledger->tenures.watch[slot] != WATCH_UNDECIDED) return;
    bool is_complete = authority->count_keys(authority->owner, slot) <= count_written(ledger, slot);
    ledger->tenures.watch[slot] = is_complete ? WATCH_COMPLETE : WATCH_BROKEN;
}

static void let_wait(struct flag_ledger *ledger, const struct note *note)
{
    const struct note *newest = find_waiting(ledger, note);
    if (newest && newest->kind == note->kind && note->kind != NOTE_MOVE && note->kind != NOTE_COPY) return;
    if (ledger->tenures.waiting.count < WAITING_MAX)
        wait_for_ledger(&ledger->tenures.waiting, note);
    else
        forgo_note(ledger, note);
}

void flag_ledger_expect(struct flag_ledger *ledger, uint16_t slot)
{
    if (ledger->is_primary && ledger_tenure(ledger, slot) == TENURE_COMING) decide_watch(ledger, slot);
}

/* ---- Slots that change hands ---- */

static void set_state(struct flag_ledger *ledger, int db, uint16_t slot, enum slot_ledger state)
{
    struct slot_states *states = slot_map_database(&ledger->slots, db);
    slot_map_set(states, slot, state);
    if (state == SLOT_UNKNOWN && states->explored > slot) states->explored = slot;
}

/* What is kept in memory of a slot's ledgers is over. */
static void forget_slot(struct flag_ledger *ledger, uint16_t slot)
{
    for (size_t db = 0; db < ledger->slots.count; db++) {
        if (!ledger->slots.databases[db]) continue;
        slot_map_clean(&ledger->slots, (int)db, slot);
        set_state(ledger, (int)db, slot, SLOT_UNKNOWN);
    }
}

/* An item that comes where the ledger is: what happened to it at the other node since the ledger left that is not told here. */
static void doubt_item(struct flag_ledger *ledger, const struct note *note)
{
    if (ledger_resolve_slot(ledger, note->item.db, note->item.slot) == SLOT_PRESENT)
        ledger_write_record(ledger, note->item, 0, LEDGER_LOST);
}

/* A ledger that comes to a slot which is ours cannot know what has happened to the items since. */
static void doubt_ledger(struct flag_ledger *ledger, const struct note *note)
{
    enum slot_ledger state = slot_map_database(&ledger->slots, note->item.db)->ledger[note->item.slot];
    if (state != SLOT_EMPTY && state != SLOT_GONE) {
        flag_ledger_note_ledger_lost(ledger, note->item.db, note->item.slot);
        return;
    }
    ledger_distrust(ledger, note->item.db, note->item.slot);
    set_state(ledger, note->item.db, note->item.slot, SLOT_UNKNOWN);
}

static void settle_ours(struct flag_ledger *ledger, const struct note *note)
{
    switch (note->kind) {
    case NOTE_CAME: doubt_item(ledger, note); break;
    case NOTE_LEDGER_CAME: doubt_ledger(ledger, note); break;
    case NOTE_LEDGER_LEFT: flag_ledger_note_ledger_lost(ledger, note->item.db, note->item.slot); break;
    default: ledger_apply_note(ledger, note); break;
    }
}

/* What waited for the ledger is done first of all that is still to be settled. */
static void release_waiting(struct flag_ledger *ledger, uint16_t slot)
{
    struct note_list released = take_waiting(ledger, slot);
    if (ledger->is_settling)
        for (size_t i = 0; i < released.count; i++) settle_ours(ledger, &released.notes[i]);
    else
        ledger_put_notes_first(ledger, released.notes, released.count);
    free(released.notes);
}

/* Its ledger is here, if it ever had one. What an unfinished watch may have missed makes it untrustworthy only where it came
 * while keys came, which was looked after then. */
static void begin_owning(struct flag_ledger *ledger, uint16_t slot)
{
    forget_slot(ledger, slot);
    release_waiting(ledger, slot);
    ledger->tenures.has_arrived[slot] = false;
}

/* The move was called off. Where the ledger was seen to go ahead of what is here, nobody knows any flags of that; if nothing is
 * here, all is well: what comes back has the ledger ahead of it (engine/cluster_traffic.h). Where there was none when this node
 * first looked, there never was one, as it goes last. */
static void stay_owning(struct flag_ledger *ledger, uint16_t slot)
{
    const struct slot_authority *authority = ledger->tenures.authority;
    bool is_bereft = ledger->tenures.has_left[slot] && authority->count_keys(authority->owner, slot) > 0;
    for (size_t db = 0; db < ledger->slots.count; db++) {
        const struct slot_states *states = ledger->slots.databases[db];
        if (!states || states->ledger[slot] != SLOT_GONE) continue;
        if (is_bereft)
            flag_ledger_note_ledger_lost(ledger, (int)db, slot);
        else
            set_state(ledger, (int)db, slot, SLOT_UNKNOWN);
    }
}

/* Slots without a ledger are known to have none only if they are looked at before the first key has gone. */
static void begin_leaving(struct flag_ledger *ledger, uint16_t slot)
{
    slot_map_database(&ledger->slots, 0);
    for (size_t db = 0; db < ledger->slots.count; db++)
        if (ledger->slots.databases[db]) ledger_resolve_slot(ledger, (int)db, slot);
}

/* A key that is here already when a slot is first known to come: its ledger may know it by another name. */
static void doubt_early_key(void *context, struct span name)
{
    struct flag_ledger *ledger = context;
    struct item_key key = item_key_of(name);
    wait_for_ledger(&ledger->tenures.waiting, &(struct note){.kind = NOTE_CAME, .item = {0, item_key_slot(&key), key.hash}});
}

/* Keys are here already where the node has restarted, or taken over from its primary. */
static void begin_coming(struct flag_ledger *ledger, uint16_t slot)
{
    const struct slot_authority *authority = ledger->tenures.authority;
    forget_slot(ledger, slot);
    drop_waiting_of(ledger, slot);
    ledger->tenures.has_arrived[slot] = ledger_resolve_slot(ledger, 0, slot) != SLOT_EMPTY;
    size_t waiting = ledger->tenures.waiting.count;
    if (ledger->tenures.has_arrived[slot] || waiting >= WAITING_MAX) return;
    authority->visit_keys(authority->owner, slot, WAITING_MAX - waiting, doubt_early_key, ledger);
}

static void begin_elsewhere(struct flag_ledger *ledger, uint16_t slot)
{
    forget_slot(ledger, slot);
    drop_waiting_of(ledger, slot);
    ledger->tenures.has_arrived[slot] = false;
}

void flag_ledger_set_tenure(struct flag_ledger *ledger, uint16_t slot, enum slot_tenure tenure, bool is_news)
{
    enum slot_tenure before = ledger_tenure(ledger, slot);
    ledger->tenures.watch[slot] = WATCH_UNDECIDED;
    if (tenure == TENURE_LEAVING && before == TENURE_OURS && is_news) begin_leaving(ledger, slot);
    ledger->tenures.tenure[slot] = (uint8_t)tenure;
    switch (tenure) {
    case TENURE_OURS:
        if (before == TENURE_LEAVING && is_news)
            stay_owning(ledger, slot);
        else
            begin_owning(ledger, slot);
        break;
    case TENURE_LEAVING:
        if (!is_news || before != TENURE_OURS) forget_slot(ledger, slot);
        break;
    case TENURE_COMING: begin_coming(ledger, slot); break;
    case TENURE_ELSEWHERE: begin_elsewhere(ledger, slot); break;
    }
    if (tenure != TENURE_LEAVING) ledger->tenures.has_left[slot] = false;
}

bool flag_ledger_has_left(struct flag_ledger *ledger, int db, uint16_t slot)
{
    return ledger_resolve_slot(ledger, db, slot) == SLOT_GONE;
}

bool flag_ledger_is_here(struct flag_ledger *ledger, int db, uint16_t slot)
{
    return ledger_resolve_slot(ledger, db, slot) == SLOT_PRESENT;
}

void flag_ledger_note_ledger_left(struct flag_ledger *ledger, int db, uint16_t slot)
{
    enum slot_tenure tenure = ledger_tenure(ledger, slot);
    if (tenure_serves(tenure)) {
        slot_map_clean(&ledger->slots, db, slot);
        set_state(ledger, db, slot, SLOT_GONE);
        ledger->tenures.has_left[slot] = true;
        if (tenure == TENURE_OURS)
            ledger_add_note(ledger, (struct note){.kind = NOTE_LEDGER_LEFT, .item = {.db = db, .slot = slot}});
    } else {
        forget_slot(ledger, slot);
        ledger->tenures.has_arrived[slot] = false;
    }
}

/* ---- Settling ---- */

static void settle_leaving(struct flag_ledger *ledger, const struct note *note)
{
    bool is_here = ledger_resolve_slot(ledger, note->item.db, note->item.slot) != SLOT_GONE;
    if (note->kind != NOTE_REMOVED && (is_here || note->kind == NOTE_LEDGER_CAME)) settle_ours(ledger, note);
}

/* The ledger arrives: what has waited for it is done to it. */
static void accept_ledger(struct flag_ledger *ledger, const struct note *note)
{
    uint16_t slot = note->item.slot;
    bool is_trusted = ledger->tenures.watch[slot] == WATCH_COMPLETE && !ledger->tenures.has_arrived[slot];
    if (!is_trusted) ledger_distrust(ledger, note->item.db, slot);
    set_state(ledger, note->item.db, slot, SLOT_UNKNOWN);
    ledger->tenures.has_arrived[slot] = true;
    release_waiting(ledger, slot);
}

static void settle_before_ledger(struct flag_ledger *ledger, const struct note *note)
{
    struct note unknown = {.kind = NOTE_UNKNOWN, .item = note->item};
    if (note->kind != NOTE_CAME) {
        let_wait(ledger, note);
        if (!note_is_about_ledger(note)) decide_watch(ledger, note->item.slot);
    } else if (find_waiting(ledger, note)) {
        let_wait(ledger, &unknown); /* it came, was changed here, and came again */
    }
}

static void settle_coming(struct flag_ledger *ledger, const struct note *note)
{
    bool *has_arrived = &ledger->tenures.has_arrived[note->item.slot];
    if (note->kind == NOTE_LEDGER_CAME) {
        accept_ledger(ledger, note);
    } else if (note->kind == NOTE_POISON) {
        struct note plain = {.kind = NOTE_POISON, .item = note->item}; /* not with what was rescued: that does not wait */
        forget_slot(ledger, note->item.slot);
        *has_arrived = false;
        let_wait(ledger, &plain);
    } else if (*has_arrived) {
        settle_ours(ledger, note);
    } else {
        settle_before_ledger(ledger, note);
    }
}

void ledger_settle_in_cluster(struct flag_ledger *ledger, const struct note *note)
{
    if (note->kind == NOTE_NOTHING) return;
    switch (ledger_confirm_tenure(ledger, note->item.slot)) {
    case TENURE_OURS: settle_ours(ledger, note); break;
    case TENURE_LEAVING: settle_leaving(ledger, note); break;
    case TENURE_COMING: settle_coming(ledger, note); break;
    case TENURE_ELSEWHERE:
        if (note_is_about_ledger(note)) forget_slot(ledger, note->item.slot);
        break;
    }
}
