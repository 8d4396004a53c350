/* Keys opened ahead of the requests that will read or change them, a few at a time.
 *
 * A request waits for memory several times in a row: for the dictionary's entry, for the value's object, for the value's bytes.
 * When several keys are opened one right behind the other, and only then used, the processor fetches most of that for all of
 * them side by side. In a keyspace larger than its caches, that is a fifth of the time of a get with many keys.
 *
 * An open key points into the keyspace, and changing one key moves no other. So the keys of a window are all different, no key
 * is opened twice (the second time may find it expired and remove it), opening any other key for a change closes them first
 * but for the flag ledger's (keyspace.c), and nothing is opened ahead where another module may listen to events, since it may
 * change keys then. Main thread only. */
#ifndef DIGLOT_ENGINE_READ_AHEAD_H
#define DIGLOT_ENGINE_READ_AHEAD_H

#include "base/span.h"
#include "engine/api.h"

#define READ_AHEAD_MAX 16
/* Bits that remember which keys are open, by a part of their hash. */
#define READ_AHEAD_BITS 1024

/* What a key is opened for. */
enum ahead_use {
    AHEAD_READ,
    AHEAD_WRITE,
    AHEAD_OVERWRITE, /* its bytes will be written, and are fetched, too */
};

/* A key that is open. */
struct ahead_key {
    RedisModuleString *name;
    const char *origin;  /* the bytes that it was made of */
    RedisModuleKey *key; /* NULL: absent */
    int type;
    enum ahead_use use;
    char *bytes;        /* of a string that will be read, or overwritten; else NULL … */
    size_t size;        /* … and how many they are */
    const void *reader; /* whoever will use it */
};

struct read_ahead {
    struct ahead_key keys[READ_AHEAD_MAX];
    size_t next; /* the first that nobody has asked for yet */
    const void *reader; /* whose turn it is */
    size_t count;
    int db;
    uint64_t seen[READ_AHEAD_BITS / 64];
};

static inline bool read_ahead_is_empty(const struct read_ahead *ahead)
{
    return ahead->next == ahead->count;
}

/* Adds one more key of this hash, which read_ahead_open will open. The keys of one window are of one database, and nothing may
 * be done with keys in between. False when the window ends here: it is full, or may hold this key already. */
MUST_USE bool read_ahead_add(struct read_ahead *ahead, struct span name, uint64_t hash, enum ahead_use use, const void *reader);

/* Opens what was added, if anything was, in the database `db`, which ctx has selected, and has the values fetched. */
void read_ahead_open(struct read_ahead *ahead, RedisModuleCtx *ctx, int db);

/* The turn of this reader, or writer, has come: closes what was opened for those before it. */
void read_ahead_reach(struct read_ahead *ahead, const void *reader);

/* True when a key is open that was opened for this reader: what others have read of the same window is still in its place. */
static inline bool read_ahead_has(const struct read_ahead *ahead, const void *reader)
{
    for (size_t i = ahead->next; i < ahead->count; i++)
        if (ahead->keys[i].reader == reader) return true;
    return false;
}

/* Hands the next key out, which is the caller's to close from here on, if it was opened for whose turn it is, is the one of this
 * name and open for what it is wanted for; else NULL. */
MUST_USE const struct ahead_key *read_ahead_take(struct read_ahead *ahead, int db, struct span name, bool writes);

/* Closes all that is left. */
void read_ahead_close(struct read_ahead *ahead);

#endif
