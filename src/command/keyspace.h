/* The keyspace as commands see it: Redis keys, one open at a time. Implemented by engine/keyspace.c on the module API and
 * by tests/fake/keyspace.c in memory. Main thread only.
 *
 * Every change that goes through here is propagated (AOF, replicas), notifies keyspace events and invalidates WATCH and
 * client tracking as the RESP command named by `event` would; it does not check whether the engine takes writes now
 * (engine/gate.h does, before). */
#ifndef DIGLOT_COMMAND_KEYSPACE_H
#define DIGLOT_COMMAND_KEYSPACE_H

#include "base/span.h"
#include "observe/stats.h"

#include <stdint.h>

enum keyspace_kind {
    KEYSPACE_ABSENT, /* expired keys are absent */
    KEYSPACE_STRING,
    KEYSPACE_FOREIGN, /* a key of another type */
};

enum keyspace_mode {
    KEYSPACE_READ,
    KEYSPACE_WRITE, /* opened for a change; opening alone changes and invalidates nothing */
    /* The same, without counting as a use of the key for the engine's LRU or LFU. */
    KEYSPACE_READ_UNNOTICED,
    KEYSPACE_WRITE_UNNOTICED,
};

static inline bool keyspace_mode_writes(enum keyspace_mode mode)
{
    return mode == KEYSPACE_WRITE || mode == KEYSPACE_WRITE_UNNOTICED;
}

/* No expiry. */
#define KEYSPACE_NO_EXPIRY (-1)

struct keyspace;

struct keyspace_api {
    /* Opens a key of database `db`. No other key may be open. */
    enum keyspace_kind (*open)(struct keyspace *keyspace, int db, struct span key, enum keyspace_mode mode);
    /* The value of the open string; holds until the key is changed or closed. */
    struct span (*value)(struct keyspace *keyspace);
    /* The size of the open string, in bytes; unlike the value, without a change of how the engine keeps it. */
    size_t (*size)(struct keyspace *keyspace);
    /* Seconds since the open key was used, before it was opened if that went unnoticed; -1: the engine does not know. */
    int64_t (*idle)(struct keyspace *keyspace);
    /* The open key was used so many times more than the engine has seen; for its LFU. */
    void (*use)(struct keyspace *keyspace, uint32_t times);
    /* Expiry of the open key, ms since the epoch, or KEYSPACE_NO_EXPIRY. */
    int64_t (*expiry)(struct keyspace *keyspace);
    /* Makes the open key a string of these bytes that expires at `expiry`, whatever it was. `value` must not point into
     * the open value. `event`: "set", "incrby" … */
    void (*store)(struct keyspace *keyspace, struct span value, int64_t expiry, const char *event);
    /* Makes the open string longer by these bytes (APPEND), which must not point into it. */
    void (*append)(struct keyspace *keyspace, struct span bytes);
    /* Overwrites bytes inside the open string, which must reach beyond them (SETRANGE). */
    void (*patch)(struct keyspace *keyspace, size_t offset, struct span bytes);
    /* Removes the open key ("del"). */
    void (*remove)(struct keyspace *keyspace);
    /* Changes the open key's expiry ("expire", "persist"). */
    void (*expire)(struct keyspace *keyspace, int64_t expiry);
    /* Has the engine evict others before the open key, as far as its policy looks at use. Opening has counted as one. */
    void (*retain)(struct keyspace *keyspace);
    void (*close)(struct keyspace *keyspace);
    /* Empties database `db` (FLUSHDB ASYNC). False when the engine does not let us (a renamed command). */
    bool (*flush)(struct keyspace *keyspace, int db);
    /* Visits about `effort` buckets of keys from *cursor on (0 starts); false when the walk has come to its end. Keys
     * that stay in place during the whole walk are visited at least once. The visitor must not open keys. */
    bool (*scan)(struct keyspace *keyspace, int db, uint64_t *cursor, size_t effort,
                 void (*visit)(void *context, struct span key), void *context);
    /* Visits about `count` keys from *cursor on: 0 starts, and is left behind when the walk has come to its end. All that is
     * known of the walk is the cursor, and any number may be given; keys that stay in place during the whole walk are visited
     * at least once. The visitor may open keys. False when the engine does not let us (a renamed command). */
    bool (*walk)(struct keyspace *keyspace, int db, uint64_t *cursor, size_t count,
                 void (*visit)(void *context, struct span key), void *context);
    /* Has the engine end itself as it does when it is told to terminate: soon, after saving what it is configured to save. */
    void (*shut_down)(struct keyspace *keyspace);
    /* Reads the certificates of the TLS door anew; false, with a line in the log, when they cannot be used. */
    bool (*refresh_certs)(struct keyspace *keyspace);
    /* `db`: whose keys are counted. */
    void (*facts)(struct keyspace *keyspace, int db, struct engine_facts *facts);
};

struct keyspace {
    const struct keyspace_api *api;
};

#endif
