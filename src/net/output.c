#include "net/output.h"

#include "base/check.h"
#include "base/pieces.h"

#include <errno.h>

/* A value of a mebibyte that is sent from where the engine keeps it goes at once: in four parts that costs half as much again. */
#define BYTES_OF_OFFER ((size_t)1024 * 1024)

_Static_assert(BATCH_APART_LEAST > NEAR_VALUE_MAX, "what goes apart cannot be kept");

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

static void lend_memory(struct connection *connection)
{
    if (connection->output.data == NULL) {
        pool_lend_buffer(&connection->set->pool, &connection->output);
    }
}

void output_encode_due(struct connection *connection)
{
    if (connection->batch == NULL || !batch_is_due(connection->batch)) {
        return;
    }
    lend_memory(connection);
    if (!session_encode(&connection->session, connection->batch, &connection->output, OUTPUT_LIMIT)) {
        connection->is_closing = true;
    }
}

/* ---- Values that are read in the engine ---- */

/* True when a reply that is not encoded yet has a large value, which would be sent from among the batch's: they move when another
 * one comes to them, as it does where an offer is refused. */
static bool holds_large(const struct batch *batch)
{
    for (uint32_t i = batch->encoded; i < batch->executed; i++)
        if (batch->messages[i].result.value_size >= BATCH_APART_LEAST) return true;
    return false;
}

/* The value takes its place behind the replies before it, and leaves when the outlet is settled. */
static bool take_offer(struct outlet *outlet, const struct result *result, struct span value)
{
    struct connection *connection = CONTAINER_OF(outlet, struct connection, outlet);
    struct batch *batch = connection->batch;
    CHECK(batch->apart.size == outlet->held); /* what the client did not take at once would have ended the execution */
    bool can_go = connection->descriptor >= 0 && connection->is_writable;
    if (!can_go || pieces_are_full(&batch->apart) || holds_large(batch)) {
        return false;
    }
    output_encode_due(connection);
    CHECK(batch->apart.size == outlet->held);
    if (batch->encoded != batch->executed) {
        return false;
    }
    lend_memory(connection);
    if (!session_encode_ahead(&connection->session, batch, result, value, &connection->output)) {
        return false;
    }
    outlet->held = batch->apart.size;
    return true;
}

/* What is left of the values that are pending apart is copied, because they will not stay where they are. */
static void keep_rest(struct batch *batch)
{
    buffer_reserve(&batch->values, batch->apart.size);
    for (size_t i = batch->apart.first; i < batch->apart.count; i++) {
        struct piece *piece = &batch->apart.list[i];
        size_t offset = buffer_size(&batch->values);
        buffer_append(&batch->values, piece->bytes);
        piece->bytes = span_skip(buffer_content(&batch->values), offset);
    }
}

/* A failure is told by the next write. */
static void settle_offers(struct outlet *outlet)
{
    struct connection *connection = CONTAINER_OF(outlet, struct connection, outlet);
    while (output_can_go(connection) && output_write(connection, BYTES_OF_OFFER)) {
    }
    if (connection->batch->apart.size > 0) {
        keep_rest(connection->batch);
    }
    outlet->held = 0;
}

void output_init_outlet(struct connection *connection)
{
    connection->outlet = (struct outlet){.least = BATCH_APART_LEAST, .offer = take_offer, .settle = settle_offers};
}
