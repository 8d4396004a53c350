/* What comes most often in a stream, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi 2005). The table keeps a fixed number
 * of texts; one that finds no room takes the place of the rarest and inherits its count, which is by how much it may be
 * counted too high. What makes up more than a part in HEAVY_HITTERS of the stream is always there. Main thread only. */
#ifndef DIGLOT_OBSERVE_HEAVY_HITTERS_H
#define DIGLOT_OBSERVE_HEAVY_HITTERS_H

#include "base/buffer.h"

#include <stdint.h>

#define HEAVY_HITTERS 64
/* Longer texts are cut. */
#define HEAVY_HITTER_TEXT_MAX 64

struct heavy_hitter {
    uint64_t count;  /* how often it came, at most … */
    uint64_t excess; /* … and by how much less it may have been */
    size_t size;
    char text[HEAVY_HITTER_TEXT_MAX];
};

/* A zeroed struct is an empty table. */
struct heavy_hitters {
    size_t used;
    uint64_t hashes[HEAVY_HITTERS]; /* of the texts, in the order of the entries */
    struct heavy_hitter entries[HEAVY_HITTERS];
};

/* The text has come once more. */
void heavy_hitters_count(struct heavy_hitters *table, struct span text);

/* Appends pairs (observe/stats.h) "LABEL:TEXT" and the count, or "LEAST-MOST" where it is not certain; the most frequent first.
 * Texts are URI-encoded. */
void heavy_hitters_render(const struct heavy_hitters *table, const char *label, struct buffer *output);

#endif
