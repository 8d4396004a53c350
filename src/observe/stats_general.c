/* The general statistics: names, order and formats are memcached's, which agents know by heart. A line that they look for
 * and that has no meaning here tells 0. */
#include "base/version.h"
#include "observe/stats_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const counter_names[COUNTERS] = {
#define COUNTER(id, name, is_gauge, description) [COUNTER_##id] = name,
    COUNTERS_LIST(COUNTER)
#undef COUNTER
};

static uint64_t process_id(const struct stats_view *view)
{
    (void)view;
    return (uint64_t)getpid();
}

static uint64_t uptime(const struct stats_view *view)
{
    int64_t up_ms = view->now_ms - view->sources->started_ms;
    return up_ms > 0 ? (uint64_t)up_ms / 1000 : 0;
}

static uint64_t now(const struct stats_view *view)
{
    return (uint64_t)view->now_ms / 1000;
}

static uint64_t pointer_bits(const struct stats_view *view)
{
    (void)view;
    return 8 * sizeof(void *);
}

static uint64_t max_connections(const struct stats_view *view)
{
    return (uint64_t)option_get(view->sources->options, maxconns);
}

/* There is one structure for each connection, and none is kept without. */
static uint64_t connection_structures(const struct stats_view *view)
{
    return stats_counter(view, COUNTER_CURR_CONNECTIONS);
}

static uint64_t maxmemory(const struct stats_view *view)
{
    return view->facts->maxmemory;
}

static uint64_t used_memory(const struct stats_view *view)
{
    return view->facts->used_memory;
}

static uint64_t keys(const struct stats_view *view)
{
    return view->facts->keys;
}

static uint64_t evictions(const struct stats_view *view)
{
    return view->facts->evicted_keys;
}

static uint64_t reclaimed(const struct stats_view *view)
{
    return view->facts->expired_keys;
}

/* Connections over maxconns are accepted, told and closed, so the door never stops accepting. */
static uint64_t always(const struct stats_view *view)
{
    (void)view;
    return 1;
}

static struct watch_counts watched(const struct stats_view *view)
{
    struct watch_hub *hub = view->sources->watch;
    return hub != NULL ? watch_count(hub) : (struct watch_counts){0};
}

static uint64_t watchers(const struct stats_view *view)
{
    return watched(view).watchers;
}

static uint64_t lines_sent(const struct stats_view *view)
{
    return watched(view).sent;
}

static uint64_t lines_skipped(const struct stats_view *view)
{
    return watched(view).skipped;
}

static uint64_t longest_turn(const struct stats_view *view)
{
    return counter_board_peak(view->sources->board, PEAK_LONGEST_TURN_US);
}

static uint64_t largest_turn(const struct stats_view *view)
{
    return counter_board_peak(view->sources->board, PEAK_LARGEST_TURN_BYTES);
}

static uint64_t nothing(const struct stats_view *view)
{
    (void)view;
    return 0;
}

static void render_version(const char *name, struct buffer *output)
{
    stats_add_text(output, name, DIGLOT_MEMCACHED_LEVEL);
}

static void add_seconds(struct buffer *output, const char *name, struct timeval time)
{
    char text[48];
    (void)snprintf(text, sizeof text, "%" PRIdMAX ".%06ld", (intmax_t)time.tv_sec, (long)time.tv_usec);
    stats_add_text(output, name, text);
}

static void render_user_time(const char *name, struct buffer *output)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    add_seconds(output, name, usage.ru_utime);
}

static void render_system_time(const char *name, struct buffer *output)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    add_seconds(output, name, usage.ru_stime);
}

/* A line is a number, a text or, with neither, a counter. */
struct line {
    const char *name;
    uint64_t (*number)(const struct stats_view *view);
    void (*text)(const char *name, struct buffer *output);
    enum counter_id counter;
};

#define NUMBER(name, number) {name, number, NULL, 0}
#define TEXT(name, text) {name, NULL, text, 0}
#define COUNTED(id) {NULL, NULL, NULL, COUNTER_##id}

