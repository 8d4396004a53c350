/* Numbers from and to text. Every number that a peer sends is parsed here and nowhere else. Pure; any thread. */
#ifndef DIGLOT_BASE_NUMBER_H
#define DIGLOT_BASE_NUMBER_H

#include "base/span.h"

#include <stdint.h>

/* Longest text of a 64-bit number, sign included. */
#define NUMBER_TEXT_SIZE 21

/* Each returns false, and leaves *value alone, unless the whole text is a number in range.
 *
 * memcached reads its numbers with strtoul and friends, and clients rely on what that lets through: leading white space
 * (space, \t \n \v \f \r), a leading '+', and, behind the digits, anything that begins with white space. A minus sign in
 * front of an unsigned number is refused unless the number's two's complement still has its top bit clear, as strtoull
 * would yield it (memcached's own check). */
bool number_parse_u64(struct span text, uint64_t *value);
bool number_parse_u32(struct span text, uint32_t *value);
bool number_parse_i64(struct span text, int64_t *value);
bool number_parse_i32(struct span text, int32_t *value);

/* Writes the decimal digits of `value` to `text`, without a terminator; returns how many. */
size_t number_format_u64(char text[NUMBER_TEXT_SIZE], uint64_t value);

#endif
