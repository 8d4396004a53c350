/* How far a turn of the executor may go: about as long as RESP clients wait for one another's pipelines, and in bytes of values
 * what a worker moves in a turn; more would wait for it, and no longer be in the processor's cache when it is sent. Main thread. */
#ifndef DIGLOT_ENGINE_BUDGET_H
#define DIGLOT_ENGINE_BUDGET_H

#include "command/batch.h"
#include "observe/counters.h"

struct budget {
    uint64_t began_us;
    uint64_t now_us; /* at the last look at the clock */
    uint64_t deadline_us;
    uint64_t until_look; /* in messages */
    uint64_t bytes;      /* of values, so far */
    bool is_spent;
};

/* A turn begins. */
void budget_init(struct budget *budget);

/* A turn that costs something by itself, as with an append-only file or where keys are evicted, is better shared by more. */
void budget_lengthen(struct budget *budget);

/* For a message that has been executed, and has moved so many bytes besides its own value and the one that it tells. */
void budget_charge(struct budget *budget, const struct message *message, size_t besides);

/* True when the turn has to end; looks at the clock. */
bool budget_is_over(const struct budget *budget);

/* The turn has ended: raises the peaks. */
void budget_tell(const struct budget *budget, struct counters *counters);

#endif
