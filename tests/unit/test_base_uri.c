#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/uri.h"

static void test_encoding(void **state)
{
    (void)state;
    static const struct {
        struct span bytes, encoded;
    } cases[] = {
        {SPAN(""), SPAN("")},
        {SPAN("azAZ09-_.~"), SPAN("azAZ09-_.~")},
        {SPAN("a b%c:/"), SPAN("a%20b%25c%3A%2F")},
        {SPAN("\0\x01\x7f\x80\xff"), SPAN("%00%01%7F%80%FF")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer output;
        buffer_init(&output);
        buffer_append(&output, SPAN(">"));
        uri_append(&output, cases[i].bytes);
        assert_true(span_equal(span_skip(buffer_content(&output), 1), cases[i].encoded));
        buffer_deinit(&output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_encoding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
