#include "engine/cluster.h"

#include "base/clock.h"
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>

/* A slot that is not plainly ours may be looked up in a map that is this old. */
#define MAP_FRESH_US 10000u
/* So old it may be where nobody asks. */
#define MAP_OLD_US 1000000u
#define LOG_INTERVAL_US 10000000u
/* So many slots that the map calls ours are tried for one that is. */
#define LOCAL_KEY_TRIES 8

/* What the engine says of a command on a key. */
enum probe {
    PROBE_SERVED,
    PROBE_NOT_SERVED,
    PROBE_READ_ONLY, /* the cluster is down; reads are served (cluster-allow-reads-when-down) */
    PROBE_DOWN,      /* the cluster is down, or the engine cannot be asked */
};

static enum probe probe_of_error(int error)
{
    switch (error) {
    case 0: return PROBE_SERVED;
    case EPERM: return PROBE_NOT_SERVED;
    case EROFS: return PROBE_READ_ONLY;
    default: return PROBE_DOWN;
    }
}

static int call_error(struct cluster *cluster, const char *command, const char *format, RedisModuleString *key)
{
    errno = 0;
    cluster->is_asking = true;
    RedisModuleCallReply *reply = api.Call(cluster->ctx, command, format, key);
    cluster->is_asking = false;
    int error = errno;
    if (reply) api.FreeCallReply(reply);
    return error;
}

/* Where there are no dry runs the command must be one that changes nothing. */
static enum probe ask_engine(struct cluster *cluster, const char *command, RedisModuleString *key)
{
    int error = cluster->has_no_dry_run ? EBADF : call_error(cluster, command, "Ds", key);
    if (error == EBADF) {
        cluster->has_no_dry_run = true;
        error = call_error(cluster, command, "s", key);
    }
    return probe_of_error(error);
}

static RedisModuleString *absent_key(struct cluster *cluster, uint16_t slot)
{
    RedisModuleString **key = &cluster->absent[slot];
    if (!*key) {
        char name[64];
        int size = snprintf(name, sizeof name, "diglot:probe:{%s}", flag_ledger_tag(cluster->ledger, slot));
        *key = api.CreateString(NULL, name, (size_t)size);
    }
    return *key;
}

struct span cluster_absent_key(struct cluster *cluster, uint16_t slot)
{
    size_t size;
    const char *name = api.StringPtrLen(absent_key(cluster, slot), &size);
    return span_of(name, size);
}

/* A write, so that it is told apart whether only reads are served. */
static enum probe ask_for_slot(struct cluster *cluster, uint16_t slot)
{
    return ask_engine(cluster, "PERSIST", absent_key(cluster, slot));
}

/* ---- The map ---- */

/* A replica has the slots of its primary, and follows what that does to the ledgers. */
static enum slot_tenure tenure_for_ledger(const struct cluster *cluster, uint16_t slot)
{
    return engine_instance()->is_primary ? (enum slot_tenure)cluster->map.tenure[slot] : TENURE_OURS;
}

/* Items of a slot that comes to us may have been changed elsewhere since we knew them. */
static void tell_ledger(struct cluster *cluster, const uint8_t before[HASH_SLOTS])
{
    bool is_news = !cluster->must_tell, has_gained = false;
    cluster->must_tell = false;
    for (uint32_t slot = 0; slot < HASH_SLOTS; slot++) {
        enum slot_tenure tenure = tenure_for_ledger(cluster, (uint16_t)slot);
        if (is_news && before[slot] == tenure) continue;
        has_gained |= is_news && tenure == TENURE_OURS;
        flag_ledger_set_tenure(cluster->ledger, (uint16_t)slot, tenure, is_news);
    }
    if (has_gained) engine_note_all_changed(engine_instance());
}

static void take_map(struct cluster *cluster, struct span text)
{
    uint8_t before[HASH_SLOTS];
    for (uint32_t slot = 0; slot < HASH_SLOTS; slot++) before[slot] = (uint8_t)tenure_for_ledger(cluster, (uint16_t)slot);
    cluster_map_read(&cluster->map, text);
    cluster->has_map = true;
    cluster->has_news = false;
    cluster->read_us = clock_monotonic_us();
    tell_ledger(cluster, before);
}

