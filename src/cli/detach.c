/* diglot detach: looks whether the module can go, and removes what it leaves: the keys that flags and the migration's marks
 * are kept in. While the module is loaded they must stay: it takes a ledger that vanishes for lost flags, and removes the
 * items. */
#include "base/clock.h"
#include "cli/command.h"
#include "cli/facts.h"
#include "cli/report.h"
#include "cli/scan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

enum option_key { OPTION_YES = 1, OPTION_SECONDS, OPTION_UNLOAD };

#define CHECKS_MAX 8
#define CHECK_TEXT 320

static const struct argp_option options[] = {
    {.name = "yes", .key = OPTION_YES, .doc = "Remove without asking"},
    {.name = "seconds", .key = OPTION_SECONDS, .arg = "N", .doc = "How long no memcached request may come (5)"},
    {.name = "unload", .key = OPTION_UNLOAD,
     .doc = "If everything is ready, unload the module at once (MODULE UNLOAD; the engine has to allow it: enable-module-command)"},
    {0}};

static const struct argp_child children[] = {
    {&sides_redis_argp, 0, "The new one:", 2}, {&sides_common_argp, 0, "Connection and report:", 3}, {&sides_no_to_argp, 0, NULL, 0}, {0}};

struct check {
    bool is_good;
    char text[CHECK_TEXT];
};

struct detach {
    struct sides sides;
    struct resp *resp;
    uint64_t seconds;
    bool says_yes, unloads;
    struct check checks[CHECKS_MAX];
    size_t check_count;
    bool was_checked, has_module, was_unloaded;
    uint64_t found, removed; /* keys of the module's own */
    bool saves; /* the engine does, by itself, before it ends */
    char config_file[256];
    char next[1024]; /* the next step */
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct detach *detach = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = &detach->sides;
        return 0;
    case OPTION_YES: detach->says_yes = true; return 0;
    case OPTION_UNLOAD: detach->unloads = true; return 0;
    case OPTION_SECONDS: detach->seconds = sides_parse_number(state, "seconds", text, 0, 3600); return 0;
    case ARGP_KEY_ARG: argp_error(state, "%s: it takes options alone", text); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options, .parser = parse, .children = children,
    .doc = "Looks whether the module can go: no memcached clients, no requests, no old servers. Then it tells the last step: delete the "
           "loadmodule and diglot.* lines, restart. Run again, without the module, it removes the keys that the module has left.\v"
           "Exit status: 0 ready, or done; 1 not ready, or not removed; 2 the server could not be asked."};

static struct check *add_check(struct detach *detach, bool is_good)
{
    struct check *check = &detach->checks[detach->check_count++];
    check->is_good = is_good;
    return check;
}

/* ---- Ready? ---- */

static void check_clients(struct detach *detach, const struct facts *facts)
{
    uint64_t clients = facts_number(facts, "curr_connections", 0);
    struct check *check = add_check(detach, clients == 0);
    (void)snprintf(check->text, CHECK_TEXT, clients ? "memcached clients are connected: %" PRIu64 " (DIGLOT.STATS conns lists them)"
                                                    : "no memcached client is connected", clients);
}

static void check_requests(struct detach *detach, const struct facts *facts, const struct facts *before)
{
    static const char *const counters[] = {"cmd_get", "cmd_set", "cmd_touch", "cmd_meta", "cmd_flush", "delete_hits", "delete_misses",
                                           "incr_hits", "incr_misses", "decr_hits", "decr_misses", "total_connections"};
    uint64_t grown = 0;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        grown += facts_number(facts, counters[i], 0) - facts_number(before, counters[i], 0);
    }
    struct check *check = add_check(detach, grown == 0);
    (void)snprintf(check->text, CHECK_TEXT, grown ? "memcached requests or connections came within %" PRIu64 " s"
                                                  : "no memcached request came within %" PRIu64 " s", detach->seconds);
}

static void check_upstream(struct detach *detach, const struct facts *facts)
{
    const char *upstream = facts_text(facts, "diglot.upstream");
    bool is_good = !upstream || upstream[0] == '\0';
    struct check *check = add_check(detach, is_good);
    if (is_good) {
        (void)snprintf(check->text, CHECK_TEXT, "no old servers are named");
    } else {
        (void)snprintf(check->text, CHECK_TEXT, "old servers are named still (%.120s): CONFIG SET diglot.upstream \"\"", upstream);
    }
}

static void check_replicas(struct detach *detach, const struct facts *facts)
{
    uint64_t replicas = facts_number(facts, "info.connected_slaves", 0);
    if (replicas > 0) {
        (void)snprintf(add_check(detach, true)->text, CHECK_TEXT,
                       "%" PRIu64 " replicas are connected: take the module from all of them before its keys are removed here", replicas);
    }
}

