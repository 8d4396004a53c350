#include "engine/access.h"

#include "config/options.h"
#include "engine/words.h"

#include <stdlib.h>

/* Turns that ask anew behind a pause: the commands that it held back run by the second. */
#define TURNS_BEHIND_PAUSE 3
#define REFRESH_US 5000000u
#define KEY_DENIAL SPAN("NOPERM this user has no permissions to access one of the keys used as arguments")
#define DATABASE_DENIAL SPAN("NOPERM this user has no permissions to access this database")

/* ---- What the engine knows of a user ---- */

static struct span text_of(RedisModuleCallReply *reply)
{
    size_t size = 0;
    const char *text = reply ? api.CallReplyStringPtr(reply, &size) : NULL;
    return span_of(text ? text : "", size);
}

/* What follows a name in the flat list that ACL GETUSER answers with; NULL when it is not there. */
static RedisModuleCallReply *find_field(RedisModuleCallReply *fields, struct span name)
{
    size_t count = api.CallReplyLength(fields);
    for (size_t i = 0; i + 1 < count; i += 2)
        if (span_equal(text_of(api.CallReplyArrayElement(fields, i)), name)) return api.CallReplyArrayElement(fields, i + 1);
    return NULL;
}

static bool has_flag(RedisModuleCallReply *fields, struct span name)
{
    RedisModuleCallReply *flags = find_field(fields, SPAN("flags"));
    if (!flags) return false;
    for (size_t i = 0; i < api.CallReplyLength(flags); i++)
        if (span_equal(text_of(api.CallReplyArrayElement(flags, i)), name)) return true;
    return false;
}

static bool field_is(RedisModuleCallReply *fields, struct span name, struct span text)
{
    return span_equal(text_of(find_field(fields, name)), text);
}

/* Only the engines that know permissions by database tell of them. */
static bool has_all_databases(RedisModuleCallReply *fields)
{
    return !find_field(fields, SPAN("databases")) || field_is(fields, SPAN("databases"), SPAN("alldbs"));
}

/* A user with selectors is asked for each key: they only add to what he may do. */
static bool has_selectors(RedisModuleCallReply *fields)
{
    RedisModuleCallReply *selectors = find_field(fields, SPAN("selectors"));
    return !selectors || api.CallReplyLength(selectors) > 0;
}

static void take_fields(struct grant *grant, RedisModuleCallReply *fields, bool is_anonymous)
{
    grant->is_locked = is_anonymous && !(has_flag(fields, SPAN("on")) && has_flag(fields, SPAN("nopass")));
    bool is_plain = field_is(fields, SPAN("keys"), SPAN("~*")) && has_all_databases(fields);
    grant->is_open = !grant->is_locked && is_plain && field_is(fields, SPAN("commands"), SPAN("+@all"));
    grant->has_all_keys = is_plain && !has_selectors(fields);
}

static RedisModuleUser *find_user(const struct identity *identity)
{
    RedisModuleString *name = api.CreateString(NULL, identity->name, identity->name_size);
    RedisModuleUser *user = api.GetModuleUserFromUserName(name);
    api.FreeString(NULL, name);
    return user;
}

static bool has_user(const struct identity *identity)
{
    RedisModuleUser *user = find_user(identity);
    if (!user) return false;
    api.FreeModuleUser(user);
    return true;
}

/* Asks the engine. A user that has gone never comes back for those who were logged in as him, even if there is one of that name
 * again. Where the engine does not answer (ACL is renamed), every request is asked for, and nobody is let in without login. */
static void refresh(struct access *access, struct identity *identity)
{
    bool is_anonymous = identity == access->anonymous;
    bool has_gone = identity->grant.is_locked && !is_anonymous;
    identity->grant = (struct grant){.generation = access->generation, .is_locked = true};
    atomic_store_explicit(&identity->reads_freely, false, memory_order_release);
    if (has_gone || !has_user(identity)) return;
    identity->grant.is_locked = is_anonymous;
    RedisModuleCallReply *reply =
        api.Call(access->ctx, "ACL", "Ecb", "GETUSER", identity->name, identity->name_size);
    if (!reply) return;
    if (api.CallReplyType(reply) == API_REPLY_ARRAY) take_fields(&identity->grant, reply, is_anonymous);
    atomic_store_explicit(&identity->reads_freely, identity->grant.is_open, memory_order_release);
    api.FreeCallReply(reply);
}

