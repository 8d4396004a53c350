/* Clocks. Any thread. */
#ifndef DIGLOT_BASE_CLOCK_H
#define DIGLOT_BASE_CLOCK_H

#include <stdint.h>

/* Wall clock, milliseconds since the unix epoch. */
int64_t clock_wall_ms(void);

/* Wall clock, nanoseconds since the unix epoch. */
uint64_t clock_wall_ns(void);

/* Monotonic clock, microseconds since an arbitrary start. */
uint64_t clock_monotonic_us(void);

/* Sleeps for so many microseconds; less when a signal comes. */
void clock_sleep_us(uint64_t us);

#endif
