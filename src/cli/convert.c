/* diglot convert redcouch: turns RedCouch's hashes into plain strings, each in one transaction that does nothing when
 * anybody touches one of its keys meanwhile. */
#include "base/clock.h"
#include "base/number.h"
#include "cli/command.h"
#include "cli/facts.h"
#include "cli/failures.h"
#include "cli/progress.h"
#include "cli/redcouch.h"
#include "cli/report.h"
#include "cli/scan.h"

#include <inttypes.h>
#include <stdio.h>

enum option_key { OPTION_YES = 1, OPTION_DRY_RUN, OPTION_PREFIX, OPTION_KEEP, OPTION_VALUES, OPTION_RATE, OPTION_DB };

/* A transaction that others have stepped into is tried again. */
#define TRIES 3

static const struct argp_option options[] = {
    {.name = "yes", .key = OPTION_YES, .doc = "Convert; without it nothing is changed"},
    {.name = "dry-run", .key = OPTION_DRY_RUN, .doc = "Only look and count (this is what happens without --yes)"},
    {.name = "prefix", .key = OPTION_PREFIX, .arg = "TEXT", .doc = "What the hashes' names begin with (rc:)"},
    {.name = "keep", .key = OPTION_KEEP, .doc = "Keep the hashes, as a way back"},
    {.name = "values", .key = OPTION_VALUES, .arg = "raw|hex",
     .doc = "How v holds the value: its bytes, or hexadecimal digits (raw). Look at one: redis-cli HGET rc:KEY v"},
    {.name = "rate", .key = OPTION_RATE, .arg = "ITEMS", .doc = "Look at most at so many hashes per second (10000)"},
    {.name = "db", .key = OPTION_DB, .arg = "N", .doc = "The database of both (diglot.db)"},
    {0}};

static const struct argp_child children[] = {
    {&sides_redis_argp, 0, "The new one:", 2}, {&sides_common_argp, 0, "Connection and report:", 3}, {&sides_no_to_argp, 0, NULL, 0}, {0}};

enum outcome { CONVERTED, THERE, GONE, FAILED, OUTCOMES };

struct convert {
    struct sides sides;
    struct resp *resp;
    struct span prefix;
    const char *db;
    bool writes, keeps, has_hex;
    uint64_t rate;
    uint64_t seen, with_flags, with_expiry, bytes, counts[OUTCOMES];
    struct failures failures;
    struct progress progress;
    char key_prefix[256]; /* diglot.key-prefix */
    struct buffer key, value; /* of the item at hand */
};

/* What a hash becomes. */
struct item {
    struct span hash_key, key;
    struct span value;
    char flags[NUMBER_TEXT_SIZE + 1];
    char expiry_ms[NUMBER_TEXT_SIZE + 1]; /* unix time; empty: never */
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct convert *convert = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = &convert->sides;
        return 0;
    case OPTION_YES: convert->writes = true; return 0;
    case OPTION_DRY_RUN: convert->writes = false; return 0;
    case OPTION_PREFIX: convert->prefix = span_of(text, strlen(text)); return 0;
    case OPTION_KEEP: convert->keeps = true; return 0;
    case OPTION_RATE: convert->rate = sides_parse_number(state, "rate", text, 1, 1u << 30); return 0;
    case OPTION_DB: (void)sides_parse_number(state, "db", text, 0, 1000000); convert->db = text; return 0;
    case OPTION_VALUES:
        convert->has_hex = strcmp(text, "hex") == 0;
        if (!convert->has_hex && strcmp(text, "raw") != 0) {
            argp_error(state, "--values is raw or hex");
        }
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0 || strcmp(text, "redcouch") != 0) {
            argp_error(state, "%s: only redcouch can be converted", text);
        }
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "say whose data: diglot convert redcouch"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options, .parser = parse, .args_doc = "redcouch", .children = children,
    .doc = "Turns RedCouch's hashes rc:<key> (fields v, f, c) into plain strings with flags and expiry, as Diglot has them. Without --yes it "
           "only looks. A key that is there already stays as it is, and so does its hash.\v"
           "The module has to be loaded: it keeps the flags. Exit status: 0, 1 if single items could not be converted, 2 if it could not run."};