static void read_map(struct cluster *cluster)
{
    cluster->is_asking = true;
    RedisModuleCallReply *reply = api.Call(cluster->ctx, "CLUSTER", "c", "NODES");
    cluster->is_asking = false;
    size_t size = 0;
    const char *text = reply ? api.CallReplyStringPtr(reply, &size) : NULL;
    if (text) take_map(cluster, span_of(text, size));
    if (reply) api.FreeCallReply(reply);
}

static void freshen_map(struct cluster *cluster, uint64_t age_us)
{
    bool is_fresh = cluster->has_map && !cluster->must_tell && !cluster->has_news && clock_monotonic_us() - cluster->read_us < age_us;
    if (!is_fresh) read_map(cluster);
}

/* The engine's word counts for more than its map. */
static enum slot_tenure settle_tenure(struct cluster *cluster, uint16_t slot, enum slot_tenure tenure)
{
    if (cluster->map.tenure[slot] == tenure) return tenure;
    cluster->map.tenure[slot] = (uint8_t)tenure;
    if (engine_instance()->is_primary) flag_ledger_set_tenure(cluster->ledger, slot, tenure, true);
    return tenure;
}

static enum slot_tenure tenure_when_plain(struct cluster *cluster, uint16_t slot)
{
    if (!cluster->has_map || cluster->must_tell || cluster->map.tenure[slot] != TENURE_OURS) read_map(cluster);
    return settle_tenure(cluster, slot, TENURE_OURS);
}

static enum slot_tenure tenure_when_not_plain(struct cluster *cluster, uint16_t slot)
{
    freshen_map(cluster, cluster->map.tenure[slot] == TENURE_OURS ? 0 : MAP_FRESH_US);
    bool contradicts = cluster->map.tenure[slot] == TENURE_OURS;
    return contradicts ? settle_tenure(cluster, slot, TENURE_ELSEWHERE) : (enum slot_tenure)cluster->map.tenure[slot];
}

enum slot_tenure cluster_confirm(struct cluster *cluster, uint16_t slot)
{
    switch (ask_for_slot(cluster, slot)) {
    case PROBE_SERVED: return tenure_when_plain(cluster, slot);
    case PROBE_NOT_SERVED: return tenure_when_not_plain(cluster, slot);
    default:
        freshen_map(cluster, 0);
        return (enum slot_tenure)cluster->map.tenure[slot];
    }
}

/* ---- Requests ---- */

bool cluster_is_plain(struct cluster *cluster, uint16_t slot)
{
    if (cluster->plain_in[slot] == cluster->turn) return true;
    if (ask_for_slot(cluster, slot) != PROBE_SERVED) return false;
    tenure_when_plain(cluster, slot);
    cluster->plain_in[slot] = cluster->turn;
    cluster->plain_slot = slot;
    return true;
}

RedisModuleString *cluster_local_key(struct cluster *cluster)
{
    bool has_slot = cluster_is_plain(cluster, cluster->plain_slot);
    int tries = LOCAL_KEY_TRIES;
    for (uint32_t slot = 0; slot < HASH_SLOTS && !has_slot && tries > 0; slot++)
        if (cluster->map.tenure[slot] == TENURE_OURS && tries-- > 0)
            has_slot = cluster_is_plain(cluster, (uint16_t)slot);
    return has_slot ? absent_key(cluster, cluster->plain_slot) : NULL;
}

static void log_refusal(struct cluster *cluster, struct span words)
{
    cluster->unlogged++;
    uint64_t now_us = clock_monotonic_us();
    if (cluster->logged_us != 0 && now_us - cluster->logged_us < LOG_INTERVAL_US) return;
    api.Log(cluster->ctx, "notice", "memcached requests refused for keys that this cluster node does not serve: %llu, the last with %.*s",
            (unsigned long long)cluster->unlogged, (int)words.size, words.data);
    cluster->logged_us = now_us;
    cluster->unlogged = 0;
}

static bool refuse(struct cluster *cluster, struct result *result, struct span words)
{
    counter_add(cluster->counters, COUNTER_CLUSTER_REFUSALS, 1);
    log_refusal(cluster, words);
    result->status = RESULT_REFUSED;
    result->text = words;
    return false;
}

/* A key of a slot that leaves is served as long as it is here, and as long as it is known what flags it has. */
static bool is_still_here(struct cluster *cluster, struct span name, uint16_t slot)
{
    RedisModuleString *key = api.CreateString(NULL, name.data, name.size);
    enum probe probe = ask_engine(cluster, "STRLEN", key);
    api.FreeString(NULL, key);
    return probe == PROBE_SERVED && !flag_ledger_has_left(cluster->ledger, 0, slot);
}

