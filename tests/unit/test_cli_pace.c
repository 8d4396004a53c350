#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/pace.h"

static void test_nothing_is_waited_for_without_a_rate(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 0, 0);
    assert_int_equal(pace_spend(&pace, 1000000, 1u << 30, 5), 0);
    assert_int_equal(pace_parcel(&pace, 1024), 1024);
    pace_deinit(&pace);
}

/* Whatever the turns: behind each, no more has been spent than the time since the first has brought. */
static void test_items(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 1000, 0);
    uint64_t now = 500, begun = now, spent = 0;
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t items = i % 7 + 1;
        now += pace_spend(&pace, items, 1u << 20, now);
        spent += items;
        assert_true(spent * 1000 <= now - begun + 1);
        now += i % 3 * 100; /* the work itself */
    }
    /* Nothing is saved up in idle times. */
    now += 10000000;
    assert_int_equal(pace_spend(&pace, 100, 0, now), 100000);
    pace_deinit(&pace);
}

static void test_the_slower_of_both_counts(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 1000, 1000000);
    assert_int_equal(pace_spend(&pace, 1, 1000000, 0), 1000000);
    assert_int_equal(pace_spend(&pace, 1000, 10, 1000000), 1000000);
    pace_deinit(&pace);
}

static void test_parcels_are_a_tenth_of_a_second(void **state)
{
    (void)state;
    static const struct {
        uint64_t rate, parcel;
    } cases[] = {{1, 1}, {9, 1}, {100, 10}, {5000, 500}, {1000000, 1024}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pace pace;
        pace_init(&pace, cases[i].rate, 0);
        assert_int_equal(pace_parcel(&pace, 1024), cases[i].parcel);
        pace_deinit(&pace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_waited_for_without_a_rate), cmocka_unit_test(test_items),
                                       cmocka_unit_test(test_the_slower_of_both_counts),
                                       cmocka_unit_test(test_parcels_are_a_tenth_of_a_second)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