static const struct line lines[] = {
    NUMBER("pid", process_id),
    NUMBER("uptime", uptime),
    NUMBER("time", now),
    TEXT("version", render_version),
    NUMBER("pointer_size", pointer_bits),
    TEXT("rusage_user", render_user_time),
    TEXT("rusage_system", render_system_time),
    NUMBER("max_connections", max_connections),
    COUNTED(CURR_CONNECTIONS),
    COUNTED(TOTAL_CONNECTIONS),
    COUNTED(REJECTED_CONNECTIONS),
    NUMBER("connection_structures", connection_structures),
    COUNTED(SLOW_CONNECTIONS),
    COUNTED(MEMORY_KICKS),
    COUNTED(CLIENT_BYTES),
    COUNTED(CMD_GET),
    COUNTED(CMD_SET),
    COUNTED(CMD_FLUSH),
    COUNTED(CMD_TOUCH),
    COUNTED(CMD_META),
    COUNTED(GET_HITS),
    COUNTED(GET_MISSES),
    NUMBER("get_expired", nothing),
    NUMBER("get_flushed", nothing),
    COUNTED(DELETE_MISSES),
    COUNTED(DELETE_HITS),
    COUNTED(INCR_MISSES),
    COUNTED(INCR_HITS),
    COUNTED(DECR_MISSES),
    COUNTED(DECR_HITS),
    COUNTED(CAS_MISSES),
    COUNTED(CAS_HITS),
    COUNTED(CAS_BADVAL),
    COUNTED(TOUCH_HITS),
    COUNTED(TOUCH_MISSES),
    COUNTED(STORE_TOO_LARGE),
    COUNTED(STORE_NO_MEMORY),
    COUNTED(CLUSTER_REFUSALS),
    COUNTED(AUTH_CMDS),
    COUNTED(AUTH_ERRORS),
    COUNTED(IDLE_KICKS),
    COUNTED(TLS_HANDSHAKE_ERRORS),
    COUNTED(BYTES_READ),
    COUNTED(BYTES_WRITTEN),
    NUMBER("longest_turn_us", longest_turn),
    NUMBER("largest_turn_bytes", largest_turn),
    NUMBER("limit_maxbytes", maxmemory),
    NUMBER("accepting_conns", always),
    NUMBER("listen_disabled_num", nothing),
    NUMBER("time_in_listen_disabled_us", nothing),
    NUMBER("threads", stats_threads),
    NUMBER("conn_yields", nothing),
    NUMBER("hash_power_level", nothing),
    NUMBER("hash_bytes", nothing),
    NUMBER("hash_is_expanding", nothing),
    NUMBER("malloc_fails", nothing),
    NUMBER("log_worker_dropped", nothing),
    NUMBER("log_worker_written", lines_sent),
    NUMBER("log_watcher_skipped", lines_skipped),
    NUMBER("log_watcher_sent", lines_sent),
    NUMBER("log_watchers", watchers),
    NUMBER("bytes", used_memory),
    NUMBER("curr_items", keys),
    COUNTED(TOTAL_ITEMS),
    NUMBER("expired_unfetched", nothing),
    NUMBER("evicted_unfetched", nothing),
    NUMBER("evictions", evictions),
    NUMBER("reclaimed", reclaimed),
    COUNTED(CACHE_HITS),
    COUNTED(CACHE_MISSES),
    COUNTED(CACHE_EVICTIONS),
    COUNTED(CACHE_ITEMS),
    COUNTED(CACHE_BYTES),
};

/* memcached's own lines, which it has where TLS is on. */
static void render_tls(const struct stats_view *view, struct buffer *output)
{
    if (!view->sources->tls) return;
    int64_t age_ms = view->now_ms - view->sources->tls_refreshed_ms;
    stats_add_u64(output, "ssl_handshake_errors", stats_counter(view, COUNTER_TLS_HANDSHAKE_ERRORS));
    stats_add_u64(output, "time_since_server_cert_refresh", age_ms > 0 ? (uint64_t)age_ms / 1000 : 0);
}

void stats_render_general(const struct stats_view *view, struct buffer *output)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const struct line *line = &lines[i];
        if (line->text)
            line->text(line->name, output);
        else if (line->number)
            stats_add_u64(output, line->name, line->number(view));
        else
            stats_add_u64(output, counter_names[line->counter], stats_counter(view, line->counter));
    }
    render_tls(view, output);
}
