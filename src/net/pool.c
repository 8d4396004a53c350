#include "net/pool.h"

/* Buffers that have grown beyond this go back to the system. */
#define POOL_BUFFER_MOST (2 * POOL_BUFFER_SIZE)

void pool_init(struct pool *pool)
{
    pool->buffer_count = 0;
    pool->batch_count = 0;
}

void pool_deinit(struct pool *pool)
{
    while (pool->buffer_count > 0) {
        buffer_deinit(&pool->buffers[--pool->buffer_count]);
    }
    while (pool->batch_count > 0) {
        batch_free(&pool->batches[--pool->batch_count]);
    }
}

void pool_lend_buffer(struct pool *pool, struct buffer *buffer)
{
    if (pool->buffer_count > 0) {
        *buffer = pool->buffers[--pool->buffer_count];
    } else {
        buffer_init(buffer);
        buffer_reserve(buffer, POOL_BUFFER_SIZE);
    }
}

void pool_reclaim_buffer(struct pool *pool, struct buffer *buffer)
{
    if (buffer->data == NULL) {
        return;
    }
    bool has_common_size = buffer->capacity >= POOL_BUFFER_SIZE && buffer->capacity <= POOL_BUFFER_MOST;
    if (has_common_size && pool->buffer_count < POOL_DEPTH) {
        buffer_reset(buffer, POOL_BUFFER_MOST);
        pool->buffers[pool->buffer_count++] = *buffer;
    } else {
        buffer_deinit(buffer);
    }
    buffer_init(buffer);
}

struct batch *pool_lend_batch(struct pool *pool)
{
    return pool->batch_count > 0 ? pool->batches[--pool->batch_count] : batch_new();
}

void pool_reclaim_batch(struct pool *pool, struct batch **batch)
{
    if (*batch == NULL) {
        return;
    }
    if (pool->batch_count == POOL_DEPTH) {
        batch_free(batch);
        return;
    }
    batch_reset(*batch);
    pool->batches[pool->batch_count++] = *batch;
    *batch = NULL;
}
