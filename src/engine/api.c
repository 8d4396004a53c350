#include "engine/api.h"

struct api api;

typedef int get_api(const char *name, void *function);

/* The lookup function is the first member of every module context: the one thing that the ABI fixes. */
static get_api *lookup_of(RedisModuleCtx *ctx)
{
    return *(get_api **)ctx;
}

const char *api_bind(RedisModuleCtx *ctx)
{
    get_api *lookup = lookup_of(ctx);
#define FUNCTION(type, name, arguments) \
    if (lookup("RedisModule_" #name, &api.name) != API_OK) return #name;
    API_FUNCTIONS(FUNCTION)
#undef FUNCTION
#define FUNCTION(type, name, arguments) \
    if (lookup("RedisModule_" #name, &api.name) != API_OK) api.name = NULL;
    API_FUNCTIONS_OPTIONAL(FUNCTION)
#undef FUNCTION
    void *valkey_only;
    api.is_valkey = lookup("ValkeyModule_Log", &valkey_only) == API_OK;
    return NULL;
}
