/* Counters, each declared once with its description; `stats`, INFO and metrics are renderings of this list.
 *
 * Every thread counts in a set of its own, so that counting is a plain add; readers sum the sets. */
#ifndef DIGLOT_OBSERVE_COUNTERS_H
#define DIGLOT_OBSERVE_COUNTERS_H

#include "base/cache_line.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* COUNTER(id, "name in stats", is_gauge, "description"); those from UPSTREAM_GETS on stand in `stats upstream`, the others in the
 * general group; a gauge is not touched by `stats reset`. */
#define COUNTERS_LIST(COUNTER)                                                                                            \
    COUNTER(CURR_CONNECTIONS, "curr_connections", true, "memcached connections open now")                                 \
    COUNTER(TOTAL_CONNECTIONS, "total_connections", false, "memcached connections accepted")                              \
    COUNTER(REJECTED_CONNECTIONS, "rejected_connections", false, "connections refused because of maxconns")               \
    COUNTER(SLOW_CONNECTIONS, "slow_connections", false, "connections dropped because they did not read their replies")   \
    COUNTER(MEMORY_KICKS, "memory_kicks", false, "connections dropped because together they held more than maxmemory-clients") \
    COUNTER(CLIENT_BYTES, "client_bytes", true, "bytes that memcached connections hold for requests and replies")         \
    COUNTER(IDLE_KICKS, "idle_kicks", false, "connections closed by idle-timeout")                                        \
    COUNTER(TLS_HANDSHAKE_ERRORS, "tls_handshake_errors", false, "TLS handshakes that failed or took too long")  \
    COUNTER(CMD_GET, "cmd_get", false, "keys asked for by get and gets")                                                  \
    COUNTER(CMD_SET, "cmd_set", false, "storage commands that came with their value")                                     \
    COUNTER(CMD_FLUSH, "cmd_flush", false, "flush_all commands")                                                          \
    COUNTER(CMD_TOUCH, "cmd_touch", false, "touch and gat, per key")                                                      \
    COUNTER(CMD_META, "cmd_meta", false, "meta commands")                                                                 \
    COUNTER(GET_HITS, "get_hits", false, "keys found by get and gets")                                         \
    COUNTER(GET_MISSES, "get_misses", false, "keys not found by get and gets")                                 \
    COUNTER(DELETE_MISSES, "delete_misses", false, "deletes of keys that were not there")                                 \
    COUNTER(DELETE_HITS, "delete_hits", false, "deletes that removed an item")                                            \
    COUNTER(INCR_MISSES, "incr_misses", false, "incr of keys that were not there")                                        \
    COUNTER(INCR_HITS, "incr_hits", false, "incr that changed an item")                                                   \
    COUNTER(DECR_MISSES, "decr_misses", false, "decr of keys that were not there")                                        \
    COUNTER(DECR_HITS, "decr_hits", false, "decr that changed an item")                                                   \
    COUNTER(CAS_MISSES, "cas_misses", false, "cas on keys that were not there")                                           \
    COUNTER(CAS_HITS, "cas_hits", false, "cas that stored")                                                               \
    COUNTER(CAS_BADVAL, "cas_badval", false, "cas whose token no longer held")                                            \
    COUNTER(TOUCH_HITS, "touch_hits", false, "touch and gat that found their key")                                        \
    COUNTER(TOUCH_MISSES, "touch_misses", false, "touch and gat that did not")                                            \
    COUNTER(STORE_TOO_LARGE, "store_too_large", false, "values refused because of max-item-size")                         \
    COUNTER(STORE_NO_MEMORY, "store_no_memory", false, "values refused because the engine had no memory")                 \
    COUNTER(CLUSTER_REFUSALS, "cluster_refusals", false, "requests refused because this cluster node does not serve their key") \
    COUNTER(AUTH_CMDS, "auth_cmds", false, "authentication attempts")                                                     \
    COUNTER(AUTH_ERRORS, "auth_errors", false, "authentication attempts that failed")                                     \
    COUNTER(BYTES_READ, "bytes_read", false, "bytes received from memcached clients")                                     \
    COUNTER(BYTES_WRITTEN, "bytes_written", false, "bytes sent to memcached clients")                                     \
    COUNTER(TOTAL_ITEMS, "total_items", false, "items stored through the memcached door")                                 \
    COUNTER(CACHE_HITS, "cache_hits", false, "reads that the near cache answered")                                        \
    COUNTER(CACHE_MISSES, "cache_misses", false, "reads that it was asked for and could not answer")                      \
    COUNTER(CACHE_EVICTIONS, "cache_evictions", false, "items that the near cache dropped for room")                      \
    COUNTER(CACHE_ITEMS, "cache_items", true, "items in the near cache, in that of each worker")                          \
    COUNTER(CACHE_BYTES, "cache_bytes", true, "bytes that they take there") \
    COUNTER(UPSTREAM_GETS, "upstream_gets", false, "keys asked for at an old server") \
    COUNTER(UPSTREAM_HITS, "upstream_hits", false, "of those, found there") \
    COUNTER(UPSTREAM_MISSES, "upstream_misses", false, "of those, not found there either") \
    COUNTER(UPSTREAM_STORED, "upstream_stored", false, "found there and stored here") \
    COUNTER(UPSTREAM_STALE_DISCARDED, "upstream_stale_discarded", false, "found there, but the key was changed here meanwhile") \
    COUNTER(UPSTREAM_UNSTORED, "upstream_unstored", false, "found there, but there was no room or no leave to store it") \
    COUNTER(UPSTREAM_TIMEOUTS, "upstream_timeouts", false, "requests that an old server did not answer in time") \
    COUNTER(UPSTREAM_ERRORS, "upstream_errors", false, "requests that an old server refused, or whose connection broke") \
    COUNTER(UPSTREAM_UNASKED, "upstream_unasked", false, "keys not asked for because their old server is known to be down") \
    COUNTER(UPSTREAM_PASSED, "upstream_passed", false, "requests passed through to an old server") \
    COUNTER(UPSTREAM_PASSED_HITS, "upstream_passed_hits", false, "reads among them whose key was found there") \
    COUNTER(UPSTREAM_PASSED_MISSES, "upstream_passed_misses", false, "reads among them that found nothing, or no answer") \
    COUNTER(UPSTREAM_CARRIED, "upstream_carried", false, "items that an importer has brought") \
    COUNTER(UPSTREAM_CARRIED_NOT, "upstream_carried_not", false, "not stored: the key is here, was changed here, or lives there") \
    COUNTER(MIRROR_QUEUED, "mirror_queued", false, "keys whose change is to be copied to an old server") \
    COUNTER(MIRROR_SENT, "mirror_sent", false, "copies that an old server has taken") \
    COUNTER(MIRROR_RETRIED, "mirror_retried", false, "copies that are sent again because the server did not answer") \
    COUNTER(MIRROR_FAILED, "mirror_failed", false, "copies that an old server has refused") \
    COUNTER(MIRROR_DROPPED, "mirror_dropped", false, "changes that are not copied, for want of room in the queue or because mirroring ended")

