/* memcached's binary protocol: bytes ⇄ messages. Pure functions, no allocation while decoding, any thread.
 * Source: memcached's doc/protocol-binary.txt; statuses and texts are memcached 1.6.45's (docs/decisions/0001-oracle.md).
 *
 * A request that tells a token (want_cas) tells it in result.number, or in extras.token when it has extras, as every incr
 * and decr has, whose result.number is the number. */
#ifndef DIGLOT_WIRE_BINARY_H
#define DIGLOT_WIRE_BINARY_H

#include "base/buffer.h"
#include "wire/decode.h"

/* First byte of every request, and of every reply. */
#define BINARY_REQUEST_MAGIC 0x80
#define BINARY_REPLY_MAGIC 0x81

#define BINARY_HEADER_SIZE 24
/* A body said to be larger closes the connection. */
#define BINARY_BODY_MAX (1u << 30)
/* Longest name of a SASL mechanism. */
#define BINARY_MECHANISM_MAX 32
/* Largest user and password together that are looked at; memcached bounds its text login so. */
#define BINARY_LOGIN_MAX (16 * 1024)

enum binary_status {
    BINARY_OK = 0x00,
    BINARY_NOT_FOUND = 0x01,
    BINARY_EXISTS = 0x02,
    BINARY_TOO_LARGE = 0x03,
    BINARY_INVALID = 0x04,
    BINARY_NOT_STORED = 0x05,
    BINARY_NON_NUMERIC = 0x06,
    BINARY_AUTH_ERROR = 0x20,
    BINARY_AUTH_CONTINUE = 0x21,
    BINARY_UNKNOWN_COMMAND = 0x81,
    BINARY_OUT_OF_MEMORY = 0x82,
    BINARY_TEMPORARY_FAILURE = 0x86, /* memcached never says it; its protocol reserves it, and clients know it */
};

/* Decodes the first request of `input`. A request whose value is stored is PARTIAL until all of it is there. *decoded is
 * set for DECODE_REQUEST alone; its spans point into `input` or to static text. In a REQUEST_REPLY `text` is the body and
 * `flags` an enum binary_status; of a Stat, `text` holds the pairs as RESULT_STATS does. */
enum decode_status binary_decode(struct span input, const struct decode_limits *limits, struct extras *extras,
                                 struct decoded *decoded);

/* The same for a client that has to log in first, and has not: what is not a login, nor `version`, is refused as soon as its
 * header is there, and the client dropped behind that. */
enum decode_status binary_decode_before_login(struct span input, const struct decode_limits *limits,
                                              struct extras *extras, struct decoded *decoded);

/* Appends the reply to `request`. `values` are the value bytes of the batch. Nothing is appended for a quiet get that
 * missed, nor for anything else quiet that succeeded. */
void binary_encode(const struct request *request, const struct result *result, struct span values,
                   struct buffer *output);

/* The same for a RESULT_HIT with a value that is sent from elsewhere: all but its bytes. Returns how many of the bytes that it
 * appended stand behind it. */
size_t binary_encode_around(const struct request *request, const struct result *result, struct buffer *output);

#endif
