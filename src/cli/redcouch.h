/* Items as RedCouch stores them: a hash "rc:<key>" with the fields v (value), f (flags, decimal) and c (a token); the expiry is
 * the hash's. The value is its bytes; some versions and copies have it in hexadecimal digits, which cannot be told apart from a
 * value that looks like them: whoever converts says so. Pure. */
#ifndef DIGLOT_CLI_REDCOUCH_H
#define DIGLOT_CLI_REDCOUCH_H

#include "base/buffer.h"

#include <stdint.h>

#define REDCOUCH_PREFIX "rc:"

/* False when the field is no number from 0 to 2^32-1; absent (empty) means 0. */
bool redcouch_flags(struct span field, uint32_t *flags);

/* Appends the bytes that pairs of hexadecimal digits stand for; false, and nothing is appended, when the text is none. */
bool redcouch_unhex(struct span text, struct buffer *output);

#endif
