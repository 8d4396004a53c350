/* The room that a connection reads into. It grows with the bytes that have really come, so that whoever announces a large value
 * and does not send it holds little; and it is given back when the large request has gone. One thread at a time. */
#ifndef DIGLOT_NET_INPUT_H
#define DIGLOT_NET_INPUT_H

#include "net/pool.h"

/* Makes room for a read. `needed`: bytes that the input must have for its first request to be whole; 0: not known. `expected`:
 * how large a request may come, for an input without memory, if there is room for that which has been used before. */
void input_make_room(struct buffer *input, size_t needed, size_t expected, struct pool *pool);

/* Before a read: exchanges large memory for small where so little is in it, and to come, that it is not needed. */
void input_give_back(struct buffer *input, size_t needed, struct pool *pool);

#endif
