#include "net/pool.h"

/* Buffers that have grown beyond this are large. */
#define POOL_BUFFER_MOST (2 * POOL_BUFFER_SIZE)

void pool_init(struct pool *pool)
{
    pool->buffer_count = 0;
    pool->large_count = 0;
    pool->batch_count = 0;
}

void pool_deinit(struct pool *pool)
{
    while (pool->buffer_count > 0) {
        buffer_deinit(&pool->buffers[--pool->buffer_count]);
    }
    while (pool->large_count > 0) {
        buffer_deinit(&pool->large[--pool->large_count]);
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

bool pool_lend_large(struct pool *pool, struct buffer *buffer, size_t least)
{
    for (size_t i = pool->large_count; i > 0; i--) {
        if (pool->large[i - 1].capacity >= least) {
            *buffer = pool->large[i - 1];
            pool->large[i - 1] = pool->large[--pool->large_count];
            return true;
        }
    }
    return false;
}

/* Keeps the larger ones, as they serve for smaller requests, too. Either way the caller's is gone. */
static void keep_large(struct pool *pool, struct buffer *buffer)
{
    buffer_reset(buffer, POOL_LARGE_MOST);
    if (pool->large_count < POOL_LARGE_DEPTH && buffer->data != NULL) {
        pool->large[pool->large_count++] = *buffer;
        return;
    }
    for (size_t i = 0; i < pool->large_count; i++) {
        if (pool->large[i].capacity < buffer->capacity) {
            struct buffer smaller = pool->large[i];
            pool->large[i] = *buffer;
            *buffer = smaller;
        }
    }
    buffer_deinit(buffer);
}

void pool_reclaim_buffer(struct pool *pool, struct buffer *buffer)
{
    if (buffer->data == NULL) {
        return;
    }
    bool has_common_size = buffer->capacity >= POOL_BUFFER_SIZE && buffer->capacity <= POOL_BUFFER_MOST;
    if (buffer->capacity > POOL_BUFFER_MOST) {
        keep_large(pool, buffer);
    } else if (has_common_size && pool->buffer_count < POOL_DEPTH) {
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
