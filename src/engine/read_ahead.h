/* Keys opened ahead of the requests that will read them, a few at a time.
 *
 * A read waits for memory several times in a row: for the dictionary's entry, for the value's object, for the value's bytes.
 * When several keys are opened one right behind the other, and only then read, the processor fetches most of that for all of
 * them side by side. In a keyspace larger than its caches, that is a fifth of the time of a get with many keys.
 *
 * An open key points into the keyspace, so nothing may change while there are any: opening a key for a change closes them
 * first (keyspace.c), no key is opened twice (the second time may find it expired and remove it), and nothing is opened ahead
 * where another module may listen to events, since it may change keys then. Main thread only. */
#ifndef DIGLOT_ENGINE_READ_AHEAD_H
#define DIGLOT_ENGINE_READ_AHEAD_H

#include "base/span.h"
#include "engine/api.h"

#define READ_AHEAD_MAX 16
/* Bits that remember which keys are open, by a part of their hash. */
#define READ_AHEAD_BITS 1024

/* A key that is open for reading. */
struct ahead_key {
    RedisModuleString *name;
    RedisModuleKey *key; /* NULL: absent */
    int type;
    struct span value;  /* of a string */
    const void *reader; /* whoever will ask for it */
};

struct read_ahead {
    struct ahead_key keys[READ_AHEAD_MAX];
    size_t next; /* the first that nobody has asked for yet */
    size_t count;
    int db;
    uint64_t seen[READ_AHEAD_BITS / 64];
};

static inline bool read_ahead_is_empty(const struct read_ahead *ahead)
{
    return ahead->next == ahead->count;
}

/* Adds one more key, which read_ahead_open will open. The keys of one window are of one database, and nothing may be done
 * with keys in between. False when the window ends here: it is full, or may hold this key already. */
MUST_USE bool read_ahead_add(struct read_ahead *ahead, struct span name, const void *reader);

/* Opens what was added, if anything was, in the database `db`, which ctx has selected, and has the values fetched. */
void read_ahead_open(struct read_ahead *ahead, RedisModuleCtx *ctx, int db);

/* This reader's turn has come: closes what was opened for those before it. */
void read_ahead_reach(struct read_ahead *ahead, const void *reader);

/* Hands the next key out, which is the caller's to close from here on, if it is the one of this name; else NULL. */
MUST_USE const struct ahead_key *read_ahead_take(struct read_ahead *ahead, int db, struct span name);

/* Closes all that is left. */
void read_ahead_close(struct read_ahead *ahead);

#endif
