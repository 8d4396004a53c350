#include "cli/dashboard.h"

#include "base/number.h"
#include "cli/fold.h"
#include "cli/migration.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>

#define BOLD "\033[1m"
#define RED "\033[1;31m"
#define PLAIN "\033[0m"

/* Of the titles at the beginning of lines. */
#define TITLE_WIDTH 11

#define TEXT_SIZE 1024

static void append_text(struct buffer *output, const char *text, int size)
{
    buffer_append(output, span_of(text, size < TEXT_SIZE ? (size_t)size : TEXT_SIZE - 1));
}

/* A macro, so that the compiler sees the format. */
#define PUT(output, ...)                                                                                                  \
    do {                                                                                                                  \
        char put_text[TEXT_SIZE];                                                                                         \
        append_text((output), put_text, snprintf(put_text, sizeof put_text, __VA_ARGS__));                                \
    } while (0)

static const char *colour(const struct dashboard_view *view, const char *code)
{
    return view->has_colours ? code : "";
}

static double rate(const struct dashboard_view *view, const char *name)
{
    return view->before ? facts_rate(view->facts, view->before, name) : 0;
}

/* 1.5 GiB */
static void show_bytes(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024 && unit < 4) {
        size /= 1024;
        unit++;
    }
    (void)snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

/* 12,345, 1.23M */
static void show_count(uint64_t number, char text[32])
{
    static const char units[] = {'k', 'M', 'G', 'T', 'P', 'E'};
    double size = (double)number / 1000;
    size_t unit = 0;
    if (number < 100000) {
        progress_group(number, text);
        return;
    }
    while (size >= 999.5) {
        size /= 1000;
        unit++;
    }
    (void)snprintf(text, 32, "%.*f%c", size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2, size, units[unit]);
}

/* A number and, where rates are known, how it grows. */
static void put_counter(const struct dashboard_view *view, struct buffer *output, const char *title, const char *name)
{
    char total[32], per_second[32];
    if (!facts_text(view->facts, name)) {
        return;
    }
    show_count(facts_number(view->facts, name, 0), total);
    PUT(output, "  %s %s", title, total);
    if (rate(view, name) >= 0.5) {
        progress_group((uint64_t)(rate(view, name) + 0.5), per_second);
        PUT(output, " (%s/s)", per_second);
    }
}

static void put_sentence(const struct dashboard_view *view, struct buffer *output, const char *title, const char *code, const char *text)
{
    PUT(output, "%s%-10s %s%s\n", colour(view, code), title, text, colour(view, PLAIN));
}

/* "Valkey 9.1.2, primary"; of the memcached door there is no more to tell. */
static void put_engine(const struct dashboard_view *view, struct buffer *output)
{
    const struct facts *facts = view->facts;
    const char *valkey = facts_text(facts, "info.valkey_version"), *redis = facts_text(facts, "info.redis_version");
    const char *role = facts_text(facts, "info.role");
    if (facts->has_module && !redis) {
        PUT(output, "memcached door");
        return;
    }
    PUT(output, "%s %s, %s", valkey ? "Valkey" : "Redis", valkey ? valkey : redis ? redis : "?",
        role && strcmp(role, "slave") == 0 ? "replica" : "primary");
}

static void put_head(const struct dashboard_view *view, struct buffer *output)
{
    char up[32];
    progress_time(facts_number(view->facts, "info.uptime_in_seconds", 0), up);
    if (view->clock) {
        PUT(output, "%s (q ends)  ", view->clock);
    }
    PUT(output, "%s%s%s  ", colour(view, BOLD), view->server, colour(view, PLAIN));
    put_engine(view, output);
    PUT(output, ", up %s\n", up);
}

/* Where this is, what is wrong, and what to do. */
static void put_phase(const struct dashboard_view *view, const struct migration *migration, struct buffer *output)
{
    put_sentence(view, output, "phase", BOLD, migration->text);
    if (migration->phase == PHASE_SHARING) {
        char bar[41];
        progress_bar(migration->share / 100.0, 40, bar);
        PUT(output, "%-10s [%s] %u %%\n", "share", bar, migration->share);
    }
    for (size_t i = 0; i < migration->warning_count; i++) {
        put_sentence(view, output, "WARNING", RED, migration->warnings[i]);
    }
    put_sentence(view, output, "next", "", migration->next);
    put_sentence(view, output, "way back", "", migration->way_back);
}

static void put_hits(const struct dashboard_view *view, struct buffer *output)
{
    double hits = rate(view, "get_hits"), misses = rate(view, "get_misses");
    uint64_t all_hits = facts_number(view->facts, "get_hits", 0), all_misses = facts_number(view->facts, "get_misses", 0);
    bool has_now = hits + misses > 0;
    double ratio = has_now ? hits / (hits + misses) : all_hits + all_misses > 0 ? (double)all_hits / (double)(all_hits + all_misses) : 0;
    if (has_now || all_hits + all_misses > 0) {
        PUT(output, "  %.1f %% hits%s", 100 * ratio, has_now ? " now" : " ever");
    }
}

