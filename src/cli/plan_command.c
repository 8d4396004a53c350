/* diglot plan: prints a plan as a fragment of redis.conf. */
#include "cli/command.h"
#include "cli/plan.h"
#include "cli/report.h"
#include "cli/sides.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum option_key { OPTION_KEY_SIZE = 1, OPTION_VALUE_SIZE, OPTION_ITEMS, OPTION_EXPIRING, OPTION_FLAGGED, OPTION_ENGINE, OPTION_MODULE, OPTION_JSON };

static const struct argp_option options[] = {
    {.name = "key-size", .key = OPTION_KEY_SIZE, .arg = "BYTES", .doc = "Average key (16)"},
    {.name = "value-size", .key = OPTION_VALUE_SIZE, .arg = "BYTES", .doc = "Average value (100)"},
    {.name = "items", .key = OPTION_ITEMS, .arg = "N", .doc = "How many are to fit (as many as in memcached's memory)"},
    {.name = "expiring", .key = OPTION_EXPIRING, .arg = "PERCENT", .doc = "Items with an expiry (100)"},
    {.name = "flagged", .key = OPTION_FLAGGED, .arg = "PERCENT", .doc = "Items whose flags are not 0 (100)"},
    {.name = "engine", .key = OPTION_ENGINE, .arg = "redis|valkey", .doc = "Whose memory is counted (redis)"},
    {.name = "module", .key = OPTION_MODULE, .arg = "FILE", .doc = "The module (diglot.so beside this program)"},
    {.name = "json", .key = OPTION_JSON, .doc = "Print JSON"},
    {0}};

struct command {
    struct plan_wishes wishes;
    bool wants_json;
    char module_path[PATH_MAX];
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    struct item_shape *shape = &command->wishes.shape;
    switch (key) {
    case OPTION_KEY_SIZE: shape->key_size = sides_parse_number(state, "key-size", text, 1, 250); return 0;
    case OPTION_VALUE_SIZE: shape->value_size = sides_parse_number(state, "value-size", text, 0, 1u << 30); return 0;
    case OPTION_ITEMS: command->wishes.items = sides_parse_number(state, "items", text, 1, 1ull << 40); return 0;
    case OPTION_EXPIRING: shape->expiring_percent = (unsigned)sides_parse_number(state, "expiring", text, 0, 100); return 0;
    case OPTION_FLAGGED: shape->flagged_percent = (unsigned)sides_parse_number(state, "flagged", text, 0, 100); return 0;
    case OPTION_MODULE: command->wishes.module_path = text; return 0;
    case OPTION_JSON: command->wants_json = true; return 0;
    case OPTION_ENGINE:
        command->wishes.is_valkey = strcmp(text, "valkey") == 0;
        if (!command->wishes.is_valkey && strcmp(text, "redis") != 0) {
            argp_error(state, "--engine is redis or valkey");
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "-- memcached [MEMCACHED-OPTION...]",
    .doc = "Turns a memcached command line into lines of redis.conf, each with a comment, and tells what has no equivalent. "
           "maxmemory is sized from what an item takes in both.\v"
           "Exit status: 0; 1 if there are options that memcached 1.6 does not know; 2 wrong usage.\n\n"
           "  diglot plan --value-size 400 -- memcached -m 1024 -c 10000 -t 4 -I 2m > bridge.conf"};

/* The module lies beside the tool, unless somebody has said where it is. */
static void find_module(struct command *command)
{
    ssize_t size = readlink("/proc/self/exe", command->module_path, sizeof command->module_path - 1);
    if (command->wishes.module_path || size <= 0) {
        return;
    }
    command->module_path[size] = '\0';
    char *slash = strrchr(command->module_path, '/');
    static const char name[] = "/diglot.so";
    if (slash && slash + sizeof name <= command->module_path + sizeof command->module_path) {
        memcpy(slash, name, sizeof name);
        command->wishes.module_path = access(command->module_path, R_OK) == 0 ? command->module_path : NULL;
    }
}

static void print_comment(const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column == 0 || column + 1 + word > 110) {
            (void)printf("%s#", column ? "\n" : "");
            column = 1;
        }
        (void)printf(" %.*s", (int)word, text);
        column += 1 + word;
        text += word + (text[word] == ' ');
    }
    (void)printf("\n");
}