/* ---- One item ---- */

static void fail_item(struct convert *convert, const struct item *item, const char *reason)
{
    convert->counts[FAILED]++;
    failures_add(&convert->failures, span_of(reason, strlen(reason)), item->hash_key);
}

/* Reads what HMGET and PEXPIRETIME told. False: the item is done with. */
static bool read_item(struct convert *convert, struct item *item, const redisReply *fields, const redisReply *expiry)
{
    uint32_t flags;
    if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 2 || fields->element[0]->type != REDIS_REPLY_STRING) {
        fail_item(convert, item, fields->type == REDIS_REPLY_ERROR ? fields->str : "it has no field v");
        return false;
    }
    if (!redcouch_flags(resp_text(fields->element[1]), &flags)) {
        fail_item(convert, item, "its field f is no number of 32 bits");
        return false;
    }
    item->value = resp_text(fields->element[0]);
    if (convert->has_hex) {
        buffer_reset(&convert->value, 1 << 20);
        if (!redcouch_unhex(item->value, &convert->value)) {
            fail_item(convert, item, "its field v holds no hexadecimal digits: --values raw");
            return false;
        }
        item->value = buffer_content(&convert->value);
    }
    item->flags[number_format_u64(item->flags, flags)] = '\0';
    if (expiry->type == REDIS_REPLY_INTEGER && expiry->integer > 0) {
        item->expiry_ms[number_format_u64(item->expiry_ms, (uint64_t)expiry->integer)] = '\0';
    }
    convert->with_flags += flags != 0;
    convert->with_expiry += item->expiry_ms[0] != '\0';
    convert->bytes += item->value.size;
    return true;
}

static void queue_writes(struct convert *convert, const struct item *item)
{
    struct resp *resp = convert->resp;
    RESP_QUEUE(resp, SPAN("MULTI"));
    RESP_QUEUE(resp, SPAN("DIGLOT.SET"), item->key, item->value, SPAN("FLAGS"), span_of(item->flags, strlen(item->flags)));
    if (item->expiry_ms[0] != '\0') {
        RESP_QUEUE(resp, SPAN("PEXPIREAT"), item->key, span_of(item->expiry_ms, strlen(item->expiry_ms)));
    }
    if (!convert->keeps) {
        RESP_QUEUE(resp, SPAN("UNLINK"), item->hash_key);
    }
    RESP_QUEUE(resp, SPAN("EXEC"));
}

/* Takes the answers of a transaction: the last one, to be freed; NULL when the connection is over. */
static redisReply *take_last(struct resp *resp, size_t count)
{
    redisReply *reply = NULL;
    for (size_t i = 0; i < count; i++) {
        freeReplyObject(reply);
        reply = resp_take(resp);
        if (!reply) {
            break;
        }
    }
    return reply;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_AGAIN, ATTEMPT_OVER };

static enum attempt write_item(struct convert *convert, const struct item *item)
{
    queue_writes(convert, item);
    redisReply *reply = take_last(convert->resp, 3u + (item->expiry_ms[0] != '\0') + !convert->keeps);
    if (!reply) {
        return ATTEMPT_OVER;
    }
    enum attempt attempt = ATTEMPT_DONE;
    if (reply->type == REDIS_REPLY_NIL) {
        attempt = ATTEMPT_AGAIN; /* somebody has touched a key */
    } else if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || resp_is_error(reply->element[0])) {
        fail_item(convert, item, reply->type == REDIS_REPLY_ARRAY && reply->elements ? reply->element[0]->str : reply->str);
    } else {
        convert->counts[CONVERTED]++;
    }
    freeReplyObject(reply);
    return attempt;
}

