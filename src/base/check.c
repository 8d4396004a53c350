#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "diglot: %s:%d: check failed: %s\n", file, line, condition);
    abort();
}

/* malloc may answer NULL for zero bytes: that is no want of memory. */
static void *check_memory(void *memory, size_t size)
{
    if (memory == NULL && size > 0) {
        fprintf(stderr, "diglot: out of memory allocating %zu bytes\n", size);
        abort();
    }
    return memory;
}

void *check_malloc(size_t size)
{
    return check_memory(malloc(size), size);
}

void *check_calloc(size_t count, size_t size)
{
    /* The product may overflow; calloc has refused by then, and any number above zero names the failure. */
    return check_memory(calloc(count, size), count > 0 && size > 0 ? count * size | 1 : 0);
}

void *check_calloc_aligned(size_t alignment, size_t size)
{
    return memset(check_memory(aligned_alloc(alignment, size), size), 0, size);
}

void *check_realloc(void *memory, size_t size)
{
    return check_memory(realloc(memory, size), size);
}
