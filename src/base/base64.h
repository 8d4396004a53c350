/* Base64 as memcached's meta commands and mgdump speak it. Pure; any thread.
 *
 * Encoding is RFC 4648's, padded and without line ends. Decoding is as lenient as memcached 1.6.45's, so that every key
 * that it takes for one is the same key here; no library's decoder does that, which is why this one is our own:
 *  - bytes outside the alphabet are passed over, wherever they stand;
 *  - what is left, padding included, must be a multiple of four;
 *  - '=' counts as six zero bits, wherever it stands in its group of four; the first group with one or two of them is the
 *    last that is read, and gives as many bytes less; bits behind the last byte are not looked at. */
#ifndef DIGLOT_BASE_BASE64_H
#define DIGLOT_BASE_BASE64_H

#include "base/span.h"

/* What `size` bytes take when encoded. size must be below 2^61. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4)

/* Writes BASE64_SIZE(bytes.size) characters to `text`, no terminator; returns how many. */
size_t base64_encode(struct span bytes, char *text);

/* Decodes to `bytes`, which has `room`; returns how many were written. 0: the text is none, encodes nothing, or has more
 * than `room` bytes for four bytes of every three (room for text.size / 4 * 3 always suffices). */
size_t base64_decode(struct span text, char *bytes, size_t room);

#endif
