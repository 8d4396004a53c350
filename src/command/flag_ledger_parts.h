/* What the files of the flag ledger share: flag_ledger.c (reading and writing), ledger_notes.c (events), ledger_tenure.c
 * (slots that move in a cluster), ledger_sweep.c (lost flags). Nobody else includes this. */
#ifndef DIGLOT_COMMAND_FLAG_LEDGER_PARTS_H
#define DIGLOT_COMMAND_FLAG_LEDGER_PARTS_H

#include "base/buffer.h"
#include "command/flag_ledger.h"
#include "command/slot_map.h"
#include "item/ledger.h"

/* The database of a copy's source when it is not known. */
#define ANY_DB (-1)

/* An item in some database. */
struct item_place {
    int db; /* or ANY_DB */
    uint16_t slot;
    uint64_t hash;
};

static inline bool places_equal(struct item_place a, struct item_place b)
{
    return a.hash == b.hash && a.slot == b.slot && a.db == b.db;
}

enum note_kind {
    NOTE_OVERWRITE,
    NOTE_REMOVED,
    NOTE_MOVE,
    NOTE_COPY,
    NOTE_UNKNOWN,
    NOTE_POISON, /* the ledger of item.slot */
    NOTE_NOTHING,
    NOTE_CAME,   /* the item came from another node of the cluster */
    NOTE_LEDGER_CAME, /* so did, or may have, the ledger of item.slot */
    NOTE_LEDGER_LEFT, /* the ledger of item.slot went to another node, though the slot was ours when last we knew */
};

/* What an event left to be done. */
struct note {
    enum note_kind kind;
    struct item_place item; /* whose record is to be set */
    struct item_place from; /* move and copy: where the flags come from */
    uint32_t rescued_offset; /* poison: the ledger as it was, in `rescued` */
    uint32_t rescued_size;   /* 0: it is not known */
};

#define TAG_SIZE 8

/* Notes, in the order of their coming. */
struct note_list {
    struct note *notes;
    size_t count;
    size_t capacity;
};

/* Whether everything that happened to the keys of a slot that is coming was seen from the first one on. */
enum arrival_watch {
    WATCH_UNDECIDED,
    WATCH_COMPLETE,
    WATCH_BROKEN,
};

/* Slots that move in a cluster (ledger_tenure.c). */
struct tenures {
    const struct slot_authority *authority; /* NULL: there is no cluster */
    uint8_t tenure[HASH_SLOTS];             /* enum slot_tenure, as last told */
    uint8_t watch[HASH_SLOTS];              /* enum arrival_watch */
    bool has_arrived[HASH_SLOTS];           /* of a slot that is coming: its ledger is here */
    bool has_left[HASH_SLOTS];              /* of one that leaves: its ledger was seen to go */
    struct note_list waiting;               /* what is to be done to ledgers that have not arrived yet */
};

struct flag_ledger {
    struct keyspace *keyspace;
    struct version_clock *versions;
    int databases;
    bool is_primary;
    bool is_writable;
    bool is_settling;
    struct slot_map slots;

    struct note *notes;
    size_t note_count;
    size_t note_capacity;
    struct buffer rescued; /* ledgers that the engine has evicted, for the notes that will put them back */
    uint32_t leaving_size; /* the last of them is not noted yet: it is about to go, */
    int leaving_db;        /* from here */
    uint16_t leaving_slot;
    bool has_carry; /* settling may write a record to a slot that has no ledger yet, or find one there */
    struct tenures tenures;

    uint16_t next_retained; /* the slot */

    int sweep_db;
    bool is_sweeping;
    bool has_put_off; /* this sweep, or the last one, has left a poisoned slot as it is */
    uint64_t sweep_cursor;
    struct buffer found; /* names of lost keys of the present step, each behind its size_t size */

    struct buffer scratch;
    char tags[HASH_SLOTS][TAG_SIZE]; /* of each slot, terminated */
};

/* The record of an item, its slot resolved; false: lost. Looks no notes up. */
bool ledger_read_record(struct flag_ledger *ledger, struct item_place place, struct ledger_record *record);
/* Sets it; all zero clears it. */
void ledger_write_record(struct flag_ledger *ledger, struct item_place place, uint32_t flags, uint32_t marks);

/* Ends the poisoning of a slot: no item is lost any more. */
void ledger_clean_slot(struct flag_ledger *ledger, int db, uint16_t slot);

/* Adds one, if there is anything to be done about it here. */
void ledger_add_note(struct flag_ledger *ledger, struct note note);

/* True when the note concerns all items of its slot. */
static inline bool note_is_about_ledger(const struct note *note)
{
    return note->kind == NOTE_POISON || note->kind == NOTE_LEDGER_CAME || note->kind == NOTE_LEDGER_LEFT;
}

/* Forgets all notes, and gives the memory of a burst of them back. */
void ledger_drop_notes(struct flag_ledger *ledger);

/* Does what a note says, in a slot that is ours. */
void ledger_apply_note(struct flag_ledger *ledger, const struct note *note);

/* The same in a cluster, where the slot may not be ours (any longer). */
void ledger_settle_in_cluster(struct flag_ledger *ledger, const struct note *note);

/* What a slot is to us now: the engine is asked. */
enum slot_tenure ledger_confirm_tenure(struct flag_ledger *ledger, uint16_t slot);
/* The same as it was last told, or found out. */
static inline enum slot_tenure ledger_tenure(const struct flag_ledger *ledger, uint16_t slot)
{
    return (enum slot_tenure)ledger->tenures.tenure[slot];
}

/* Looks up, if it is not known, whether the slot has a ledger, and takes over what that says of itself. */
enum slot_ledger ledger_resolve_slot(struct flag_ledger *ledger, int db, uint16_t slot);

/* All items that the open ledger knows, and have flags or marks, have lost them from here on. */
void ledger_distrust(struct flag_ledger *ledger, int db, uint16_t slot);

/* Notes that come ahead of all others that are not settled yet. */
void ledger_put_notes_first(struct flag_ledger *ledger, const struct note *notes, size_t count);

/* Forgets what waits for ledgers to arrive. */
void ledger_drop_waiting(struct flag_ledger *ledger);
/* The same, and what has come so far: there is nothing of it any more, or nobody knows. */
void ledger_forget_arrivals(struct flag_ledger *ledger);

/* True when a note that is not settled yet concerns this item. */
bool ledger_has_note(const struct flag_ledger *ledger, struct item_place place);

#endif