static void print_entry(const struct plan_entry *entry)
{
    static const char *const heads[] = {
        [PLAN_WARNING] = "WARNING: ", [PLAN_NOTE] = "Nothing to do: ", [PLAN_UNKNOWN] = "NOT UNDERSTOOD: "};
    if (entry->kind == PLAN_LINE) {
        print_comment(entry->comment);
        (void)printf("%s\n", entry->line);
        return;
    }
    char text[sizeof entry->line + sizeof entry->comment + 32];
    (void)snprintf(text, sizeof text, "%s%s: %s.", heads[entry->kind], entry->line, entry->comment);
    print_comment(text);
}

static size_t count_kind(const struct plan *plan, enum plan_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        count += plan->entries[i].kind == kind;
    }
    return count;
}

static void print_kind(const struct plan *plan, enum plan_kind kind)
{
    if (kind != PLAN_LINE && count_kind(plan, kind) > 0) {
        (void)printf("\n");
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->entries[i].kind == kind) {
            print_entry(&plan->entries[i]);
        }
    }
}

static void print_plan(const struct plan *plan)
{
    (void)printf("# Made by `diglot plan`. The engine's RESP port is the one of your redis.conf (6379).\n");
    print_kind(plan, PLAN_LINE);
    print_kind(plan, PLAN_UNKNOWN);
    print_kind(plan, PLAN_WARNING);
    print_kind(plan, PLAN_NOTE);
    size_t unknown = count_kind(plan, PLAN_UNKNOWN), warnings = count_kind(plan, PLAN_WARNING);
    if (!isatty(STDOUT_FILENO) && unknown + warnings > 0) {
        (void)fprintf(stderr, "diglot: %zu options without equivalent, %zu not understood: see the lines WARNING and NOT UNDERSTOOD\n",
                      warnings, unknown);
    }
}

static json_t *entries_json(const struct plan *plan, enum plan_kind kind, const char *name)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->entries[i].kind == kind) {
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", name, plan->entries[i].line, "comment", plan->entries[i].comment));
        }
    }
    return list;
}

static void print_plan_json(const struct plan *plan)
{
    json_t *report = json_pack("{s:o, s:o, s:o, s:o, s:{s:I, s:f, s:f, s:I}}", "lines", entries_json(plan, PLAN_LINE, "line"),
                               "warnings", entries_json(plan, PLAN_WARNING, "option"), "unknown",
                               entries_json(plan, PLAN_UNKNOWN, "option"), "notes", entries_json(plan, PLAN_NOTE, "option"),
                               "memory", "items", (json_int_t)plan->items, "memcached_item", plan->memcached_item, "engine_item",
                               plan->engine_item, "maxmemory", (json_int_t)plan->maxmemory);
    report_print(report);
}

enum cli_status plan_main(int argc, char **argv)
{
    struct command command = {.wishes.shape = {16, 100, 100, 100}};
    struct memcached_options *memcached = check_calloc(1, sizeof *memcached);
    struct plan *plan = check_calloc(1, sizeof *plan);
    int at = argc;
    (void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_ARGS, &at, &command);
    char program[] = "memcached";
    char *no_options[] = {program, NULL};
    bool has_line = at < argc;
    if (has_line && argv[at][0] == '-') {
        at--; /* the word memcached was left out: getopt passes over the first one */
    }
    find_module(&command);
    memcached_options_read(has_line ? argc - at : 1, has_line ? argv + at : no_options, memcached);
    plan_make(memcached, &command.wishes, plan);
    if (command.wants_json) {
        print_plan_json(plan);
    } else {
        print_plan(plan);
    }
    enum cli_status status = count_kind(plan, PLAN_UNKNOWN) ? CLI_INCOMPLETE : CLI_DONE;
    free(plan);
    free(memcached);
    return status;
}
