#include "engine/cluster_traffic.h"

#include "engine/engine.h"
#include "engine/words.h"

/* MIGRATE host port key db timeout …, or "" in the key's place and KEYS key key … at the end. */
enum { MIGRATE_KEY = 3, MIGRATE_OPTIONS = 6 };

/* RESTORE-ASKING key ttl payload … */
enum { RESTORE_KEY = 1, RESTORE_TTL = 2 };

struct departure {
    RedisModuleCommandFilterCtx *filter;
    bool is_copy;
    int first; /* of its keys */
    int end;
    int ledger_at; /* 0: the ledger is not among them */
    uint16_t slot;
};

static int skip_option(RedisModuleCommandFilterCtx *filter, int at)
{
    struct span option = words_argument(filter, at);
    return at + (words_equal(option, "auth2") ? 3 : words_equal(option, "auth") ? 2 : 1);
}

static bool find_keys(struct departure *departure, int count)
{
    departure->first = MIGRATE_KEY;
    departure->end = MIGRATE_KEY + 1;
    if (count < MIGRATE_OPTIONS) return false;
    for (int at = MIGRATE_OPTIONS; at < count && departure->end < count; at = skip_option(departure->filter, at)) {
        struct span option = words_argument(departure->filter, at);
        departure->is_copy |= words_equal(option, "copy");
        if (!words_equal(option, "keys") || at + 1 == count) continue;
        departure->first = at + 1;
        departure->end = count;
    }
    return words_argument(departure->filter, departure->first).size > 0;
}

static void find_ledger(struct departure *departure, const struct flag_ledger *ledger)
{
    departure->ledger_at = 0;
    for (int at = departure->first; at < departure->end; at++) {
        struct span name = words_argument(departure->filter, at);
        if (!flag_ledger_reserves(name)) continue;
        struct item_key key = item_key_of(name);
        if (flag_ledger_owns(ledger, &key)) departure->ledger_at = at;
    }
}

/* Any key of the slot but its ledger; NULL: there is none. */
static RedisModuleString *find_other_key(struct engine *engine, const struct departure *departure)
{
    RedisModuleString *other = NULL;
    RedisModuleCallReply *names = cluster_keys(&engine->cluster, departure->slot, 2);
    size_t count = names ? api.CallReplyLength(names) : 0;
    for (size_t i = 0; i < count && !other; i++) {
        size_t size = 0;
        RedisModuleCallReply *name = api.CallReplyArrayElement(names, i);
        const char *data = name ? api.CallReplyStringPtr(name, &size) : NULL;
        if (data && !flag_ledger_reserves(span_of(data, size))) other = api.CreateString(NULL, data, size);
    }
    if (names) api.FreeCallReply(names);
    return other;
}

static void send_other_key(struct engine *engine, const struct departure *departure)
{
    RedisModuleString *other = find_other_key(engine, departure);
    if (other) api.CommandFilterArgReplace(departure->filter, departure->ledger_at, other);
}

static void send_behind_others(const struct departure *departure)
{
    struct span name = words_argument(departure->filter, departure->ledger_at);
    RedisModuleString *ledger = api.CreateString(NULL, name.data, name.size);
    api.CommandFilterArgInsert(departure->filter, departure->end, ledger);
    api.CommandFilterArgDelete(departure->filter, departure->ledger_at);
}

/* True when it goes all the same. */
static bool hold_ledger_back(struct engine *engine, const struct departure *departure)
{
    uint64_t listed = (uint64_t)(departure->end - departure->first);
    bool are_all = cluster_count_keys(&engine->cluster, departure->slot) <= listed;
    if (are_all)
        send_behind_others(departure);
    else if (listed > 1)
        api.CommandFilterArgDelete(departure->filter, departure->ledger_at);
    else
        send_other_key(engine, departure);
    return are_all;
}

static void insert_word(RedisModuleCommandFilterCtx *filter, int at, struct span word)
{
    api.CommandFilterArgInsert(filter, at, api.CreateString(NULL, word.data, word.size));
}

static void replace_word(RedisModuleCommandFilterCtx *filter, int at, struct span word)
{
    api.CommandFilterArgReplace(filter, at, api.CreateString(NULL, word.data, word.size));
}

