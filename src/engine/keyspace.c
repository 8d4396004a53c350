#include "engine/keyspace.h"

#include "base/number.h"
#include "command/flag_ledger.h"
#include "engine/engine.h"
#include "upstream/bridge.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* From here on, a string that grows gets no more than this on top. */
#define GREEDY_MOST (1024 * 1024)

static struct engine_keyspace *of(struct keyspace *keyspace)
{
    return (struct engine_keyspace *)keyspace;
}

static void select_db(struct engine_keyspace *ks, int db)
{
    if (api_selected_db(ks->ctx) != db) CHECK(api.SelectDb(ks->ctx, db) == API_OK);
}

/* Every engine knows how to open a key unnoticed. (On Redis 7.0 the first reading of a short value's bytes counts as a use
 * all the same, as it makes the engine keep them in another way.) */
static int open_flags(enum keyspace_mode mode)
{
    int flags = keyspace_mode_writes(mode) ? API_READ | API_WRITE : API_READ;
    bool is_unnoticed = mode == KEYSPACE_READ_UNNOTICED || mode == KEYSPACE_WRITE_UNNOTICED;
    return is_unnoticed ? flags | API_OPEN_NO_TOUCH : flags;
}

static enum keyspace_kind kind_of(const struct engine_keyspace *ks)
{
    if (ks->type == API_KEY_EMPTY) return KEYSPACE_ABSENT;
    return ks->type == API_KEY_STRING ? KEYSPACE_STRING : KEYSPACE_FOREIGN;
}

static bool take_ahead(struct engine_keyspace *ks, int db, struct span name, bool writes)
{
    const struct ahead_key *ahead = read_ahead_take(&ks->ahead, db, name, writes);
    if (!ahead) return false;
    ks->name = ahead->name;
    ks->key = ahead->key;
    ks->type = ahead->type;
    ks->bytes = ahead->bytes;
    ks->size = ahead->size;
    return true;
}

/* The flag ledger's keys are not among those opened ahead, as no client can name them. */
static bool may_meet_ahead(const struct engine_keyspace *ks, struct span name)
{
    return !read_ahead_is_empty(&ks->ahead) && !flag_ledger_reserves(name);
}

/* Opening for writing invalidates nothing: the module has switched implicit signals off (module.c). */
static enum keyspace_kind open_key(struct keyspace *keyspace, int db, struct span name, enum keyspace_mode mode)
{
    struct engine_keyspace *ks = of(keyspace);
    CHECK(!ks->name);
    ks->bytes = NULL;
    if ((mode == KEYSPACE_READ || mode == KEYSPACE_WRITE) && take_ahead(ks, db, name, mode == KEYSPACE_WRITE))
        return kind_of(ks);
    if (mode != KEYSPACE_READ && may_meet_ahead(ks, name)) read_ahead_close(&ks->ahead);
    select_db(ks, db);
    ks->name = api.CreateString(NULL, name.data, name.size);
    ks->key = api.OpenKey(ks->ctx, ks->name, open_flags(mode));
    ks->type = api.KeyType(ks->key);
    return kind_of(ks);
}

static struct span value_of_key(struct keyspace *keyspace)
{
    struct engine_keyspace *ks = of(keyspace);
    if (ks->bytes) return span_of(ks->bytes, ks->size);
    size_t size;
    const char *data = api.StringDMA(ks->key, &size, API_READ);
    return span_of(data, size);
}

static size_t size_of_key(struct keyspace *keyspace)
{
    const struct engine_keyspace *ks = of(keyspace);
    return ks->bytes ? ks->size : api.ValueLength(ks->key);
}

static int64_t idle_of_key(struct keyspace *keyspace)
{
    long long idle_ms = -1;
    if (api.GetLRU(of(keyspace)->key, &idle_ms) != API_OK || idle_ms < 0) return -1;
    return idle_ms / 1000;
}

static void use_key(struct keyspace *keyspace, uint32_t times)
{
    struct engine_keyspace *ks = of(keyspace);
    frequency_add(&ks->frequency, ks->ctx, ks->key, times);
}

static int64_t expiry_of_key(struct keyspace *keyspace)
{
    return api.GetAbsExpire(of(keyspace)->key);
}

/* Telling an event costs as much as a tenth of a write, even when nobody but us listens. */
static void notify(struct engine_keyspace *ks, int event_class, const char *event)
{
    if (ks->is_heard) api.NotifyKeyspaceEvent(ks->ctx, event_class, event, ks->name);
}

static void tell_bridge(struct engine_keyspace *ks)
{
    size_t size;
    const char *name = api.StringPtrLen(ks->name, &size);
    bridge_note_change(ks->bridge, api_selected_db(ks->ctx), span_of(name, size));
}

