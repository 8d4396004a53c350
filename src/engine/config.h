/* The options of config/options.h as configs of the engine: diglot.NAME. Main thread. */
#ifndef DIGLOT_ENGINE_CONFIG_H
#define DIGLOT_ENGINE_CONFIG_H

#include "config/options.h"
#include "engine/api.h"

struct config_texts; /* the engine asks for text options as strings of its own */

/* Registers the options and loads their values from the engine's configuration. NULL with a log line when one is refused.
 * `options` must outlive the module. */
MUST_USE struct config_texts *config_load(RedisModuleCtx *ctx, struct options *options);
void config_free(struct config_texts **texts);

#endif
