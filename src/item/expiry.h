/* memcached's expiry times. Pure; any thread. */
#ifndef DIGLOT_ITEM_EXPIRY_H
#define DIGLOT_ITEM_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

/* The item never expires. */
#define EXPIRY_NEVER (-1)

/* Up to this many seconds (30 days) an exptime is relative; a larger one is a unix time. */
#define EXPIRY_RELATIVE_MAX 2592000

/* The moment that a client's exptime means, in ms since the epoch: EXPIRY_NEVER for 0, now or earlier for one that has
 * already passed (a negative exptime, a unix time in the past). */
int64_t expiry_from_exptime(int64_t exptime, int64_t now_ms);

/* Whole seconds until `expiry_ms`, rounded up; -1: never. */
int64_t expiry_seconds_left(int64_t expiry_ms, int64_t now_ms);

/* True when an item with this expiry is gone at `now_ms`. */
bool expiry_has_passed(int64_t expiry_ms, int64_t now_ms);

#endif
