#include "engine/client_db.h"

#include "engine/words.h"

static size_t place_of(uint64_t client_id)
{
    return client_id % CLIENT_DB_SELECTIONS;
}

static bool is_queueing(const struct api_client_info *info)
{
    return info->flags & API_CLIENT_MULTI;
}

/* A script's client is none that the engine finds by its number. */
static int db_in_script(const struct client_db_tracker *tracker)
{
    return tracker->caller_id != 0 ? tracker->script_db : -1;
}

int client_db_forecast(const struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter)
{
    struct api_client_info info = {.version = 1};
    uint64_t id = api.CommandFilterGetClientId(filter);
    if (api.GetClientInfoById(&info, id) != API_OK) return db_in_script(tracker);
    size_t place = place_of(id);
    bool has_selected = is_queueing(&info) && tracker->selections[place].client_id == id;
    return has_selected ? tracker->selections[place].db : info.db;
}

int client_db_at_work(const struct client_db_tracker *tracker, RedisModuleCtx *ctx)
{
    int flags = api.GetContextFlags(ctx);
    bool is_caller = flags & API_CONTEXT_SCRIPT || (flags & API_CONTEXT_EXEC && api.GetClientId(ctx) == tracker->caller_id);
    return is_caller ? db_in_script(tracker) : -1;
}

static void note_selection(struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter, int count)
{
    uint64_t id = api.CommandFilterGetClientId(filter);
    int db = count == 2 ? words_db(words_argument(filter, 1)) : -1;
    if (db < 0) return;
    struct api_client_info info = {.version = 1};
    if (api.GetClientInfoById(&info, id) != API_OK) {
        tracker->script_db = db;
    } else if (is_queueing(&info)) {
        tracker->selections[place_of(id)].client_id = id;
        tracker->selections[place_of(id)].db = db;
    }
}

static void note_transaction(struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter)
{
    uint64_t id = api.CommandFilterGetClientId(filter);
    if (tracker->selections[place_of(id)].client_id == id) tracker->selections[place_of(id)].client_id = 0;
}

/* EXEC does where there may be one in it, and others have begun since it was queued. */
static bool begins_script(const struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter, struct span name)
{
    if (words_equal(name, "exec")) return tracker->caller_id != api.CommandFilterGetClientId(filter);
    return words_equal(name, "eval") || words_equal(name, "evalsha") || words_equal(name, "fcall");
}

static void note_script(struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter)
{
    int db = client_db_forecast(tracker, filter);
    tracker->caller_id = db >= 0 ? api.CommandFilterGetClientId(filter) : 0;
    tracker->script_db = db;
}

void client_db_note_command(struct client_db_tracker *tracker, RedisModuleCommandFilterCtx *filter, struct span name,
                            int count)
{
    if (name.size < 4 || name.size > 7) return;
    if (words_equal(name, "select"))
        note_selection(tracker, filter, count);
    else if (words_equal(name, "multi"))
        note_transaction(tracker, filter);
    else if (begins_script(tracker, filter, name))
        note_script(tracker, filter);
}