/* PEAK(id, "name in stats", "description"): the most that there has been at once since the last `stats reset`. */
#define PEAKS_LIST(PEAK)                                                                                                  \
    PEAK(LONGEST_TURN_US, "longest_turn_us", "microseconds that the engine's thread was with memcached clients at a stretch") \
    PEAK(LARGEST_TURN_BYTES, "largest_turn_bytes", "bytes of requests and values that it moved for them meanwhile")

enum counter_id {
#define COUNTER(id, name, is_gauge, description) COUNTER_##id,
    COUNTERS_LIST(COUNTER)
#undef COUNTER
    COUNTERS
};

enum peak_id {
#define PEAK(id, name, description) PEAK_##id,
    PEAKS_LIST(PEAK)
#undef PEAK
    PEAKS
};

/* One thread's counters: only that thread adds, any thread reads. Aligned, so that no two threads share a cache line. The peaks
 * are the main thread's alone. */
struct counters {
    _Alignas(CACHE_LINE) _Atomic uint64_t values[COUNTERS];
    uint64_t peaks[PEAKS];
};

static inline void counter_add(struct counters *counters, enum counter_id id, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(&counters->values[id], memory_order_relaxed);
    atomic_store_explicit(&counters->values[id], value + amount, memory_order_relaxed);
}

/* Main thread. */
static inline void counter_raise_peak(struct counters *counters, enum peak_id id, uint64_t value)
{
    if (value > counters->peaks[id]) counters->peaks[id] = value;
}

/* All sets of the program, and what `stats reset` takes off them. */
struct counter_board {
    struct counters *sets;
    size_t set_count;
    uint64_t baseline[COUNTERS]; /* main thread only */
};

void counter_board_init(struct counter_board *board, size_t set_count);
void counter_board_deinit(struct counter_board *board);

/* The sum over all sets since the last reset. Main thread. */
uint64_t counter_board_read(const struct counter_board *board, enum counter_id id);

/* The highest in all sets since the last reset. Main thread. */
uint64_t counter_board_peak(const struct counter_board *board, enum peak_id id);

/* Starts every peak, and every counter that is not a gauge, at 0 again. Main thread. */
void counter_board_reset(struct counter_board *board);

#endif
