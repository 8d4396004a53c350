/* Buffers and batches of one worker, handed out last in, first out: what was used just now is still in the processor's
 * cache, and a connection that waits for its client holds neither. One thread at a time. */
#ifndef DIGLOT_NET_POOL_H
#define DIGLOT_NET_POOL_H

#include "base/buffer.h"
#include "command/batch.h"

/* What a fresh buffer holds, in bytes. */
#define POOL_BUFFER_SIZE ((size_t)16 * 1024)
/* How many of each a pool keeps; what comes back beyond goes to the system. */
#define POOL_DEPTH 128
/* Buffers for large requests: so many, and up to so many bytes each. */
#define POOL_LARGE_DEPTH 4
#define POOL_LARGE_MOST ((size_t)2 * 1024 * 1024)

struct pool {
    struct buffer buffers[POOL_DEPTH];
    size_t buffer_count;
    struct buffer large[POOL_LARGE_DEPTH];
    size_t large_count;
    struct batch *batches[POOL_DEPTH];
    size_t batch_count;
};

void pool_init(struct pool *pool);
void pool_deinit(struct pool *pool);

/* Gives memory to a buffer that has none. */
void pool_lend_buffer(struct pool *pool, struct buffer *buffer);
/* Gives memory for `least` bytes to a buffer that has none, if there is some that has been used for large requests before. */
bool pool_lend_large(struct pool *pool, struct buffer *buffer, size_t least);
/* Takes the memory of a buffer back, if it has any; the content is lost. */
void pool_reclaim_buffer(struct pool *pool, struct buffer *buffer);

/* An empty batch, the caller's until it is reclaimed. */
struct batch *pool_lend_batch(struct pool *pool);
/* Takes *batch back, if there is one, and sets it to NULL. */
void pool_reclaim_batch(struct pool *pool, struct batch **batch);

#endif
