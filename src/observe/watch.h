/* memcached's `watch`: what happens, told line by line to connections that asked for it.
 *
 * Whoever has something to tell looks first whether anybody wants its stream (one relaxed load), and only then makes a line.
 * Each watcher has a bounded buffer; a line that finds no room in it is skipped and counted, and the next one that does is
 * preceded by "skipped=N", so a watcher that does not read slows nobody down. When a line comes into an empty buffer, the
 * watcher travels by mail to the worker that serves it. Any thread, but for init and deinit. */
#ifndef DIGLOT_OBSERVE_WATCH_H
#define DIGLOT_OBSERVE_WATCH_H

#include "base/buffer.h"
#include "base/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum watch_stream {
    WATCH_FETCHERS = 1 << 0,   /* every look-up of an item, by whatever command */
    WATCH_MUTATIONS = 1 << 1,  /* storage commands, whatever came of them */
    WATCH_EVICTIONS = 1 << 2,  /* items that the engine evicted */
    WATCH_CONNEVENTS = 1 << 3, /* memcached connections that were opened and closed */
    WATCH_DELETIONS = 1 << 4,  /* items that a delete removed */
    WATCH_RAWCMDS = 1 << 5,    /* memcached knows the name and tells nothing, and so do we */
};

/* As memcached bounds them. */
#define WATCHERS_MAX 20
#define WATCHER_BUFFER_SIZE ((size_t)256 * 1024)

struct watcher {
    struct mail mail; /* first: travels to `home` when there is something to take */
    struct watcher *next;
    struct watcher *previous;
    struct mailbox *home;
    void *owner;      /* whose it is there; NULL once it is gone */
    uint32_t streams; /* of enum watch_stream */
    bool is_posted;   /* on its way home */
    uint64_t skipped; /* lines, since the last one that found room */
    struct buffer lines;
};

struct watch_hub {
    _Atomic uint32_t streams; /* that somebody wants */
    pthread_mutex_t lock;     /* guards what follows, and all watchers */
    struct watcher first;     /* sentinel of a ring */
    size_t count;
    uint64_t lines;   /* numbered so far */
    uint64_t sent;    /* lines given to watchers */
    uint64_t skipped; /* lines that found no room */
};

void watch_hub_init(struct watch_hub *hub);
/* All watchers must be gone. */
void watch_hub_deinit(struct watch_hub *hub);

/* Names of streams, separated by spaces, to bits; none at all are the fetchers. False when one is unknown: those of
 * memcached's proxy and of its own threads (sysevents) are, since nothing would ever be told on them. */
bool watch_parse_streams(struct span names, uint32_t *streams);

/* True when somebody wants to hear of any of these streams. `hub` may be NULL. */
static inline bool watch_wants(const struct watch_hub *hub, uint32_t streams)
{
    return hub != NULL && (atomic_load_explicit(&hub->streams, memory_order_relaxed) & streams) != 0;
}

/* A watcher whose mail goes to `home`. NULL when there are too many already. */
struct watcher *watcher_new(struct watch_hub *hub, uint32_t streams, struct mailbox *home, void *owner);
/* Ends it; if it is on its way home, watcher_arrive frees it there. Sets *watcher to NULL; does nothing for NULL. */
void watcher_free(struct watch_hub *hub, struct watcher **watcher);

/* A watcher that came by mail: its owner, or NULL when that is gone, and so is the watcher. */
void *watcher_arrive(struct watch_hub *hub, struct mail *mail);
/* Moves all its lines to `output`. */
void watcher_take(struct watch_hub *hub, struct watcher *watcher, struct buffer *output);

/* Gives a line to those who want its stream; without "ts=… gid=… " in front and the line's end, which are added. */
void watch_publish(struct watch_hub *hub, enum watch_stream stream, struct span line);

struct watch_counts {
    uint64_t watchers, sent, skipped;
};
struct watch_counts watch_count(struct watch_hub *hub);

#endif
