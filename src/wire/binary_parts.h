/* What the parts of the binary decoder and encoder share; nobody else includes this. */
#ifndef DIGLOT_WIRE_BINARY_PARTS_H
#define DIGLOT_WIRE_BINARY_PARTS_H

#include "wire/binary.h"

#include <endian.h>

enum binary_opcode {
    OPCODE_GET = 0x00,
    OPCODE_SET = 0x01,
    OPCODE_ADD = 0x02,
    OPCODE_REPLACE = 0x03,
    OPCODE_DELETE = 0x04,
    OPCODE_INCR = 0x05,
    OPCODE_DECR = 0x06,
    OPCODE_QUIT = 0x07,
    OPCODE_FLUSH = 0x08,
    OPCODE_GETQ = 0x09,
    OPCODE_NOOP = 0x0a,
    OPCODE_VERSION = 0x0b,
    OPCODE_GETK = 0x0c,
    OPCODE_GETKQ = 0x0d,
    OPCODE_APPEND = 0x0e,
    OPCODE_PREPEND = 0x0f,
    OPCODE_STAT = 0x10,
    OPCODE_SETQ = 0x11,
    OPCODE_ADDQ = 0x12,
    OPCODE_REPLACEQ = 0x13,
    OPCODE_DELETEQ = 0x14,
    OPCODE_INCRQ = 0x15,
    OPCODE_DECRQ = 0x16,
    OPCODE_QUITQ = 0x17,
    OPCODE_FLUSHQ = 0x18,
    OPCODE_APPENDQ = 0x19,
    OPCODE_PREPENDQ = 0x1a,
    OPCODE_TOUCH = 0x1c,
    OPCODE_GAT = 0x1d,
    OPCODE_GATQ = 0x1e,
    OPCODE_SASL_LIST = 0x20,
    OPCODE_SASL_AUTH = 0x21,
    OPCODE_SASL_STEP = 0x22,
    OPCODE_GATK = 0x23,
    OPCODE_GATKQ = 0x24,
    OPCODES
};

/* A request cut into its parts; the value may not be there yet. */
struct binary_frame {
    struct span extras, key;
    struct span behind; /* the input behind the key: the value, and what follows it */
    size_t value_size;
    uint64_t cas; /* of the header */
};

/* Numbers on the wire are big-endian. */
static inline uint32_t binary_read_u32(const char *at)
{
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return be32toh(number);
}

static inline uint64_t binary_read_u64(const char *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof number);
    return be64toh(number);
}

/* Makes the request one that is answered with `status` and `text`. */
enum decode_status binary_reply(struct decoded *decoded, enum binary_status status, struct span text);
/* The same with memcached's text for the status. */
enum decode_status binary_refuse(struct decoded *decoded, enum binary_status status);
/* memcached's text for a status that says that something failed. */
struct span binary_error_text(enum binary_status status);

/* SASL Authenticate and Step: binary_login.c */
enum decode_status binary_decode_login(const struct binary_frame *frame, const struct decode_limits *limits,
                                       struct decoded *decoded);

#endif
