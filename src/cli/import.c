/* diglot import: its options, and the threads that copy. */
#include "cli/import.h"

#include "base/clock.h"
#include "base/number.h"
#include "cli/command.h"
#include "cli/crew.h"
#include "cli/progress.h"

#include <stdlib.h>

enum option_key { OPTION_RATE = 1, OPTION_BANDWIDTH, OPTION_PARALLEL, OPTION_STATE, OPTION_LOOK, OPTION_ADD };

static const struct argp_option options[] = {
    {.name = "rate", .key = OPTION_RATE, .arg = "ITEMS", .doc = "Read at most so many items per second, over all servers"},
    {.name = "bandwidth", .key = OPTION_BANDWIDTH, .arg = "BYTES", .doc = "Read at most so many bytes per second, over all servers"},
    {.name = "parallel", .key = OPTION_PARALLEL, .arg = "N", .doc = "Copy from so many servers at once (8)"},
    {.name = "state", .key = OPTION_STATE, .arg = "FILE",
     .doc = "Remember in FILE which servers are done. After a kill the same command goes on: servers that are done are left out, "
            "the others listed anew, and what the target has already is not read again"},
    {.name = "add", .key = OPTION_ADD,
     .doc = "Add items from outside even if the new one reads through: where clients spread keys in a way that it does not know"},
    {.name = "look-first", .key = OPTION_LOOK, .doc = "Look what the target has before reading (else as soon as it has a quarter of what comes)"},
    {0}};

static const struct argp_child children[] = {
    {&sides_from_argp, 0, "The old servers:", 2}, {&sides_to_argp, 0, "The new one:", 3}, {&sides_common_argp, 0, "Connections and report:", 4},
    {&sides_no_redis_argp, 0, NULL, 0}, {0}};

struct command {
    struct import *import;
    uint64_t rate, bandwidth, parallel;
    const char *state;
    bool only_adds;
};

static void take_servers(struct argp_state *state, struct import *import)
{
    struct endpoint *endpoints = sides_take_servers(state, &import->count);
    import->servers = check_calloc(import->count, sizeof *import->servers);
    for (size_t i = 0; i < import->count; i++) {
        import->servers[i].endpoint = endpoints[i];
    }
    free(endpoints);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        for (size_t i = 0; i < sizeof children / sizeof *children - 1; i++) {
            state->child_inputs[i] = &command->import->sides;
        }
        return 0;
    case OPTION_RATE: command->rate = sides_parse_number(state, "rate", text, 1, 1u << 30); return 0;
    case OPTION_BANDWIDTH: command->bandwidth = sides_parse_number(state, "bandwidth", text, 1, 1ull << 40); return 0;
    case OPTION_PARALLEL: command->parallel = sides_parse_number(state, "parallel", text, 1, 256); return 0;
    case OPTION_STATE: command->state = text; return 0;
    case OPTION_ADD: command->only_adds = true; return 0;
    case OPTION_LOOK: command->import->looks_first = true; return 0;
    case ARGP_KEY_ARGS: take_servers(state, command->import); return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name at least one old server"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "HOST[:PORT]...",
    .children = children,
    .doc = "Copies all items of memcached servers to the new one, with flags, expiry and keys of any bytes. It never writes over what "
           "the new one has: that is as new, or newer. Clients may go on working on both sides.\v"
           "If the new one reads through to old servers (diglot.upstream, diglot.upstream-read), it is asked for each key and fetches by itself: "
           "then a key that was deleted there stays deleted. Without that, a key that is deleted there while the import runs may come back.\n"
           "Exit status: 0 all copied, 1 single items failed, 2 a server could not be copied or it was interrupted, 3 a server cannot "
           "list its keys (older than 1.4.31, or without its crawler): let the module read through to it instead."};

/* ---- What is shown ---- */

struct view {
    struct import *import;
    struct progress progress;
};

static uint64_t sum(const struct import *import, enum import_count count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < import->count; i++) {
        total += import_read(&import->servers[i], count);
    }
    return total;
}

static void show(void *context)
{
    struct view *view = context;
    const struct import *import = view->import;
    char detail[160], skipped[32], failed[32];
    progress_group(sum(import, IMPORT_THERE) + sum(import, IMPORT_WITHHELD), skipped);
    progress_group(sum(import, IMPORT_FAILED), failed);
    (void)snprintf(detail, sizeof detail, "%s skipped, %s failed", skipped, failed);
    progress_show(&view->progress, "import", sum(import, IMPORT_READ), sum(import, IMPORT_LISTED), detail);
}

