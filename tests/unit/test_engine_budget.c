#include "engine/budget.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What budget.c lets a turn have. */
#define TURN_BYTES (512 * 1024)

static const struct message small = {.result.value_size = 1};

static void test_values_end_a_turn(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget);
    budget.deadline_us = UINT64_MAX;
    const struct message stored = {.request.value.size = TURN_BYTES / 2}, read = {.result.value_size = TURN_BYTES / 2};
    budget_charge(&budget, &stored, 0);
    assert_false(budget.is_spent);
    budget_charge(&budget, &read, 0);
    assert_true(budget.is_spent);
}

/* The clock is not looked at for each message, but for some of them. */
static void test_time_ends_a_turn(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget);
    budget.deadline_us = clock_monotonic_us();
    int messages = 0;
    for (; !budget.is_spent && messages < 1000; messages++) budget_charge(&budget, &small, 0);
    assert_in_range(messages, 2, 100);
}

static void test_large_values_bring_the_next_look_at_the_clock_nearer(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget);
    budget.deadline_us = clock_monotonic_us();
    budget_charge(&budget, &small, TURN_BYTES / 2);
    assert_true(budget.is_spent);
}

static void test_a_turn_that_has_time_goes_on(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget);
    budget.deadline_us = UINT64_MAX;
    for (int i = 0; i < 1000; i++) budget_charge(&budget, &small, 0);
    assert_false(budget_is_over(&budget));
    budget.deadline_us = clock_monotonic_us();
    assert_true(budget_is_over(&budget));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_end_a_turn),
        cmocka_unit_test(test_time_ends_a_turn),
        cmocka_unit_test(test_large_values_bring_the_next_look_at_the_clock_nearer),
        cmocka_unit_test(test_a_turn_that_has_time_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