/* What clients find of the keys that live in the old fleet still. */
static void put_passed_hits(const struct dashboard_view *view, struct buffer *output)
{
    double hits = rate(view, "upstream_passed_hits"), misses = rate(view, "upstream_passed_misses");
    if (hits + misses > 0) {
        PUT(output, "  %.1f %% in the old fleet", 100 * hits / (hits + misses));
    }
}

static void put_memcached(const struct dashboard_view *view, struct buffer *output)
{
    PUT(output, "%-10s", "memcached");
    PUT(output, " %" PRIu64 " clients", facts_number(view->facts, "curr_connections", 0));
    put_hits(view, output);
    put_passed_hits(view, output);
    put_counter(view, output, "gets", "cmd_get");
    put_counter(view, output, "sets", "cmd_set");
    if (facts_number(view->facts, "cmd_meta", 0) > 0) {
        put_counter(view, output, "meta", "cmd_meta");
    }
    PUT(output, "\n");
}

static void put_redis(const struct dashboard_view *view, struct buffer *output)
{
    const struct facts *facts = view->facts;
    char keys[32];
    progress_group(facts_number(facts, "curr_items", 0), keys);
    if (facts_text(facts, "info.connected_clients")) {
        PUT(output, "%-10s %" PRIu64 " clients", "redis", facts_number(facts, "info.connected_clients", 0));
    } else {
        PUT(output, "%-10s not asked (--redis)", "redis");
    }
    put_counter(view, output, "commands", "info.total_commands_processed");
    if (facts->has_module) {
        PUT(output, "  items %s", keys);
    }
    if (facts_text(facts, "info.connected_slaves")) {
        PUT(output, "  replicas %s", facts_text(facts, "info.connected_slaves"));
    }
    PUT(output, "\n");
}

static void put_memory(const struct dashboard_view *view, struct buffer *output)
{
    const struct facts *facts = view->facts;
    uint64_t used = facts_number(facts, "info.used_memory", 0), most = facts_number(facts, "info.maxmemory", 0);
    char used_text[32], most_text[32], bar[11];
    show_bytes(used, used_text);
    show_bytes(most, most_text);
    PUT(output, "%-10s %s", "memory", used_text);
    if (most > 0) {
        progress_bar((double)used / (double)most, 10, bar);
        PUT(output, " of %s [%s] %.0f %%", most_text, bar, 100.0 * (double)used / (double)most);
    } else {
        PUT(output, ", no limit");
    }
    const char *policy = facts_text(facts, "maxmemory-policy");
    if (policy) {
        PUT(output, "  %s", policy);
    }
    put_counter(view, output, "evicted", "info.evicted_keys");
    PUT(output, "\n");
}

/* A counter that has nothing to tell is left out, unless it is good to know that it has not. */
static bool is_worth_telling(const struct dashboard_view *view, const char *name)
{
    struct span text = span_of(name, strlen(name));
    return facts_number(view->facts, name, 0) > 0 || migration_tells_trouble(name) || span_ends_with(text, SPAN("_waiting")) ||
           span_ends_with(text, SPAN("_gets"));
}

/* All counters whose names begin so: the server knows best what there is to tell. */
static void put_group(const struct dashboard_view *view, struct buffer *output, const char *prefix, const char *title)
{
    size_t count = 0, size = strlen(prefix);
    for (size_t i = 0; i < view->facts->count; i++) {
        const char *name = view->facts->list[i].name;
        bool is_ours = strncmp(name, prefix, size) == 0 && facts_number(view->facts, name, UINT64_MAX) != UINT64_MAX;
        if (!is_ours || strcmp(name, "upstream_share") == 0 || !is_worth_telling(view, name)) {
            continue;
        }
        if (count++ == 0) {
            PUT(output, "%-9s", title);
        }
        put_counter(view, output, name + size, name);
    }
    if (count > 0) {
        PUT(output, "\n");
    }
}

/* How long the copies that wait take as fast as they go now; to a server that is down none go. */
static void put_mirror(const struct dashboard_view *view, struct buffer *output)
{
    double sent = rate(view, "mirror_sent");
    uint64_t waiting = facts_number(view->facts, "mirror_waiting", 0);
    put_group(view, output, "mirror_", "mirror");
    if (waiting > 0 && sent > 0 && !facts_find_down(view->facts)) {
        PUT(output, "%-9s  %.1f s behind\n", "", (double)waiting / sent);
    }
}

/* What "HOST:PORT,state=ready,version=..." says of this name; empty: nothing. */
static struct span server_field(const char *server, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = strchr(server, ','); at; at = strchr(at, ',')) {
        at++;
        if (strncmp(at, name, size) == 0 && at[size] == '=') {
            return span_of(at + size + 1, strcspn(at + size + 1, ","));
        }
    }
    return SPAN("");
}