/* An engine without the module does not know its commands, and does not start with rules that name them. */
static bool check_rules(struct detach *detach)
{
    redisReply *users = RESP_ASK(detach->resp, SPAN("ACL"), SPAN("LIST"));
    bool is_named = false;
    for (size_t i = 0; users && users->type == REDIS_REPLY_ARRAY && i < users->elements; i++) {
        is_named |= users->element[i]->str && strstr(users->element[i]->str, "diglot.");
    }
    (void)snprintf(add_check(detach, !is_named)->text, CHECK_TEXT, "%s",
                   is_named ? "users' rules name commands of the module (ACL LIST): without it the engine does not start with them"
                            : "no user's rules name commands of the module");
    freeReplyObject(users);
    return users != NULL;
}

static void check_persistence(struct detach *detach, const struct facts *facts)
{
    const char *append = facts_text(facts, "info.aof_enabled"), *save = facts_text(facts, "save");
    detach->saves = !append || strcmp(append, "0") != 0 || !save || save[0] != '\0';
    if (!detach->saves) {
        (void)snprintf(add_check(detach, true)->text, CHECK_TEXT,
                       "careful: the engine neither saves nor appends, so a plain restart forgets all data (--unload needs none)");
    }
}

static void keep_config_file(struct detach *detach, const struct facts *facts)
{
    const char *file = facts_text(facts, "info.config_file");
    (void)snprintf(detach->config_file, sizeof detach->config_file, "%s", file && file[0] ? file : "redis.conf or its command line");
}

/* Looks twice, some seconds apart. */
static bool check_all(struct detach *detach)
{
    struct facts before, facts;
    facts_init(&before);
    facts_init(&facts);
    bool is_told = facts_gather(&before, detach->resp);
    detach->has_module = before.has_module;
    if (is_told && detach->has_module) {
        clock_sleep_us(detach->seconds * 1000000);
        is_told = facts_gather(&facts, detach->resp);
        check_clients(detach, &facts);
        check_requests(detach, &facts, &before);
        check_upstream(detach, &facts);
        check_persistence(detach, &facts);
        is_told = is_told && check_rules(detach);
    }
    check_replicas(detach, &before);
    keep_config_file(detach, &before);
    facts_deinit(&before);
    facts_deinit(&facts);
    detach->was_checked = is_told;
    return is_told;
}

static bool is_ready(const struct detach *detach)
{
    for (size_t i = 0; i < detach->check_count; i++) {
        if (!detach->checks[i].is_good) {
            return false;
        }
    }
    return true;
}

/* ---- The module's own keys ---- */

/* Counts them in the selected database, or removes them. */
static bool walk_prefix(struct detach *detach, struct span prefix, bool removes)
{
    struct pace pace;
    struct scan scan;
    pace_init(&pace, 100000, 0);
    scan_init(&scan, detach->resp, &pace, prefix, "string");
    bool goes_on = true;
    while (goes_on && !scan.is_done) {
        redisReply *keys, *reply = scan_next(&scan, &keys);
        goes_on = reply != NULL;
        for (size_t i = 0; goes_on && i < keys->elements; i++) {
            redisReply *removed = removes ? RESP_ASK(detach->resp, SPAN("UNLINK"), resp_text(keys->element[i])) : NULL;
            goes_on = !removes || removed != NULL;
            detach->removed += removed && removed->type == REDIS_REPLY_INTEGER ? (uint64_t)removed->integer : 0;
            detach->found += !removes;
            freeReplyObject(removed);
        }
        freeReplyObject(reply);
    }
    pace_deinit(&pace);
    return goes_on;
}

/* In every database that has keys. */
static bool walk_databases(struct detach *detach, bool removes)
{
    struct facts facts;
    facts_init(&facts);
    redisReply *info = RESP_ASK(detach->resp, SPAN("INFO"), SPAN("keyspace"));
    bool goes_on = info != NULL;
    if (info) {
        facts_add_info(&facts, resp_text(info));
    }
    for (size_t i = 0; goes_on && i < facts.count; i++) {
        const char *number = facts.list[i].name + strlen("info.db");
        redisReply *selected = RESP_ASK(detach->resp, SPAN("SELECT"), span_of(number, strlen(number)));
        goes_on = selected && walk_prefix(detach, SPAN("diglot:flags:"), removes) && walk_prefix(detach, SPAN("diglot:upstream:"), removes);
        freeReplyObject(selected);
    }
    freeReplyObject(info);
    facts_deinit(&facts);
    return goes_on;
}

static bool asks_and_hears_yes(const struct detach *detach)
{
    char answer[16] = "";
    if (detach->says_yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO) || detach->sides.wants_json) {
        return false;
    }
    (void)printf("Remove %" PRIu64 " keys diglot:* from %s? [y/N] ", detach->found, detach->sides.redis.name);
    (void)fflush(stdout);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- The steps ---- */

