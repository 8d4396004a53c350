#include "command/command_parts.h"

#include "base/check.h"
#include "command/dump.h"
#include "command/report.h"
#include "item/expiry.h"
#include "observe/stats.h"

static bool flush_now(struct command_context *context)
{
    context->flush_at_ms = 0;
    return context->keyspace->api->flush(context->keyspace, context->db);
}

/* With a prefix the database holds keys that are not ours, and there is no cheap way to empty only a part of it. */
static void execute_flush_all(struct command_context *context, const struct request *request, struct result *result)
{
    if (!option_get(context->options, flush_all) || context->key_prefix.size > 0) {
        result->status = RESULT_NOT_ALLOWED;
        return;
    }
    counter_add(context->counters, COUNTER_CMD_FLUSH, 1);
    int64_t due = expiry_from_exptime(request->exptime, context->now_ms);
    result->status = RESULT_OK;
    if (due != EXPIRY_NEVER && due > context->now_ms)
        context->flush_at_ms = due;
    else if (!flush_now(context))
        result->status = RESULT_NOT_ALLOWED;
}

bool command_flush_is_due(const struct command_context *context)
{
    return context->flush_at_ms != 0 && context->flush_at_ms <= context->now_ms;
}

void command_flush_when_due(struct command_context *context)
{
    if (command_flush_is_due(context)) flush_now(context);
}

/* The connection that asks hears of it when the engine closes it. */
static void execute_shutdown(struct command_context *context, const struct request *request, struct result *result)
{
    if (!option_get(context->options, shutdown)) {
        result->status = RESULT_NOT_ALLOWED;
    } else if (request->text.size > 0 && !span_equal(request->text, SPAN("graceful"))) {
        result->status = RESULT_NOT_FOUND;
    } else {
        context->keyspace->api->shut_down(context->keyspace);
        result->status = RESULT_OK;
    }
}

static void execute_refresh_certs(struct command_context *context, struct result *result)
{
    if (!context->stats->tls) {
        result->status = RESULT_NOT_ALLOWED;
    } else if (context->keyspace->api->refresh_certs(context->keyspace)) {
        result->status = RESULT_OK;
    } else {
        result->status = RESULT_REFUSED;
        result->text = SPAN("the new certificates cannot be used, the old ones stay: see the log");
    }
}

/* The connection itself becomes the watcher; here the streams are looked up. */
static void execute_watch(const struct request *request, struct result *result)
{
    uint32_t streams;
    result->status = watch_parse_streams(request->text, &streams) ? RESULT_OK : RESULT_NOT_FOUND;
    result->number = streams;
}

/* Commands on one key that is opened for writing. They close it. */
static item_command *const item_commands[REQUEST_OPS] = {
    [REQUEST_SET] = execute_set,
    [REQUEST_ADD] = execute_add,
    [REQUEST_REPLACE] = execute_replace,
    [REQUEST_APPEND] = execute_join,
    [REQUEST_PREPEND] = execute_join,
    [REQUEST_CAS] = execute_cas,
    [REQUEST_INCR] = execute_count,
    [REQUEST_DECR] = execute_count,
    [REQUEST_DELETE] = execute_delete,
    [REQUEST_TOUCH] = execute_touch,
    [REQUEST_SET_TOO_LARGE] = execute_set_too_large,
};

struct span command_prefixed_key(struct command_context *context, struct span key)
{
    CHECK(context->key_prefix.size + key.size <= sizeof context->key);
    memcpy(context->key, context->key_prefix.data, context->key_prefix.size);
    memcpy(context->key + context->key_prefix.size, key.data, key.size);
    return span_of(context->key, context->key_prefix.size + key.size);
}

bool command_is_item_name(const struct command_context *context, struct span name, struct span *key)
{
    if (command_reserves(name) || !span_starts_with(name, context->key_prefix)) return false;
    *key = span_skip(name, context->key_prefix.size);
    return key->size > 0 && key->size <= ITEM_KEY_MAX;
}

static bool stores_value(enum request_op op)
{
    return op >= REQUEST_SET && op <= REQUEST_CAS;
}