bool cluster_admits_open(struct cluster *cluster, struct span name, uint16_t slot, bool writes, struct result *result,
                         char words[CLUSTER_WORDS_SIZE])
{
    enum probe probe = ask_for_slot(cluster, slot);
    bool may_read = probe == PROBE_READ_ONLY && !writes;
    if (may_read) probe = ask_engine(cluster, "STRLEN", absent_key(cluster, slot));
    if (probe == PROBE_SERVED) return true;
    if (probe != PROBE_NOT_SERVED) return refuse(cluster, result, SPAN("CLUSTERDOWN The cluster is down"));
    enum slot_tenure tenure = tenure_when_not_plain(cluster, slot);
    if (tenure == TENURE_LEAVING && is_still_here(cluster, name, slot)) return true;
    return refuse(cluster, result, span_of(words, cluster_map_tell(&cluster->map, slot, words)));
}

bool cluster_has_flags(struct cluster *cluster, uint16_t slot)
{
    if (!cluster->is_enabled || !engine_instance()->is_primary) return true;
    enum slot_tenure tenure = cluster_confirm(cluster, slot);
    return tenure == TENURE_OURS || (tenure == TENURE_LEAVING && !flag_ledger_has_left(cluster->ledger, 0, slot));
}

/* ---- The keys of a slot ---- */

uint64_t cluster_count_keys(struct cluster *cluster, uint16_t slot)
{
    cluster->is_asking = true;
    RedisModuleCallReply *reply = api.Call(cluster->ctx, "CLUSTER", "cl", "COUNTKEYSINSLOT", (long long)slot);
    cluster->is_asking = false;
    long long count = reply ? api.CallReplyInteger(reply) : -1;
    if (reply) api.FreeCallReply(reply);
    return count >= 0 ? (uint64_t)count : UINT64_MAX;
}

RedisModuleCallReply *cluster_keys(struct cluster *cluster, uint16_t slot, size_t count)
{
    cluster->is_asking = true;
    RedisModuleCallReply *reply = api.Call(cluster->ctx, "CLUSTER", "cll", "GETKEYSINSLOT", (long long)slot, (long long)count);
    cluster->is_asking = false;
    return reply;
}

/* ---- The whole ---- */

static enum slot_tenure confirm_for_ledger(void *owner, uint16_t slot)
{
    return cluster_confirm(owner, slot);
}

static uint64_t count_for_ledger(void *owner, uint16_t slot)
{
    return cluster_count_keys(owner, slot);
}

static void visit_for_ledger(void *owner, uint16_t slot, size_t most, void (*visit)(void *context, struct span key), void *context)
{
    RedisModuleCallReply *names = cluster_keys(owner, slot, most);
    size_t count = names ? api.CallReplyLength(names) : 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        RedisModuleCallReply *name = api.CallReplyArrayElement(names, i);
        const char *data = name ? api.CallReplyStringPtr(name, &size) : NULL;
        if (data) visit(context, span_of(data, size));
    }
    if (names) api.FreeCallReply(names);
}

void cluster_init(struct cluster *cluster, RedisModuleCtx *ctx, bool is_enabled, struct flag_ledger *ledger,
                  struct counters *counters)
{
    *cluster = (struct cluster){
        .is_enabled = is_enabled,
        .must_tell = true,
        .ctx = ctx,
        .ledger = ledger,
        .counters = counters,
        .authority = {cluster, confirm_for_ledger, count_for_ledger, visit_for_ledger},
    };
    if (is_enabled) flag_ledger_join_cluster(ledger, &cluster->authority);
}

void cluster_deinit(struct cluster *cluster)
{
    for (size_t slot = 0; slot < HASH_SLOTS; slot++)
        if (cluster->absent[slot]) api.FreeString(NULL, cluster->absent[slot]);
    cluster_map_deinit(&cluster->map);
}

/* Turns are told apart by their number, 0 is none. */
void cluster_begin_turn(struct cluster *cluster)
{
    if (!cluster->is_enabled) return;
    if (++cluster->turn == 0) {
        memset(cluster->plain_in, 0, sizeof cluster->plain_in);
        cluster->turn = 1;
    }
    freshen_map(cluster, MAP_OLD_US);
}

void cluster_note_upheaval(struct cluster *cluster)
{
    cluster->must_tell = true;
}

void cluster_note_command(struct cluster *cluster)
{
    cluster->has_news = true;
}
