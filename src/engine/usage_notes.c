#include "engine/usage_notes.h"

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/words.h"

/* Longer commands are not looked at: a report needs not every key of a giant MSET. */
#define ARGUMENTS_MOST 256

void usage_notes_follow_option(struct engine *engine)
{
    struct usage *usage = engine->command.usage;
    bool is_wanted = option_get(engine->options, usage);
    if (is_wanted != usage->is_on) usage_switch(usage, is_wanted, clock_wall_ms());
}

/* What comes from the primary is nobody's access; what other databases hold are other keys. */
static bool is_of_a_client(const struct engine *engine, RedisModuleCommandFilterCtx *filter)
{
    if (!engine->is_primary || engine->is_loading) return false;
    struct api_client_info info = {.version = 1};
    if (!api.CommandFilterGetClientId) return true;
    if (api.GetClientInfoById(&info, api.CommandFilterGetClientId(filter)) != API_OK) return true; /* a script's */
    return info.db == engine->command.db;
}

void usage_notes_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, int count)
{
    usage_notes_follow_option(engine);
    struct usage *usage = engine->command.usage;
    if (!usage->is_on || count > ARGUMENTS_MOST || !is_of_a_client(engine, filter)) return;
    RedisModuleString *words[ARGUMENTS_MOST];
    for (int i = 0; i < count; i++) words[i] = (RedisModuleString *)api.CommandFilterArgGet(filter, i);
    int keys = 0;
    int *places = api.GetCommandKeysWithFlags(engine->ctx, words, count, &keys, NULL);
    for (int i = 0; i < keys && places; i++) usage_note_resp(usage, words_argument(filter, places[i]));
    if (places) api.Free(places);
}