/* Keeps clients off the ledger strings: they find nothing there and store nothing. */
static void refuse_reserved(const struct request *request, struct result *result)
{
    if (stores_value(request->op)) {
        result->status = RESULT_REFUSED;
        result->text = SPAN("key is reserved");
    } else {
        result->status = RESULT_NOT_FOUND;
    }
}

void command_context_init(struct command_context *context)
{
    *context = (struct command_context){0};
    buffer_init(&context->scratch);
}

void command_context_deinit(struct command_context *context)
{
    buffer_deinit(&context->scratch);
}

/* A set that asks no question: whatever is there, it will be another item. */
static bool replaces(const struct command_context *context, const struct request *request)
{
    if (request->op != REQUEST_SET || request_asks(request, ASK_COMPARE)) return false;
    return !expiry_has_passed(expiry_from_exptime(request->exptime, context->now_ms), context->now_ms);
}

static void execute_on_item(struct command_context *context, const struct request *request, struct span name,
                            struct result *result, struct buffer *values)
{
    if (request->op == REQUEST_GET || request->op == REQUEST_GAT) {
        execute_get(context, request, name, result, values);
    } else if (request->op == REQUEST_DEBUG) {
        execute_debug(context, request, name, result);
    } else {
        struct item item;
        if (replaces(context, request))
            item_open_to_replace(context, name, &item);
        else if (request->op == REQUEST_ADD)
            item_open_missing(context, name, &item);
        else
            item_open(context, name, &item);
        item_commands[request->op](context, &item, request, result);
    }
}

/* The token of what was stored. Those who read or touch an item have told theirs, before it could expire. */
static void tell_stored_token(struct command_context *context, const struct request *request, struct span name,
                              struct result *result)
{
    bool is_stored = result->status == RESULT_STORED || result->status == RESULT_NUMBER;
    bool is_told = result->status == RESULT_HIT || (result->status == RESULT_OK && request->op == REQUEST_TOUCH);
    if (!is_told) tell_token(request, result, is_stored ? version_current(context->versions, item_hash_for(context, name)) : 0);
}

static void forget_told(const struct request *request)
{
    if (!request->extras) return;
    request->extras->told = 0;
    request->extras->size = request->value.size;
    request->extras->remaining_seconds = -1;
}

/* From here on every read must be noted once; so none that was kept before stands any longer. */
static void begin_history(struct command_context *context)
{
    if (!history_begin(context->history)) return;
    version_note_change_of_all(context->versions);
}

static void execute_keyed(struct command_context *context, const struct request *request, struct result *result,
                          struct buffer *values)
{
    if (stores_value(request->op)) counter_add(context->counters, COUNTER_CMD_SET, 1);
    if (request->op == REQUEST_DEBUG) counter_add(context->counters, COUNTER_CMD_META, 1);
    forget_told(request);
    if (request_asks(request, ASK_META)) begin_history(context);
    struct span name = command_full_key(context, request->key);
    if (command_reserves(name))
        refuse_reserved(request, result);
    else
        execute_on_item(context, request, name, result, values);
    if (result->status == RESULT_NEEDS_WRITE) return;
    if (request->extras || request->want_cas) tell_stored_token(context, request, name, result);
    if (result->status == RESULT_TOO_LARGE) counter_add(context->counters, COUNTER_STORE_TOO_LARGE, 1);
    if (report_is_wanted(context)) report_request(context, request, result);
}

static void execute_on_server(struct command_context *context, const struct request *request, struct result *result,
                              struct buffer *values)
{
    if (request->op == REQUEST_FLUSH_ALL)
        execute_flush_all(context, request, result);
    else if (request->op == REQUEST_STATS)
        execute_stats(context, request, result, values);
    else if (request->op == REQUEST_REFRESH_CERTS)
        execute_refresh_certs(context, result);
    else if (request->op == REQUEST_SHUTDOWN)
        execute_shutdown(context, request, result);
    else if (request->op == REQUEST_WATCH)
        execute_watch(request, result);
    else
        dump_execute(context, request, result, values);
}

void command_execute(struct command_context *context, const struct request *request, struct result *result,
                     struct buffer *values)
{
    if (request_is_keyed(request->op))
        execute_keyed(context, request, result, values);
    else
        execute_on_server(context, request, result, values);
}
