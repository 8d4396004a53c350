/* The engine's own options, where ours follow them. Main thread. */
#ifndef DIGLOT_ENGINE_ENGINE_OPTIONS_H
#define DIGLOT_ENGINE_ENGINE_OPTIONS_H

#include "engine/api.h"

/* A number that CONFIG GET tells, up to 32 bits; `otherwise` where the engine does not tell it. */
uint32_t engine_option_number(RedisModuleCtx *ctx, const char *name, uint32_t otherwise);

#endif
