/* Whether what the engine was asked in one turn holds in the next.
 *
 * Between two turns, replicas come, options change and so on by commands, each of which passes the command filter when it
 * arrives, or by server events; what fails in the background is noticed by the engine's cron. So an answer holds as long as none
 * of these has come. A pause spoils that: a command that arrives in one is run behind it, and not every engine has it pass the
 * filter a second time. So what is known around a pause holds for no turn but its own; one that is over before the loop
 * comes to sleep is seen by the commands that it keeps waiting. Other modules can keep commands waiting as well, by yielding in
 * one that takes long, and nothing tells of that: with them, every command counts as one in a pause. Main thread only. */
#ifndef DIGLOT_ENGINE_CALM_H
#define DIGLOT_ENGINE_CALM_H

#include "engine/api.h"

/* So many turns of the cron, a second or less, are those around. */
#define CALM_CRONS 10

struct calm {
    uint64_t changes;     /* commands and events so far */
    uint64_t crons;       /* turns of the cron so far */
    uint64_t uneasy_until; /* until so many turns of the cron no answer is kept */
    bool is_asking;        /* a command that the filter sees now is one of our own questions, which change nothing */
};

/* When an answer was given. All zero: none was. */
struct calm_mark {
    uint64_t changes;
    uint64_t crons;
};

void calm_init(struct calm *calm);

/* The command filter; not for what we make the engine do in our own turns, where nobody else hears of it. `is_alone`: there
 * are no other modules. */
void calm_note_command(struct calm *calm, bool is_alone);

/* A server event that may change what the engine answers. */
void calm_note_event(struct calm *calm);

/* The cron's event. */
static inline void calm_note_cron(struct calm *calm)
{
    calm->crons++;
}

/* The loop is about to sleep, whether or not there is anything to do. */
static inline void calm_note_loop(struct calm *calm)
{
    if (api.AvoidReplicaTraffic()) calm->uneasy_until = calm->crons + CALM_CRONS;
}

/* The mark of an answer that is given now. */
struct calm_mark calm_mark_now(const struct calm *calm);

/* Whether an answer that no cron changes still holds. */
static inline bool calm_holds(const struct calm *calm, struct calm_mark mark)
{
    return mark.changes == calm->changes && calm->crons >= calm->uneasy_until;
}

/* Whether an answer still holds that the cron may change. */
static inline bool calm_holds_until_cron(const struct calm *calm, struct calm_mark mark)
{
    return calm_holds(calm, mark) && mark.crons == calm->crons;
}

#endif
