/* What the two halves of the meta commands share; nobody else includes this.
 *
 * A flag is a word of the line: a letter, and what it is told right behind it. */
#ifndef DIGLOT_WIRE_META_PARTS_H
#define DIGLOT_WIRE_META_PARTS_H

#include "wire/message.h"

/* All words of a line, the command among them. */
#define META_WORDS_MAX 20
#define META_BASE64 'b'
#define META_OPAQUE 'O'
/* The letter is counted. */
#define META_OPAQUE_MAX 32

/* A letter as a bit of a set. */
#define META_LETTER(letter) (UINT64_C(1) << ((letter) - 'A'))

struct ascii_line;
struct decoded;

/* What the letters of an mg ask for, of what every reader may ask. */
uint32_t meta_get_asks(uint64_t letters);

/* Makes the request of an mg that is as plain as most are; false, and nothing is touched, where it is not. */
bool meta_decode_plain_get(const struct ascii_line *line, struct decoded *decoded);

/* Whether the flags say that the key stands in base64. me looks at its first flag alone, and at the whole of it. */
bool meta_has_encoded_key(enum request_op op, struct span flags);

#endif
