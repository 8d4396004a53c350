/* The number parser against the C functions whose acceptance it promises. */
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 512
/* Longer fractions lose precision in the parser, which promises none. */
#define EXACT_DECIMAL_MAX 40

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

static bool is_clean_end(const char *text, const char *end)
{
    return errno != ERANGE && end != text && (*end == '\0' || isspace((unsigned char)*end));
}

static void check_unsigned(const char *text, struct span span)
{
    char *end;
    errno = 0;
    unsigned long long expected = strtoull(text, &end, 10);
    bool ok = is_clean_end(text, end) && ((long long)expected >= 0 || strchr(text, '-') == NULL);
    uint64_t value = 4711;
    uint32_t half = 4711;
    REQUIRE(number_parse_u64(span, &value) == ok);
    REQUIRE(number_parse_u32(span, &half) == ok);
    REQUIRE(value == (ok ? expected : 4711));
    REQUIRE(half == (ok ? (uint32_t)expected : 4711));
}

static void check_signed(const char *text, struct span span)
{
    char *end;
    errno = 0;
    long long expected = strtoll(text, &end, 10);
    bool ok = is_clean_end(text, end);
    int64_t value = 4711;
    int32_t half = 4711;
    REQUIRE(number_parse_i64(span, &value) == ok);
    REQUIRE(number_parse_i32(span, &half) == ok);
    REQUIRE(value == (ok ? expected : 4711));
    REQUIRE(half == (ok ? (int32_t)expected : 4711));
}

static void check_decimal(const char *text, struct span span)
{
    double value;
    if (!number_parse_decimal(span, &value) || span.size > EXACT_DECIMAL_MAX) {
        return;
    }
    char *end;
    errno = 0;
    double expected = strtod(text, &end);
    REQUIRE(end != text && (*end == '\0' || isspace((unsigned char)*end)));
    REQUIRE(fabs(value - expected) <= fabs(expected) * 1e-9);
}

static void check_format(uint64_t number)
{
    char expected[32];
    char text[NUMBER_TEXT_SIZE];
    size_t size = (size_t)snprintf(expected, sizeof expected, "%llu", (unsigned long long)number);
    REQUIRE(number_format_u64(text, number) == size);
    REQUIRE(memcmp(text, expected, size) == 0);
    uint64_t again;
    REQUIRE(number_parse_u64(span_of(text, size), &again) && again == number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX) {
        return 0;
    }
    char text[TEXT_MAX + 1];
    memcpy(text, data, size);
    text[size] = '\0';
    struct span span = span_of(data, size);
    check_unsigned(text, span);
    check_signed(text, span);
    check_decimal(text, span);
    uint64_t number = 0;
    memcpy(&number, data, size < sizeof number ? size : sizeof number);
    check_format(number);
    check_format(number >> (number & 63));
    return 0;
}
