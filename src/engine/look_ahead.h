/* Which keys are opened ahead (engine/read_ahead.h): those of the requests that come one behind the other, up to the first whose
 * execution others must not foresee, and from one batch into the next, whosever it is. Main thread only. */
#ifndef DIGLOT_ENGINE_LOOK_AHEAD_H
#define DIGLOT_ENGINE_LOOK_AHEAD_H

#include "engine/executor.h"

/* Opens the keys of what is executed from here on: the message at hand of this batch, which stands in the list of those that are
 * ready, and what comes behind it. A single key gains nothing, and is left. Its user may do everything with all keys; nothing is
 * open ahead. */
void look_ahead(struct executor *executor, const struct batch *batch);

#endif
