/* The engine's LFU, told of uses that it did not see: those of items that near caches answered for. The engine counts uses in a
 * byte per key, logarithmically, by chance, and lets it decay. Here the same count is carried on, many uses at a time. Main
 * thread only. */
#ifndef DIGLOT_ENGINE_FREQUENCY_H
#define DIGLOT_ENGINE_FREQUENCY_H

#include "engine/api.h"

#include <stdint.h>

struct frequency {
    bool is_known;      /* what the engine's configuration says; false again when that changes */
    int64_t log_factor; /* lfu-log-factor */
    uint64_t random;
};

/* The open key was used `times` more. No effect where the policy is not LFU. */
void frequency_add(struct frequency *frequency, RedisModuleCtx *ctx, RedisModuleKey *key, uint32_t times);

#endif
