/* Large bytes of a stream that are sent from where they lie, instead of being copied to the others.
 *
 * A stream has a buffer of its own, and pieces that belong between its bytes. They are somebody else's, who keeps them in
 * place until they have left. The buffer may grow and move meanwhile. One thread at a time. */
#ifndef DIGLOT_BASE_PIECES_H
#define DIGLOT_BASE_PIECES_H

#include "base/buffer.h"

#define PIECES_MAX 64
/* A stream with that many pieces has so many parts. */
#define PIECES_PARTS_MAX (2 * PIECES_MAX + 1)

struct piece {
    size_t before; /* bytes of the buffer between the piece before, or the beginning, and this one */
    struct span bytes;
};

struct pieces {
    struct piece list[PIECES_MAX];
    size_t first; /* the next to leave */
    size_t count; /* one behind the last */
    size_t size;  /* bytes of all that are left */
};

static inline void pieces_init(struct pieces *pieces)
{
    pieces->first = pieces->count = pieces->size = 0;
}

static inline bool pieces_are_full(const struct pieces *pieces)
{
    return pieces->count == PIECES_MAX;
}

/* Adds a piece, not an empty one, behind the first `place` bytes of the buffer's content, which must be behind all others. */
void pieces_add(struct pieces *pieces, size_t place, struct span bytes);

/* Tells the stream's first `most` bytes, or all, as parts in their order. Returns how many. */
size_t pieces_gather(const struct pieces *pieces, const struct buffer *buffer, size_t most,
                     struct span parts[PIECES_PARTS_MAX]);

/* The stream's first `size` bytes have left. */
void pieces_consume(struct pieces *pieces, struct buffer *buffer, size_t size);

#endif
