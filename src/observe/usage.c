#define _GNU_SOURCE 1 /* memrchr */

#include "observe/usage.h"

#include "base/check.h"
#include "base/hash.h"
#include "observe/stats.h"

#include <stdio.h>
#include <stdlib.h>

#define SMALLEST_SIZE 64
#define LABEL_SIZE 32

struct usage_tables {
    int64_t began_ms;
    int64_t last_request_ms; /* 0: none yet */
    uint64_t requests;
    uint64_t protocols[USAGE_PROTOCOLS];
    uint64_t unix_times;
    uint64_t mistaken_times;
    uint64_t sizes[USAGE_SIZES];
    uint64_t shared_touches;
    struct heavy_hitters commands;
    struct heavy_hitters clients; /* without their ports */
    struct heavy_hitters prefixes;
    struct heavy_hitters flags;
    struct heavy_hitters shared;
    /* Hashes of keys, each in the place that it names itself; 0: none. */
    uint64_t memcached_keys[USAGE_REMEMBERED];
    uint64_t resp_keys[USAGE_REMEMBERED];
};

void usage_deinit(struct usage *usage)
{
    free(usage->tables);
    *usage = (struct usage){0};
}

void usage_switch(struct usage *usage, bool is_on, int64_t now_ms)
{
    if (is_on && !usage->is_on) {
        free(usage->tables);
        usage->tables = check_calloc(1, sizeof *usage->tables);
        usage->tables->began_ms = now_ms;
    }
    usage->is_on = is_on;
}

/* ---- Counting ---- */

/* "10.0.0.7" of "tcp:10.0.0.7:4711", "[::1]" of "tcp6:[::1]:4711"; a unix socket's whole. */
static struct span host_of(const char *client)
{
    struct span text = span_of(client, strlen(client));
    if (!span_starts_with(text, SPAN("tcp"))) return text;
    const char *begin = memchr(text.data, ':', text.size);
    const char *end = memrchr(text.data, ':', text.size);
    return begin && end > begin ? span_of(begin + 1, (size_t)(end - begin - 1)) : text;
}

static struct span prefix_of(struct span key)
{
    const char *colon = memchr(key.data, ':', key.size);
    return colon ? span_of(key.data, (size_t)(colon - key.data)) : SPAN("");
}

static void count_number(struct heavy_hitters *table, uint32_t number)
{
    char text[16];
    heavy_hitters_count(table, span_of(text, (size_t)snprintf(text, sizeof text, "%u", number)));
}

static size_t size_class(size_t size)
{
    size_t class = 0;
    while (class < USAGE_SIZES - 1 && size > (size_t)SMALLEST_SIZE << class) class++;
    return class;
}

/* One side has touched a key: both have, if the other is known to have. */
static void note_touch(struct usage_tables *tables, uint64_t *mine, const uint64_t *theirs, struct span name)
{
    uint64_t hash = hash_key(name) | 1; /* never 0 */
    size_t place = (hash >> 1) % USAGE_REMEMBERED;
    mine[place] = hash;
    if (theirs[place] != hash) return;
    tables->shared_touches++;
    heavy_hitters_count(&tables->shared, name);
}

void usage_note_request(struct usage *usage, const struct usage_request *request, int64_t now_ms)
{
    struct usage_tables *tables = usage->tables;
    CHECK(tables);
    tables->last_request_ms = now_ms;
    tables->requests++;
    tables->protocols[request->protocol]++;
    tables->unix_times += request->expiry != USAGE_EXPIRY_ORDINARY;
    tables->mistaken_times += request->expiry == USAGE_EXPIRY_MISTAKEN;
    heavy_hitters_count(&tables->commands, span_of(request->command, strlen(request->command)));
    heavy_hitters_count(&tables->clients, host_of(request->client));
    heavy_hitters_count(&tables->prefixes, prefix_of(request->key));
    note_touch(tables, tables->memcached_keys, tables->resp_keys, request->name);
    if (!request->has_item) return;
    count_number(&tables->flags, request->flags);
    tables->sizes[size_class(request->size)]++;
}

void usage_note_resp(struct usage *usage, struct span name)
{
    CHECK(usage->tables);
    note_touch(usage->tables, usage->tables->resp_keys, usage->tables->memcached_keys, name);
}

/* ---- Telling ---- */

static uint64_t seconds_since(int64_t then_ms, int64_t now_ms)
{
    return now_ms > then_ms ? (uint64_t)(now_ms - then_ms) / 1000 : 0;
}

static void render_sizes(const uint64_t sizes[USAGE_SIZES], struct buffer *output)
{
    char name[LABEL_SIZE];
    for (size_t i = 0; i < USAGE_SIZES; i++) {
        bool is_last = i == USAGE_SIZES - 1;
        size_t bound = (size_t)SMALLEST_SIZE << (is_last ? i - 1 : i);
        (void)snprintf(name, sizeof name, is_last ? "size_over:%zu" : "size_up_to:%zu", bound);
        if (sizes[i] > 0) stats_add_u64(output, name, sizes[i]);
    }
}

static void render_totals(const struct usage_tables *tables, int64_t now_ms, struct buffer *output)
{
    static const char *const protocols[USAGE_PROTOCOLS] = {"protocol:classic", "protocol:meta", "protocol:binary"};
    stats_add_u64(output, "usage_seconds", seconds_since(tables->began_ms, now_ms));
    stats_add_u64(output, "requests", tables->requests);
    if (tables->last_request_ms > 0)
        stats_add_u64(output, "seconds_since_last_request", seconds_since(tables->last_request_ms, now_ms));
    for (size_t i = 0; i < USAGE_PROTOCOLS; i++) stats_add_u64(output, protocols[i], tables->protocols[i]);
    stats_add_u64(output, "ttl_over_30_days", tables->unix_times);
    stats_add_u64(output, "ttl_long_past", tables->mistaken_times);
    stats_add_u64(output, "shared_touches", tables->shared_touches);
}

void usage_render(const struct usage *usage, int64_t now_ms, struct buffer *output)
{
    const struct usage_tables *tables = usage->tables;
    stats_add_bool(output, "usage", usage->is_on);
    if (!tables) return;
    render_totals(tables, now_ms, output);
    heavy_hitters_render(&tables->clients, "client", output);
    heavy_hitters_render(&tables->commands, "command", output);
    heavy_hitters_render(&tables->prefixes, "prefix", output);
    heavy_hitters_render(&tables->flags, "flags", output);
    render_sizes(tables->sizes, output);
    heavy_hitters_render(&tables->shared, "shared", output);
}