/* What every change ends with, as the engine's own commands do it. */
static void announce(struct engine_keyspace *ks, int event_class, const char *event)
{
    api.SignalModifiedKey(ks->ctx, ks->name);
    notify(ks, event_class, event);
    if (ks->bridge && bridge_is_on(ks->bridge)) tell_bridge(ks);
}

/* Where nobody hears of a change it is only counted: save points, and INFO's rdb_changes_since_last_save, go by that. */
#define REPLICATE(ks, ...) \
    (audience_is_absent(&(ks)->audience) ? api.ReplicateVerbatim((ks)->ctx) : api.Replicate((ks)->ctx, __VA_ARGS__))

/* A string that is made longer gets twice the room that it needs, up to a mebibyte more; one that is made shorter keeps its
 * room unless more than half of it is free: then it gets what it needs. So where a string of another size is to have what it
 * needs, as it would have after SET, it is made shorter by more than half, or longer by one than it is to be. */
static void resize_value(struct engine_keyspace *ks, size_t size)
{
    size_t before = api.ValueLength(ks->key);
    if (before == size) return;
    bool is_wasteful = before < size || (before - size > size / 32 && before - size <= size);
    if (is_wasteful && size < GREEDY_MOST) {
        if (before > size) CHECK(api.StringTruncate(ks->key, 1) == API_OK);
        CHECK(api.StringTruncate(ks->key, size + 1) == API_OK);
    }
    CHECK(api.StringTruncate(ks->key, size) == API_OK);
}

/* The bytes of the open string, to be written to, as many as are wanted. */
static char *make_room(struct engine_keyspace *ks, size_t size)
{
    if (ks->bytes && ks->size == size) return ks->bytes;
    ks->bytes = NULL;
    resize_value(ks, size);
    return api.StringDMA(ks->key, &size, API_WRITE);
}

/* An existing string is overwritten in place, which keeps its LRU or LFU history; an empty value has no bytes to write to. */
static void put_value(struct engine_keyspace *ks, struct span value)
{
    if (ks->type == API_KEY_STRING && value.size > 0) {
        memcpy(make_room(ks, value.size), value.data, value.size);
        return;
    }
    ks->bytes = NULL;
    if (ks->type != API_KEY_EMPTY) api.UnlinkKey(ks->key);
    RedisModuleString *string = api.CreateString(NULL, value.data, value.size);
    api.StringSet(ks->key, string);
    api.FreeString(NULL, string);
    ks->type = API_KEY_STRING;
}

static void store_value(struct keyspace *keyspace, struct span value, int64_t expiry, const char *event)
{
    struct engine_keyspace *ks = of(keyspace);
    ks->is_changing = true;
    put_value(ks, value);
    bool expires = expiry != KEYSPACE_NO_EXPIRY;
    if (expires || api.GetAbsExpire(ks->key) != API_NO_EXPIRE) api.SetAbsExpire(ks->key, expiry);
    if (expires)
        REPLICATE(ks, "SET", "sbcl", ks->name, value.data, value.size, "PXAT", (long long)expiry);
    else
        REPLICATE(ks, "SET", "sb", ks->name, value.data, value.size);
    announce(ks, API_NOTIFY_STRING, event);
    if (expires && strcmp(event, "set") == 0) notify(ks, API_NOTIFY_GENERIC, "expire");
    ks->is_changing = false;
}

/* It keeps the room that the engine leaves behind a string that grows: more will come. */
static void append_value(struct keyspace *keyspace, struct span bytes)
{
    struct engine_keyspace *ks = of(keyspace);
    CHECK(ks->type == API_KEY_STRING);
    ks->is_changing = true;
    ks->bytes = NULL;
    if (bytes.size > 0) {
        size_t before = api.ValueLength(ks->key), size;
        CHECK(api.StringTruncate(ks->key, before + bytes.size) == API_OK);
        char *data = api.StringDMA(ks->key, &size, API_WRITE);
        memcpy(data + before, bytes.data, bytes.size);
    }
    REPLICATE(ks, "APPEND", "sb", ks->name, bytes.data, bytes.size);
    announce(ks, API_NOTIFY_STRING, "append");
    ks->is_changing = false;
}

static void patch_value(struct keyspace *keyspace, size_t offset, struct span bytes)
{
    struct engine_keyspace *ks = of(keyspace);
    ks->is_changing = true;
    size_t size;
    char *data = api.StringDMA(ks->key, &size, API_WRITE);
    CHECK(offset + bytes.size <= size);
    memcpy(data + offset, bytes.data, bytes.size);
    REPLICATE(ks, "SETRANGE", "slb", ks->name, (long long)offset, bytes.data, bytes.size);
    announce(ks, API_NOTIFY_STRING, "setrange");
    ks->is_changing = false;
}

