#include "item/version.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pages.h"

#include <stdbool.h>
#include <stdlib.h>

/* Ten years in nanoseconds: what the clock reaches at the very most before the next restart. */
#define REACH (UINT64_C(10) * 366 * 86400 * 1000000000)

#define COUNTERS_SIZE (VERSION_COUNTERS * sizeof(struct version_counter))

/* A quarter of an hour in nanoseconds: far more than what two clocks give out behind the same leap. */
#define GAP_MOST (UINT64_C(1) << 40)

static struct version_counter *counter_of(const struct version_clock *clock, uint64_t key_hash)
{
    return &clock->counters[key_hash % VERSION_COUNTERS];
}

void version_clock_init(struct version_clock *clock, uint64_t start)
{
    *clock = (struct version_clock){
        .first = start,
        .last = start,
        .floor = start,
        .gap = hash_key(span_of(&start, sizeof start)) % GAP_MOST,
        .counters = pages_new(COUNTERS_SIZE),
        .change_of_all = VERSION_NEVER,
    };
    CHECK(clock->counters != NULL);
}

void version_clock_deinit(struct version_clock *clock)
{
    pages_free(clock->counters, COUNTERS_SIZE);
    clock->counters = NULL;
    free(clock->choices);
    clock->choices = NULL;
}

static uint64_t counter_value(const struct version_clock *clock, uint64_t key_hash)
{
    uint64_t counter = counter_of(clock, key_hash)->token;
    return counter > clock->floor ? counter : clock->floor;
}

static struct version_choice *choice_of(const struct version_clock *clock, uint64_t key_hash)
{
    return &clock->choices[key_hash % VERSION_CHOICES];
}

uint64_t version_current(const struct version_clock *clock, uint64_t key_hash)
{
    uint64_t counter = counter_value(clock, key_hash);
    if (!clock->choices) return counter;
    const struct version_choice *choice = choice_of(clock, key_hash);
    return choice->key_hash == key_hash && choice->counter == counter ? choice->token : counter;
}

void version_advance(struct version_clock *clock, uint64_t key_hash)
{
    struct version_counter *counter = counter_of(clock, key_hash);
    counter->token = ++clock->last;
    atomic_store_explicit(&counter->change, clock->last, memory_order_release);
}

/* False when the clock may come to this token. A token ahead of it is then one for a later content of some key,
 * perhaps the same, whose cas would succeed with the token of this one: so the clock leaps over it, and by a gap of its own
 * beyond it, as another server's clock, or this one's behind a restart, may leap over the same token. It does that within its
 * reach alone, so that nobody can make it come to its end, and the span behind that, where it might arrive on foot, is not
 * for clients to choose from. */
static bool leap_over(struct version_clock *clock, uint64_t token)
{
    if (token <= clock->last || token - clock->first >= 2 * REACH) return true;
    if (token - clock->first >= REACH) return false;
    clock->last = token + clock->gap;
    return true;
}

void version_advance_to(struct version_clock *clock, uint64_t key_hash, uint64_t token)
{
    bool was_given_out = token >= clock->first && token <= counter_value(clock, key_hash);
    bool is_taken = token != 0 && !was_given_out && leap_over(clock, token);
    version_advance(clock, key_hash);
    if (!is_taken) return;
    if (!clock->choices) clock->choices = check_calloc(VERSION_CHOICES, sizeof *clock->choices);
    *choice_of(clock, key_hash) = (struct version_choice){key_hash, counter_value(clock, key_hash), token};
}

void version_advance_all(struct version_clock *clock)
{
    version_note_change_of_all(clock);
    clock->floor = clock->last;
}

void version_note_change(struct version_clock *clock, uint64_t key_hash)
{
    atomic_store_explicit(&counter_of(clock, key_hash)->change, ++clock->last, memory_order_release);
}

void version_note_change_of_all(struct version_clock *clock)
{
    ++clock->last;
    if (version_is_open(clock)) atomic_store_explicit(&clock->change_of_all, clock->last, memory_order_release);
}

void version_set_open(struct version_clock *clock, bool is_open)
{
    if (is_open == version_is_open(clock)) return;
    atomic_store_explicit(&clock->change_of_all, is_open ? ++clock->last : VERSION_NEVER, memory_order_release);
}

void version_catch_up(struct version_clock *clock, uint64_t now)
{
    if (clock->last < now) clock->last = now;
}
