/* A circuit breaker: whether it is worth asking a server. After a few failures in a row it opens, and nobody waits for that
 * server any more; then a probe is due, after a time that doubles with each one that fails, and one that succeeds closes it.
 * Times are monotonic, in microseconds. Pure; one thread at a time. */
#ifndef DIGLOT_UPSTREAM_BREAKER_H
#define DIGLOT_UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Failures in a row that open it. */
#define BREAKER_FAILURES 3
/* How long until the first probe, and at the most between two. */
#define BREAKER_PAUSE_US 250000u
#define BREAKER_PAUSE_MOST_US 5000000u

/* All zero is closed. */
struct breaker {
    unsigned failures; /* in a row */
    uint64_t pause_us; /* the present one; 0: closed */
    uint64_t retry_us; /* when a probe is due */
};

static inline bool breaker_is_open(const struct breaker *breaker)
{
    return breaker->pause_us != 0;
}

static inline bool breaker_is_due(const struct breaker *breaker, uint64_t now_us)
{
    return breaker_is_open(breaker) && now_us >= breaker->retry_us;
}

void breaker_fail(struct breaker *breaker, uint64_t now_us);
void breaker_succeed(struct breaker *breaker);

#endif
