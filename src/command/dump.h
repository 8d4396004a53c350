/* lru_crawler metadump and mgdump: all items, in parts. A part is bounded in time and bytes; what is told of the walk is the
 * cursor that the request carries from one part to the next, so nothing is kept between them, and nothing is lost or
 * left behind when the client goes, or the database is emptied or swapped, in between. Keys that stay in place during the
 * whole dump are told at least once (the guarantee of SCAN). Keys that whoever asks may not read (command_context.reader) are not
 * told. Main thread only. */
#ifndef DIGLOT_COMMAND_DUMP_H
#define DIGLOT_COMMAND_DUMP_H

#include "command/command.h"

/* Executes one part: RESULT_PART, with the next part's cursor as the number; 0: it was the last one. */
void dump_execute(struct command_context *context, const struct request *request, struct result *result,
                  struct buffer *values);

/* stats cachedump: lines about some items, `most` of them at most, and no more than a moment and 2 MiB allow. Keys that no
 * line can hold are not told. */
void dump_some(struct command_context *context, size_t most, struct buffer *values);

#endif
