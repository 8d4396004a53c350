#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/dump.h"

static void expect(struct buffer *output, struct span text)
{
    assert_true(span_equal(buffer_content(output), text));
    buffer_reset(output, 0);
}

/* The bytes of memcached 1.6.45. */
static void test_meta(void **state)
{
    (void)state;
    struct buffer output;
    buffer_init(&output);
    struct dump_item item = {.key = SPAN("b%c"), .expiry = 1795230534, .accessed = 1795229534, .token = 3, .size = 366, .flags = 5};
    dump_append_meta(&item, &output);
    expect(&output, SPAN("key=b%25c exp=1795230534 la=1795229534 cas=3 fetch=no cls=1 size=366 flags=5 \n"));
    item = (struct dump_item){SPAN("\x01\xff" "b"), -1, INT64_MAX, UINT64_MAX, true, SIZE_MAX, UINT32_MAX};
    dump_append_meta(&item, &output);
    expect(&output, SPAN("key=%01%FFb exp=-1 la=9223372036854775807 cas=18446744073709551615 fetch=yes cls=1 "
                         "size=18446744073709551615 flags=4294967295 \n"));
    buffer_deinit(&output);
}

static void test_mg(void **state)
{
    (void)state;
    static const struct {
        struct span key, line;
    } cases[] = {
        {SPAN("a"), SPAN("mg a\r\n")},
        {SPAN("\x01\xff" "b%"), SPAN("mg \x01\xff" "b%\r\n")},
        {SPAN(" "), SPAN("mg IA== b\r\n")},
        {SPAN("a b"), SPAN("mg YSBi b\r\n")},
        {SPAN("a\nbc"), SPAN("mg YQpiYw== b\r\n")},
        {SPAN("\0\r123"), SPAN("mg AA0xMjM= b\r\n")},
        {SPAN("\xff\xfe \xff\xfe\xff"), SPAN("mg //4g//7/ b\r\n")},
    };
    struct buffer output;
    buffer_init(&output);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dump_append_mg(cases[i].key, &output);
        expect(&output, cases[i].line);
    }
    buffer_deinit(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_meta), cmocka_unit_test(test_mg)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
