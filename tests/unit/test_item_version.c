#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "item/version.h"

#define START UINT64_C(1700000000000000000)

static int set_up(void **state)
{
    static struct version_clock clock;
    version_clock_init(&clock, START);
    *state = &clock;
    return 0;
}

static int tear_down(void **state)
{
    version_clock_deinit(*state);
    return 0;
}

static void test_token_stands_until_a_change(void **state)
{
    struct version_clock *clock = *state;
    uint64_t token = version_current(clock, 1);
    assert_int_not_equal(token, 0);
    assert_int_equal(version_current(clock, 1), token);
    version_advance(clock, 2);
    assert_int_equal(version_current(clock, 1), token);
    version_advance(clock, 1);
    assert_int_not_equal(version_current(clock, 1), token);
}

static void test_tokens_grow(void **state)
{
    struct version_clock *clock = *state;
    uint64_t before = version_current(clock, 7);
    for (uint64_t i = 0; i < 1000; i++) {
        version_advance(clock, i % 3 ? 7 : i);
        assert_true(version_current(clock, 7) >= before);
        before = version_current(clock, 7);
    }
}

/* Keys that share a counter only ever change more often. */
static void test_shared_counter(void **state)
{
    struct version_clock *clock = *state;
    uint64_t token = version_current(clock, 5);
    version_advance(clock, 5 + (uint64_t)VERSION_COUNTERS);
    assert_int_not_equal(version_current(clock, 5), token);
}

static void test_advance_all(void **state)
{
    struct version_clock *clock = *state;
    version_advance(clock, 1);
    uint64_t changed = version_current(clock, 1), untouched = version_current(clock, 2);
    version_advance_all(clock);
    assert_true(version_current(clock, 1) > changed);
    assert_true(version_current(clock, 2) > untouched);
    assert_true(version_current(clock, UINT64_MAX) > changed);
    changed = version_current(clock, 1);
    version_advance(clock, 1);
    assert_true(version_current(clock, 1) > changed);
}

/* A restart later is further on than any number of changes can have come. */
static void test_restart(void **state)
{
    struct version_clock *clock = *state;
    for (int i = 0; i < 100000; i++) version_advance(clock, 1);
    assert_true(version_current(clock, 1) < START + 1000000);
}

/* ---- Tokens that clients choose ---- */

#define YEAR (UINT64_C(366) * 86400 * 1000000000)

static void test_chosen_token_stands_until_a_change(void **state)
{
    struct version_clock *clock = *state;
    version_advance_to(clock, 1, 42);
    assert_int_equal(version_current(clock, 1), 42);
    assert_int_not_equal(version_current(clock, 2), 42);
    version_advance(clock, 2);
    assert_int_equal(version_current(clock, 1), 42);
    version_advance(clock, 1);
    assert_true(version_current(clock, 1) > START);
    version_advance_to(clock, 1, 42);
    version_advance_all(clock);
    assert_true(version_current(clock, 1) > START);
}

/* Two keys that share a counter, and a client that counts each one's versions by itself. */
static void test_a_choice_is_one_keys_alone(void **state)
{
    struct version_clock *clock = *state;
    const uint64_t key = 1, other = 1 + (uint64_t)VERSION_COUNTERS;
    version_advance_to(clock, key, 5);
    version_advance_to(clock, key, 6);
    version_advance_to(clock, other, 5);
    assert_int_not_equal(version_current(clock, key), 5);
    assert_int_equal(version_current(clock, other), 5);
}

static void test_chosen_token_of_a_shared_counter(void **state)
{
    struct version_clock *clock = *state;
    version_advance_to(clock, 1, 42);
    version_advance(clock, 1 + (uint64_t)VERSION_COUNTERS);
    assert_int_not_equal(version_current(clock, 1), 42);
}

/* Another choice in its place: the counter is the token again, a new one for this content. */
static void test_displaced_choice(void **state)
{
    struct version_clock *clock = *state;
    version_advance_to(clock, 1, 42);
    version_advance_to(clock, 1 + VERSION_CHOICES, 43);
    assert_int_equal(version_current(clock, 1 + VERSION_CHOICES), 43);
    uint64_t token = version_current(clock, 1);
    assert_true(token > START);
    assert_int_equal(version_current(clock, 1), token);
}

/* Whatever the clock gives out later is another token than the chosen one. */
static void test_clock_leaps_over_a_chosen_token(void **state)
{
    struct version_clock *clock = *state;
    uint64_t token = START + 5;
    version_advance_to(clock, 1, token);
    assert_int_equal(version_current(clock, 1), token);
    for (uint64_t i = 0; i < 20; i++) {
        version_advance(clock, 1);
        assert_int_not_equal(version_current(clock, 1), token);
    }
    version_advance_to(clock, 1, START + 9 * YEAR);
    version_advance(clock, 1);
    assert_true(version_current(clock, 1) > START + 9 * YEAR);
}

