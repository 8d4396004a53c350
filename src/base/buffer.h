/* A growable run of bytes: filled at its end, consumed at its beginning.
 *
 * Bounds are the callers' business: whoever appends checks its own limit first. Growing moves the bytes, so spans into a
 * buffer hold only until it is next reserved or appended to; consuming moves nothing. Not thread-safe. */
#ifndef DIGLOT_BASE_BUFFER_H
#define DIGLOT_BASE_BUFFER_H

#include "base/span.h"

struct buffer {
    char *data;
    size_t begin; /* first byte not consumed yet */
    size_t end;   /* one behind the last byte filled */
    size_t capacity;
};

void buffer_init(struct buffer *buffer);
void buffer_deinit(struct buffer *buffer);

static inline size_t buffer_size(const struct buffer *buffer)
{
    return buffer->end - buffer->begin;
}

static inline size_t buffer_room(const struct buffer *buffer)
{
    return buffer->capacity - buffer->end;
}

/* Never a NULL span, so that it can be compared and skipped in. */
static inline struct span buffer_content(const struct buffer *buffer)
{
    return buffer->data != NULL ? span_of(buffer->data + buffer->begin, buffer_size(buffer)) : SPAN("");
}

/* Makes room for `size` more bytes behind the end: moves the content to the front where that suffices and copies no more
 * than it frees, else at least doubles the capacity (which stays below four times what was ever needed at once). Aborts
 * when the machine has no memory left, as the engine itself does. */
void buffer_reserve(struct buffer *buffer, size_t size);

/* Moves the content to the front. */
void buffer_compact(struct buffer *buffer);

/* Drops `size` bytes from the beginning; size must not exceed buffer_size(). Frees and moves nothing. */
void buffer_consume(struct buffer *buffer, size_t size);

/* Appends a copy of the bytes. */
void buffer_append(struct buffer *buffer, struct span bytes);

/* Forgets the content. Gives memory back when the capacity is above `keep` bytes. */
void buffer_reset(struct buffer *buffer, size_t keep);

#endif