/* ---- Copying ---- */

static void run(void *context, size_t job)
{
    struct view *view = context;
    struct import_server *server = &view->import->servers[job];
    if (atomic_load(&server->state) == IMPORT_WAITS) {
        import_copy_server(view->import, server);
    }
}

/* One statistic of a group that a name stands for. */
static bool is_stat(struct span text, struct span name, struct span *value)
{
    bool is_it = text.size > name.size && span_starts_with(text, name) && text.data[name.size] == ' ';
    *value = is_it ? span_skip(text, name.size + 1) : SPAN("");
    return is_it;
}

/* The target's largest item, and whether it reads through to old servers. Groups that it does not know are errors, and tell
 * nothing. */
static bool read_stats(struct import *import, struct channel *channel, struct span request)
{
    struct client_reply reply;
    struct span value;
    bool answers, has_upstream = false, reads = false;
    channel_queue(channel, request);
    while ((answers = parcel_take_reply(channel, &reply)) && reply.kind == CLIENT_REPLY_STAT) {
        if (is_stat(reply.text, SPAN("item_size_max"), &value)) {
            (void)number_parse_u64(value, &import->item_size_max);
        } else if (is_stat(reply.text, SPAN("upstream"), &value)) {
            has_upstream = span_equal(value, SPAN("yes"));
        } else if (is_stat(reply.text, SPAN("upstream_read"), &value)) {
            reads = span_equal(value, SPAN("yes"));
        }
    }
    import->goes_through |= has_upstream && reads;
    return answers;
}

/* What the target takes, and that it answers at all. */
static bool ask_target(struct import *import)
{
    char error[CHANNEL_ERROR_SIZE];
    struct channel *channel = sides_open_to(&import->sides, error);
    if (!channel) {
        (void)fprintf(stderr, "diglot: %s\n", error);
        return false;
    }
    import->item_size_max = UINT64_MAX;
    bool answers = read_stats(import, channel, SPAN("stats settings\r\n")) && read_stats(import, channel, SPAN("stats upstream\r\n"));
    if (!answers) {
        (void)fprintf(stderr, "diglot: %s\n", channel->error);
    }
    channel_close(&channel);
    return answers;
}

static void recall(struct import *import, const char *state)
{
    for (size_t i = 0; i < import->count; i++) {
        struct import_server *server = &import->servers[i];
        enum journal_mark mark = journal_find(state, server->endpoint.name);
        server->was_begun = mark == JOURNAL_BEGUN;
        if (mark == JOURNAL_DONE) {
            atomic_store(&server->state, IMPORT_DONE_BEFORE);
        }
    }
}

static enum cli_status judge(const struct import *import)
{
    enum cli_status status = sum(import, IMPORT_FAILED) ? CLI_INCOMPLETE : CLI_DONE;
    for (size_t i = 0; i < import->count; i++) {
        switch (atomic_load(&import->servers[i].state)) {
        case IMPORT_DONE:
        case IMPORT_DONE_BEFORE: break;
        case IMPORT_UNSUPPORTED:
            status = status == CLI_FAILED ? CLI_FAILED : CLI_UNSUPPORTED;
            break;
        default: status = CLI_FAILED;
        }
    }
    return status;
}

static enum cli_status import_all(struct command *command)
{
    struct import *import = command->import;
    struct view view = {.import = import};
    recall(import, command->state);
    if (!sides_prepare(&import->sides) || !ask_target(import) ||
        !journal_open(&import->journal, command->state, import->sides.to.name)) {
        return CLI_FAILED;
    }
    import->goes_through &= !command->only_adds;
    pace_init(&import->pace, command->rate, command->bandwidth);
    failures_init(&import->failures);
    progress_init(&view.progress);
    uint64_t begun = clock_monotonic_us();
    const struct crew crew = {import->count, command->parallel, run, show, &view, &import->stops};
    (void)crew_run(&crew);
    progress_end(&view.progress);
    import_report(import, (double)(clock_monotonic_us() - begun) / 1e6);
    failures_deinit(&import->failures);
    pace_deinit(&import->pace);
    journal_close(&import->journal);
    return judge(import);
}

enum cli_status import_main(int argc, char **argv)
{
    struct import *import = check_calloc(1, sizeof *import);
    struct command command = {.import = import, .parallel = 8};
    sides_init(&import->sides);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &command);
    enum cli_status status = import_all(&command);
    sides_deinit(&import->sides);
    free(import->servers);
    free(import);
    return status;
}
