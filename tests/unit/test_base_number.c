/* Numbers: what memcached 1.6.18 lets through, to the letter. */
#include "base/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

struct sample {
    struct span text;
    bool ok;
    uint64_t value;
};

static void test_u64(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {SPAN("0"), true, 0},
        {SPAN("18446744073709551615"), true, UINT64_MAX},
        {SPAN("18446744073709551616"), false, 0},
        {SPAN("99999999999999999999999999"), false, 0},
        {SPAN("00000000000000000000000000001"), true, 1},
        {SPAN("+5"), true, 5},
        {SPAN(" \t\n\v\f\r5"), true, 5},
        {SPAN("5 x"), true, 5},
        {SPAN("5\tx"), true, 5},
        {SPAN("5\vx"), true, 5},
        {SPAN("5\0x"), true, 5},
        {SPAN("5\r\n"), true, 5},
        {SPAN("5x"), false, 0},
        {SPAN("5\x80"), false, 0},
        {SPAN("\xa0""5"), false, 0},
        {SPAN("0x10"), false, 0},
        {SPAN("1e3"), false, 0},
        {SPAN(""), false, 0},
        {SPAN(" "), false, 0},
        {SPAN("-"), false, 0},
        {SPAN("+"), false, 0},
        {SPAN("+-1"), false, 0},
        {SPAN("- 1"), false, 0},
        {SPAN("\0""5"), false, 0},
        {SPAN("-0"), true, 0},
        {SPAN("-1"), false, 0},
        {SPAN("-9223372036854775808"), false, 0},
        {SPAN("-9223372036854775809"), true, INT64_MAX},
        {SPAN("-18446744073709551615"), true, 1},
        {SPAN("-18446744073709551616"), false, 0},
        {SPAN("9223372036854775808"), true, (uint64_t)INT64_MAX + 1},
        {SPAN("9223372036854775808\t-"), false, 0},
        {SPAN("9223372036854775808\0-"), true, (uint64_t)INT64_MAX + 1},
        {SPAN("9223372036854775807\t-"), true, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        uint64_t value = 4711;
        assert_int_equal(number_parse_u64(samples[i].text, &value), samples[i].ok);
        assert_int_equal(value, samples[i].ok ? samples[i].value : 4711);
    }
}

static void test_i64(void **state)
{
    (void)state;
    int64_t value = 4711;
    assert_true(number_parse_i64(SPAN("-9223372036854775808"), &value));
    assert_int_equal(value, INT64_MIN);
    assert_true(number_parse_i64(SPAN("9223372036854775807"), &value));
    assert_int_equal(value, INT64_MAX);
    assert_true(number_parse_i64(SPAN("-1"), &value));
    assert_int_equal(value, -1);
    assert_false(number_parse_i64(SPAN("-9223372036854775809"), &value));
    assert_false(number_parse_i64(SPAN("9223372036854775808"), &value));
    assert_false(number_parse_i64(SPAN("--1"), &value));
    assert_int_equal(value, -1);
}

static void test_32_bits_keep_the_low_half(void **state)
{
    (void)state;
    uint32_t flags;
    int32_t exptime;
    assert_true(number_parse_u32(SPAN("4294967295"), &flags));
    assert_int_equal(flags, UINT32_MAX);
    assert_true(number_parse_u32(SPAN("4294967297"), &flags));
    assert_int_equal(flags, 1);
    assert_false(number_parse_u32(SPAN("-1"), &flags));
    assert_true(number_parse_i32(SPAN("-1"), &exptime));
    assert_int_equal(exptime, -1);
    assert_true(number_parse_i32(SPAN("2147483648"), &exptime));
    assert_int_equal(exptime, INT32_MIN);
    assert_true(number_parse_i32(SPAN("4294967296"), &exptime));
    assert_int_equal(exptime, 0);
    assert_true(number_parse_i32(SPAN("-4294967297"), &exptime));
    assert_int_equal(exptime, -1);
    assert_false(number_parse_i32(SPAN("9223372036854775808"), &exptime));
}

