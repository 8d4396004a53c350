/* The keyspace in memory, for unit tests and fuzzing: struct keyspace_api as a server would keep it, and what RESP clients
 * and the engine itself do to the same keys, with the events that an engine delivers, in its order.
 *
 * It watches over its users: one key open at a time, no change through a key opened for reading, no key opened during a
 * walk; and a value's bytes are a block of their own that is freed when the key is changed or closed, so that the address
 * sanitizer sees who holds on to them. */
#ifndef DIGLOT_TESTS_FAKE_KEYSPACE_H
#define DIGLOT_TESTS_FAKE_KEYSPACE_H

#include "base/buffer.h"
#include "command/flag_ledger.h"
#include "command/keyspace.h"
#include "item/history.h"
#include "item/version.h"

#define FAKE_DATABASES 3
#define FAKE_BUCKETS 128

struct fake_key {
    struct fake_key *next; /* in its bucket */
    enum keyspace_kind kind;
    int64_t expiry;
    int64_t last_use_ms; /* by a client whom it noticed */
    uint64_t uses;       /* that it was told of beside those */
    struct buffer name;
    struct buffer value;
};

struct fake_keyspace {
    struct keyspace keyspace; /* first: what commands see */
    struct fake_key *databases[FAKE_DATABASES][FAKE_BUCKETS];
    struct engine_facts facts; /* `keys` is counted, the rest is the test's */
    int64_t now_ms;
    bool keeps_expired; /* a replica, or paused: expired keys are absent, but stay */
    bool knows_idle;    /* the policy keeps a clock of each key's use */
    size_t retained; /* how often a key was to be retained */
    bool refuses_flush; /* the engine has no such command */
    bool refuses_walk;  /* the same */
    bool has_bad_certs; /* what refresh_certs says */
    bool is_shut_down;  /* the engine was asked to end itself */

    /* Whom events are told to; each may be NULL. */
    struct flag_ledger *ledger;
    struct version_clock *versions;
    struct history *history;

    /* Hears of every event, whoever caused it; may be NULL. */
    void (*on_event)(void *listener, int db, struct span name, const char *event);
    void *event_listener;

    struct buffer events;      /* "set k\n": what was notified */
    struct buffer propagation; /* "SET k v PXAT 1\n": what went to replicas and the append-only file */

    bool is_open;
    bool is_walking;
    enum keyspace_mode mode;
    int open_db;
    struct buffer open_name;
    struct fake_key *open_key; /* NULL: absent */
    int64_t idle_since_ms;     /* when the open key was used before it was opened */
    char *lent;                /* the value's bytes that were given out */
};

void fake_keyspace_init(struct fake_keyspace *fake);
void fake_keyspace_deinit(struct fake_keyspace *fake);

/* Removes all keys without a word, and forgets what was logged. */
void fake_keyspace_clear(struct fake_keyspace *fake);

/* The key, expired or not, or NULL. Changes and tells nothing. */
const struct fake_key *fake_find(const struct fake_keyspace *fake, int db, struct span name);

/* True when the key is a string of these bytes. */
bool fake_holds(const struct fake_keyspace *fake, int db, struct span name, struct span value);

/* True when exactly these lines were logged since the log was last asked; forgets them. */
bool fake_notified(struct fake_keyspace *fake, const char *lines);
bool fake_propagated(struct fake_keyspace *fake, const char *lines);

/* What RESP clients do. Those that can find nothing to do tell whether they did. */
void fake_resp_set(struct fake_keyspace *fake, int db, struct span name, struct span value, int64_t expiry);
void fake_resp_append(struct fake_keyspace *fake, int db, struct span name, struct span value);
/* LPUSH on a key that is no string: makes it, removing a string first (DEL), as its client would have to. */
void fake_resp_lpush(struct fake_keyspace *fake, int db, struct span name);
bool fake_resp_del(struct fake_keyspace *fake, int db, struct span name);
bool fake_resp_expire(struct fake_keyspace *fake, int db, struct span name, int64_t expiry);
bool fake_resp_rename(struct fake_keyspace *fake, int db, struct span from, struct span to);
bool fake_resp_move(struct fake_keyspace *fake, int from_db, struct span name, int to_db);

enum fake_source {
    FAKE_SOURCE_KNOWN,
    FAKE_SOURCE_IN_ANY_DB, /* the listener knows the source's name only */
    FAKE_SOURCE_UNKNOWN,
};
/* COPY … REPLACE. */
bool fake_resp_copy(struct fake_keyspace *fake, int from_db, struct span from, int to_db, struct span to,
                    enum fake_source source);
void fake_resp_flushdb(struct fake_keyspace *fake, int db);
void fake_resp_flushall(struct fake_keyspace *fake);
void fake_resp_swapdb(struct fake_keyspace *fake, int first, int second);

/* What the engine does by itself. It tells of a ledger that it is about to evict (Redis 7.0 does not: fake_resp_del). */
bool fake_engine_evict(struct fake_keyspace *fake, int db, struct span name);
void fake_engine_expire_all(struct fake_keyspace *fake);

#endif
