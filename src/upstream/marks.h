/* The keys that were changed here since the migration began: they are never asked for at an old server again, whatever became of
 * them here. docs/upstream.md and docs/decisions/0007 tell why.
 *
 * A set that can be wrong in one direction only: a key that was changed is always in it, and one that was not may be (then it is
 * a miss where the old server might have had it). For each of the hundred shares of keys there is a plain Redis string, named
 * diglot:upstream:NN, of 64-bit words, little endian; a key has four bits in one word. The strings are written through the
 * keyspace, with the very change that they tell of, so they are persisted and replicated with it. Main thread only, and
 * no key may be open. */
#ifndef DIGLOT_UPSTREAM_MARKS_H
#define DIGLOT_UPSTREAM_MARKS_H

#include "command/keyspace.h"

#include <stdint.h>

/* Keys are told apart into so many shares by their hash. */
#define SHARES 100

/* The share of a key, 0 to 99, from the hash of its name in the engine. */
static inline unsigned share_of(uint64_t key_hash)
{
    return (unsigned)((key_hash >> 32) % SHARES);
}

struct marks {
    struct keyspace *keyspace;
    int db;
    size_t words; /* of a share */
    bool is_loaded;
    uint64_t *shares[SHARES]; /* NULL: no key of the share was changed, or all count as such */
    bool is_full[SHARES];     /* every key of the share counts as changed; its string is "1" */
    bool is_lost; /* somebody has taken a string away or overwritten it */
};

/* `memory`: bytes for all strings together. */
void marks_init(struct marks *marks, struct keyspace *keyspace, int db, size_t memory);
void marks_deinit(struct marks *marks);

/* What is known was another dataset's, or another server's. It is read anew when it is next needed. */
void marks_forget(struct marks *marks);

bool marks_has(struct marks *marks, uint64_t key_hash);
/* Writing must be possible. */
void marks_add(struct marks *marks, uint64_t key_hash);
/* The same for all keys of a share. */
void marks_fill_share(struct marks *marks, unsigned share);
/* The truth about the keys of this share is the old fleet's again. */
void marks_clear_share(struct marks *marks, unsigned share);
/* Another migration begins, or this one has ended. */
void marks_clear(struct marks *marks);

/* How many strings there are: keys that are no items. */
size_t marks_strings(const struct marks *marks);

/* One of the strings was changed by somebody else. May be called while a key is open. */
void marks_note_lost(struct marks *marks);
/* Writes anew what was lost. Writing must be possible. */
void marks_restore(struct marks *marks);

#endif