static uint64_t server_number(const char *server, const char *name)
{
    uint64_t number = 0;
    return server && number_parse_strict_u64(server_field(server, name), &number) ? number : 0;
}

/* A number of trouble is told where it is not 0, and how much of it has come since the last look. */
static void put_server(const struct dashboard_view *view, struct buffer *output, const struct fact *fact)
{
    const char *before = view->before ? facts_text(view->before, fact->name) : NULL;
    struct span state = server_field(fact->value, "state"), version = server_field(fact->value, "version");
    uint64_t answered = server_number(fact->value, "answered"), then = server_number(before, "answered");
    uint64_t failures = server_number(fact->value, "failures"), copying = server_number(fact->value, "copying");
    double seconds = before ? (double)(view->facts->taken_us - view->before->taken_us) / 1e6 : 0;
    char number[32];
    bool is_down = span_equal(state, SPAN("down"));
    show_count(answered, number);
    PUT(output, "  %s%.*s  %-10.*s%s", colour(view, is_down ? RED : PLAIN), (int)strcspn(fact->value, ","), fact->value,
        (int)state.size, state.data, colour(view, PLAIN));
    if (!span_equal(version, SPAN("0.0.0"))) {
        PUT(output, "  %.*s%s", (int)version.size, version.data, strstr(fact->value, "meta=no") ? " without meta" : "");
    }
    PUT(output, "  answered %s", number);
    if (seconds > 0 && answered > then) {
        progress_group((uint64_t)((double)(answered - then) / seconds + 0.5), number);
        PUT(output, " (%s/s)", number);
    }
    if (failures > 0) {
        PUT(output, "  failures %" PRIu64, failures);
    }
    if (copying > 0) {
        PUT(output, "  copying %" PRIu64, copying);
    }
    PUT(output, "\n");
}

static void put_servers(const struct dashboard_view *view, struct buffer *output)
{
    size_t count = 0;
    for (size_t i = 0; i < view->facts->count; i++) {
        if (facts_is_server(&view->facts->list[i])) {
            PUT(output, "%-9s", count++ == 0 ? "old fleet" : "");
            put_server(view, output, &view->facts->list[i]);
        }
    }
    const char *named = facts_text(view->facts, "diglot.upstream");
    if (count == 0 && named && named[0] != '\0') {
        put_sentence(view, output, "old fleet", "", named);
    }
}

static void put_all(const struct dashboard_view *view, struct buffer *output)
{
    struct migration migration;
    migration_judge(view->facts, view->before, &migration);
    put_head(view, output);
    put_phase(view, &migration, output);
    if (view->facts->has_module) {
        put_memcached(view, output);
    }
    put_redis(view, output);
    put_memory(view, output);
    if (migration.has_upstream) {
        put_group(view, output, "upstream_", "upstream");
        put_mirror(view, output);
        put_servers(view, output);
    }
}

void dashboard_render(const struct dashboard_view *view, struct buffer *output)
{
    struct buffer lines;
    buffer_init(&lines);
    put_all(view, &lines);
    fold_text(buffer_content(&lines), view->columns, TITLE_WIDTH, output);
    buffer_deinit(&lines);
}

static json_t *rates_json(const struct dashboard_view *view)
{
    json_t *rates = json_object();
    for (size_t i = 0; view->before && i < view->facts->count; i++) {
        double value = rate(view, view->facts->list[i].name);
        if (value > 0) {
            (void)json_object_set_new(rates, view->facts->list[i].name, json_real(value));
        }
    }
    return rates;
}

json_t *dashboard_json(const struct dashboard_view *view)
{
    static const char *const phases[] = {
        [PHASE_NATIVE] = "native",   [PHASE_BRIDGE] = "bridge",       [PHASE_IDLE] = "idle",    [PHASE_CONNECTED] = "connected",
        [PHASE_READING] = "reading", [PHASE_MIRRORING] = "mirroring", [PHASE_SHARING] = "share"};
    struct migration migration;
    migration_judge(view->facts, view->before, &migration);
    json_t *facts = json_object(), *warnings = json_array();
    for (size_t i = 0; i < view->facts->count; i++) {
        const struct fact *fact = &view->facts->list[i];
        json_t *value = json_string(fact->value);
        (void)json_object_set_new(facts, fact->name, value ? value : json_null());
    }
    for (size_t i = 0; i < migration.warning_count; i++) {
        (void)json_array_append_new(warnings, json_string(migration.warnings[i]));
    }
    return json_pack("{s:s, s:s, s:b, s:i, s:b, s:b, s:s, s:s, s:o, s:o, s:o}", "phase", phases[migration.phase], "text", migration.text,
                     "module", view->facts->has_module, "share", (int)migration.share, "reads", migration.reads, "mirrors",
                     migration.mirrors, "next", migration.next, "way_back", migration.way_back, "warnings", warnings, "rates",
                     rates_json(view), "facts", facts);
}