/* A macro, so that the compiler sees the format. */
#define TELL_NEXT(detach, ...) ((void)snprintf((detach)->next, sizeof (detach)->next, __VA_ARGS__))

static void tell_what_is_left(struct detach *detach, bool is_removed)
{
    const char *keys = is_removed ? "" : "run it with --yes: it removes the keys that the module has left";
    if (detach->was_unloaded) {
        TELL_NEXT(detach, "delete the loadmodule and diglot.* lines in %s, or the next start loads the module again%s%s", detach->config_file,
                  is_removed ? "" : "; then ", keys);
    } else {
        TELL_NEXT(detach, "%s", is_removed ? "nothing: what is left is plain data" : keys);
    }
}

static enum cli_status remove_keys(struct detach *detach)
{
    if (!walk_databases(detach, false)) {
        return CLI_FAILED;
    }
    bool is_removed = detach->found == 0 || asks_and_hears_yes(detach);
    if (is_removed && detach->found > 0 && !walk_databases(detach, true)) {
        return CLI_FAILED;
    }
    tell_what_is_left(detach, is_removed);
    return is_removed ? CLI_DONE : CLI_INCOMPLETE;
}

static enum cli_status unload(struct detach *detach)
{
    redisReply *reply = RESP_ASK(detach->resp, SPAN("MODULE"), SPAN("UNLOAD"), SPAN("diglot"));
    if (!reply) {
        return CLI_FAILED;
    }
    freeReplyObject(reply);
    detach->was_unloaded = true;
    return remove_keys(detach);
}

static enum cli_status take_step(struct detach *detach)
{
    if (!detach->has_module) {
        return remove_keys(detach);
    }
    if (!is_ready(detach)) {
        TELL_NEXT(detach, "not ready: see what is marked NO");
        return CLI_INCOMPLETE;
    }
    if (detach->unloads) {
        return unload(detach);
    }
    TELL_NEXT(detach, "delete the loadmodule and diglot.* lines in %s, %s, and run `diglot detach --yes` again: it removes the keys that the "
                      "module leaves. (Not before: the module would take that for a loss of flags, and remove their items.)",
              detach->config_file, detach->saves ? "restart" : "`redis-cli SHUTDOWN SAVE`, start it again");
    return CLI_DONE;
}

static void report_json(const struct detach *detach, enum cli_status status)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < detach->check_count; i++) {
        (void)json_array_append_new(checks, json_pack("{s:b, s:s}", "good", detach->checks[i].is_good, "text", detach->checks[i].text));
    }
    json_t *report = json_pack("{s:b, s:b, s:I, s:I, s:s, s:s, s:s, s:o}", "module", detach->has_module && !detach->was_unloaded, "done",
                               status == CLI_DONE, "keys", (json_int_t)detach->found, "removed", (json_int_t)detach->removed, "next",
                               detach->next, "config_file", detach->config_file, "error", detach->resp->error,
                               "checks", checks);
    report_print(report);
}

static void report_text(const struct detach *detach)
{
    for (size_t i = 0; i < detach->check_count; i++) {
        (void)printf("%-3s %s\n", detach->checks[i].is_good ? "ok" : "NO", detach->checks[i].text);
    }
    if (detach->was_checked && (!detach->has_module || detach->was_unloaded)) {
        (void)printf("%-3s the module is not loaded\n", "ok");
        (void)printf("%-3s %" PRIu64 " keys of its own were found, %" PRIu64 " removed\n", detach->found == detach->removed ? "ok" : "",
                     detach->found, detach->removed);
    }
    if (detach->resp->error[0] != '\0') {
        (void)fprintf(stderr, "diglot: %s\n", detach->resp->error);
    }
    if (detach->next[0] != '\0') {
        (void)printf("Next: %s\n", detach->next);
    }
}

static enum cli_status detach_run(struct detach *detach)
{
    char error[CHANNEL_ERROR_SIZE] = "";
    detach->resp = sides_prepare(&detach->sides) ? resp_open(&detach->sides, error) : NULL;
    if (!detach->resp) {
        (void)fprintf(stderr, error[0] ? "diglot: %s\n" : "%s", error);
        return CLI_FAILED;
    }
    enum cli_status status = check_all(detach) ? take_step(detach) : CLI_FAILED;
    if (detach->sides.wants_json) {
        report_json(detach, status);
    } else {
        report_text(detach);
    }
    resp_close(&detach->resp);
    return status;
}

enum cli_status detach_main(int argc, char **argv)
{
    struct detach detach = {.seconds = 5};
    sides_init(&detach.sides);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &detach);
    enum cli_status status = detach_run(&detach);
    sides_deinit(&detach.sides);
    return status;
}
