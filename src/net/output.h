/* What waits for a client to take it: encoded replies, and between them values that are sent from where they lie. The worker's
 * thread only. */
#ifndef DIGLOT_NET_OUTPUT_H
#define DIGLOT_NET_OUTPUT_H

#include "net/connection.h"

/* While this much output is pending, nothing more is executed or encoded. */
#define OUTPUT_LIMIT ((size_t)256 * 1024)

static inline size_t output_size(const struct connection *connection)
{
    const struct batch *batch = connection->batch;
    return buffer_size(&connection->output) + (batch != NULL ? batch->apart.size : 0);
}

static inline bool output_can_go(const struct connection *connection)
{
    return connection->is_writable && output_size(connection) > 0;
}

/* Writes what the socket takes of it, `most` bytes at most, where it can go; false when the socket has failed. */
MUST_USE bool output_write(struct connection *connection, size_t most);

/* Encodes the replies that are due, as far as there is room for them. */
void output_encode_due(struct connection *connection);

/* Makes the outlet that takes values of the connection's batch while it is executed: it sends several with one call. */
void output_init_outlet(struct connection *connection);

#endif
