#include "command/report.h"

#include "item/expiry.h"
#include "observe/watch_lines.h"

void report_note_found(struct command_context *context, bool is_item)
{
    context->found = (struct found_item){.is_item = is_item, .expiry = KEYSPACE_NO_EXPIRY};
    if (!is_item) return;
    context->found.size = context->keyspace->api->size(context->keyspace);
    context->found.expiry = context->keyspace->api->expiry(context->keyspace);
}

static const char *command_name(enum request_op op)
{
    static const char *const names[REQUEST_OPS] = {
        [REQUEST_SET] = "set",         [REQUEST_ADD] = "add", [REQUEST_REPLACE] = "replace", [REQUEST_APPEND] = "append",
        [REQUEST_PREPEND] = "prepend", [REQUEST_CAS] = "cas", [REQUEST_SET_TOO_LARGE] = "set",
    };
    return names[op];
}

static const char *store_status(enum result_status status)
{
    switch (status) {
    case RESULT_STORED: return "stored";
    case RESULT_EXISTS: return "exists";
    case RESULT_NOT_FOUND: return "not_found";
    case RESULT_TOO_LARGE: return "too_large";
    default: return "not_stored";
    }
}

static bool joins(enum request_op op)
{
    return op == REQUEST_APPEND || op == REQUEST_PREPEND;
}

/* Seconds that the item has to live: what is appended to keeps its own. */
static int64_t ttl_of(const struct command_context *context, const struct request *request)
{
    bool keeps = joins(request->op) && context->found.is_item;
    int64_t expiry = keeps ? context->found.expiry : expiry_from_exptime(request->exptime, context->now_ms);
    if (expiry == EXPIRY_NEVER) return 0;
    return expiry_has_passed(expiry, context->now_ms) ? -1 : (expiry - context->now_ms + 999) / 1000;
}

static void tell_store(const struct command_context *context, const struct request *request, const struct result *result)
{
    bool grows = joins(request->op) && result->status == RESULT_STORED;
    const struct watch_store store = {
        .key = request->key,
        .status = store_status(result->status),
        .command = command_name(request->op),
        .ttl = ttl_of(context, request),
        .descriptor = context->client_descriptor,
        .size = request->value.size + (grows ? context->found.size : 0),
    };
    watch_tell_store(context->watch, &store);
}

static bool asks(const struct request *request, uint32_t what)
{
    return request->extras != NULL && (request->extras->asks & what) != 0;
}

/* A delete that took the item away; md can leave it in place. */
static bool has_deleted(const struct request *request, const struct result *result)
{
    return request->op == REQUEST_DELETE && result->status == RESULT_OK && !asks(request, ASK_INVALIDATE | ASK_CLEAR);
}

static void tell_delete(const struct command_context *context, const struct request *request)
{
    watch_tell_delete(context->watch, request->key, asks(request, ASK_META) ? "md" : "delete", context->found.size);
}

static void tell_watchers(const struct command_context *context, const struct request *request, const struct result *result)
{
    const struct found_item *found = &context->found;
    if (watch_wants(context->watch, WATCH_FETCHERS))
        watch_tell_get(context->watch, request->key, found->is_item, context->client_descriptor, found->size);
    if (command_name(request->op) != NULL && watch_wants(context->watch, WATCH_MUTATIONS)) tell_store(context, request, result);
    if (has_deleted(request, result) && watch_wants(context->watch, WATCH_DELETIONS)) tell_delete(context, request);
}

static void count_detail(struct detail_table *detail, const struct request *request, const struct result *result)
{
    if (request->op == REQUEST_GET || request->op == REQUEST_GAT)
        detail_count_get(detail, request->key, result->status == RESULT_HIT);
    else if (request->op == REQUEST_DELETE)
        detail_count_delete(detail, request->key);
    else if (command_name(request->op) != NULL)
        detail_count_set(detail, request->key);
}

void command_tell_eviction(const struct command_context *context, int db, struct span name)
{
    struct span key;
    if (watch_wants(context->watch, WATCH_EVICTIONS) && db == context->db && command_is_item_name(context, name, &key))
        watch_tell_eviction(context->watch, key);
}

static enum usage_protocol protocol_of(const struct request *request)
{
    if (request->extras == NULL) return USAGE_CLASSIC;
    return asks(request, ASK_META) ? USAGE_META : USAGE_BINARY;
}

static enum usage_expiry expiry_of(const struct command_context *context, const struct request *request)
{
    bool has_expiry = command_name(request->op) != NULL || request->op == REQUEST_GAT || request->op == REQUEST_TOUCH;
    if (!has_expiry || request->exptime <= EXPIRY_RELATIVE_MAX) return USAGE_EXPIRY_ORDINARY;
    int64_t expiry = expiry_from_exptime(request->exptime, context->now_ms);
    return expiry_has_passed(expiry, context->now_ms) ? USAGE_EXPIRY_MISTAKEN : USAGE_EXPIRY_UNIX_TIME;
}

static void note_usage(struct command_context *context, const struct request *request, const struct result *result)
{
    static const char *const others[REQUEST_OPS] = {
        [REQUEST_GET] = "get",   [REQUEST_GAT] = "gat",       [REQUEST_INCR] = "incr",   [REQUEST_DECR] = "decr",
        [REQUEST_TOUCH] = "touch", [REQUEST_DELETE] = "delete", [REQUEST_DEBUG] = "me",
    };
    const char *command = command_name(request->op) != NULL ? command_name(request->op) : others[request->op];
    bool is_stored = result->status == RESULT_STORED;
    struct usage_request noted = {
        .client = context->client_address != NULL ? context->client_address : "",
        .command = command != NULL ? command : "",
        .protocol = protocol_of(request),
        .key = request->key,
        .name = command_full_key(context, request->key),
        .has_item = is_stored || result->status == RESULT_HIT,
        .flags = is_stored ? request->flags : result->flags,
        .size = is_stored ? request->value.size : result->value_size,
        .expiry = expiry_of(context, request),
    };
    usage_note_request(context->usage, &noted, context->now_ms);
}

void report_request(struct command_context *context, const struct request *request, const struct result *result)
{
    if (watch_wants(context->watch, REPORT_STREAMS)) tell_watchers(context, request, result);
    if (context->detail != NULL && context->detail->is_on) count_detail(context->detail, request, result);
    if (context->usage != NULL && context->usage->is_on) note_usage(context, request, result);
    context->found = (struct found_item){0};
}
