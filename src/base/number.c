/* memcached reads numbers with strtoul and its kin and then looks at what is left over. This is that acceptance, for
 * spans: no terminator, no locale, no errno. */
#include "base/number.h"

#include <float.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A NUL ends the text, as it does for C's functions. */
static bool is_end(struct span text)
{
    return text.size == 0 || text.data[0] == '\0' || is_space(text.data[0]);
}

static void skip_spaces(struct span *text)
{
    while (text->size > 0 && is_space(text->data[0])) {
        *text = span_skip(*text, 1);
    }
}

/* Takes a sign off the text; true for a minus. */
static bool take_sign(struct span *text)
{
    bool is_minus = text->size > 0 && text->data[0] == '-';
    if (is_minus || (text->size > 0 && text->data[0] == '+')) {
        *text = span_skip(*text, 1);
    }
    return is_minus;
}

/* Takes digits off the text, at least one; false, too, when they exceed 64 bits. */
static bool take_digits(struct span *text, uint64_t *value)
{
    size_t count = 0;
    uint64_t sum = 0;
    while (count < text->size && is_digit(text->data[count])) {
        uint64_t digit = (uint64_t)(text->data[count] - '0');
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum)) {
            return false;
        }
        count++;
    }
    *text = span_skip(*text, count);
    *value = sum;
    return count > 0;
}

static bool read_integer(struct span text, bool *is_minus, uint64_t *magnitude)
{
    skip_spaces(&text);
    *is_minus = take_sign(&text);
    return take_digits(&text, magnitude) && is_end(text);
}

/* Anywhere in the text, also behind the number. */
static bool has_minus(struct span text)
{
    for (size_t i = 0; i < text.size && text.data[i] != '\0'; i++) {
        if (text.data[i] == '-') {
            return true;
        }
    }
    return false;
}

bool number_parse_u64(struct span text, uint64_t *value)
{
    if (number_read_plain(text, value)) return true;
    bool is_minus;
    uint64_t magnitude;
    if (!read_integer(text, &is_minus, &magnitude)) {
        return false;
    }
    uint64_t number = is_minus ? 0 - magnitude : magnitude;
    if (number > INT64_MAX && has_minus(text)) {
        return false;
    }
    *value = number;
    return true;
}

bool number_parse_i64(struct span text, int64_t *value)
{
    bool is_minus;
    uint64_t magnitude;
    if (number_read_plain(text, &magnitude)) {
        *value = (int64_t)magnitude;
        return true;
    }
    if (!read_integer(text, &is_minus, &magnitude) || magnitude > (uint64_t)INT64_MAX + is_minus) {
        return false;
    }
    *value = (int64_t)(is_minus ? 0 - magnitude : magnitude);
    return true;
}

#define STRICT_U64_SIZE 22
#define STRICT_32_SIZE 11

static bool read_strict(struct span text, size_t size_max, uint64_t most, uint64_t *value)
{
    uint64_t number;
    if (text.size > size_max || !take_digits(&text, &number) || text.size > 0 || number > most) {
        return false;
    }
    *value = number;
    return true;
}

bool number_parse_strict_u64(struct span text, uint64_t *value)
{
    return read_strict(text, STRICT_U64_SIZE, UINT64_MAX, value);
}

bool number_parse_strict_u32(struct span text, uint32_t *value)
{
    uint64_t number;
    if (!read_strict(text, STRICT_32_SIZE, UINT32_MAX, &number)) {
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

bool number_parse_strict_i32(struct span text, int32_t *value)
{
    bool is_minus = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude;
    if (!read_strict(span_skip(text, is_minus), STRICT_32_SIZE - is_minus, (uint64_t)INT32_MAX + is_minus, &magnitude)) {
        return false;
    }
    *value = (int32_t)(is_minus ? -(int64_t)magnitude : (int64_t)magnitude);
    return true;
}

/* The digits of a mantissa, scaled by `place` each when behind the point. */
static size_t take_mantissa(struct span *text, double *value, double place)
{
    size_t count = 0;
    double scale = 1;
    while (count < text->size && is_digit(text->data[count])) {
        int digit = text->data[count] - '0';
        scale *= place;
        *value = place < 1 ? *value + digit * scale : *value * 10 + digit;
        count++;
    }
    *text = span_skip(*text, count);
    return count;
}

static double scaled(double value, bool is_minus, uint64_t exponent)
{
    for (uint64_t i = 0; i < exponent && value > 0 && value <= DBL_MAX; i++) {
        value = is_minus ? value / 10 : value * 10;
    }
    return value;
}

/* An exponent without digits is no exponent: its 'e' stays in the text. */
static bool take_exponent(struct span *text, double *value)
{
    if (text->size == 0 || (text->data[0] != 'e' && text->data[0] != 'E')) {
        return true;
    }
    struct span behind = span_skip(*text, 1);
    bool is_minus = take_sign(&behind);
    uint64_t exponent;
    if (!take_digits(&behind, &exponent)) {
        return false;
    }
    double number = scaled(*value, is_minus, exponent);
    bool is_in_range = number <= DBL_MAX && (number >= DBL_MIN || *value == 0);
    *text = behind;
    *value = number;
    return is_in_range;
}

bool number_parse_decimal(struct span text, double *value)
{
    skip_spaces(&text);
    bool is_minus = take_sign(&text);
    double number = 0;
    size_t digits = take_mantissa(&text, &number, 1);
    if (text.size > 0 && text.data[0] == '.') {
        text = span_skip(text, 1);
        digits += take_mantissa(&text, &number, 0.1);
    }
    if (digits == 0 || number > DBL_MAX || !take_exponent(&text, &number) || !is_end(text)) {
        return false;
    }
    *value = is_minus ? -number : number;
    return true;
}

static size_t digit_count(uint64_t value)
{
    size_t count = 1;
    while (value >= 10000) {
        value /= 10000;
        count += 4;
    }
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

static const char digit_pairs[] = "0001020304050607080910111213141516171819"
                                  "2021222324252627282930313233343536373839"
                                  "4041424344454647484950515253545556575859"
                                  "6061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

size_t number_format_u64(char text[NUMBER_TEXT_SIZE], uint64_t value)
{
    if (value < 10) {
        text[0] = (char)('0' + value);
        return 1;
    }
    if (value < 1000) { /* most sizes */
        unsigned small = (unsigned)value, hundreds = small / 100;
        text[0] = (char)('0' + hundreds);
        memcpy(text + (hundreds > 0), digit_pairs + small % 100 * 2, 2);
        return 2 + (hundreds > 0);
    }
    size_t count = digit_count(value);
    char *end = text + count;
    while (value >= 100) {
        end -= 2;
        memcpy(end, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        memcpy(text, digit_pairs + value * 2, 2);
    } else {
        text[0] = (char)('0' + value);
    }
    return count;
}
