#include "engine/descriptors.h"

#include "engine/engine_options.h"

#include <sys/resource.h>

#define MAXCLIENTS_DEFAULT 10000
/* What the engine adds to maxclients for the size of its loop; and what we need besides connections. */
#define ENGINE_RESERVE 128
#define OWN_RESERVE 128

static bool raise_limit(rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    if (limit.rlim_cur >= wanted) return true;
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return true;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur >= wanted;
}

bool descriptors_raise(int floor, size_t connections)
{
    return raise_limit((rlim_t)floor + connections + OWN_RESERVE);
}

int descriptors_reserve(RedisModuleCtx *ctx, size_t connections)
{
    size_t floor = engine_option_number(ctx, "maxclients", MAXCLIENTS_DEFAULT) + ENGINE_RESERVE;
    if (!raise_limit(floor + connections + OWN_RESERVE))
        api.Log(ctx, "warning",
                "the limit of open files is too low for maxclients and diglot.maxconns together: raise it (ulimit -n) to %zu",
                floor + connections + OWN_RESERVE);
    return (int)floor;
}
