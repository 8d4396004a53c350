/* What the files of the statistics share: stats.c (pairs, groups), stats_general.c and stats_settings.c. Nobody else
 * includes this. */
#ifndef DIGLOT_OBSERVE_STATS_PARTS_H
#define DIGLOT_OBSERVE_STATS_PARTS_H

#include "observe/stats.h"

/* Where a rendering takes its values from. */
struct stats_view {
    const struct stats_sources *sources;
    const struct engine_facts *facts;
    int64_t now_ms;
};

static inline uint64_t stats_counter(const struct stats_view *view, enum counter_id id)
{
    return counter_board_read(view->sources->board, id);
}

/* Threads that serve memcached clients: without threads of its own the door is served by the engine's. */
static inline uint64_t stats_threads(const struct stats_view *view)
{
    int64_t threads = option_get(view->sources->options, io_threads);
    return threads > 0 ? (uint64_t)threads : 1;
}

void stats_render_general(const struct stats_view *view, struct buffer *output);
void stats_render_settings(const struct stats_view *view, struct buffer *output);

#endif
