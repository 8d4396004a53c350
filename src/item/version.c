#include "item/version.h"

#include "base/check.h"

#include <stdlib.h>

static uint64_t *counter_of(const struct version_clock *clock, uint64_t key_hash)
{
    return &clock->counters[key_hash % VERSION_COUNTERS];
}

void version_clock_init(struct version_clock *clock, uint64_t start)
{
    *clock = (struct version_clock){
        .last = start,
        .floor = start,
        .counters = check_calloc(VERSION_COUNTERS, sizeof *clock->counters),
    };
}

void version_clock_deinit(struct version_clock *clock)
{
    free(clock->counters);
    clock->counters = NULL;
}

void version_prefetch(const struct version_clock *clock, uint64_t key_hash)
{
    __builtin_prefetch(counter_of(clock, key_hash), 1);
}

uint64_t version_current(const struct version_clock *clock, uint64_t key_hash)
{
    uint64_t counter = *counter_of(clock, key_hash);
    return counter > clock->floor ? counter : clock->floor;
}

void version_advance(struct version_clock *clock, uint64_t key_hash)
{
    *counter_of(clock, key_hash) = ++clock->last;
}

void version_advance_all(struct version_clock *clock)
{
    clock->floor = ++clock->last;
}
