#include "observe/counters.h"

#include "base/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const bool is_gauge_of[COUNTERS] = {
#define COUNTER(id, name, is_gauge, description) [COUNTER_##id] = is_gauge,
    COUNTERS_LIST(COUNTER)
#undef COUNTER
};

void counter_board_init(struct counter_board *board, size_t set_count)
{
    CHECK(set_count > 0 && set_count < SIZE_MAX / sizeof(struct counters));
    size_t size = set_count * sizeof(struct counters);
    board->sets = aligned_alloc(_Alignof(struct counters), size);
    CHECK(board->sets != NULL);
    memset(board->sets, 0, size);
    board->set_count = set_count;
    memset(board->baseline, 0, sizeof(board->baseline));
}

void counter_board_deinit(struct counter_board *board)
{
    free(board->sets);
    board->sets = NULL;
    board->set_count = 0;
}

/* Unsigned, so that a gauge raised by one thread and lowered by another still sums up. */
static uint64_t counter_board_sum(const struct counter_board *board, enum counter_id id)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < board->set_count; i++) {
        sum += atomic_load_explicit(&board->sets[i].values[id], memory_order_relaxed);
    }
    return sum;
}

uint64_t counter_board_read(const struct counter_board *board, enum counter_id id)
{
    return counter_board_sum(board, id) - board->baseline[id];
}

uint64_t counter_board_peak(const struct counter_board *board, enum peak_id id)
{
    uint64_t most = 0;
    for (size_t i = 0; i < board->set_count; i++) {
        if (board->sets[i].peaks[id] > most) most = board->sets[i].peaks[id];
    }
    return most;
}

void counter_board_reset(struct counter_board *board)
{
    for (size_t i = 0; i < board->set_count; i++) {
        memset(board->sets[i].peaks, 0, sizeof board->sets[i].peaks);
    }
    for (size_t id = 0; id < COUNTERS; id++) {
        if (!is_gauge_of[id]) {
            board->baseline[id] = counter_board_sum(board, id);
        }
    }
}
