#include "base/buffer.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>

#define BUFFER_LEAST 256

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){0};
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer);
}

void buffer_compact(struct buffer *buffer)
{
    size_t size = buffer_size(buffer);
    if (size > 0 && buffer->begin > 0) {
        memmove(buffer->data, buffer->data + buffer->begin, size);
    }
    buffer->begin = 0;
    buffer->end = size;
}

static void grow(struct buffer *buffer, size_t least)
{
    size_t capacity = buffer->capacity > BUFFER_LEAST / 2 ? buffer->capacity * 2 : BUFFER_LEAST;
    if (capacity < least) {
        capacity = least;
    }
    buffer->data = check_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
}

void buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer_room(buffer) >= size) {
        return;
    }
    size_t content = buffer_size(buffer);
    CHECK(size <= SIZE_MAX / 4 - content);
    /* A move that frees fewer bytes than it copies would, repeated, cost the square of the content. */
    bool is_cheap = buffer->begin >= content;
    buffer_compact(buffer);
    if (buffer_room(buffer) < size || !is_cheap) {
        grow(buffer, content + size);
    }
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    CHECK(size <= buffer_size(buffer));
    buffer->begin += size;
}

void buffer_append(struct buffer *buffer, struct span bytes)
{
    if (bytes.size == 0) {
        return;
    }
    buffer_reserve(buffer, bytes.size);
    memcpy(buffer->data + buffer->end, bytes.data, bytes.size);
    buffer->end += bytes.size;
}

void buffer_reset(struct buffer *buffer, size_t keep)
{
    if (buffer->capacity > keep) {
        buffer_deinit(buffer);
        return;
    }
    buffer->begin = 0;
    buffer->end = 0;
}
