/* The version clock: where CAS tokens come from.
 *
 * A fixed array of counters, indexed by a hash of the key. Every change of a key's content, from either protocol, sets its
 * counter to the next value of one global clock, and the counter is the CAS token. So a token that still stands proves that
 * nothing changed since it was given out; two keys that share a counter can only make a cas fail without cause. No memory
 * per key. What changes many keys at once (FLUSHALL, SWAPDB, loading, a new role) raises a floor above all tokens given out.
 *
 * The clock starts from the wall clock in nanoseconds, and keys change less than once in a nanosecond, so tokens never
 * repeat across restarts; and it is set by the wall clock again where another server's tokens came before its own, in a
 * failover.
 *
 * Beside each key's token stands when the key was last changed in any way: its content, its expiry, its marks. That is what
 * the near cache (cache/near_cache.h) asks: a stamp is the clock's value when an item was read, and as long as nothing of the
 * key has moved behind that, what was read is what is there. It moves before the reply of whoever changed the key can leave.
 * Main thread only, but for what asks whether a stamp stands. */
#ifndef DIGLOT_ITEM_VERSION_H
#define DIGLOT_ITEM_VERSION_H

#include "base/cache_line.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VERSION_COUNTERS (1u << 20)

/* How many tokens chosen by clients are kept at a time. */
#define VERSION_CHOICES (1u << 12)

/* A token that a client chose (meta's E), in place of the counter that the key had then. */
struct version_choice {
    uint64_t key_hash;
    uint64_t counter; /* the choice holds while the key's counter is this */
    uint64_t token;
};

/* What is known of the keys that share a hash modulo VERSION_COUNTERS. In one place, as who needs one mostly needs both. */
struct version_counter {
    uint64_t token;            /* when their content last changed */
    _Atomic uint64_t change;   /* when anything of them last did */
};

/* The stamp that everything is younger than. */
#define VERSION_NEVER UINT64_MAX

struct version_clock {
    uint64_t first; /* no token from the clock is smaller */
    uint64_t last;  /* the newest value given out */
    uint64_t floor;
    uint64_t gap; /* how far beyond a token that it leaps over the clock comes down */
    struct version_choice *choices; /* NULL until a client chooses */
    /* What all threads read stands apart from what moves with every change. */
    _Alignas(CACHE_LINE) struct version_counter *counters;
    _Atomic uint64_t change_of_all; /* when everything last changed; VERSION_NEVER: no stamp stands */
    _Atomic uint32_t life_ms;
};

/* `start`: the wall clock in nanoseconds. */
void version_clock_init(struct version_clock *clock, uint64_t start);
void version_clock_deinit(struct version_clock *clock);

/* Tells the processor that this key's counter is needed soon: the array is larger than its caches. */
static inline void version_prefetch(const struct version_clock *clock, uint64_t key_hash)
{
    __builtin_prefetch(&clock->counters[key_hash % VERSION_COUNTERS], 1);
}

/* The token of a key's present content. Never 0. */
uint64_t version_current(const struct version_clock *clock, uint64_t key_hash);

/* Tells that a key's content has changed. */
void version_advance(struct version_clock *clock, uint64_t key_hash);

/* The same, and the key's token is to be `token`, which the client has chosen. It stands until the key changes or another
 * choice takes its place in the map; then, as ever, the counter is the token, and who holds the chosen one has to try again.
 * A choice is not taken, and the counter is the token, where the clock has given it out for an earlier content of the key:
 * what was that content's token must not become this one's; nor in a span of ten years of nanoseconds that lies ten years
 * ahead of the clock's start. That a client chooses one token for two contents is its own
 * affair. */
void version_advance_to(struct version_clock *clock, uint64_t key_hash, uint64_t token);

/* Tells that any number of keys may have changed: no token given out before stands any longer. */
void version_advance_all(struct version_clock *clock);

/* ---- Stamps ---- */

/* Tells that something of a key has changed that leaves its token: expiry, marks. (Advancing tells so, too.) */
void version_note_change(struct version_clock *clock, uint64_t key_hash);

/* The same for any number of keys. */
void version_note_change_of_all(struct version_clock *clock);

/* Whether stamps may stand at all: not where the present answers of the engine are needed, or are others than those of the
 * moment before. What was stamped before it is opened again does not stand any longer. It begins closed. */
void version_set_open(struct version_clock *clock, bool is_open);

/* How long the engine's eviction can do without seeing that an item is used: who holds what was stamped asks the engine again
 * when it is as old. 0 at the beginning. */
static inline void version_set_life(struct version_clock *clock, uint32_t ms)
{
    if (atomic_load_explicit(&clock->life_ms, memory_order_relaxed) != ms)
        atomic_store_explicit(&clock->life_ms, ms, memory_order_relaxed);
}

/* Any thread. */
static inline uint32_t version_life_ms(const struct version_clock *clock)
{
    return atomic_load_explicit(&clock->life_ms, memory_order_relaxed);
}

/* The stamp of what is read now. Never 0. */
static inline uint64_t version_stamp(const struct version_clock *clock)
{
    return clock->last;
}

/* Any thread. As version_prefetch, for asking whether a stamp stands. */
static inline void version_prefetch_change(const struct version_clock *clock, uint64_t key_hash)
{
    __builtin_prefetch(&clock->counters[key_hash % VERSION_COUNTERS].change);
}

/* Any thread. Whether stamps may stand. */
static inline bool version_is_open(const struct version_clock *clock)
{
    return atomic_load_explicit(&clock->change_of_all, memory_order_relaxed) != VERSION_NEVER;
}

/* Any thread. True when nothing of this key has changed since it was stamped so. */
static inline bool version_stands(const struct version_clock *clock, uint64_t key_hash, uint64_t stamp)
{
    return atomic_load_explicit(&clock->change_of_all, memory_order_acquire) <= stamp
           && atomic_load_explicit(&clock->counters[key_hash % VERSION_COUNTERS].change, memory_order_acquire) <= stamp;
}

/* `now`: the wall clock in nanoseconds. What is given out from here on is later than what any server has given out so far. */
void version_catch_up(struct version_clock *clock, uint64_t now);

#endif
