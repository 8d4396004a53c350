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

/* Whether the flags say that the key stands in base64. me looks at its first flag alone, and at the whole of it. */
bool meta_has_encoded_key(enum request_op op, struct span flags);

#endif