static enum attempt judge_item(struct convert *convert, struct item *item, redisReply *const replies[4])
{
    bool is_there = replies[1]->type == REDIS_REPLY_INTEGER && replies[1]->integer > 0;
    bool is_gone = replies[3]->type == REDIS_REPLY_INTEGER && replies[3]->integer == -2;
    if (is_there || is_gone) {
        convert->counts[is_there ? THERE : GONE]++;
    } else if (read_item(convert, item, replies[2], replies[3])) {
        if (convert->writes) {
            return write_item(convert, item);
        }
        convert->counts[CONVERTED]++;
        return ATTEMPT_DONE;
    }
    RESP_QUEUE(convert->resp, SPAN("UNWATCH"));
    redisReply *reply = resp_take(convert->resp);
    freeReplyObject(reply);
    return reply ? ATTEMPT_DONE : ATTEMPT_OVER;
}

/* Items have the module's prefix instead. */
static void name_item(struct convert *convert, struct item *item)
{
    buffer_reset(&convert->key, 4096);
    buffer_append(&convert->key, span_of(convert->key_prefix, strlen(convert->key_prefix)));
    buffer_append(&convert->key, span_skip(item->hash_key, convert->prefix.size));
    item->key = buffer_content(&convert->key);
}

/* WATCH sees to it that what was read is what is converted. */
static enum attempt convert_once(struct convert *convert, struct span hash_key)
{
    struct item item = {.hash_key = hash_key};
    name_item(convert, &item);
    struct resp *resp = convert->resp;
    RESP_QUEUE(resp, SPAN("WATCH"), item.key, item.hash_key);
    RESP_QUEUE(resp, SPAN("EXISTS"), item.key);
    RESP_QUEUE(resp, SPAN("HMGET"), item.hash_key, SPAN("v"), SPAN("f"));
    RESP_QUEUE(resp, SPAN("PEXPIRETIME"), item.hash_key);
    redisReply *replies[4] = {NULL};
    bool is_over = false;
    for (size_t i = 0; i < 4 && !is_over; i++) {
        replies[i] = resp_take(resp);
        is_over = !replies[i];
    }
    enum attempt attempt = is_over ? ATTEMPT_OVER : judge_item(convert, &item, replies);
    for (size_t i = 0; i < 4; i++) {
        freeReplyObject(replies[i]);
    }
    return attempt;
}

/* False when the connection is over. */
static bool convert_key(struct convert *convert, struct span hash_key)
{
    if (hash_key.size <= convert->prefix.size) {
        return true;
    }
    convert->seen++;
    for (int i = 0; i < TRIES; i++) {
        enum attempt attempt = convert_once(convert, hash_key);
        if (attempt != ATTEMPT_AGAIN) {
            return attempt == ATTEMPT_DONE;
        }
    }
    fail_item(convert, &(struct item){.hash_key = hash_key}, "others keep changing it: run it again");
    return true;
}

/* ---- All ---- */

static bool convert_all(struct convert *convert, struct pace *pace)
{
    struct scan scan;
    scan_init(&scan, convert->resp, pace, convert->prefix, "hash");
    while (!scan.is_done) {
        redisReply *keys, *reply = scan_next(&scan, &keys);
        bool goes_on = reply != NULL;
        for (size_t i = 0; goes_on && i < keys->elements; i++) {
            goes_on = convert_key(convert, resp_text(keys->element[i]));
        }
        freeReplyObject(reply);
        if (!goes_on) {
            return false;
        }
        progress_show(&convert->progress, convert->writes ? "convert" : "look", convert->seen, 0, "");
    }
    return true;
}

