/* `stats upstream`, DIGLOT.STATS upstream and INFO diglot_upstream. */
#include "observe/stats.h"
#include "upstream/bridge_parts.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    enum counter_id id;
} counters[] = {
    {"upstream_gets", COUNTER_UPSTREAM_GETS},
    {"upstream_hits", COUNTER_UPSTREAM_HITS},
    {"upstream_misses", COUNTER_UPSTREAM_MISSES},
    {"upstream_stored", COUNTER_UPSTREAM_STORED},
    {"upstream_stale_discarded", COUNTER_UPSTREAM_STALE_DISCARDED},
    {"upstream_unstored", COUNTER_UPSTREAM_UNSTORED},
    {"upstream_timeouts", COUNTER_UPSTREAM_TIMEOUTS},
    {"upstream_errors", COUNTER_UPSTREAM_ERRORS},
    {"upstream_unasked", COUNTER_UPSTREAM_UNASKED},
    {"upstream_passed", COUNTER_UPSTREAM_PASSED},
    {"upstream_passed_hits", COUNTER_UPSTREAM_PASSED_HITS},
    {"upstream_passed_misses", COUNTER_UPSTREAM_PASSED_MISSES},
    {"upstream_carried", COUNTER_UPSTREAM_CARRIED},
    {"upstream_carried_not", COUNTER_UPSTREAM_CARRIED_NOT},
    {"mirror_queued", COUNTER_MIRROR_QUEUED},
    {"mirror_sent", COUNTER_MIRROR_SENT},
    {"mirror_retried", COUNTER_MIRROR_RETRIED},
    {"mirror_failed", COUNTER_MIRROR_FAILED},
    {"mirror_dropped", COUNTER_MIRROR_DROPPED},
};

static size_t marked_shares(const struct bridge *bridge)
{
    size_t count = 0;
    for (size_t i = 0; i < SHARES; i++) count += bridge->marks.is_full[i];
    return count;
}

static void render_server(const struct bridge *bridge, size_t index, struct buffer *output)
{
    static const char *const states[] = {
        [SERVER_IDLE] = "idle", [SERVER_CONNECTING] = "connecting", [SERVER_READY] = "ready", [SERVER_DOWN] = "down"};
    const struct fleet_server *server = &bridge->roster->fleet->servers[index];
    const struct server_status *status = &bridge->roster->servers[index];
    uint32_t version = atomic_load_explicit(&status->version, memory_order_relaxed);
    bool has_meta = atomic_load_explicit(&status->has_meta, memory_order_relaxed);
    char name[32], value[FLEET_HOST_SIZE + 160];
    (void)snprintf(name, sizeof name, "server_%zu", index);
    (void)snprintf(value, sizeof value, "%s:%u,state=%s,version=%u.%u.%u,meta=%s,answered=%" PRIu64 ",failures=%" PRIu64 ",copying=%zu",
                   server->host, (unsigned)server->port, states[roster_state(bridge->roster, index)], version >> 16,
                   version >> 8 & 0xff, version & 0xff, has_meta ? "yes" : "no",
                   atomic_load_explicit(&status->answered, memory_order_relaxed),
                   atomic_load_explicit(&status->failures, memory_order_relaxed), bridge->servers[index].flying);
    stats_add_text(output, name, value);
}

void bridge_render(struct bridge *bridge, struct buffer *output)
{
    stats_add_bool(output, "upstream", bridge->roster != NULL);
    stats_add_bool(output, "upstream_read", option_get(bridge->options, upstream_read));
    stats_add_bool(output, "upstream_mirror", option_get(bridge->options, upstream_mirror));
    stats_add_u64(output, "upstream_share", (uint64_t)option_get(bridge->options, upstream_share));
    stats_add_u64(output, "upstream_asking", bridge->asks.count);
    stats_add_u64(output, "upstream_emptied_shares", marked_shares(bridge));
    stats_add_u64(output, "mirror_waiting", bridge->echoes.count);
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        stats_add_u64(output, counters[i].name, counter_board_read(bridge->command->stats->board, counters[i].id));
    for (size_t i = 0; bridge->roster && i < bridge->roster->fleet->count; i++) render_server(bridge, i, output);
}