/* What memcached 1.6.45 takes behind the flags C, F and T of mg. */
static void test_strict(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        bool is_u64, is_u32, is_i32;
    } samples[] = {
        {SPAN("0"), true, true, true},
        {SPAN("05"), true, true, true},
        {SPAN("00000000005"), true, true, true},
        {SPAN("000000000005"), true, false, false},
        {SPAN("0000000000000000000005"), true, false, false},
        {SPAN("00000000000000000000005"), false, false, false},
        {SPAN("2147483647"), true, true, true},
        {SPAN("2147483648"), true, true, false},
        {SPAN("4294967295"), true, true, false},
        {SPAN("4294967296"), true, false, false},
        {SPAN("18446744073709551615"), true, false, false},
        {SPAN("18446744073709551616"), false, false, false},
        {SPAN("-1"), false, false, true},
        {SPAN("-2147483648"), false, false, true},
        {SPAN("-2147483649"), false, false, false},
        {SPAN("-0000000005"), false, false, true},
        {SPAN("-00000000005"), false, false, false},
        {SPAN("-18446744073709551615"), false, false, false},
        {SPAN("-"), false, false, false},
        {SPAN("--5"), false, false, false},
        {SPAN("+5"), false, false, false},
        {SPAN("5x"), false, false, false},
        {SPAN("5\0"), false, false, false},
        {SPAN("5\t"), false, false, false},
        {SPAN("\t5"), false, false, false},
        {SPAN("0x5"), false, false, false},
        {SPAN("5.0"), false, false, false},
        {SPAN("5-"), false, false, false},
        {SPAN(""), false, false, false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        uint64_t u64 = 4711;
        uint32_t u32 = 4711;
        int32_t i32 = 4711;
        assert_int_equal(number_parse_strict_u64(samples[i].text, &u64), samples[i].is_u64);
        assert_int_equal(number_parse_strict_u32(samples[i].text, &u32), samples[i].is_u32);
        assert_int_equal(number_parse_strict_i32(samples[i].text, &i32), samples[i].is_i32);
        assert_true(samples[i].is_u64 || u64 == 4711);
        assert_true(samples[i].is_u32 ? u32 == u64 : u32 == 4711);
        assert_true(samples[i].is_i32 || i32 == 4711);
    }
}

static void test_strict_values(void **state)
{
    (void)state;
    uint64_t u64;
    uint32_t u32;
    int32_t i32;
    assert_true(number_parse_strict_u64(SPAN("18446744073709551615"), &u64) && u64 == UINT64_MAX);
    assert_true(number_parse_strict_u32(SPAN("4294967295"), &u32) && u32 == UINT32_MAX);
    assert_true(number_parse_strict_i32(SPAN("-2147483648"), &i32) && i32 == INT32_MIN);
    assert_true(number_parse_strict_i32(SPAN("2147483647"), &i32) && i32 == INT32_MAX);
    assert_true(number_parse_strict_i32(SPAN("-5"), &i32) && i32 == -5);
}

static void test_decimal(void **state)
{
    (void)state;
    double value;
    assert_true(number_parse_decimal(SPAN("0.8"), &value));
    assert_true(value > 0.79999 && value < 0.80001);
    assert_true(number_parse_decimal(SPAN(" -2.5e1\t"), &value));
    assert_true(value > -25.0001 && value < -24.9999);
    assert_true(number_parse_decimal(SPAN(".5"), &value));
    assert_true(number_parse_decimal(SPAN("1."), &value));
    assert_true(number_parse_decimal(SPAN("0e999999999999"), &value));
    assert_false(number_parse_decimal(SPAN("."), &value));
    assert_false(number_parse_decimal(SPAN("1e"), &value));
    assert_false(number_parse_decimal(SPAN("1e99999"), &value));
    assert_false(number_parse_decimal(SPAN("1e-99999"), &value));
    assert_false(number_parse_decimal(SPAN("1x"), &value));
    assert_false(number_parse_decimal(SPAN("inf"), &value));
    assert_false(number_parse_decimal(SPAN(""), &value));
}

static void assert_format(uint64_t value)
{
    char expected[32];
    char text[NUMBER_TEXT_SIZE + 1];
    memset(text, '#', sizeof text);
    int size = snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
    assert_int_equal(number_format_u64(text, value), size);
    assert_memory_equal(text, expected, (size_t)size);
    assert_int_equal(text[size], '#');
}

static void test_format(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 12000; value++) {
        assert_format(value);
    }
    for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10) {
        assert_format(power - 1);
        assert_format(power);
        assert_format(power * 10 - 1);
    }
    assert_format(UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),     cmocka_unit_test(test_i64),    cmocka_unit_test(test_32_bits_keep_the_low_half),
        cmocka_unit_test(test_decimal), cmocka_unit_test(test_format),
        cmocka_unit_test(test_strict),  cmocka_unit_test(test_strict_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
