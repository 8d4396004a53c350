#include "net/output.h"

#include "base/pieces.h"

#include <errno.h>

static void count_written(struct connection *connection, size_t size)
{
    if (connection->batch != NULL) {
        pieces_consume(&connection->batch->apart, &connection->output, size);
    } else {
        buffer_consume(&connection->output, size);
    }
    connection->wrote_us = connection->set->now_us;
    turn_move(&connection->set->turn, size);
    connection->has_moved |= size > 0;
    counter_add(connection->set->counters, COUNTER_BYTES_WRITTEN, size);
}

/* Hands the socket up to `size` bytes of what is pending. */
static ssize_t send_output(const struct connection *connection, size_t size)
{
    const struct batch *batch = connection->batch;
    if (batch == NULL || batch->apart.size == 0) {
        struct span own = buffer_content(&connection->output);
        return transport_send(connection->descriptor, connection->tls, span_of(own.data, size));
    }
    struct span parts[PIECES_PARTS_MAX];
    size_t count = pieces_gather(&batch->apart, &connection->output, size, parts);
    return transport_send_parts(connection->descriptor, connection->tls, parts, count);
}

bool output_write(struct connection *connection, size_t most)
{
    size_t pending = output_size(connection);
    size_t size = pending < most ? pending : most;
    ssize_t sent = send_output(connection, size);
    if (sent >= 0) {
        count_written(connection, (size_t)sent);
        connection->is_writable = (size_t)sent == size || connection->tls != NULL; /* TLS takes a part at a time */
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        connection->is_writable = false;
        return true;
    }
    return errno == EINTR;
}
