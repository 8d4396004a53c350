/* Slows down those who guess passwords. After a failed login the source's next attempt waits, and so do all behind it, however
 * many connections they come on; who has not failed lately does not wait. A source is an address without its port; the first
 * half of an IPv6 address, because that is what one machine may have at will. The table is bounded: with more sources failing
 * at once than it has places, the one that would wait the shortest is forgotten. One thread at a time. */
#ifndef DIGLOT_COMMAND_THROTTLE_H
#define DIGLOT_COMMAND_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

#define THROTTLE_SOURCES 256
/* From a failure to the next attempt of the same source that is looked at. */
#define THROTTLE_DELAY_US 100000u

struct throttle {
    struct {
        uint64_t source;
        uint64_t due_us; /* monotonic; when its next attempt is looked at. In the past: the place is free */
    } places[THROTTLE_SOURCES];
};

/* The source of a client that comes from this address (net/address.h: "tcp:127.0.0.1:4711"). */
uint64_t throttle_source(const char *address);

/* When an attempt of this source may be looked at; 0: now. */
uint64_t throttle_due(const struct throttle *throttle, uint64_t source, uint64_t now_us);

/* An attempt of this source has failed. */
void throttle_note_failure(struct throttle *throttle, uint64_t source, uint64_t now_us);

#endif
