#include "base/clock.h"

#include <time.h>

#define NS_PER_SECOND 1000000000U
#define NS_PER_MS 1000000
#define NS_PER_US 1000U
#define US_PER_SECOND 1000000U

uint64_t clock_wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    return (int64_t)(clock_wall_ns() / NS_PER_MS);
}

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec) / NS_PER_US;
}

void clock_sleep_us(uint64_t us)
{
    const struct timespec pause = {.tv_sec = (time_t)(us / US_PER_SECOND), .tv_nsec = (long)(us % US_PER_SECOND * NS_PER_US)};
    (void)nanosleep(&pause, NULL);
}
