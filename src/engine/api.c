#include "engine/api.h"

API_STORAGE struct api api;

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

/* A script has a client of its own, which knows its database; asking for it by its number crashes Valkey 9. */
static bool executes_transaction(RedisModuleCtx *ctx)
{
    return (api.GetContextFlags(ctx) & (API_CONTEXT_EXEC | API_CONTEXT_SCRIPT)) == API_CONTEXT_EXEC;
}

/* Inside EXEC, Valkey 9 tells the database that the transaction's last SELECT names; the client itself knows better. */
int api_selected_db(RedisModuleCtx *ctx)
{
    struct api_client_info info = {.version = 1};
    if (api.is_valkey && executes_transaction(ctx) && api.GetClientInfoById(&info, api.GetClientId(ctx)) == API_OK)
        return info.db;
    return api.GetSelectedDb(ctx);
}