/* Selects the module's database, or the one that was asked for, and learns the prefix of its keys. False: resp->error tells. */
static bool meet_module(struct convert *convert)
{
    struct facts facts;
    facts_init(&facts);
    bool is_told = facts_gather(&facts, convert->resp);
    const char *prefix = facts_text(&facts, "diglot.key-prefix"), *db = convert->db ? convert->db : facts_text(&facts, "diglot.db");
    if (is_told && !facts.has_module) {
        (void)snprintf(convert->resp->error, CHANNEL_ERROR_SIZE, "%s: the module Diglot is not loaded", convert->sides.redis.name);
    }
    (void)snprintf(convert->key_prefix, sizeof convert->key_prefix, "%s", prefix ? prefix : "");
    if (!db) {
        db = "0";
    }
    redisReply *selected = facts.has_module ? RESP_ASK(convert->resp, SPAN("SELECT"), span_of(db, strlen(db))) : NULL;
    freeReplyObject(selected);
    facts_deinit(&facts);
    return selected != NULL;
}

static void report_json(const struct convert *convert)
{
    json_t *report = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "dry_run", !convert->writes, "hashes",
                               (json_int_t)convert->seen, "converted", (json_int_t)convert->counts[CONVERTED], "there",
                               (json_int_t)convert->counts[THERE], "gone", (json_int_t)convert->counts[GONE], "failed",
                               (json_int_t)convert->counts[FAILED], "with_flags", (json_int_t)convert->with_flags, "with_expiry",
                               (json_int_t)convert->with_expiry, "bytes", (json_int_t)convert->bytes, "failures",
                               failures_json(&convert->failures));
    report_print(report);
}

static void report_text(const struct convert *convert)
{
    (void)printf("%" PRIu64 " hashes seen\n%" PRIu64 " %s (%" PRIu64 " with flags, %" PRIu64 " with an expiry, %" PRIu64 " bytes)\n",
                 convert->seen, convert->counts[CONVERTED], convert->writes ? "converted" : "would be converted", convert->with_flags,
                 convert->with_expiry, convert->bytes);
    (void)printf("%" PRIu64 " left alone: their key is there already\n%" PRIu64 " gone meanwhile\n%" PRIu64 " failed\n",
                 convert->counts[THERE], convert->counts[GONE], convert->counts[FAILED]);
    failures_print(&convert->failures, stdout);
    if (!convert->writes) {
        (void)printf("Nothing was changed: --yes converts.\n");
    } else {
        (void)printf("RedCouch's own keys (redcouch:sys:*) are left where they are: delete them when RedCouch is gone.\n");
    }
}

static void report(const struct convert *convert)
{
    if (convert->sides.wants_json) {
        report_json(convert);
    } else {
        report_text(convert);
    }
}

static enum cli_status convert_run(struct convert *convert)
{
    char error[CHANNEL_ERROR_SIZE] = "";
    struct pace pace;
    convert->resp = sides_prepare(&convert->sides) ? resp_open(&convert->sides, error) : NULL;
    if (!convert->resp) {
        (void)fprintf(stderr, error[0] ? "diglot: %s\n" : "%s", error);
        return CLI_FAILED;
    }
    pace_init(&pace, convert->rate, 0);
    progress_init(&convert->progress);
    bool is_done = meet_module(convert) && convert_all(convert, &pace);
    progress_end(&convert->progress);
    if (!is_done) {
        (void)fprintf(stderr, "diglot: %s\n", convert->resp->error);
    }
    if (is_done || convert->seen > 0) {
        report(convert);
    }
    pace_deinit(&pace);
    resp_close(&convert->resp);
    return !is_done ? CLI_FAILED : convert->counts[FAILED] ? CLI_INCOMPLETE : CLI_DONE;
}

enum cli_status convert_main(int argc, char **argv)
{
    struct convert convert = {.prefix = SPAN(REDCOUCH_PREFIX), .rate = 10000};
    sides_init(&convert.sides);
    failures_init(&convert.failures);
    buffer_init(&convert.value);
    buffer_init(&convert.key);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &convert);
    enum cli_status status = convert_run(&convert);
    buffer_deinit(&convert.value);
    buffer_deinit(&convert.key);
    failures_deinit(&convert.failures);
    sides_deinit(&convert.sides);
    return status;
}