static void remove_key(struct keyspace *keyspace)
{
    struct engine_keyspace *ks = of(keyspace);
    ks->is_changing = true;
    api.UnlinkKey(ks->key);
    ks->type = API_KEY_EMPTY;
    REPLICATE(ks, "DEL", "s", ks->name);
    announce(ks, API_NOTIFY_GENERIC, "del");
    ks->is_changing = false;
}

static void expire_key(struct keyspace *keyspace, int64_t expiry)
{
    struct engine_keyspace *ks = of(keyspace);
    bool expires = expiry != KEYSPACE_NO_EXPIRY;
    if (!expires && api.GetAbsExpire(ks->key) == API_NO_EXPIRE) return;
    ks->is_changing = true;
    api.SetAbsExpire(ks->key, expiry);
    if (expires)
        REPLICATE(ks, "PEXPIREAT", "sl", ks->name, (long long)expiry);
    else
        REPLICATE(ks, "PERSIST", "s", ks->name);
    announce(ks, API_NOTIFY_GENERIC, expires ? "expire" : "persist");
    ks->is_changing = false;
}

static void retain_key(struct keyspace *keyspace)
{
    struct engine_keyspace *ks = of(keyspace);
    if (ks->key) (void)api.SetLFU(ks->key, API_LFU_MOST);
}

static void close_key(struct keyspace *keyspace)
{
    struct engine_keyspace *ks = of(keyspace);
    if (ks->key) api.CloseKey(ks->key);
    api.FreeString(NULL, ks->name);
    ks->key = NULL;
    ks->name = NULL;
}

static bool flush_db(struct keyspace *keyspace, int db)
{
    struct engine_keyspace *ks = of(keyspace);
    read_ahead_close(&ks->ahead);
    select_db(ks, db);
    ks->is_flushing = true;
    RedisModuleCallReply *reply = api.Call(ks->ctx, "FLUSHDB", "!c", "ASYNC");
    ks->is_flushing = false;
    bool is_ok = reply && api.CallReplyType(reply) != API_REPLY_ERROR;
    if (reply) api.FreeCallReply(reply);
    return is_ok;
}

struct visit {
    void (*visit)(void *context, struct span name);
    void *context;
};

static void on_scan(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, void *user_data)
{
    (void)ctx, (void)key;
    const struct visit *visit = user_data;
    size_t size;
    const char *data = api.StringPtrLen(name, &size);
    visit->visit(visit->context, span_of(data, size));
}

/* The engine's cursor is an object of its own; the caller's number only tells where a walk begins. */
static bool scan_db(struct keyspace *keyspace, int db, uint64_t *cursor, size_t effort,
                    void (*visit)(void *context, struct span name), void *context)
{
    struct engine_keyspace *ks = of(keyspace);
    select_db(ks, db);
    if (*cursor == 0) api.ScanCursorRestart(ks->cursor);
    *cursor = 1;
    struct visit each = {visit, context};
    for (size_t i = 0; i < effort; i++)
        if (!api.Scan(ks->ctx, ks->cursor, on_scan, &each)) return false;
    return true;
}

static struct span text_of(RedisModuleCallReply *reply)
{
    size_t size = 0;
    const char *data = reply ? api.CallReplyStringPtr(reply, &size) : NULL;
    return span_of(data ? data : "", data ? size : 0);
}

/* A step of SCAN: the next cursor, and an array of names. */
static bool walk_db(struct keyspace *keyspace, int db, uint64_t *cursor, size_t count,
                    void (*visit)(void *context, struct span name), void *context)
{
    struct engine_keyspace *ks = of(keyspace);
    char text[NUMBER_TEXT_SIZE];
    select_db(ks, db);
    RedisModuleCallReply *reply = api.Call(ks->ctx, "SCAN", "bcl", text, number_format_u64(text, *cursor), "COUNT", (long long)count);
    bool is_ok = reply && number_parse_u64(text_of(api.CallReplyArrayElement(reply, 0)), cursor);
    RedisModuleCallReply *names = is_ok ? api.CallReplyArrayElement(reply, 1) : NULL;
    size_t name_count = names ? api.CallReplyLength(names) : 0;
    for (size_t i = 0; i < name_count; i++) visit(context, text_of(api.CallReplyArrayElement(names, i)));
    if (reply) api.FreeCallReply(reply);
    return is_ok;
}

static bool refresh_certs(struct keyspace *keyspace)
{
    struct engine *engine = engine_instance();
    char sentence[TLS_ERROR_SIZE];
    if (engine->reload_tls(engine->owner, sentence)) return true;
    api.Log(of(keyspace)->ctx, "warning", "%s", sentence);
    return false;
}

static void shut_down(struct keyspace *keyspace)
{
    (void)keyspace;
    (void)kill(getpid(), SIGTERM);
}

