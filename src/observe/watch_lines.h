/* The lines of memcached 1.6.45's `watch`. To be called only where watch_wants says so; the engine's size classes are one,
 * so clsid is 1. Any thread. */
#ifndef DIGLOT_OBSERVE_WATCH_LINES_H
#define DIGLOT_OBSERVE_WATCH_LINES_H

#include "observe/watch.h"

/* type=item_get: a look-up. `size` is the value's, in bytes; `descriptor` the client's. */
void watch_tell_get(struct watch_hub *hub, struct span key, bool is_found, int descriptor, size_t size);

struct watch_store {
    struct span key;
    const char *status;  /* "stored", "not_stored", "exists", "not_found", "too_large", "no_memory" */
    const char *command; /* "set" … */
    int64_t ttl;         /* seconds, 0: never expires, negative: already expired */
    int descriptor;
    size_t size;
};
/* type=item_store. */
void watch_tell_store(struct watch_hub *hub, const struct watch_store *store);

/* type=deleted. `command` is "delete" or "md". */
void watch_tell_delete(struct watch_hub *hub, struct span key, const char *command, size_t size);

/* type=eviction. The engine tells only the name of what it has evicted, so the rest is told as unknown: fetch=no ttl=-1
 * la=0 size=0. */
void watch_tell_eviction(struct watch_hub *hub, struct span key);

/* type=conn_new, and with a reason ("normal", "error", "idle_timeout") type=conn_close. `address` is the client's as
 * `stats conns` tells it. */
void watch_tell_connection(struct watch_hub *hub, const char *address, const char *reason, int descriptor);

#endif
