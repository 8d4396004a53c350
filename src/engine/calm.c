#include "engine/calm.h"

#include "engine/words.h"

/* Whatever was kept waiting before we came runs in the first second. */
void calm_init(struct calm *calm)
{
    *calm = (struct calm){.changes = 1, .uneasy_until = CALM_CRONS};
}

/* A pause that is over before the loop comes to sleep is not seen there. */
static bool may_pause(struct span name)
{
    return (name.size == 6 && words_equal(name, "client")) || (name.size == 4 && words_equal(name, "exec"));
}

void calm_note_command(struct calm *calm, struct span name)
{
    calm->changes++;
    if (may_pause(name)) calm->uneasy_until = calm->crons + CALM_CRONS;
}

void calm_note_event(struct calm *calm)
{
    calm->changes++;
}

struct calm_mark calm_mark_now(const struct calm *calm)
{
    return (struct calm_mark){calm->changes, calm->crons};
}
