/* diglot verify: its options, and what it tells. */
#include "cli/report.h"
#include "cli/verify.h"

#include "base/clock.h"
#include "cli/command.h"
#include "cli/crew.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdlib.h>

enum option_key { OPTION_SAMPLE = 1, OPTION_TOLERANCE, OPTION_RECHECKS, OPTION_DELIMITER, OPTION_RATE, OPTION_PARALLEL, OPTION_ALLOW };

static const struct argp_option options[] = {
    {.name = "sample", .key = OPTION_SAMPLE, .arg = "N", .doc = "Compare about N keys, drawn from all servers (all keys)"},
    {.name = "tolerance", .key = OPTION_TOLERANCE, .arg = "SECONDS", .doc = "How far an expiry may be off (2)"},
    {.name = "rechecks", .key = OPTION_RECHECKS, .arg = "N",
     .doc = "How often a difference is looked at again before it counts, with pauses of 0.1, 0.3, 0.9, ... seconds (4)"},
    {.name = "allow", .key = OPTION_ALLOW, .arg = "N", .doc = "So many differences are still a go (0)"},
    {.name = "delimiter", .key = OPTION_DELIMITER, .arg = "CHARACTER", .doc = "Ends the prefix of a key (:)"},
    {.name = "rate", .key = OPTION_RATE, .arg = "ITEMS", .doc = "Compare at most so many items per second, over all servers"},
    {.name = "parallel", .key = OPTION_PARALLEL, .arg = "N", .doc = "Compare so many servers at once (8)"},
    {0}};

static const struct argp_child children[] = {
    {&sides_from_argp, 0, "The old servers:", 2}, {&sides_to_argp, 0, "The new one:", 3}, {&sides_common_argp, 0, "Connections and report:", 4},
    {&sides_no_redis_argp, 0, NULL, 0}, {0}};

struct command {
    struct verify *verify;
    uint64_t rate, parallel, allowed;
    char delimiter;
    struct progress progress;
};

static void take_servers(struct argp_state *state, struct verify *verify)
{
    struct endpoint *endpoints = sides_take_servers(state, &verify->count);
    verify->servers = check_calloc(verify->count, sizeof *verify->servers);
    for (size_t i = 0; i < verify->count; i++) {
        verify->servers[i].endpoint = endpoints[i];
    }
    free(endpoints);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    struct verify *verify = command->verify;
    switch (key) {
    case ARGP_KEY_INIT:
        for (size_t i = 0; i < sizeof children / sizeof *children - 1; i++) {
            state->child_inputs[i] = &verify->sides;
        }
        return 0;
    case OPTION_SAMPLE: verify->sample = sides_parse_number(state, "sample", text, 1, 10000000); return 0;
    case OPTION_TOLERANCE: verify->tolerance = (int64_t)sides_parse_number(state, "tolerance", text, 0, 1u << 30); return 0;
    case OPTION_RECHECKS: verify->rechecks = (unsigned)sides_parse_number(state, "rechecks", text, 0, 10); return 0;
    case OPTION_ALLOW: command->allowed = sides_parse_number(state, "allow", text, 0, UINT64_MAX); return 0;
    case OPTION_RATE: command->rate = sides_parse_number(state, "rate", text, 1, 1u << 30); return 0;
    case OPTION_PARALLEL: command->parallel = sides_parse_number(state, "parallel", text, 1, 256); return 0;
    case OPTION_DELIMITER:
        if (strlen(text) != 1) {
            argp_error(state, "--delimiter takes one character");
        }
        command->delimiter = text[0];
        return 0;
    case ARGP_KEY_ARGS: take_servers(state, verify); return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name at least one old server"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "HOST[:PORT]...",
    .children = children,
    .doc = "Compares what memcached servers have with the new one: value, flags and expiry of each key, while clients go on working. "
           "What only the new one has is fine.\v"
           "With diglot.upstream-read on, what the new one misses it fetches from the old servers as it is asked: then this compares what "
           "clients see, not what has been copied. "
           "Exit status: 0 go, 1 the sides differ, 2 it could not be found out, 3 because an old server cannot list its keys."};

/* ---- What is shown ---- */

struct totals {
    uint64_t listed, chosen, compared, gone, stale, failed, differ;
};

static struct totals add_up(const struct verify *verify)
{
    struct totals totals = {0};
    for (size_t i = 0; i < verify->count; i++) {
        struct verify_server *server = &verify->servers[i];
        totals.listed += atomic_load(&server->listed);
        totals.chosen += atomic_load(&server->chosen);
        totals.compared += atomic_load(&server->compared);
        totals.gone += atomic_load(&server->gone);
        totals.stale += atomic_load(&server->stale);
        totals.failed += atomic_load(&server->failed);
    }
    return totals;
}

static void show(void *context)
{
    struct command *command = context;
    struct totals totals = add_up(command->verify);
    uint64_t done = totals.compared + totals.gone + totals.stale + totals.failed;
    char detail[64] = "", listed[32];
    if (totals.chosen == 0) {
        progress_group(totals.listed, listed);
        (void)snprintf(detail, sizeof detail, "%s keys listed", listed);
    }
    progress_show(&command->progress, "verify", done, totals.chosen, detail);
}

static void report_json(const struct verify *verify, const struct totals *totals, bool is_go, double seconds)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < verify->count; i++) {
        struct verify_server *server = &verify->servers[i];
        (void)json_array_append_new(
            servers, json_pack("{s:s, s:b, s:I, s:s}", "server", server->endpoint.name, "done",
                               atomic_load(&server->state) == VERIFY_DONE, "listed", (json_int_t)atomic_load(&server->listed), "error",
                               server->error));
    }
    json_t *report = json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o}", "go", is_go, "listed", (json_int_t)totals->listed, "compared",
        (json_int_t)totals->compared, "differ", (json_int_t)totals->differ, "gone", (json_int_t)totals->gone, "stale",
        (json_int_t)totals->stale, "failed", (json_int_t)totals->failed, "seconds", seconds, "prefixes",
        divergence_json(&verify->divergence), "failures", failures_json(&verify->failures), "servers", servers);
    report_print(report);
}

