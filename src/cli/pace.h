/* At most so many items, and so many bytes, in a second, over all threads. What was spent has to be waited for before
 * more is spent; nothing is saved up while nobody spends. */
#ifndef DIGLOT_CLI_PACE_H
#define DIGLOT_CLI_PACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct pace {
    pthread_mutex_t lock;
    double items_per_second, bytes_per_second; /* 0: any */
    double next_us; /* when the next may be spent */
};

void pace_init(struct pace *pace, uint64_t items_per_second, uint64_t bytes_per_second);
void pace_deinit(struct pace *pace);

/* How many items a parcel may have at once, so that its turns are not seconds apart: a tenth of a second's, at least one. */
uint64_t pace_parcel(const struct pace *pace, uint64_t most);

/* Spends; returns how many microseconds from `now_us` (base/clock.h) on the caller has to wait before it does what it has paid for. */
uint64_t pace_spend(struct pace *pace, uint64_t items, uint64_t bytes, uint64_t now_us);

/* Waits so long; less when `stops` becomes true. */
void pace_wait(uint64_t us, const atomic_bool *stops);

#endif
