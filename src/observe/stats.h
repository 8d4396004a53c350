/* memcached's `stats`: renderings of the counters, the options and what the engine knows. Main thread. */
#ifndef DIGLOT_OBSERVE_STATS_H
#define DIGLOT_OBSERVE_STATS_H

#include "base/buffer.h"
#include "config/tls_settings.h"
#include "observe/clients.h"
#include "observe/counters.h"
#include "observe/detail.h"
#include "observe/watch.h"

#include <stdint.h>

/* What the engine knows of itself; 0 where it does not say. */
struct engine_facts {
    uint64_t used_memory;  /* bytes */
    uint64_t maxmemory;    /* bytes, 0 unlimited */
    uint64_t keys;         /* in the items' database, without what flags are kept in */
    uint64_t evicted_keys; /* since start */
    uint64_t expired_keys; /* since start */
    bool evicts;           /* where memory is short, by its policy */
    bool asks_login;       /* whether the memcached door does */
};

struct stats_sources {
    struct counter_board *board;
    struct client_list *clients;
    const struct options *options;
    int64_t started_ms; /* wall clock */
    struct watch_hub *watch;           /* NULL: nobody can watch */
    const struct detail_table *detail; /* NULL: not kept */
    struct engine_facts baseline;      /* what `stats reset` takes off the engine's own counters */
    const struct tls_settings *tls; /* in force; NULL without a TLS door */
    int64_t tls_refreshed_ms;       /* wall clock: when their files were last read */
    /* Appends the pairs of the group "upstream"; NULL: there is none. */
    void (*render_upstream)(void *bridge, struct buffer *output);
    void *bridge;
};

/* A pair is its name and its value, each ended by a NUL. */
void stats_add_text(struct buffer *output, const char *name, const char *value);
void stats_add_u64(struct buffer *output, const char *name, uint64_t value);
/* "yes" or "no". */
void stats_add_bool(struct buffer *output, const char *name, bool value);

/* The counters among the facts start at 0 again. */
void stats_reset_facts(struct stats_sources *sources, const struct engine_facts *facts);

/* Appends the pairs of a group; the empty group is the general one. False when there is no such group. */
bool stats_render(const struct stats_sources *sources, const struct engine_facts *facts, struct span group,
                  int64_t now_ms, struct buffer *output);

/* Takes the first pair off *pairs; false at the end. */
bool stats_next_pair(struct span *pairs, struct span *name, struct span *value);

#endif