struct identity *access_resolve(struct access *access, struct identity *identity)
{
    if (!identity) identity = access->anonymous;
    if (identity->grant.generation != access->generation) refresh(access, identity);
    return identity;
}

/* ---- When it has to be asked anew ---- */

static void publish(struct access *access)
{
    const struct identity *anonymous = access_resolve(access, NULL);
    atomic_store_explicit(&access->keeper.asks_login, anonymous->grant.is_locked, memory_order_relaxed);
    atomic_store_explicit(&access->keeper.reads_freely, identity_reads_freely(anonymous), memory_order_release);
}

/* Until it has been asked anew, every read is checked where it is executed. */
static void withdraw(struct access *access)
{
    atomic_store_explicit(&access->keeper.reads_freely, false, memory_order_release);
    for (size_t i = 0; i < access->known_count; i++)
        atomic_store_explicit(&access->known[i]->reads_freely, false, memory_order_release);
}

/* Whoever finds his user gone has lost him for good; so all are looked at as soon as a user may have gone. */
static void look_for_gone_users(struct access *access)
{
    for (size_t i = 0; i < access->known_count; i++)
        if (!has_user(access->known[i])) access->known[i]->grant.is_locked = true;
}

/* The engine reads its users after its modules, so diglot.user can be looked for no earlier than in the first turn. */
static void meet_user(struct access *access)
{
    access->has_met_user = true;
    if (has_user(access->anonymous)) return;
    api.Log(access->ctx, "warning",
            "diglot.user names a user that does not exist: memcached clients must log in until 'ACL SETUSER' makes it");
}

static void ask_anew(struct access *access)
{
    if (!access->has_met_user) meet_user(access);
    /* What was announced has run by now, unless it was paused. */
    access->unsettled = api.AvoidReplicaTraffic() ? TURNS_BEHIND_PAUSE : access->unsettled - 1;
    access->generation++;
    withdraw(access);
    look_for_gone_users(access);
    publish(access);
}

void access_begin_turn(struct access *access, RedisModuleCtx *ctx)
{
    access->ctx = ctx;
    if (access->unsettled > 0) ask_anew(access);
}

void access_end_turn(struct access *access)
{
    access->ctx = NULL;
}

void access_note_change(struct access *access)
{
    if (access->unsettled == 0) access->unsettled = 1;
    withdraw(access);
}

void access_note_time(struct access *access, uint64_t now_us)
{
    if (now_us - access->refreshed_us < REFRESH_US) return;
    access->refreshed_us = now_us;
    access_note_change(access);
}

static bool changes_users(struct span subcommand)
{
    return words_equal(subcommand, "setuser") || words_equal(subcommand, "deluser") || words_equal(subcommand, "load");
}

/* Redis 7.0 does not tell which client sends a command: there each may be inside MULTI. */
static bool may_be_inside_multi(RedisModuleCommandFilterCtx *filter)
{
    struct api_client_info info = {.version = 1};
    if (!api.CommandFilterGetClientId) return true;
    if (api.GetClientInfoById(&info, api.CommandFilterGetClientId(filter)) != API_OK) return true;
    return info.flags & API_CLIENT_MULTI;
}

void access_note_command(struct access *access, RedisModuleCommandFilterCtx *filter, struct span name, int count)
{
    if (name.size == 4 && access->may_be_queued && words_equal(name, "exec")) {
        access_note_change(access);
    } else if (name.size == 3 && count > 1 && words_equal(name, "acl") && changes_users(words_argument(filter, 1))) {
        access_note_change(access);
        access->may_be_queued |= may_be_inside_multi(filter);
    }
}

/* ---- Checks ---- */

