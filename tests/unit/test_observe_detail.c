#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "observe/detail.h"

static void expect(const struct detail_table *table, struct span lines)
{
    struct buffer output;
    buffer_init(&output);
    detail_render(table, &output);
    assert_true(span_equal(buffer_content(&output), lines));
    buffer_deinit(&output);
}

static void test_counts(void **state)
{
    (void)state;
    struct detail_table table = {0};
    expect(&table, SPAN(""));
    detail_count_get(&table, SPAN("plain"), true);
    detail_count_get(&table, SPAN(""), true);
    expect(&table, SPAN(""));
    detail_count_get(&table, SPAN("\0:"), true);
    detail_count_get(&table, SPAN("a b:"), true);
    detail_count_get(&table, SPAN("a\n:"), true);
    expect(&table, SPAN(""));
    detail_count_get(&table, SPAN("foo:a:b"), true);
    detail_count_get(&table, SPAN("foo:"), false);
    detail_count_set(&table, SPAN("foo:c"));
    detail_count_delete(&table, SPAN("foo:c"));
    expect(&table, SPAN("PREFIX foo get 2 hit 1 set 1 del 1\r\n"));
    detail_reset(&table);
    expect(&table, SPAN(""));
    detail_count_get(&table, SPAN(":x"), false);
    expect(&table, SPAN("PREFIX  get 1 hit 0 set 0 del 0\r\n"));
    detail_deinit(&table);
}

static void test_switching_keeps_counts(void **state)
{
    (void)state;
    struct detail_table table = {0};
    detail_switch(&table, true);
    assert_true(table.is_on);
    detail_count_set(&table, SPAN("a:"));
    detail_switch(&table, false);
    assert_false(table.is_on);
    expect(&table, SPAN("PREFIX a get 0 hit 0 set 1 del 0\r\n"));
    detail_deinit(&table);
}

/* However many and long prefixes come, the table keeps to its bound, and those that found room are counted right. */
static void test_bound(void **state)
{
    (void)state;
    struct detail_table table = {0};
    char key[DETAIL_PREFIX_MAX + 2];
    memset(key, 'x', sizeof key);
    key[DETAIL_PREFIX_MAX + 1] = ':';
    detail_count_set(&table, span_of(key, sizeof key));
    assert_int_equal(table.count, 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2 * DETAIL_PREFIXES; i++) {
            int size = snprintf(key, sizeof key, "%d:", i);
            detail_count_set(&table, span_of(key, (size_t)size));
        }
    }
    assert_int_equal(table.count, DETAIL_PREFIXES);
    for (size_t i = 0; i < (size_t)2 * DETAIL_PREFIXES; i++) {
        if (table.entries[i].is_used) assert_int_equal(table.entries[i].sets, 2);
    }
    detail_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_switching_keeps_counts),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
