/* Where copies come from. The engine's "copy_to" event names only the target of a COPY; a command filter sees the whole
 * command, but before it is executed, and for one queued in MULTI long before. So the filter notes source and target, and the
 * event looks the target up. A command that fails leaves its note behind: a target with notes of different sources, or whose
 * note may have been dropped for room, has an unknown source. Main thread only. */
#ifndef DIGLOT_COMMAND_COPY_TABLE_H
#define DIGLOT_COMMAND_COPY_TABLE_H

#include "item/key.h"

#define COPY_NOTES 256
#define COPY_DROPPED 1024

struct copy_note {
    uint64_t target;
    uint64_t source;
    uint16_t source_slot;
    bool names_db; /* with option DB: the source may be in another database */
    /* Forecast of where the client is when the command is executed, and where the target is; -1: not known. A note of the same
     * copy replaces them. */
    int client_db;
    int target_db;
};

struct copy_table {
    struct copy_note notes[COPY_NOTES];
    size_t count;
    bool has_dropped;
    bool dropped[COPY_DROPPED]; /* by target: a note was dropped for room */
};

void copy_table_note(struct copy_table *table, const struct item_key *source, const struct item_key *target, bool names_db,
                     int client_db, int target_db);

/* The client's database as the newest note of a target in that database has it; -1 where there is none. */
int copy_table_client_db(const struct copy_table *table, const struct item_key *target, int target_db);

/* True when so many commands have failed that notes are dropped, or soon will be. */
bool copy_table_is_crowded(const struct copy_table *table);

/* Forgets everything: no command that was seen is still to be executed. */
void copy_table_reset(struct copy_table *table);

/* Takes all notes of a target; False when they do not tell one source. */
bool copy_table_take(struct copy_table *table, const struct item_key *target, struct copy_note *note);

#endif
