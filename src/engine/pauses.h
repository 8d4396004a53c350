/* CLIENT PAUSE as reads must know it. The engine tells a module that clients are paused, but not whether their reads are as
 * well (ALL, against WRITE); so the command filter looks at the command on its way. What it says counts only while the engine
 * is paused indeed, for the command may have been refused. Not seen: a PAUSE inside MULTI, when the loop turns before its
 * EXEC, and one by a CLIENT that has been renamed; reads go on then. Main thread only. */
#ifndef DIGLOT_ENGINE_PAUSES_H
#define DIGLOT_ENGINE_PAUSES_H

#include "base/span.h"
#include "engine/api.h"

/* Zeroed: nothing is known. */
struct pauses {
    uint64_t reads_until_us; /* monotonic: reads are paused until then, if the engine is; 0: they are not */
};

/* The command filter: `name` is the command's. */
void pauses_note_command(struct pauses *pauses, RedisModuleCommandFilterCtx *filter, struct span name, int count);

/* Whether a read must wait now. */
bool pauses_hold_reads(struct pauses *pauses);

#endif