static void report_text(const struct verify *verify, const struct totals *totals, enum cli_status status, double seconds)
{
    char listed[32], compared[32], gone[32], stale[32];
    progress_group(totals->listed, listed);
    progress_group(totals->compared, compared);
    progress_group(totals->gone, gone);
    progress_group(totals->stale, stale);
    (void)printf("%s of %s keys compared in %.1f s; %s gone and %s invalidated meanwhile\n", compared, listed, seconds, gone, stale);
    if (totals->differ > 0) {
        (void)printf("%" PRIu64 " differ (%" PRIu64 " missing, %" PRIu64 " values, %" PRIu64 " flags, %" PRIu64 " ttls), by prefix:\n",
                     totals->differ, divergence_count(&verify->divergence, DIFFERENCE_MISSING),
                     divergence_count(&verify->divergence, DIFFERENCE_VALUE), divergence_count(&verify->divergence, DIFFERENCE_FLAGS),
                     divergence_count(&verify->divergence, DIFFERENCE_TTL));
        divergence_print(&verify->divergence, stdout);
    }
    if (totals->failed > 0) {
        (void)printf("Could not be compared:\n");
        failures_print(&verify->failures, stdout);
    }
    for (size_t i = 0; i < verify->count; i++) {
        if (verify->servers[i].error[0] != '\0') {
            (void)printf("%s\n", verify->servers[i].error);
        }
    }
    static const char *const verdicts[] = {[CLI_DONE] = "GO: the sides agree", [CLI_INCOMPLETE] = "NO GO: the sides differ",
                                           [CLI_FAILED] = "NO GO: it could not be found out",
                                           [CLI_UNSUPPORTED] = "NO GO: it could not be found out"};
    (void)printf("%s\n", verdicts[status]);
}

/* ---- Comparing ---- */

static void run(void *context, size_t job)
{
    struct command *command = context;
    verify_server(command->verify, &command->verify->servers[job]);
}

static enum cli_status judge(const struct command *command, const struct totals *totals)
{
    bool is_listed = true;
    for (size_t i = 0; i < command->verify->count; i++) {
        const struct verify_server *server = &command->verify->servers[i];
        bool is_unsupported = atomic_load(&server->is_unsupported);
        if (!is_unsupported && atomic_load(&server->state) != VERIFY_DONE) {
            return CLI_FAILED;
        }
        is_listed &= !is_unsupported;
    }
    if (!is_listed) {
        return CLI_UNSUPPORTED;
    }
    return totals->differ > command->allowed ? CLI_INCOMPLETE : totals->failed ? CLI_FAILED : CLI_DONE;
}

static enum cli_status verify_all(struct command *command)
{
    struct verify *verify = command->verify;
    if (!sides_prepare(&verify->sides)) {
        return CLI_FAILED;
    }
    pace_init(&verify->pace, command->rate, 0);
    divergence_init(&verify->divergence, command->delimiter);
    failures_init(&verify->failures);
    progress_init(&command->progress);
    uint64_t begun = clock_monotonic_us();
    const struct crew crew = {verify->count, command->parallel, run, show, command, &verify->stops};
    (void)crew_run(&crew);
    progress_end(&command->progress);
    double seconds = (double)(clock_monotonic_us() - begun) / 1e6;
    struct totals totals = add_up(verify);
    totals.differ = divergence_count(&verify->divergence, DIFFERENCE_NONE);
    enum cli_status status = judge(command, &totals);
    if (verify->sides.wants_json) {
        report_json(verify, &totals, status == CLI_DONE, seconds);
    } else {
        report_text(verify, &totals, status, seconds);
    }
    failures_deinit(&verify->failures);
    divergence_deinit(&verify->divergence);
    pace_deinit(&verify->pace);
    return status;
}

enum cli_status verify_main(int argc, char **argv)
{
    struct verify *verify = check_calloc(1, sizeof *verify);
    struct command command = {.verify = verify, .parallel = 8, .delimiter = ':'};
    verify->tolerance = 2;
    verify->rechecks = 4;
    sides_init(&verify->sides);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &command);
    enum cli_status status = verify_all(&command);
    sides_deinit(&verify->sides);
    free(verify->servers);
    free(verify);
    return status;
}