/* What one server's clock gives out behind a leap, another's does not, nor its own when it has started anew. */
static void test_clocks_leap_apart(void **state)
{
    struct version_clock *clock = *state, other;
    version_clock_init(&other, START + 1000000);
    version_advance_to(clock, 1, START + 5 * YEAR);
    version_advance_to(&other, 1, START + 5 * YEAR);
    assert_int_equal(version_current(clock, 1), START + 5 * YEAR);
    assert_int_equal(version_current(&other, 1), START + 5 * YEAR);
    version_advance(clock, 2);
    version_advance(&other, 2);
    uint64_t token = version_current(clock, 2), of_other = version_current(&other, 2);
    assert_true(token > of_other + 1000000 || of_other > token + 1000000);
    version_clock_deinit(&other);
}

static void test_catching_up_with_other_servers(void **state)
{
    struct version_clock *clock = *state;
    version_catch_up(clock, START + 1000);
    version_advance(clock, 1);
    assert_int_equal(version_current(clock, 1), START + 1001);
    version_catch_up(clock, START + 10);
    version_advance(clock, 1);
    assert_int_equal(version_current(clock, 1), START + 1002);
}

/* Nobody brings the clock to its end. */
static void test_far_choices(void **state)
{
    struct version_clock *clock = *state;
    for (uint64_t token = UINT64_MAX; token > START + 21 * YEAR; token -= YEAR) {
        version_advance_to(clock, 1, token);
        assert_int_equal(version_current(clock, 1), token);
    }
    for (uint64_t token = START + 19 * YEAR; token > START + 11 * YEAR; token -= YEAR) {
        version_advance_to(clock, 1, token);
        assert_int_not_equal(version_current(clock, 1), token);
    }
    version_advance(clock, 1);
    assert_true(version_current(clock, 1) < START + 1000);
    for (uint64_t years = 1; years < 200; years++) version_advance_to(clock, years, START + years * YEAR);
    version_advance(clock, 1);
    assert_true(version_current(clock, 1) < START + 11 * YEAR);
}

/* A token that stood for an earlier content of the key must not stand for a later one. */
static void test_choice_of_an_earlier_token(void **state)
{
    struct version_clock *clock = *state;
    version_advance(clock, 1);
    uint64_t earlier = version_current(clock, 1);
    version_advance_to(clock, 1, earlier);
    assert_true(version_current(clock, 1) > earlier);
    version_advance(clock, 1);
    version_advance_to(clock, 1, earlier);
    assert_true(version_current(clock, 1) > earlier);
    uint64_t floor = version_current(clock, 2);
    version_advance_to(clock, 2, floor);
    assert_true(version_current(clock, 2) > floor);
    version_advance_to(clock, 2, 0);
    assert_int_not_equal(version_current(clock, 2), 0);
}

static void test_stamp_stands_until_a_change(void **state)
{
    struct version_clock *clock = *state;
    version_set_open(clock, true);
    uint64_t stamp = version_stamp(clock), token = version_current(clock, 1);
    assert_true(version_stands(clock, 1, stamp));
    version_note_change(clock, 2);
    assert_true(version_stands(clock, 1, stamp));
    version_note_change(clock, 1);
    assert_false(version_stands(clock, 1, stamp));
    assert_int_equal(version_current(clock, 1), token); /* the content stays */
    stamp = version_stamp(clock);
    assert_true(version_stands(clock, 1, stamp));
    version_advance(clock, 1);
    assert_false(version_stands(clock, 1, stamp));
    stamp = version_stamp(clock);
    version_advance_to(clock, 1, 77);
    assert_false(version_stands(clock, 1, stamp));
}

static void test_stamps_end_together(void **state)
{
    struct version_clock *clock = *state;
    version_set_open(clock, true);
    uint64_t stamp = version_stamp(clock), token = version_current(clock, 1);
    version_note_change_of_all(clock);
    assert_false(version_stands(clock, 1, stamp));
    assert_int_equal(version_current(clock, 1), token);
    stamp = version_stamp(clock);
    version_advance_all(clock);
    assert_false(version_stands(clock, 1, stamp));
    assert_true(version_stands(clock, 1, version_stamp(clock)));
}

static void test_no_stamp_stands_while_closed(void **state)
{
    struct version_clock *clock = *state;
    assert_false(version_is_open(clock));
    assert_false(version_stands(clock, 1, version_stamp(clock)));
    version_set_open(clock, true);
    uint64_t stamp = version_stamp(clock);
    assert_true(version_stands(clock, 1, stamp));
    version_set_open(clock, true);
    assert_true(version_stands(clock, 1, stamp));
    version_set_open(clock, false);
    version_advance_all(clock);
    assert_false(version_stands(clock, 1, version_stamp(clock)));
    version_set_open(clock, true);
    assert_false(version_stands(clock, 1, stamp));
    assert_true(version_stands(clock, 1, version_stamp(clock)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_token_stands_until_a_change), TEST(test_tokens_grow), TEST(test_shared_counter),
        TEST(test_advance_all),                 TEST(test_restart),
        TEST(test_chosen_token_stands_until_a_change), TEST(test_chosen_token_of_a_shared_counter),
        TEST(test_a_choice_is_one_keys_alone),
        TEST(test_displaced_choice),            TEST(test_clock_leaps_over_a_chosen_token),
        TEST(test_clocks_leap_apart),           TEST(test_catching_up_with_other_servers),
        TEST(test_far_choices),                 TEST(test_choice_of_an_earlier_token),
        TEST(test_stamp_stands_until_a_change), TEST(test_stamps_end_together), TEST(test_no_stamp_stands_while_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
