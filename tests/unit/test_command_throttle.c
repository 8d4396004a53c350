#include "command/throttle.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 5000000u

static int open_throttle(void **state)
{
    *state = check_calloc(1, sizeof(struct throttle));
    return 0;
}

static int close_throttle(void **state)
{
    free(*state);
    return 0;
}

static void test_who_has_not_failed_does_not_wait(void **state)
{
    struct throttle *throttle = *state;
    assert_int_equal(throttle_due(throttle, 1, NOW), 0);
    throttle_note_failure(throttle, 1, NOW);
    assert_int_equal(throttle_due(throttle, 2, NOW), 0);
}

static void test_who_has_failed_waits_for_a_while(void **state)
{
    struct throttle *throttle = *state;
    throttle_note_failure(throttle, 1, NOW);
    assert_int_equal(throttle_due(throttle, 1, NOW), NOW + THROTTLE_DELAY_US);
    assert_int_equal(throttle_due(throttle, 1, NOW + THROTTLE_DELAY_US - 1), NOW + THROTTLE_DELAY_US);
    assert_int_equal(throttle_due(throttle, 1, NOW + THROTTLE_DELAY_US), 0);
}

static void test_each_failure_begins_a_new_wait(void **state)
{
    struct throttle *throttle = *state;
    uint64_t now = NOW;
    for (int i = 0; i < 1000; i++) {
        throttle_note_failure(throttle, 1, now);
        now = throttle_due(throttle, 1, now);
    }
    assert_int_equal(now, NOW + 1000 * (uint64_t)THROTTLE_DELAY_US);
}

static void test_a_full_table_forgets_who_would_wait_the_shortest(void **state)
{
    struct throttle *throttle = *state;
    for (uint64_t source = 1; source <= THROTTLE_SOURCES; source++) {
        throttle_note_failure(throttle, source, NOW + source);
    }
    throttle_note_failure(throttle, 9999, NOW + 9999);
    assert_int_equal(throttle_due(throttle, 1, NOW), 0);
    assert_int_not_equal(throttle_due(throttle, 2, NOW), 0);
    assert_int_not_equal(throttle_due(throttle, 9999, NOW), 0);
}

static void test_sources_are_addresses_without_their_port(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        int is_same;
    } pairs[] = {
        {"tcp:10.0.0.1:4711", "tcp:10.0.0.1:4712", 1},
        {"tcp:10.0.0.1:4711", "tcp:10.0.0.2:4711", 0},
        {"tcp6:[2001:db8:1:2::1]:1", "tcp6:[2001:db8:1:2:ffff::9]:2", 1},
        {"tcp6:[2001:db8:1:2::1]:1", "tcp6:[2001:db8:1:3::1]:1", 0},
        {"tcp6:[::ffff:10.0.0.1]:1", "tcp6:[::ffff:10.0.0.1]:2", 1},
        {"tcp6:[::ffff:10.0.0.1]:1", "tcp6:[::ffff:10.0.0.2]:1", 0},
        {"tcp6:[::1]:1", "tcp6:[::1]:2", 1},
        {"tcp6:[fe80::1%eth0]:1", "tcp6:[fe80::1%eth0]:2", 1},
        {"unix:/run/a", "unix:/run/a", 1},
        {"unix:/run/a", "unix:/run/b", 0},
        {"", "", 1},
        {"tcp:", "tcp6:[", 0},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_int_equal(throttle_source(pairs[i].one) == throttle_source(pairs[i].other), pairs[i].is_same);
    }
}

#define THROTTLE_TEST(test) cmocka_unit_test_setup_teardown(test, open_throttle, close_throttle)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THROTTLE_TEST(test_who_has_not_failed_does_not_wait),
        THROTTLE_TEST(test_who_has_failed_waits_for_a_while),
        THROTTLE_TEST(test_each_failure_begins_a_new_wait),
        THROTTLE_TEST(test_a_full_table_forgets_who_would_wait_the_shortest),
        cmocka_unit_test(test_sources_are_addresses_without_their_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