/* MIGRATE … key … becomes MIGRATE … "" … KEYS key. */
static void list_key(struct departure *departure, int count)
{
    struct span key = words_argument(departure->filter, MIGRATE_KEY);
    insert_word(departure->filter, count, SPAN("KEYS"));
    insert_word(departure->filter, count + 1, key);
    replace_word(departure->filter, MIGRATE_KEY, SPAN(""));
    departure->first = count + 1;
}

/* Of names that do not exist MIGRATE says nothing. */
static void send_ledger_first(struct engine *engine, struct departure *departure, int count)
{
    char name[LEDGER_NAME_SIZE];
    if (departure->first == MIGRATE_KEY && departure->ledger_at > 0) return;
    if (departure->ledger_at > 0) api.CommandFilterArgDelete(departure->filter, departure->ledger_at);
    if (departure->first == MIGRATE_KEY) list_key(departure, count);
    insert_word(departure->filter, departure->first, flag_ledger_name(engine->ledger, departure->slot, name));
}

/* Before a key leaves it is known that its slot does. Whether the command is executed now or waits in MULTI nobody says. */
static void note_departure(struct engine *engine, RedisModuleCommandFilterCtx *filter, int count)
{
    struct departure departure = {.filter = filter};
    if (!find_keys(&departure, count)) return;
    departure.slot = hash_slot(words_argument(filter, departure.first));
    enum slot_tenure tenure = cluster_confirm(&engine->cluster, departure.slot);
    find_ledger(&departure, engine->ledger);
    bool goes = departure.ledger_at > 0;
    if (tenure == TENURE_LEAVING && goes) goes = hold_ledger_back(engine, &departure);
    if (tenure == TENURE_COMING && !departure.is_copy) send_ledger_first(engine, &departure, count);
    if (goes) engine->has_sent_ledger[departure.slot] = true;
}

/* The command becomes one that stores nothing, as its key has expired long ago. */
static void discard_arrival(struct engine *engine, RedisModuleCommandFilterCtx *filter, uint16_t slot)
{
    replace_word(filter, RESTORE_KEY, cluster_absent_key(&engine->cluster, slot));
    replace_word(filter, RESTORE_TTL, SPAN("1"));
    insert_word(filter, api.CommandFilterArgsCount(filter), SPAN("ABSTTL"));
}

static void note_arrival(struct engine *engine, RedisModuleCommandFilterCtx *filter, int count)
{
    struct item_key key = item_key_of(words_argument(filter, RESTORE_KEY));
    enum slot_tenure tenure = cluster_confirm(&engine->cluster, key.slot);
    flag_ledger_expect(engine->ledger, key.slot);
    bool is_second = tenure_serves(tenure) && flag_ledger_owns(engine->ledger, &key) &&
                     flag_ledger_is_here(engine->ledger, 0, key.slot);
    if (is_second && count > RESTORE_TTL) discard_arrival(engine, filter, key.slot);
}

void cluster_traffic_note_command(struct engine *engine, RedisModuleCommandFilterCtx *filter, struct span name, int count)
{
    engine->traffic = TRAFFIC_NONE;
    if (words_equal(name, "cluster")) cluster_note_command(&engine->cluster);
    bool leaves = words_equal(name, "migrate"), arrives = words_equal(name, "restore-asking");
    if ((!leaves && !arrives) || count < 2 || !engine->is_primary) return;
    engine_keyspace_enter(&engine->keyspace, engine->ctx);
    if (leaves)
        note_departure(engine, filter, count);
    else
        note_arrival(engine, filter, count);
    engine_keyspace_leave(&engine->keyspace);
    engine->traffic = leaves ? TRAFFIC_LEAVES : TRAFFIC_ARRIVES;
}

/* Commands that have waited in MULTI are executed unseen. */
bool cluster_traffic_takes_ledger(struct engine *engine, RedisModuleCtx *ctx, uint16_t slot)
{
    bool has_waited = engine->has_sent_ledger[slot] && api.GetContextFlags(ctx) & API_CONTEXT_EXEC;
    engine->has_sent_ledger[slot] = false;
    return has_waited || engine->traffic == TRAFFIC_LEAVES;
}
