/* A view of bytes that somebody else owns. Never terminated, may hold any byte. */
#ifndef DIGLOT_BASE_SPAN_H
#define DIGLOT_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *data;
    size_t size;
};

/* A string literal as a span. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})

static inline struct span span_of(const void *data, size_t size)
{
    return (struct span){data, size};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_starts_with(struct span text, struct span prefix)
{
    return text.size >= prefix.size && (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

static inline bool span_ends_with(struct span text, struct span end)
{
    return text.size >= end.size && (end.size == 0 || memcmp(text.data + text.size - end.size, end.data, end.size) == 0);
}

/* The span without its first `count` bytes; count must not exceed its size. */
static inline struct span span_skip(struct span text, size_t count)
{
    return (struct span){text.data + count, text.size - count};
}

#endif
