#include "cli/pace.h"

#include "base/clock.h"

/* How often it is looked whether to stop. */
#define STEP_US 100000

void pace_init(struct pace *pace, uint64_t items_per_second, uint64_t bytes_per_second)
{
    (void)pthread_mutex_init(&pace->lock, NULL);
    pace->items_per_second = (double)items_per_second;
    pace->bytes_per_second = (double)bytes_per_second;
    pace->next_us = 0;
}

void pace_deinit(struct pace *pace)
{
    (void)pthread_mutex_destroy(&pace->lock);
}

uint64_t pace_parcel(const struct pace *pace, uint64_t most)
{
    if (pace->items_per_second <= 0) {
        return most;
    }
    uint64_t tenth = (uint64_t)(pace->items_per_second / 10);
    return tenth < 1 ? 1 : tenth < most ? tenth : most;
}

static double cost_us(double amount, double per_second)
{
    return per_second > 0 ? amount * 1e6 / per_second : 0;
}

/* It is paid at the end of the time that it takes, so the first second has no more than the others. */
uint64_t pace_spend(struct pace *pace, uint64_t items, uint64_t bytes, uint64_t now_us)
{
    double by_items = cost_us((double)items, pace->items_per_second);
    double by_bytes = cost_us((double)bytes, pace->bytes_per_second);
    double now = (double)now_us;
    (void)pthread_mutex_lock(&pace->lock);
    if (pace->next_us < now) {
        pace->next_us = now;
    }
    pace->next_us += by_items > by_bytes ? by_items : by_bytes;
    double wait = pace->next_us - now;
    (void)pthread_mutex_unlock(&pace->lock);
    return (uint64_t)wait;
}

void pace_wait(uint64_t us, const atomic_bool *stops)
{
    while (us > 0 && !atomic_load_explicit(stops, memory_order_relaxed)) {
        uint64_t step = us < STEP_US ? us : STEP_US;
        clock_sleep_us(step);
        us -= step;
    }
}
