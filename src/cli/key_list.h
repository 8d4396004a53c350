/* The list of an old server's keys: `lru_crawler metadump`, read line by line. It has to be read without pauses: the
 * server holds locks meanwhile. */
#ifndef DIGLOT_CLI_KEY_LIST_H
#define DIGLOT_CLI_KEY_LIST_H

#include "cli/channel.h"
#include "cli/spool.h"

#include <stdatomic.h>

enum key_list_status {
    KEY_LIST_KEY,
    KEY_LIST_END,
    KEY_LIST_BROKEN,      /* `error` of the channel tells */
    KEY_LIST_UNSUPPORTED, /* the server cannot list its keys; `refusal` is what it says */
    KEY_LIST_STOPPED,
};

struct key_list {
    struct channel *channel;
    const atomic_bool *stops;
    bool has_begun, has_version;
    /* By its hash table, which misses nothing that moves between its LRUs meanwhile; else by its LRUs. memcached 1.6.18
     * holds up its clients while a list by its hash table waits for its reader; 1.6.38 does not. */
    bool asks_hash;
    char refusal[160];
};

/* A line of metadump; false when it is none, or its key is empty or too long. */
bool key_list_parse_line(struct span line, struct listed_key *key);

/* Whether a server of this version ("1.6.38") may be asked by its hash table. */
bool key_list_trusts_hash(struct span version);

/* Asks on a channel of its own, which stays the caller's. */
void key_list_init(struct key_list *list, struct channel *channel, const atomic_bool *stops);

/* The next key. Lines that are none are passed over. */
MUST_USE enum key_list_status key_list_next(struct key_list *list, struct listed_key *key);

/* Puts the whole list into the spool, and ends that, whatever comes of it. A server that is asked by its LRUs is asked again until
 * hardly anything new comes and it has no more items than are known, or nothing new has come for a second: while it is in use, a list
 * misses about one item in a hundred, and for moments many more. KEY_LIST_END, or what went wrong. `count` grows. */
MUST_USE enum key_list_status key_list_spool(struct key_list *list, struct spool *spool, _Atomic uint64_t *count);

#endif
