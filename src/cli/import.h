/* diglot import: what its parts share. docs/migrating.md tells what it promises. */
#ifndef DIGLOT_CLI_IMPORT_H
#define DIGLOT_CLI_IMPORT_H

#include "cli/parcel.h"
#include "cli/failures.h"
#include "cli/journal.h"
#include "cli/key_list.h"
#include "cli/pace.h"
#include "cli/sides.h"

enum import_count {
    IMPORT_LISTED,  /* keys that the old server told */
    IMPORT_READ,    /* of these, looked at so far */
    IMPORT_COPIED,
    IMPORT_THERE,   /* the new side had them already: theirs is as new, or newer */
    IMPORT_GONE,    /* expired, deleted or evicted between the list and the reading */
    IMPORT_STALE,   /* invalidated: whoever asks for them next is to make them anew */
    IMPORT_WITHHELD, /* through the target: it does not take them, as they were changed or removed there, or could not fetch them */
    IMPORT_FAILED,
    IMPORT_BYTES,   /* of the values that were copied */
    IMPORT_COUNTS
};

enum import_state {
    IMPORT_WAITS,
    IMPORT_RUNS,
    IMPORT_DONE,
    IMPORT_DONE_BEFORE, /* the state file says so */
    IMPORT_BROKEN,      /* `error` tells */
    IMPORT_UNSUPPORTED, /* it cannot list its keys; `error` is what it says */
    IMPORT_STOPPED,
};

struct import_server {
    struct endpoint endpoint;
    atomic_int state; /* enum import_state */
    bool was_begun;   /* by an earlier run */
    _Atomic uint64_t counts[IMPORT_COUNTS];
    char error[CHANNEL_ERROR_SIZE];
};

struct import {
    struct sides sides;
    struct import_server *servers;
    size_t count;
    uint64_t item_size_max; /* the target's: a larger one would be refused, and take an older value with it */
    bool looks_first;       /* look what the target has before reading */
    /* The target reads through to the old servers: then it is asked for each key, and fetches by itself. It knows which keys were
     * removed there and must not come back, which an add from outside cannot tell. */
    bool goes_through;
    struct pace pace;
    struct journal journal;
    struct failures failures;
    atomic_bool stops;
};

static inline void import_add(struct import_server *server, enum import_count count, uint64_t amount)
{
    (void)atomic_fetch_add_explicit(&server->counts[count], amount, memory_order_relaxed);
}

static inline uint64_t import_read(const struct import_server *server, enum import_count count)
{
    return atomic_load_explicit(&server->counts[count], memory_order_relaxed);
}

/* Copies one server's items; its state tells how it ended. A thread of its own. */
void import_copy_server(struct import *import, struct import_server *server);

/* The report, when all have ended; in words or as JSON. */
void import_report(const struct import *import, double seconds);

#endif
