#include "cli/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_folded(const char *text, size_t width, size_t indent, const char *expected)
{
    struct buffer output;
    buffer_init(&output);
    fold_text(span_of(text, strlen(text)), width, indent, &output);
    buffer_append(&output, span_of("", 1));
    assert_string_equal(buffer_content(&output).data, expected);
    buffer_deinit(&output);
}

static void test_lines_that_fit_stay(void **state)
{
    (void)state;
    assert_folded("", 10, 2, "");
    assert_folded("1234567890\n\nnext\n", 10, 2, "1234567890\n\nnext\n");
    assert_folded("as long as it likes\n", 0, 2, "as long as it likes\n");
    assert_folded("no end", 10, 2, "no end\n");
}

static void test_sentences_are_broken_at_spaces(void **state)
{
    (void)state;
    assert_folded("to be or not to be\n", 9, 2, "to be or\n  not to\n  be\n");
    assert_folded("to be or not\n", 8, 2, "to be or\n  not\n"); /* the space needs no room */
    assert_folded("sesquipedalian words\n", 8, 2, "sesquipedalian\n  words\n");
    assert_folded("a sesquipedalian b\n", 8, 0, "a\nsesquipedalian\nb\n");
}

static void test_counters_stay_together(void **state)
{
    (void)state;
    assert_folded("gets   a 1 (2/s)  b 3 (4/s)\n", 26, 6, "gets   a 1 (2/s)\n      b 3 (4/s)\n");
    assert_folded("title   word word\n", 10, 8, "title   word\n        word\n"); /* not behind the title */
}

static void test_colours_take_no_room(void **state)
{
    (void)state;
    assert_folded("\033[1;31mto be\033[0m or\n", 8, 2, "\033[1;31mto be\033[0m or\n");
    assert_folded("\033[1mto be or\033[0m not\n", 8, 2, "\033[1mto be or\033[0m\n  not\n");
    assert_folded("\033[1", 8, 2, "\033[1\n");
}

static void assert_cut(const char *text, size_t rows, const char *expected)
{
    struct buffer output;
    buffer_init(&output);
    fold_cut(span_of(text, strlen(text)), rows, &output);
    buffer_append(&output, span_of("", 1));
    assert_string_equal(buffer_content(&output).data, expected);
    buffer_deinit(&output);
}

static void test_what_is_too_tall_is_cut(void **state)
{
    (void)state;
    assert_cut("a\nb\nc\n", 3, "a\nb\nc\n");
    assert_cut("a\nb\nc\nd\n", 3, "a\nb\n2 lines more: they need a taller terminal\n");
    assert_cut("a\nb\n", 1, "2 lines more: they need a taller terminal\n");
    assert_cut("", 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_that_fit_stay),      cmocka_unit_test(test_sentences_are_broken_at_spaces),
        cmocka_unit_test(test_counters_stay_together),   cmocka_unit_test(test_colours_take_no_room),
        cmocka_unit_test(test_what_is_too_tall_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
