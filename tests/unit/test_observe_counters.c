#include "observe/counters.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 3
#define ADDITIONS 10000

static void test_sets_sum_up(void **state)
{
    (void)state;
    struct counter_board board;
    counter_board_init(&board, 3);
    assert_int_equal(counter_board_read(&board, COUNTER_CMD_GET), 0);
    counter_add(&board.sets[0], COUNTER_CMD_GET, 5);
    counter_add(&board.sets[2], COUNTER_CMD_GET, 7);
    counter_add(&board.sets[1], COUNTER_CMD_SET, 1);
    assert_int_equal(counter_board_read(&board, COUNTER_CMD_GET), 12);
    assert_int_equal(counter_board_read(&board, COUNTER_CMD_SET), 1);
    counter_board_deinit(&board);
}

static void test_reset_spares_gauges(void **state)
{
    (void)state;
    struct counter_board board;
    counter_board_init(&board, 2);
    counter_add(&board.sets[0], COUNTER_CURR_CONNECTIONS, 4);
    counter_add(&board.sets[0], COUNTER_TOTAL_CONNECTIONS, 9);
    counter_board_reset(&board);
    assert_int_equal(counter_board_read(&board, COUNTER_CURR_CONNECTIONS), 4);
    assert_int_equal(counter_board_read(&board, COUNTER_TOTAL_CONNECTIONS), 0);
    counter_add(&board.sets[1], COUNTER_TOTAL_CONNECTIONS, 2);
    assert_int_equal(counter_board_read(&board, COUNTER_TOTAL_CONNECTIONS), 2);
    counter_board_deinit(&board);
}

static void test_a_peak_is_the_most_since_the_reset(void **state)
{
    (void)state;
    struct counter_board board;
    counter_board_init(&board, 2);
    assert_int_equal(counter_board_peak(&board, PEAK_LONGEST_TURN_US), 0);
    counter_raise_peak(&board.sets[0], PEAK_LONGEST_TURN_US, 7);
    counter_raise_peak(&board.sets[1], PEAK_LONGEST_TURN_US, 9);
    counter_raise_peak(&board.sets[1], PEAK_LONGEST_TURN_US, 3);
    assert_int_equal(counter_board_peak(&board, PEAK_LONGEST_TURN_US), 9);
    assert_int_equal(counter_board_peak(&board, PEAK_LARGEST_TURN_BYTES), 0);
    counter_board_reset(&board);
    counter_raise_peak(&board.sets[0], PEAK_LONGEST_TURN_US, 2);
    assert_int_equal(counter_board_peak(&board, PEAK_LONGEST_TURN_US), 2);
    counter_board_deinit(&board);
}

static void test_gauge_may_fall_in_another_set(void **state)
{
    (void)state;
    struct counter_board board;
    counter_board_init(&board, 2);
    counter_add(&board.sets[0], COUNTER_CURR_CONNECTIONS, 3);
    counter_add(&board.sets[1], COUNTER_CURR_CONNECTIONS, (uint64_t)-1);
    assert_int_equal(counter_board_read(&board, COUNTER_CURR_CONNECTIONS), 2);
    counter_board_deinit(&board);
}

static void *count(void *argument)
{
    for (int i = 0; i < ADDITIONS; i++) {
        counter_add(argument, COUNTER_BYTES_READ, 2);
    }
    return NULL;
}

static void test_threads_count_while_others_read(void **state)
{
    (void)state;
    struct counter_board board;
    pthread_t threads[THREADS];
    counter_board_init(&board, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, &board.sets[i]), 0);
    }
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = counter_board_read(&board, COUNTER_BYTES_READ);
        assert_true(now >= last);
        last = now;
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(counter_board_read(&board, COUNTER_BYTES_READ), 2 * THREADS * ADDITIONS);
    counter_board_deinit(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_sum_up),
        cmocka_unit_test(test_reset_spares_gauges),
        cmocka_unit_test(test_a_peak_is_the_most_since_the_reset),
        cmocka_unit_test(test_gauge_may_fall_in_another_set),
        cmocka_unit_test(test_threads_count_while_others_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