/* The engine's key of an item. */
static RedisModuleString *name_of_key(const struct access *access, struct span key)
{
    char name[OPTION_KEY_PREFIX_MAX + ITEM_KEY_MAX];
    struct span prefix = access->key_prefix;
    if (prefix.size == 0) return api.CreateString(NULL, key.data, key.size);
    CHECK(prefix.size + key.size <= sizeof name);
    memcpy(name, prefix.data, prefix.size);
    memcpy(name + prefix.size, key.data, key.size);
    return api.CreateString(NULL, name, prefix.size + key.size);
}

/* On false, *reason is what the user lacks (enum api_acl_log_reason), or 0 where the engine does not say. */
static bool ask_engine(const struct access *access, RedisModuleUser *user, enum permit permit, RedisModuleString *key,
                       int *reason)
{
    RedisModuleString *words[PERMIT_WORDS_MAX];
    int count = permit_words_fill(&access->words, permit, key, words);
    *reason = 0;
    if (api.ACLCheckPermissions) return api.ACLCheckPermissions(user, words, count, access->db, reason) == API_OK;
    return api.ACLCheckCommandPermissions(user, words, count) == API_OK;
}

/* What the engine says when it is asked in so many words. */
static int find_reason(const struct access *access, const struct identity *identity, enum permit permit,
                       RedisModuleString *key)
{
    RedisModuleString *words[PERMIT_WORDS_MAX];
    int count = permit_words_fill(&access->words, permit, key, words);
    RedisModuleCallReply *reply = api.Call(access->ctx, "ACL", "Ecbv", "DRYRUN", identity->name, identity->name_size,
                                           words, (size_t)count);
    if (!reply) return API_ACL_LOG_COMMAND;
    struct span text = text_of(reply);
    bool is_about_key = text.size > 4 && span_equal(span_skip(text, text.size - 4), SPAN(" key"));
    api.FreeCallReply(reply);
    return is_about_key ? API_ACL_LOG_KEY : API_ACL_LOG_COMMAND;
}

static struct span denial_text(int reason, enum permit permit)
{
    if (reason == API_ACL_LOG_KEY) return KEY_DENIAL;
    return reason == API_ACL_LOG_DATABASE ? DATABASE_DENIAL : permit_denial(permit);
}

/* Refuses as the engine does, with its entry in ACL LOG. */
static void deny(struct access *access, RedisModuleUser *user, enum permit permit, RedisModuleString *key, int reason,
                 struct result *result)
{
    result->status = RESULT_DENIED;
    result->text = denial_text(reason, permit);
    if (reason == API_ACL_LOG_KEY) {
        (void)api.ACLAddLogEntry(access->ctx, user, key, reason);
        return;
    }
    const char *name = permit_name(permit);
    RedisModuleString *command = api.CreateString(NULL, name, strlen(name));
    (void)api.ACLAddLogEntry(access->ctx, user, command, reason);
    api.FreeString(NULL, command);
}

/* True when answers that are kept allow it. */
static bool is_known_allowed(const struct grant *grant, uint32_t permits)
{
    return (grant->allowed & permits) == permits;
}

static void check_permits(struct access *access, struct identity *identity, uint32_t permits, RedisModuleString *key,
                          struct result *result)
{
    RedisModuleUser *user = find_user(identity);
    CHECK(user);
    struct grant *grant = &identity->grant;
    for (enum permit permit = 0; permit < PERMITS; permit++) {
        uint32_t bit = 1u << permit;
        if (!(permits & bit)) continue;
        int reason;
        if (!ask_engine(access, user, permit, key, &reason)) {
            if (reason == 0) reason = find_reason(access, identity, permit, key);
            deny(access, user, permit, key, reason, result);
            break;
        }
        if (grant->has_all_keys) grant->allowed |= bit;
    }
    api.FreeModuleUser(user);
}

bool access_check(struct access *access, struct identity *identity, const struct request *request, struct result *result)
{
    const struct grant *grant = &identity->grant;
    if (grant->is_locked) {
        result->status = RESULT_UNAUTHENTICATED;
        return false;
    }
    uint32_t permits = permits_of(request);
    if (is_known_allowed(grant, permits)) return true;
    RedisModuleString *key = name_of_key(access, request->key.data ? request->key : SPAN(""));
    check_permits(access, identity, permits, key, result);
    api.FreeString(NULL, key);
    return result->status == RESULT_PENDING;
}

