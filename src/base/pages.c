#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 * 1024 * 1024)

/* Less than a large page is taken as it is. */
static size_t mapped_size(size_t size)
{
    return size < LARGE_PAGE ? size : (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
}

static void *map(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

/* Only what begins and ends with a large page can be all in such. */
static char *map_aligned(size_t size)
{
    char *pages = map(size + LARGE_PAGE);
    if (pages == NULL) return NULL;
    size_t before = (LARGE_PAGE - (uintptr_t)pages % LARGE_PAGE) % LARGE_PAGE;
    if (before > 0) munmap(pages, before);
    munmap(pages + before + size, LARGE_PAGE - before);
    return pages + before;
}

void *pages_new(size_t size)
{
    if (size < LARGE_PAGE) return map(size);
    if (size > SIZE_MAX - 2 * LARGE_PAGE) return NULL;
    char *pages = map_aligned(mapped_size(size));
    if (pages != NULL) madvise(pages, mapped_size(size), MADV_HUGEPAGE); /* where it is refused, small pages do */
    return pages;
}

void pages_free(void *pages, size_t size)
{
    if (pages != NULL) munmap(pages, mapped_size(size));
}

void pages_keep_from_children(void *pages, size_t size)
{
    madvise(pages, mapped_size(size), MADV_DONTFORK);
}
