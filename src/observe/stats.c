#include "observe/stats.h"

#include "base/check.h"
#include "base/number.h"
#include "observe/stats_parts.h"

/* Clients listed by `stats conns`: an answer of a few megabytes at most. */
#define CLIENTS_MOST 10000

static void add_ended(struct buffer *output, struct span text)
{
    buffer_append(output, text);
    buffer_append(output, span_of("", 1));
}

void stats_add_text(struct buffer *output, const char *name, const char *value)
{
    add_ended(output, span_of(name, strlen(name)));
    add_ended(output, span_of(value, strlen(value)));
}

void stats_add_u64(struct buffer *output, const char *name, uint64_t value)
{
    char text[NUMBER_TEXT_SIZE];
    add_ended(output, span_of(name, strlen(name)));
    add_ended(output, span_of(text, number_format_u64(text, value)));
}

void stats_add_bool(struct buffer *output, const char *name, bool value)
{
    stats_add_text(output, name, value ? "yes" : "no");
}

/* The engine sorts nothing into size classes: everything is in class 1. Like memcached, an empty class is not told. What
 * the engine does not know by class (ages, hits by LRU segment) is absent. */
static void render_items(const struct stats_view *view, struct buffer *output)
{
    if (view->facts->keys == 0) return;
    stats_add_u64(output, "items:1:number", view->facts->keys);
    stats_add_u64(output, "items:1:evicted", view->facts->evicted_keys);
    stats_add_u64(output, "items:1:outofmemory", stats_counter(view, COUNTER_STORE_NO_MEMORY));
    stats_add_u64(output, "items:1:reclaimed", view->facts->expired_keys);
}

static void render_slabs(const struct stats_view *view, struct buffer *output)
{
    stats_add_u64(output, "active_slabs", 0);
    stats_add_u64(output, "total_malloced", view->facts->used_memory);
}

static void render_sizes(const struct stats_view *view, struct buffer *output)
{
    (void)view;
    stats_add_text(output, "sizes_status", "disabled");
}

static void render_conns(const struct stats_view *view, struct buffer *output)
{
    client_list_render(view->sources->clients, view->now_ms, CLIENTS_MOST, output);
}

static void render_upstream(const struct stats_view *view, struct buffer *output)
{
    const struct stats_sources *sources = view->sources;
    if (sources->render_upstream) sources->render_upstream(sources->bridge, output);
}

static const struct {
    struct span name;
    void (*render)(const struct stats_view *view, struct buffer *output);
} groups[] = {
    {SPAN(""), stats_render_general}, {SPAN("settings"), stats_render_settings}, {SPAN("items"), render_items},
    {SPAN("slabs"), render_slabs},    {SPAN("sizes"), render_sizes},             {SPAN("conns"), render_conns},
    {SPAN("upstream"), render_upstream},
};

void stats_reset_facts(struct stats_sources *sources, const struct engine_facts *facts)
{
    sources->baseline = *facts;
}

/* CONFIG RESETSTAT starts the engine's counters anew behind our back. */
static uint64_t since(uint64_t count, uint64_t baseline)
{
    return count >= baseline ? count - baseline : count;
}

bool stats_render(const struct stats_sources *sources, const struct engine_facts *facts, struct span group,
                  int64_t now_ms, struct buffer *output)
{
    struct engine_facts since_reset = *facts;
    since_reset.evicted_keys = since(facts->evicted_keys, sources->baseline.evicted_keys);
    since_reset.expired_keys = since(facts->expired_keys, sources->baseline.expired_keys);
    struct stats_view view = {sources, &since_reset, now_ms};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (!span_equal(groups[i].name, group)) continue;
        groups[i].render(&view, output);
        return true;
    }
    return false;
}

static struct span take_text(struct span *pairs)
{
    const char *end = memchr(pairs->data, '\0', pairs->size);
    CHECK(end);
    struct span text = span_of(pairs->data, (size_t)(end - pairs->data));
    *pairs = span_skip(*pairs, text.size + 1);
    return text;
}

bool stats_next_pair(struct span *pairs, struct span *name, struct span *value)
{
    if (pairs->size == 0) return false;
    *name = take_text(pairs);
    *value = take_text(pairs);
    return true;
}
