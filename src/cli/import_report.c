/* What an import tells at its end. */
#include "cli/import.h"
#include "cli/progress.h"
#include "cli/report.h"

/* Titles of columns, and names in JSON. */
static const char *const columns[IMPORT_COUNTS] = {
    [IMPORT_LISTED] = "listed", [IMPORT_READ] = "read",         [IMPORT_COPIED] = "copied", [IMPORT_THERE] = "there", [IMPORT_GONE] = "gone",
    [IMPORT_STALE] = "stale",   [IMPORT_WITHHELD] = "withheld", [IMPORT_FAILED] = "failed", [IMPORT_BYTES] = "bytes",
};

static const char *const states[] = {
    [IMPORT_WAITS] = "not begun",         [IMPORT_RUNS] = "running", [IMPORT_DONE] = "done",
    [IMPORT_DONE_BEFORE] = "done before", [IMPORT_BROKEN] = "FAILED", [IMPORT_UNSUPPORTED] = "CANNOT LIST",
    [IMPORT_STOPPED] = "interrupted",
};

static json_t *counts_json(const uint64_t counts[IMPORT_COUNTS])
{
    json_t *object = json_object();
    for (int i = 0; i < IMPORT_COUNTS; i++) {
        (void)json_object_set_new(object, columns[i], json_integer((json_int_t)counts[i]));
    }
    return object;
}

static void read_counts(const struct import_server *server, uint64_t counts[IMPORT_COUNTS], uint64_t total[IMPORT_COUNTS])
{
    for (int i = 0; i < IMPORT_COUNTS; i++) {
        counts[i] = import_read(server, (enum import_count)i);
        total[i] += counts[i];
    }
}

static void report_json(const struct import *import, double seconds)
{
    uint64_t counts[IMPORT_COUNTS], total[IMPORT_COUNTS] = {0};
    json_t *servers = json_array();
    for (size_t i = 0; i < import->count; i++) {
        struct import_server *server = &import->servers[i];
        read_counts(server, counts, total);
        json_t *object = counts_json(counts);
        (void)json_object_set_new(object, "server", json_string(server->endpoint.name));
        (void)json_object_set_new(object, "state", json_string(states[atomic_load(&server->state)]));
        if (server->error[0] != '\0') {
            (void)json_object_set_new(object, "error", json_string(server->error));
        }
        (void)json_array_append_new(servers, object);
    }
    json_t *report = counts_json(total);
    (void)json_object_set_new(report, "through", json_boolean(import->goes_through));
    (void)json_object_set_new(report, "seconds", json_real(seconds));
    (void)json_object_set_new(report, "failures", failures_json(&import->failures));
    (void)json_object_set_new(report, "servers", servers);
    report_print(report);
}

/* A column in which there is nothing is left out. */
static bool is_shown(int column, const uint64_t total[IMPORT_COUNTS])
{
    return column == IMPORT_LISTED || column == IMPORT_COPIED || (column != IMPORT_BYTES && column != IMPORT_READ && total[column] > 0) ||
           (column == IMPORT_READ && total[IMPORT_READ] != total[IMPORT_LISTED]);
}

/* As wide as what stands in it, so that the table fits a small terminal. */
static int name_width(const struct import *import)
{
    size_t width = strlen("server");
    for (size_t i = 0; i < import->count; i++) {
        size_t size = strlen(import->servers[i].endpoint.name);
        width = size > width ? size : width;
    }
    return (int)width;
}

static int column_width(int column, const uint64_t total[IMPORT_COUNTS])
{
    char text[32];
    progress_group(total[column], text);
    size_t title = strlen(columns[column]), number = strlen(text);
    return (int)(title > number ? title : number);
}

/* `counts` NULL: the head. */
static void print_row(int width, const char *name, const char *state, const uint64_t *counts, const uint64_t total[IMPORT_COUNTS])
{
    (void)printf("%-*s  %-11s", width, name, state);
    for (int i = 0; i < IMPORT_COUNTS; i++) {
        char text[32] = "";
        if (counts) {
            progress_group(counts[i], text);
        }
        if (is_shown(i, total)) {
            (void)printf("  %*s", column_width(i, total), counts ? text : columns[i]);
        }
    }
    (void)printf("\n");
}

static void print_table(const struct import *import, const uint64_t total[IMPORT_COUNTS])
{
    int width = name_width(import);
    print_row(width, "server", "state", NULL, total);
    for (size_t i = 0; i < import->count; i++) {
        uint64_t counts[IMPORT_COUNTS], ignored[IMPORT_COUNTS] = {0};
        read_counts(&import->servers[i], counts, ignored);
        print_row(width, import->servers[i].endpoint.name, states[atomic_load(&import->servers[i].state)], counts, total);
    }
    if (import->count > 1) {
        print_row(width, "all", "", total, total);
    }
}

static void print_errors(const struct import *import)
{
    bool is_stopped = false;
    for (size_t i = 0; i < import->count; i++) {
        struct import_server *server = &import->servers[i];
        int state = atomic_load(&server->state);
        is_stopped |= state == IMPORT_STOPPED || state == IMPORT_WAITS;
        if (state == IMPORT_UNSUPPORTED) {
            (void)printf("%s cannot list its keys (it says: %s). Let the module read through to it instead: CONFIG SET "
                         "diglot.upstream and diglot.upstream-read.\n", server->endpoint.name, server->error);
        } else if (server->error[0] != '\0') {
            (void)printf("%s\n", server->error);
        }
    }
    if (is_stopped) {
        (void)printf("Interrupted: run it again to go on; what is there already is not read again.\n");
    }
}

static void report_text(const struct import *import, double seconds)
{
    uint64_t counts[IMPORT_COUNTS], total[IMPORT_COUNTS] = {0};
    char copied[32], rate[32], mebibytes[32];
    for (size_t i = 0; i < import->count; i++) {
        read_counts(&import->servers[i], counts, total);
    }
    print_table(import, total);
    progress_group(total[IMPORT_COPIED], copied);
    progress_group(seconds > 0 ? (uint64_t)((double)total[IMPORT_READ] / seconds) : 0, rate);
    progress_group(total[IMPORT_BYTES] >> 20, mebibytes);
    (void)printf("%s items", copied);
    if (!import->goes_through) {
        (void)printf(" (%s MiB)", mebibytes);
    }
    (void)printf(" copied to %s in %.1f s, %s read/s\n", import->sides.to.name, seconds, rate);
    if (import->goes_through) {
        (void)printf("The target reads through to the old servers, so it was asked for each key and fetched what it lacked: copied are those "
                     "that it has now.\n");
    }
    if (total[IMPORT_WITHHELD] > 0) {
        (void)printf("Withheld are keys that were changed or removed there since diglot.upstream was set, and those that it could not fetch "
                     "(`diglot status`: upstream timeouts, errors, unasked, unstored). Run it again to try those once more.\n");
    }
    if (total[IMPORT_FAILED] > 0) {
        (void)printf("Failed:\n");
        failures_print(&import->failures, stdout);
    }
    print_errors(import);
}

void import_report(const struct import *import, double seconds)
{
    if (import->sides.wants_json) {
        report_json(import, seconds);
    } else {
        report_text(import, seconds);
    }
}
