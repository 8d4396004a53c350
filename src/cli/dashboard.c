#include "cli/dashboard.h"

#include "cli/migration.h"
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>

#define BOLD "\033[1m"
#define RED "\033[1;31m"
#define PLAIN "\033[0m"

#define SENTENCE_WIDTH 84

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

/* A number and, where rates are known, how it grows. */
static void put_counter(const struct dashboard_view *view, struct buffer *output, const char *title, const char *name)
{
    char total[32], per_second[32];
    if (!facts_text(view->facts, name)) {
        return;
    }
    progress_group(facts_number(view->facts, name, 0), total);
    PUT(output, "  %s %s", title, total);
    if (rate(view, name) >= 0.5) {
        progress_group((uint64_t)(rate(view, name) + 0.5), per_second);
        PUT(output, " (%s/s)", per_second);
    }
}

/* A sentence behind a title, in lines of a terminal's width. */
static void put_sentence(const struct dashboard_view *view, struct buffer *output, const char *title, const char *code, const char *text)
{
    size_t column = 0;
    PUT(output, "%s%-10s", colour(view, code), title);
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > SENTENCE_WIDTH) {
            PUT(output, "\n%-10s", "");
            column = 0;
        }
        PUT(output, " %.*s", (int)word, text);
        column += 1 + word;
        text += word + (text[word] == ' ');
    }
    PUT(output, "%s\n", colour(view, PLAIN));
}

static void put_head(const struct dashboard_view *view, struct buffer *output)
{
    const struct facts *facts = view->facts;
    const char *valkey = facts_text(facts, "info.valkey_version"), *redis = facts_text(facts, "info.redis_version");
    const char *role = facts_text(facts, "info.role");
    char up[32];
    progress_time(facts_number(facts, "info.uptime_in_seconds", 0), up);
    PUT(output, "%s%s%s  %s %s, %s, up %s\n", colour(view, BOLD), view->server, colour(view, PLAIN), valkey ? "Valkey" : "Redis",
        valkey ? valkey : redis ? redis : "?", role && strcmp(role, "slave") == 0 ? "replica" : "primary", up);
}

static void put_phase(const struct dashboard_view *view, const struct migration *migration, struct buffer *output)
{
    put_sentence(view, output, "phase", BOLD, migration->text);
    for (size_t i = 0; i < migration->warning_count; i++) {
        put_sentence(view, output, "WARNING", RED, migration->warnings[i]);
    }
    if (migration->phase == PHASE_SHARING) {
        char bar[41];
        progress_bar(migration->share / 100.0, 40, bar);
        PUT(output, "%-10s [%s] %u %%\n", "share", bar, migration->share);
    }
    if (migration->has_upstream) {
        PUT(output, "%-10s %.400s\n", "old fleet", facts_text(view->facts, "diglot.upstream"));
    }
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

static void put_memcached(const struct dashboard_view *view, struct buffer *output)
{
    PUT(output, "%-10s", "memcached");
    PUT(output, " %" PRIu64 " clients", facts_number(view->facts, "curr_connections", 0));
    put_hits(view, output);
    put_counter(view, output, "gets", "cmd_get");
    put_counter(view, output, "sets", "cmd_set");
    put_counter(view, output, "meta", "cmd_meta");
    PUT(output, "\n");
}

static void put_redis(const struct dashboard_view *view, struct buffer *output)
{
    const struct facts *facts = view->facts;
    char keys[32];
    progress_group(facts_number(facts, "curr_items", 0), keys);
    PUT(output, "%-10s %" PRIu64 " clients", "redis", facts_number(facts, "info.connected_clients", 0));
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
    char used_text[32], most_text[32], bar[21];
    show_bytes(used, used_text);
    show_bytes(most, most_text);
    PUT(output, "%-10s %s", "memory", used_text);
    if (most > 0) {
        progress_bar((double)used / (double)most, 20, bar);
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

/* All counters whose names begin so, three in a line: the server knows best what there is to tell. */
static void put_group(const struct dashboard_view *view, struct buffer *output, const char *prefix, const char *title)
{
    size_t count = 0, size = strlen(prefix);
    for (size_t i = 0; i < view->facts->count; i++) {
        const char *name = view->facts->list[i].name;
        uint64_t number = facts_number(view->facts, name, UINT64_MAX);
        if (strncmp(name, prefix, size) != 0 || number == UINT64_MAX) {
            continue;
        }
        if (count % 3 == 0) {
            PUT(output, "%s%-10s", count ? "\n" : "", count ? "" : title);
        }
        put_counter(view, output, name + size, name);
        count++;
    }
    if (count > 0) {
        PUT(output, "\n");
    }
}

/* The old servers, one in a line: "HOST:PORT,state=ready,version=…". */
static void put_servers(const struct dashboard_view *view, struct buffer *output)
{
    for (size_t i = 0; i < view->facts->count; i++) {
        const struct fact *fact = &view->facts->list[i];
        if (!facts_is_server(fact)) {
            continue;
        }
        bool is_down = strstr(fact->value, "state=down") != NULL;
        PUT(output, "%-10s %s", "", colour(view, is_down ? RED : PLAIN));
        for (const char *at = fact->value; *at; at++) {
            PUT(output, "%c", *at == ',' ? ' ' : *at);
        }
        PUT(output, "%s\n", colour(view, PLAIN));
    }
}

void dashboard_render(const struct dashboard_view *view, struct buffer *output)
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
    put_servers(view, output);
    put_group(view, output, "upstream_", "upstream");
    put_group(view, output, "mirror_", "mirror");
    put_sentence(view, output, "next", "", migration.next);
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
    return json_pack("{s:s, s:s, s:b, s:i, s:b, s:b, s:s, s:o, s:o, s:o}", "phase", phases[migration.phase], "text", migration.text,
                     "module", view->facts->has_module, "share", (int)migration.share, "reads", migration.reads, "mirrors",
                     migration.mirrors, "next", migration.next, "warnings", warnings, "rates", rates_json(view), "facts", facts);
}