static uint64_t info_field(RedisModuleServerInfoData *info, const char *name)
{
    int error = API_OK;
    uint64_t value = api.ServerInfoGetFieldUnsigned(info, name, &error);
    return error == API_OK ? value : 0;
}

/* The module's own keys are no items. */
static uint64_t count_items(RedisModuleCtx *ctx, int db)
{
    const struct engine *engine = engine_instance();
    uint64_t keys = api.DbSize(ctx), ours = flag_ledger_strings(engine->ledger, db);
    if (db == engine->command.db) ours += marks_strings(&engine->upstream.bridge.marks);
    return keys > ours ? keys - ours : 0;
}

static void read_facts(struct keyspace *keyspace, int db, struct engine_facts *facts)
{
    struct engine_keyspace *ks = of(keyspace);
    select_db(ks, db);
    facts->evicts = api.GetContextFlags(ks->ctx) & API_CONTEXT_EVICTS;
    facts->keys = count_items(ks->ctx, db);
    RedisModuleServerInfoData *info = api.GetServerInfo(ks->ctx, "memory");
    facts->used_memory = info_field(info, "used_memory");
    facts->maxmemory = info_field(info, "maxmemory");
    api.FreeServerInfo(ks->ctx, info);
    info = api.GetServerInfo(ks->ctx, "stats");
    facts->evicted_keys = info_field(info, "evicted_keys");
    facts->expired_keys = info_field(info, "expired_keys");
    api.FreeServerInfo(ks->ctx, info);
}

static const struct keyspace_api engine_keyspace_api = {
    .open = open_key,
    .value = value_of_key,
    .size = size_of_key,
    .idle = idle_of_key,
    .use = use_key,
    .expiry = expiry_of_key,
    .store = store_value,
    .append = append_value,
    .patch = patch_value,
    .remove = remove_key,
    .expire = expire_key,
    .retain = retain_key,
    .close = close_key,
    .flush = flush_db,
    .scan = scan_db,
    .walk = walk_db,
    .shut_down = shut_down,
    .refresh_certs = refresh_certs,
    .facts = read_facts,
};

void engine_keyspace_init(struct engine_keyspace *keyspace)
{
    *keyspace = (struct engine_keyspace){
        .keyspace.api = &engine_keyspace_api,
        .cursor = api.ScanCursorCreate(),
    };
}

void engine_keyspace_deinit(struct engine_keyspace *keyspace)
{
    api.ScanCursorDestroy(keyspace->cursor);
    keyspace->cursor = NULL;
}

/* Modules that are part of an engine and do not listen. */
static bool is_part_of_engine(struct span module)
{
    return span_equal(module, SPAN("vectorset")) || span_equal(module, SPAN("lua"));
}

/* The name in one entry of MODULE LIST: "name", name, "ver", … */
static struct span module_name(RedisModuleCallReply *entry)
{
    size_t size = 0;
    RedisModuleCallReply *name = api.CallReplyArrayElement(entry, 1);
    const char *text = name ? api.CallReplyStringPtr(name, &size) : NULL;
    return span_of(text ? text : "", size);
}

/* With other modules every event is told, as they may listen. */
static void meet_modules(struct engine_keyspace *keyspace, RedisModuleCtx *ctx)
{
    keyspace->has_met_modules = true;
    keyspace->is_alone = false;
    RedisModuleCallReply *modules = api.Call(ctx, "MODULE", "c", "LIST");
    if (!modules) return;
    size_t others = 0;
    for (size_t i = 0; i < api.CallReplyLength(modules); i++) {
        struct span name = module_name(api.CallReplyArrayElement(modules, i));
        others += !span_equal(name, SPAN("diglot")) && !is_part_of_engine(name);
    }
    keyspace->is_alone = others == 0;
    api.FreeCallReply(modules);
}

void engine_keyspace_enter(struct engine_keyspace *keyspace, RedisModuleCtx *ctx)
{
    if (!keyspace->has_met_modules) meet_modules(keyspace, ctx);
    keyspace->is_heard = !keyspace->is_alone || api.GetNotifyKeyspaceEvents() != 0;
    keyspace->ctx = ctx;
    keyspace->entered_db = api_selected_db(ctx);
}

size_t engine_keyspace_count(struct engine_keyspace *keyspace, int db)
{
    select_db(keyspace, db);
    return api.DbSize(keyspace->ctx);
}

void engine_keyspace_open_ahead(struct engine_keyspace *keyspace, int db)
{
    select_db(keyspace, db);
    read_ahead_open(&keyspace->ahead, keyspace->ctx, db);
}

void engine_keyspace_leave(struct engine_keyspace *keyspace)
{
    select_db(keyspace, keyspace->entered_db);
    audience_end_turn(&keyspace->audience);
    keyspace->ctx = NULL;
}
