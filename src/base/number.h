/* Numbers from and to text. Every number that a peer sends is parsed here and nowhere else. Pure; any thread. */
#ifndef DIGLOT_BASE_NUMBER_H
#define DIGLOT_BASE_NUMBER_H

#include "base/span.h"

#include <stdint.h>

/* Longest text of a 64-bit number, sign included. */
#define NUMBER_TEXT_SIZE 21

/* Plain digits, too few to overflow: nearly every number that comes. False for all others, numbers or not. */
static inline bool number_read_plain(struct span text, uint64_t *value)
{
    if (text.size == 0 || text.size > 18) return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        if (digit > 9) return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

/* Each returns false, and leaves *value alone, unless the text begins with a number in range.
 *
 * memcached reads its numbers with strtoul and friends, and clients rely on what that lets through: leading white space
 * (space, \t \n \v \f \r), a leading '+', and, behind the digits, anything that begins with white space or a NUL. A minus
 * sign in front of an unsigned number gives its two's complement, as strtoull does, and is refused (wherever it stands in
 * the text) when that has its top bit set: memcached's own check. The range is that of 64 bits even where the value has
 * 32: memcached then keeps the low half, and so do these (flags 4294967297 are 1). */
bool number_parse_u64(struct span text, uint64_t *value);
bool number_parse_i64(struct span text, int64_t *value);

static inline bool number_parse_u32(struct span text, uint32_t *value)
{
    uint64_t number;
    if (!number_read_plain(text, &number) && !number_parse_u64(text, &number)) return false;
    *value = (uint32_t)number;
    return true;
}

static inline bool number_parse_i32(struct span text, int32_t *value)
{
    uint64_t plain;
    int64_t number;
    if (number_read_plain(text, &plain))
        number = (int64_t)plain;
    else if (!number_parse_i64(text, &number))
        return false;
    *value = (int32_t)(uint32_t)(uint64_t)number;
    return true;
}

/* The same for the numbers of meta commands, which memcached 1.6.45 reads without leniency: digits alone, leading zeros
 * among them, a minus before those of an i32; the value is in its type's range, and the text has no more than 22 characters
 * (u64) or 11 (the others). */
bool number_parse_strict_u64(struct span text, uint64_t *value);
bool number_parse_strict_u32(struct span text, uint32_t *value);
bool number_parse_strict_i32(struct span text, int32_t *value);

/* A decimal fraction with or without exponent, white space as above; *value is near it, not rounded to the last bit. Less
 * than strtod accepts: no hexadecimal digits, infinities or NaNs. */
bool number_parse_decimal(struct span text, double *value);

/* The value of a hexadecimal digit; -1: it is none. */
static inline int number_hex_digit(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* Writes the decimal digits of `value` to `text`, without a terminator and not a byte beyond them; returns how many. */
size_t number_format_u64(char text[NUMBER_TEXT_SIZE], uint64_t value);

#endif
