#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "observe/heavy_hitters.h"

static void expect(const struct heavy_hitters *table, struct span pairs)
{
    struct buffer output;
    buffer_init(&output);
    heavy_hitters_render(table, "x", &output);
    assert_true(span_equal(buffer_content(&output), pairs));
    buffer_deinit(&output);
}

static void count_times(struct heavy_hitters *table, struct span text, size_t times)
{
    for (size_t i = 0; i < times; i++) heavy_hitters_count(table, text);
}

static void test_the_most_frequent_come_first(void **state)
{
    (void)state;
    struct heavy_hitters table = {0};
    expect(&table, SPAN(""));
    count_times(&table, SPAN("rare"), 2);
    count_times(&table, SPAN("often"), 3);
    count_times(&table, SPAN(""), 1);
    expect(&table, SPAN("x:often\0"
                        "3\0"
                        "x:rare\0"
                        "2\0"
                        "x:\0"
                        "1\0"));
}

static void test_texts_are_encoded_and_cut(void **state)
{
    (void)state;
    struct heavy_hitters table = {0};
    heavy_hitters_count(&table, SPAN("a b\0"));
    expect(&table, SPAN("x:a%20b%00\0"
                        "1\0"));
    char text[HEAVY_HITTER_TEXT_MAX + 2];
    memset(text, 'k', sizeof text);
    table = (struct heavy_hitters){0};
    heavy_hitters_count(&table, span_of(text, sizeof text));
    heavy_hitters_count(&table, span_of(text, sizeof text - 1));
    assert_int_equal(table.used, 1);
    assert_int_equal(table.entries[0].size, HEAVY_HITTER_TEXT_MAX);
}

/* Twice as many texts as there is room for, and one among them that makes up a tenth. */
static void test_what_is_frequent_is_found_among_many(void **state)
{
    (void)state;
    struct heavy_hitters table = {0};
    uint64_t all = 0, sum = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 2 * HEAVY_HITTERS; i++) {
            char text[16];
            int size = snprintf(text, sizeof text, "rare-%d", i);
            heavy_hitters_count(&table, span_of(text, (size_t)size));
        }
        count_times(&table, SPAN("frequent"), 14);
        all += 2 * HEAVY_HITTERS + 14;
    }
    assert_int_equal(table.used, HEAVY_HITTERS);
    const struct heavy_hitter *found = NULL;
    for (size_t i = 0; i < table.used; i++) {
        sum += table.entries[i].count;
        if (span_equal(span_of(table.entries[i].text, table.entries[i].size), SPAN("frequent"))) found = &table.entries[i];
    }
    assert_non_null(found);
    assert_int_equal(sum, all); /* what comes is never lost, only misattributed */
    assert_true(found->count >= 50 * 14);
    assert_true(found->count - found->excess <= 50 * 14);
}

static void test_an_uncertain_count_is_a_range(void **state)
{
    (void)state;
    struct heavy_hitters table = {0};
    for (int i = 0; i < HEAVY_HITTERS; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "%d", i);
        count_times(&table, span_of(text, (size_t)size), 2);
    }
    count_times(&table, SPAN("new"), 3);
    struct buffer output;
    buffer_init(&output);
    heavy_hitters_render(&table, "x", &output);
    struct span first = SPAN("x:new\0"
                             "3-5\0");
    assert_true(span_starts_with(buffer_content(&output), first));
    buffer_deinit(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_most_frequent_come_first),
        cmocka_unit_test(test_texts_are_encoded_and_cut),
        cmocka_unit_test(test_what_is_frequent_is_found_among_many),
        cmocka_unit_test(test_an_uncertain_count_is_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
