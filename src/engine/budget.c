#include "engine/budget.h"

#include "base/clock.h"

#define TURN_MICROSECONDS 500u
#define LONG_TURN_MICROSECONDS 2000u
#define TURN_BYTES ((uint64_t)512 * 1024)
#define MESSAGES_BETWEEN_LOOKS 32
/* Moving so many bytes of a value takes about as long as a message without. */
#define BYTES_LIKE_A_MESSAGE 4096

void budget_init(struct budget *budget)
{
    uint64_t now_us = clock_monotonic_us();
    *budget = (struct budget){.began_us = now_us, .now_us = now_us, .deadline_us = now_us + TURN_MICROSECONDS,
                              .until_look = MESSAGES_BETWEEN_LOOKS};
}

void budget_lengthen(struct budget *budget)
{
    budget->deadline_us += LONG_TURN_MICROSECONDS - TURN_MICROSECONDS;
}

void budget_charge(struct budget *budget, const struct message *message, size_t besides)
{
    uint64_t bytes = (uint64_t)message->request.value.size + message->result.value_size + besides;
    uint64_t cost = 1 + bytes / BYTES_LIKE_A_MESSAGE;
    budget->bytes += bytes;
    if (budget->bytes >= TURN_BYTES) budget->is_spent = true;
    if (cost < budget->until_look) {
        budget->until_look -= cost;
        return;
    }
    budget->until_look = MESSAGES_BETWEEN_LOOKS;
    budget->now_us = clock_monotonic_us();
    if (budget->now_us >= budget->deadline_us) budget->is_spent = true;
}

bool budget_is_over(const struct budget *budget)
{
    return budget->is_spent || clock_monotonic_us() >= budget->deadline_us;
}

void budget_tell(const struct budget *budget, struct counters *counters)
{
    counter_raise_peak(counters, PEAK_LONGEST_TURN_US, clock_monotonic_us() - budget->began_us);
    counter_raise_peak(counters, PEAK_LARGEST_TURN_BYTES, budget->bytes);
}
