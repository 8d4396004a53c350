#include "engine/calm.h"

/* Whatever was kept waiting before we came runs in the first second. */
void calm_init(struct calm *calm)
{
    *calm = (struct calm){.changes = 1, .uneasy_until = CALM_CRONS};
}

void calm_note_command(struct calm *calm, bool is_alone)
{
    if (calm->is_asking) return;
    calm->changes++;
    if (!is_alone || api.AvoidReplicaTraffic()) calm->uneasy_until = calm->crons + CALM_CRONS;
}

void calm_note_event(struct calm *calm)
{
    calm->changes++;
}

struct calm_mark calm_mark_now(const struct calm *calm)
{
    return (struct calm_mark){calm->changes, calm->crons};
}
