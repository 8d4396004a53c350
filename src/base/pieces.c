#include "base/pieces.h"

#include "base/check.h"

void pieces_add(struct pieces *pieces, size_t place, struct span bytes)
{
    CHECK(!pieces_are_full(pieces) && bytes.size > 0);
    for (size_t i = pieces->first; i < pieces->count; i++) {
        CHECK(pieces->list[i].before <= place);
        place -= pieces->list[i].before;
    }
    pieces->list[pieces->count++] = (struct piece){place, bytes};
    pieces->size += bytes.size;
}

/* The parts told so far, and how much more may be. */
struct gathering {
    struct span *parts;
    size_t count;
    size_t room;
};

static void gather(struct gathering *gathering, struct span bytes)
{
    if (bytes.size > gathering->room) bytes.size = gathering->room;
    if (bytes.size == 0) return;
    gathering->parts[gathering->count++] = bytes;
    gathering->room -= bytes.size;
}

size_t pieces_gather(const struct pieces *pieces, const struct buffer *buffer, size_t most,
                     struct span parts[PIECES_PARTS_MAX])
{
    struct gathering gathering = {parts, 0, most};
    struct span own = buffer_content(buffer);
    for (size_t i = pieces->first; i < pieces->count; i++) {
        const struct piece *piece = &pieces->list[i];
        gather(&gathering, span_of(own.data, piece->before));
        gather(&gathering, piece->bytes);
        own = span_skip(own, piece->before);
    }
    gather(&gathering, own);
    return gathering.count;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void pieces_consume(struct pieces *pieces, struct buffer *buffer, size_t size)
{
    while (pieces->first < pieces->count) {
        struct piece *piece = &pieces->list[pieces->first];
        size_t own = least(size, piece->before);
        buffer_consume(buffer, own);
        piece->before -= own;
        size_t theirs = least(size - own, piece->bytes.size);
        piece->bytes = span_skip(piece->bytes, theirs);
        pieces->size -= theirs;
        size -= own + theirs;
        if (piece->bytes.size > 0) return;
        pieces->first++;
    }
    pieces_init(pieces);
    buffer_consume(buffer, size);
}
