/* The engine's part of the usage report (observe/usage.h): the option that switches it, and the keys that RESP clients name.
 * Main thread only. */
#ifndef DIGLOT_ENGINE_USAGE_NOTES_H
#define DIGLOT_ENGINE_USAGE_NOTES_H

#include "engine/api.h"

struct engine;

/* Does what diglot.usage says now. Cheap. */
void usage_notes_follow_option(struct engine *engine);

/* A RESP command passes the filter. */
void usage_notes_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, int count);

#endif
