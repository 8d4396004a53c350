/* Base64, as lenient as memcached 1.6.45: the samples are what it took for a key, seen in what mg answered with k and b. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_encode(void **state)
{
    (void)state;
    static const struct {
        struct span bytes, text;
    } samples[] = {
        {SPAN(""), SPAN("")},         {SPAN("f"), SPAN("Zg==")},         {SPAN("fo"), SPAN("Zm8=")},
        {SPAN("foo"), SPAN("Zm9v")},  {SPAN("foob"), SPAN("Zm9vYg==")},  {SPAN("\0\0\0"), SPAN("AAAA")},
        {SPAN("\xff"), SPAN("/w==")}, {SPAN("\xfb\xef\xbe"), SPAN("++++")}, {SPAN("\xff\xff\xff"), SPAN("////")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char text[16];
        size_t size = base64_encode(samples[i].bytes, text);
        assert_int_equal(size, BASE64_SIZE(samples[i].bytes.size));
        assert_true(span_equal(span_of(text, size), samples[i].text));
    }
}

static void test_decode(void **state)
{
    (void)state;
    static const struct {
        struct span text, bytes; /* no bytes: refused */
    } samples[] = {
        {SPAN("YQ=="), SPAN("a")},
        {SPAN("YWI="), SPAN("ab")},
        {SPAN("YWJj"), SPAN("abc")},
        {SPAN("YWJjYWJj"), SPAN("abcabc")},
        {SPAN("YWJjZA=="), SPAN("abcd")},
        {SPAN("+/+/"), SPAN("\xfb\xff\xbf")},
        {SPAN("AA=="), SPAN("\0")},
        /* bits behind the last byte */
        {SPAN("YR=="), SPAN("a")},
        {SPAN("YWJ="), SPAN("ab")},
        /* what is passed over */
        {SPAN("YWI!="), SPAN("ab")},
        {SPAN("YW!I="), SPAN("ab")},
        {SPAN("YW\tI="), SPAN("ab")},
        {SPAN("\0YW\xffI="), SPAN("ab")},
        /* padding within a group, and what follows it */
        {SPAN("Y=Q="), SPAN("`")},
        {SPAN("=YQ="), SPAN("\x01")},
        {SPAN("YQ=Q"), SPAN("a\0")},
        {SPAN("YQ==YQ=="), SPAN("a")},
        {SPAN("YWJjZA==ZA=="), SPAN("abcd")},
        {SPAN(""), SPAN("")},
        {SPAN("Y"), SPAN("")},
        {SPAN("YQ"), SPAN("")},
        {SPAN("YQ="), SPAN("")},
        {SPAN("YWJ"), SPAN("")},
        {SPAN("YQ==x"), SPAN("")},
        {SPAN("YWJj="), SPAN("")},
        {SPAN("YWJj=="), SPAN("")},
        {SPAN("YWJjZA="), SPAN("")},
        {SPAN("==="), SPAN("")},
        {SPAN("===="), SPAN("")},
        {SPAN("Y==="), SPAN("")},
        {SPAN("YWJj===="), SPAN("")},
        {SPAN("YWJjY==="), SPAN("")},
        {SPAN("-_-_"), SPAN("")},
        {SPAN("!"), SPAN("")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char bytes[16];
        size_t size = base64_decode(samples[i].text, bytes, sizeof bytes);
        assert_true(span_equal(span_of(bytes, size), samples[i].bytes));
    }
}

static void test_room(void **state)
{
    (void)state;
    char bytes[6];
    assert_int_equal(base64_decode(SPAN("YWJjYWJj"), bytes, 5), 0);
    assert_int_equal(base64_decode(SPAN("YWJjYWJj"), bytes, 6), 6);
    assert_int_equal(base64_decode(SPAN("!!YW!!Jj!!"), bytes, 3), 3);
    assert_int_equal(base64_decode(SPAN("YWJj"), bytes, 0), 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    char bytes[256];
    char text[BASE64_SIZE(sizeof bytes)];
    char back[BASE64_SIZE(sizeof bytes)];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(unsigned char)(i * 7);
    }
    for (size_t size = 0; size <= sizeof bytes; size++) {
        size_t text_size = base64_encode(span_of(bytes, size), text);
        assert_int_equal(base64_decode(span_of(text, text_size), back, sizeof back), size);
        assert_memory_equal(back, bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
