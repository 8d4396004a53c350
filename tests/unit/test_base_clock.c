#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_wall_clocks_agree(void **state)
{
    (void)state;
    int64_t before = clock_wall_ms();
    int64_t between = (int64_t)(clock_wall_ns() / 1000000);
    int64_t after = clock_wall_ms();
    assert_true(before <= between && between <= after);
    assert_true(before > 1577836800000); /* 2020 */
}

static void test_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t last = clock_monotonic_us();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = clock_monotonic_us();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wall_clocks_agree),
        cmocka_unit_test(test_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
