#include "upstream/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_opens_behind_failures_in_a_row(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    for (unsigned i = 0; i + 1 < BREAKER_FAILURES; i++) breaker_fail(&breaker, 1000);
    assert_false(breaker_is_open(&breaker));
    breaker_succeed(&breaker);
    for (unsigned i = 0; i < BREAKER_FAILURES; i++) {
        assert_false(breaker_is_open(&breaker));
        breaker_fail(&breaker, 1000);
    }
    assert_true(breaker_is_open(&breaker));
    assert_false(breaker_is_due(&breaker, 1000 + BREAKER_PAUSE_US - 1));
    assert_true(breaker_is_due(&breaker, 1000 + BREAKER_PAUSE_US));
}

static void test_pauses_double_to_a_bound(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    for (unsigned i = 0; i < BREAKER_FAILURES; i++) breaker_fail(&breaker, 0);
    uint64_t pause_us = BREAKER_PAUSE_US;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(breaker.retry_us == pause_us);
        breaker_fail(&breaker, 0);
        pause_us = pause_us * 2 < BREAKER_PAUSE_MOST_US ? pause_us * 2 : BREAKER_PAUSE_MOST_US;
    }
    breaker_succeed(&breaker);
    assert_false(breaker_is_open(&breaker));
    assert_false(breaker_is_due(&breaker, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_behind_failures_in_a_row),
        cmocka_unit_test(test_pauses_double_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
