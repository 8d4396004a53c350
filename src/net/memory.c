#include "net/memory.h"

/* The values of a batch that is away are the executor's, and lent. */
static size_t size_held(const struct connection *connection)
{
    const struct batch *batch = connection->batch;
    size_t size = connection->input.capacity + connection->output.capacity;
    if (batch == NULL) {
        return size;
    }
    return size + sizeof(*batch) + (connection->is_away ? 0 : batch->values.capacity + batch->errand_bytes);
}

static void set_held(struct connection *connection, size_t size)
{
    struct connection_set *set = connection->set;
    if (size == connection->held) {
        return;
    }
    set->held += size - connection->held; /* unsigned: less is more than enough around */
    counter_add(set->counters, COUNTER_CLIENT_BYTES, (uint64_t)size - (uint64_t)connection->held);
    connection->held = size;
}

/* The ring of holders has those in front that have waited longest. */
static void enter_holders(struct connection *connection, bool has_moved)
{
    if (connection->held == 0 || connection->is_away) {
        ring_remove(&connection->holders);
    } else if (has_moved || ring_is_empty(&connection->holders)) {
        ring_remove(&connection->holders);
        ring_append(&connection->set->holders, &connection->holders);
    }
}

void memory_begin_turn(struct connection_set *set)
{
    size_t most = (size_t)option_get(set->shared->options, maxmemory_clients);
    size_t workers = set->shared->worker_count > 0 ? set->shared->worker_count : 1;
    set->held_most = most > 0 ? most / workers : SIZE_MAX;
}

static void drop(struct connection *connection)
{
    connection->end = "error";
    counter_add(connection->set->counters, COUNTER_MEMORY_KICKS, 1);
    connection_close(connection);
}

void memory_account(struct connection *connection, bool has_moved)
{
    struct connection_set *set = connection->set;
    set_held(connection, size_held(connection));
    enter_holders(connection, has_moved);
    while (memory_is_short(set)) {
        struct ring *oldest = set->holders.next == &connection->holders ? connection->holders.next : set->holders.next;
        if (oldest == &set->holders) {
            return; /* nobody else waits */
        }
        drop(CONTAINER_OF(oldest, struct connection, holders));
    }
}

void memory_settle_loan(struct connection *connection)
{
    struct batch *batch = connection->batch;
    if (batch != NULL && batch->lent > 0) {
        atomic_fetch_sub_explicit(&connection->set->shared->lent, batch->lent, memory_order_relaxed);
        batch->lent = 0;
    }
}

void memory_forget(struct connection *connection)
{
    ring_remove(&connection->holders);
    set_held(connection, 0);
}
