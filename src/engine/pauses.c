#include "engine/pauses.h"

#include "base/clock.h"
#include "base/number.h"
#include "engine/words.h"

/* Longer than any pause that ends. */
#define PAUSE_MS_MOST (UINT64_MAX / 4000)

/* CLIENT PAUSE ms [ALL | WRITE]: of two pauses, the engine keeps the later end and the stricter kind. */
static void note_pause(struct pauses *pauses, RedisModuleCommandFilterCtx *filter, int count)
{
    uint64_t ms, now_us = clock_monotonic_us();
    if (!number_parse_strict_u64(words_argument(filter, 2), &ms)) return;
    bool is_all = count < 4 || words_equal(words_argument(filter, 3), "all");
    bool goes_on = api.AvoidReplicaTraffic() && pauses->reads_until_us > now_us;
    uint64_t end_us = now_us + (ms < PAUSE_MS_MOST ? ms : PAUSE_MS_MOST) * 1000;
    if (!goes_on)
        pauses->reads_until_us = is_all ? end_us : 0;
    else if (end_us > pauses->reads_until_us)
        pauses->reads_until_us = end_us;
}

void pauses_note_command(struct pauses *pauses, RedisModuleCommandFilterCtx *filter, struct span name, int count)
{
    if (count < 3 || !words_equal(name, "client") || !words_equal(words_argument(filter, 1), "pause")) return;
    note_pause(pauses, filter, count);
}

bool pauses_hold_reads(struct pauses *pauses)
{
    if (pauses->reads_until_us == 0) return false;
    bool is_paused = api.AvoidReplicaTraffic() && clock_monotonic_us() < pauses->reads_until_us;
    if (!is_paused) pauses->reads_until_us = 0; /* what comes next is another pause */
    return is_paused;
}
