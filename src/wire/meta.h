/* The replies to memcached's meta commands; ascii_decode makes their requests, ascii_encode hands their results on to here.
 * Pure functions, no allocation but the output buffer's, any thread.
 * Source: memcached's doc/protocol.txt, "Meta Commands"; where versions differ, memcached 1.6.45's bytes.
 *
 * Three things are not memcached's:
 *  - a request that is refused changes nothing (there an opaque too long is only found behind T, N and the sum);
 *  - a key comes back in base64 when the request has it so, not when the item was stored so;
 *  - what is not known of an item (h, l, and me's la and fetch) is left out. */
#ifndef DIGLOT_WIRE_META_H
#define DIGLOT_WIRE_META_H

#include "base/buffer.h"
#include "wire/message.h"

/* Appends the reply to a request that has extras: one of a meta command that its decoder did not answer itself. `values` are
 * the value bytes of the batch. Nothing is appended where the quiet form hides the result: a miss of mg, and success of
 * ms, md and ma; errors never. */
void meta_encode(const struct request *request, const struct result *result, struct span values, struct buffer *output);

/* As ascii_encode_around. */
size_t meta_encode_around(const struct request *request, const struct result *result, struct buffer *output);

#endif
