/* memcached's classic text protocol: bytes ⇄ messages. Pure functions, no allocation, any thread.
 * Source: memcached-protocol, "Classic text"; where versions differ, memcached 1.6.18's bytes
 * (docs/decisions/0001-oracle.md). */
#ifndef DIGLOT_WIRE_ASCII_H
#define DIGLOT_WIRE_ASCII_H

#include "base/buffer.h"
#include "wire/decode.h"

#define ASCII_KEY_MAX ITEM_KEY_MAX
/* A line that goes on for longer without a newline closes the connection, unless it is a get. */
#define ASCII_LINE_MAX 2048
/* The same for get and gets (gat not among them), where memcached has no bound. */
#define ASCII_GET_LINE_MAX (1024 * 1024)
/* A line that is there with its newline is decoded up to this size, get and gets up to theirs. */
#define ASCII_WHOLE_LINE_MAX (16 * 1024)
/* The largest "user password" that is looked at. */
#define ASCII_TOKEN_MAX (16 * 1024)

/* Decodes the first request of `input`. A storage request is PARTIAL until its whole value is there. *decoded is set for
 * DECODE_REQUEST alone; its spans point into `input`, into `extras`, or to static text. */
enum decode_status ascii_decode(struct span input, const struct decode_limits *limits, struct extras *extras,
                                struct decoded *decoded);

/* The same for a client that has to log in first, and has not: makes a REQUEST_AUTH of a set, and local replies of
 * everything else. */
enum decode_status ascii_decode_login(struct span input, const struct decode_limits *limits, struct extras *extras,
                                     struct decoded *decoded);

/* Moves the first key from *keys to *key; false when none is left. */
bool ascii_next_key(struct span *keys, struct span *key);

/* Appends the reply to `request` in memcached's words. `values` are the value bytes of the batch. Nothing is appended
 * for a quiet request, nor for a get that missed; END follows the key that ends_reply. An error of a get is told once, by
 * the key that ends_reply, in END's place. */
void ascii_encode(const struct request *request, const struct result *result, struct span values, struct buffer *output);

/* The same for a RESULT_HIT with a value that is sent from elsewhere: all but its bytes. Returns how many of the bytes that it
 * appended stand behind it. */
size_t ascii_encode_around(const struct request *request, const struct result *result, struct buffer *output);

#endif
