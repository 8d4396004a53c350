/* Rings: intrusive doubly linked lists. A ring is a link of its own that starts and ends it; a link in no ring points to
 * itself, so that removing it twice is harmless. One thread at a time. */
#ifndef DIGLOT_NET_RING_H
#define DIGLOT_NET_RING_H

#include <stdbool.h>
#include <stddef.h>

/* The struct that has `pointer` as its member. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

struct ring {
    struct ring *next;
    struct ring *previous;
};

static inline void ring_init(struct ring *ring)
{
    ring->next = ring;
    ring->previous = ring;
}

static inline bool ring_is_empty(const struct ring *ring)
{
    return ring->next == ring;
}

static inline void ring_remove(struct ring *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    ring_init(link);
}

/* Puts a link that is in no ring at the end. */
static inline void ring_append(struct ring *ring, struct ring *link)
{
    link->next = ring;
    link->previous = ring->previous;
    link->previous->next = link;
    ring->previous = link;
}

#endif
