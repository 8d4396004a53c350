#include "item/expiry.h"

int64_t expiry_from_exptime(int64_t exptime, int64_t now_ms)
{
    if (exptime == 0) return EXPIRY_NEVER;
    if (exptime < 0) return 0;
    if (exptime <= EXPIRY_RELATIVE_MAX) return now_ms + exptime * 1000;
    if (exptime > INT64_MAX / 1000) return INT64_MAX;
    return exptime * 1000;
}

bool expiry_has_passed(int64_t expiry_ms, int64_t now_ms)
{
    return expiry_ms != EXPIRY_NEVER && expiry_ms <= now_ms;
}

int64_t expiry_seconds_left(int64_t expiry_ms, int64_t now_ms)
{
    if (expiry_ms == EXPIRY_NEVER) return -1;
    return expiry_ms > now_ms ? (expiry_ms - now_ms) / 1000 + ((expiry_ms - now_ms) % 1000 != 0) : 0;
}
