/* DIGLOT.STATS: the statistics. DIGLOT.GET and DIGLOT.SET: an item with its flags and its CAS token, over RESP. They execute the same requests as the
 * memcached door, on the client's own database and with the engine's whole key. */
#include "base/clock.h"
#include "base/number.h"
#include "engine/engine.h"
#include "engine/usage_notes.h"
#include "item/expiry.h"
#include "observe/stats.h"

#include <strings.h>

static struct span argument(RedisModuleString *string)
{
    size_t size;
    const char *data = api.StringPtrLen(string, &size);
    return span_of(data, size);
}

static bool is_word(struct span text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* Executes a request inside a command; value bytes are appended to `values`. */
static void execute(RedisModuleCtx *ctx, const struct request *request, struct result *result, struct buffer *values)
{
    struct engine *engine = engine_instance();
    engine_keyspace_enter(&engine->keyspace, ctx);
    flag_ledger_set_role(engine->ledger, engine->is_primary, !api.AvoidReplicaTraffic());
    struct command_context command;
    command_context_init(&command);
    command.keyspace = &engine->keyspace.keyspace;
    command.ledger = engine->ledger;
    command.versions = &engine->versions;
    command.history = &engine->history;
    command.counters = &engine->unread.sets[0];
    command.options = engine->options;
    command.db = api_selected_db(ctx);
    command.now_ms = clock_wall_ms();
    command_execute(&command, request, result, values);
    command_context_deinit(&command);
    engine_keyspace_leave(&engine->keyspace);
}

/* The engine has let the client through, but the flags of the key may be at another node of the cluster. */
static bool has_flags(RedisModuleCtx *ctx, RedisModuleString *name)
{
    struct engine *engine = engine_instance();
    if (!engine->cluster.is_enabled) return true;
    engine_keyspace_enter(&engine->keyspace, ctx);
    bool has_flags = cluster_has_flags(&engine->cluster, hash_slot(argument(name)));
    engine_keyspace_leave(&engine->keyspace);
    return has_flags;
}

static int reply_try_again(RedisModuleCtx *ctx)
{
    return api.ReplyWithError(ctx, "TRYAGAIN the flags of this key's slot are at another node or on their way");
}

static int reply_wrong_type(RedisModuleCtx *ctx)
{
    return api.ReplyWithError(ctx, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

static bool is_foreign(RedisModuleCtx *ctx, RedisModuleString *name)
{
    RedisModuleKey *key = api.OpenKey(ctx, name, API_READ);
    int type = api.KeyType(key);
    if (key) api.CloseKey(key);
    return type != API_KEY_EMPTY && type != API_KEY_STRING;
}

/* The token is text: it is larger than 2^53, and JavaScript's numbers, and those of the engine's own scripts, would round it. */
static int reply_item(RedisModuleCtx *ctx, const struct result *result, struct span values)
{
    char token[NUMBER_TEXT_SIZE];
    api.ReplyWithArray(ctx, 3);
    api.ReplyWithStringBuffer(ctx, values.data + result->value_offset, result->value_size);
    api.ReplyWithLongLong(ctx, result->flags);
    return api.ReplyWithStringBuffer(ctx, token, number_format_u64(token, result->number));
}

/* DIGLOT.GET key → value, flags (a number), CAS token (a string); null when the key is absent or its flags are lost. */
static int diglot_get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (argc != 2) return api.WrongArity(ctx);
    if (!has_flags(ctx, argv[1])) return reply_try_again(ctx);
    if (is_foreign(ctx, argv[1])) return reply_wrong_type(ctx);
    struct request request = {.op = REQUEST_GET, .key = argument(argv[1]), .want_cas = true};
    struct result result = {0};
    struct buffer values;
    buffer_init(&values);
    execute(ctx, &request, &result, &values);
    int status = result.status == RESULT_HIT ? reply_item(ctx, &result, buffer_content(&values)) : api.ReplyWithNull(ctx);
    buffer_deinit(&values);
    return status;
}

/* The longest EX, 1,000 years: what is longer is a mistake. */
#define EX_MAX (1000ll * 366 * 86400)

/* The exptime of a number of seconds from now on, which is not bound by memcached's 30 days. */
static int64_t exptime_from_seconds(int64_t seconds)
{
    return seconds <= EXPIRY_RELATIVE_MAX ? seconds : clock_wall_ms() / 1000 + seconds;
}

/* Not number_parse_u32, which keeps the low bits of a larger number as memcached does. */
static const char *parse_flags(struct span value, uint32_t *flags)
{
    uint64_t number;
    if (!number_parse_u64(value, &number) || number > UINT32_MAX) return "ERR FLAGS takes a number from 0 to 4294967295";
    *flags = (uint32_t)number;
    return NULL;
}

/* Takes one option and its value; NULL, or what is wrong with it. */
static const char *parse_set_option(struct request *request, struct span option, struct span value)
{
    if (is_word(option, "FLAGS")) return parse_flags(value, &request->flags);
    if (is_word(option, "CAS")) {
        request->op = REQUEST_CAS;
        return number_parse_u64(value, &request->operand) ? NULL : "ERR CAS takes a token that DIGLOT.GET has given";
    }
    if (!is_word(option, "EX")) return "ERR syntax error";
    int64_t seconds;
    if (!number_parse_i64(value, &seconds) || seconds < 1 || seconds > EX_MAX) return "ERR invalid expire time in EX";
    request->exptime = exptime_from_seconds(seconds);
    return NULL;
}

static int reply_stored(RedisModuleCtx *ctx, const struct result *result)
{
    if (result->status == RESULT_STORED) return api.ReplyWithSimpleString(ctx, "OK");
    if (result->status == RESULT_REFUSED) return api.ReplyWithError(ctx, "ERR key is reserved");
    return api.ReplyWithNull(ctx);
}

/* What an option that has no value asks for, when the item is to be stored at all; a plain set where it is no such option. */
static enum request_op condition_of(struct span option)
{
    if (is_word(option, "NX")) return REQUEST_ADD;
    return is_word(option, "XX") ? REQUEST_REPLACE : REQUEST_SET;
}

/* NULL, or what is wrong with the options. */
static const char *parse_set(struct request *request, RedisModuleString **words, int count)
{
    enum request_op condition = REQUEST_SET;
    for (int i = 0; i < count; i++) {
        enum request_op found = condition_of(argument(words[i]));
        if (found != REQUEST_SET && condition != REQUEST_SET) return "ERR syntax error";
        if (found != REQUEST_SET) {
            condition = found;
            continue;
        }
        if (i + 1 == count) return "ERR syntax error";
        const char *error = parse_set_option(request, argument(words[i]), argument(words[i + 1]));
        if (error) return error;
        i++;
    }
    if (condition == REQUEST_SET) return NULL;
    if (request->op == REQUEST_CAS) return "ERR CAS goes neither with NX nor with XX";
    request->op = condition;
    return NULL;
}

/* DIGLOT.SET key value [FLAGS n] [CAS token | NX | XX] [EX seconds] → OK; null when the token does not hold any longer, or NX
 * finds an item, or XX none. */
static int diglot_set(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (argc < 3) return api.WrongArity(ctx);
    struct request request = {.op = REQUEST_SET, .key = argument(argv[1]), .value = argument(argv[2])};
    const char *error = parse_set(&request, argv + 3, argc - 3);
    if (error) return api.ReplyWithError(ctx, error);
    if (!has_flags(ctx, argv[1])) return reply_try_again(ctx);
    struct result result = {0};
    execute(ctx, &request, &result, NULL);
    return reply_stored(ctx, &result);
}

/* The pairs as an array of names and values, one behind the other. */
static int reply_pairs(RedisModuleCtx *ctx, struct span pairs)
{
    struct span name, value;
    long count = 0;
    for (struct span rest = pairs; stats_next_pair(&rest, &name, &value);) count += 2;
    api.ReplyWithArray(ctx, count);
    while (stats_next_pair(&pairs, &name, &value)) {
        api.ReplyWithStringBuffer(ctx, name.data, name.size);
        api.ReplyWithStringBuffer(ctx, value.data, value.size);
    }
    return API_OK;
}

/* The report names keys and clients, so the memcached door does not tell it. */
static bool render_usage(struct engine *engine, struct buffer *pairs)
{
    usage_notes_follow_option(engine);
    usage_render(engine->command.usage, clock_wall_ms(), pairs);
    return true;
}

/* DIGLOT.STATS [group] → what memcached's `stats [group]` tells, as names and values; DIGLOT.STATS usage → the usage report. */
static int diglot_stats(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    if (argc > 2) return api.WrongArity(ctx);
    struct engine *engine = engine_instance();
    struct engine_facts facts = {0};
    struct buffer pairs;
    buffer_init(&pairs);
    engine_read_facts(engine, ctx, &facts);
    struct span group = argc == 2 ? argument(argv[1]) : SPAN("");
    bool is_known = is_word(group, "usage") ? render_usage(engine, &pairs)
                                            : stats_render(engine->command.stats, &facts, group, clock_wall_ms(), &pairs);
    int status = is_known ? reply_pairs(ctx, buffer_content(&pairs))
                          : api.ReplyWithError(ctx, "ERR no such group: settings, items, slabs, sizes, conns, usage, upstream, or none for the general one");
    buffer_deinit(&pairs);
    return status;
}

bool engine_create_commands(RedisModuleCtx *ctx)
{
    return api.CreateCommand(ctx, "diglot.get", diglot_get, "readonly fast", 1, 1, 1) == API_OK &&
           api.CreateCommand(ctx, "diglot.set", diglot_set, "write deny-oom fast", 1, 1, 1) == API_OK &&
           api.CreateCommand(ctx, "diglot.stats", diglot_stats, "readonly admin", 0, 0, 0) == API_OK;
}
