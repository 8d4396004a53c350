#include "upstream/breaker.h"

void breaker_fail(struct breaker *breaker, uint64_t now_us)
{
    if (breaker_is_open(breaker)) {
        breaker->pause_us *= 2;
        if (breaker->pause_us > BREAKER_PAUSE_MOST_US) breaker->pause_us = BREAKER_PAUSE_MOST_US;
    } else if (++breaker->failures >= BREAKER_FAILURES) {
        breaker->pause_us = BREAKER_PAUSE_US;
    }
    breaker->retry_us = now_us + breaker->pause_us;
}

void breaker_succeed(struct breaker *breaker)
{
    *breaker = (struct breaker){0};
}
