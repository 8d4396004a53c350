/* What a command tells of itself: to watchers (observe/watch.h), to the statistics by prefix (observe/detail.h) and to the
 * usage report (observe/usage.h). Costs three loads while nobody wants to know. Main thread only. */
#ifndef DIGLOT_COMMAND_REPORT_H
#define DIGLOT_COMMAND_REPORT_H

#include "command/command.h"

#define REPORT_STREAMS (WATCH_FETCHERS | WATCH_MUTATIONS | WATCH_DELETIONS)

static inline bool report_is_wanted(const struct command_context *context)
{
    return watch_wants(context->watch, REPORT_STREAMS) || (context->detail != NULL && context->detail->is_on) ||
           (context->usage != NULL && context->usage->is_on);
}

/* Keeps what a command has found in the place of its key, which is open; is_item: an item that a client may see. */
void report_note_found(struct command_context *context, bool is_item);

/* Tells of a request on a key that has been executed. */
void report_request(struct command_context *context, const struct request *request, const struct result *result);

#endif