bool access_may(struct access *access, struct identity *identity, const struct request *request)
{
    const struct grant *grant = &identity->grant;
    if (grant->is_locked) return false;
    uint32_t permits = permits_of(request);
    if (is_known_allowed(grant, permits)) return true;
    RedisModuleUser *user = find_user(identity);
    if (!user) return false;
    RedisModuleString *key = name_of_key(access, request->key);
    bool is_allowed = true;
    for (enum permit permit = 0; permit < PERMITS && is_allowed; permit++) {
        int reason;
        if (permits & 1u << permit) is_allowed = ask_engine(access, user, permit, key, &reason);
    }
    api.FreeString(NULL, key);
    api.FreeModuleUser(user);
    return is_allowed;
}

bool access_may_mark(struct access *access, struct identity *identity, struct span key)
{
    RedisModuleUser *user = find_user(identity);
    if (!user) return false;
    RedisModuleString *name = name_of_key(access, key);
    int reason;
    bool is_allowed = ask_engine(access, user, PERMIT_SET, name, &reason);
    api.FreeString(NULL, name);
    api.FreeModuleUser(user);
    return is_allowed;
}

/* The key alone counts: whether he may have lists of keys has been asked before. */
static bool may_read(struct key_reader *key_reader, struct span key)
{
    struct access_reader *reader = (struct access_reader *)key_reader; /* its first member */
    RedisModuleString *name = name_of_key(reader->access, key);
    bool is_allowed = api.ACLCheckKeyPermissions(reader->user, name, API_KEY_ACCESS) == API_OK;
    api.FreeString(NULL, name);
    return is_allowed;
}

struct key_reader *access_begin_reading(struct access *access, struct access_reader *reader, const struct identity *identity)
{
    *reader = (struct access_reader){.reader.may_read = may_read, .access = access};
    if (identity->grant.is_open || identity->grant.has_all_keys) return NULL;
    reader->user = find_user(identity);
    CHECK(reader->user);
    return &reader->reader;
}

void access_end_reading(struct access_reader *reader)
{
    if (reader->user) api.FreeModuleUser(reader->user);
    reader->user = NULL;
}

/* ---- Identities ---- */

/* Forgets those who are logged in nowhere any longer. */
static void forget_unused(struct access *access)
{
    size_t kept = 0;
    for (size_t i = 0; i < access->known_count; i++) {
        struct identity *identity = access->known[i];
        if (atomic_load_explicit(&identity->references, memory_order_acquire) == 1)
            identity_release(&identity);
        else
            access->known[kept++] = identity;
    }
    access->known_count = kept;
}

static void remember(struct access *access, struct identity *identity)
{
    if (access->known_count == access->known_capacity) forget_unused(access);
    if (access->known_count == access->known_capacity) {
        access->known_capacity = access->known_capacity ? 2 * access->known_capacity : 8;
        access->known = check_realloc(access->known, access->known_capacity * sizeof(struct identity *));
    }
    access->known[access->known_count++] = identity;
}

struct identity *access_admit(struct access *access, struct span name)
{
    for (size_t i = 0; i < access->known_count; i++) {
        struct identity *identity = access->known[i];
        if (!identity->grant.is_locked && span_equal(identity_name(identity), name)) return identity_retain(identity);
    }
    struct identity *identity = identity_new(name);
    remember(access, identity);
    return identity_retain(identity);
}

void access_init(struct access *access, RedisModuleCtx *ctx, const char *user, int db, struct span key_prefix)
{
    *access = (struct access){.db = db, .key_prefix = key_prefix, .generation = 1, .unsettled = 1, .ctx = ctx};
    permit_words_init(&access->words);
    access->anonymous = identity_new(span_of(user, strlen(user)));
    publish(access);
    access->ctx = NULL;
}

void access_deinit(struct access *access)
{
    if (!access->anonymous) return;
    for (size_t i = 0; i < access->known_count; i++) identity_release(&access->known[i]);
    free(access->known);
    identity_release(&access->anonymous);
    permit_words_deinit(&access->words);
}
