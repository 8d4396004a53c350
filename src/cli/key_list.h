/* The list of an old server's keys: `lru_crawler metadump`, read line by line. The server goes on only as fast as we read. */
#ifndef DIGLOT_CLI_KEY_LIST_H
#define DIGLOT_CLI_KEY_LIST_H

#include "cli/link.h"
#include "wire/message.h"

#include <stdatomic.h>

struct listed_key {
    char name[ITEM_KEY_MAX];
    size_t size;
    int64_t expiry;      /* unix seconds, -1: never */
    uint64_t item_size;  /* as the server counts it, 0 if it does not say */
};

enum key_list_status {
    KEY_LIST_KEY,
    KEY_LIST_END,
    KEY_LIST_BROKEN,      /* `error` of the link tells */
    KEY_LIST_UNSUPPORTED, /* the server cannot list its keys; `refusal` is what it says */
    KEY_LIST_STOPPED,
};

struct key_list {
    struct link *link;
    const atomic_bool *stops; /* looked at while a busy server is waited for */
    bool has_begun;
    bool asks_all; /* not by its hash table, which misses nothing that moves between LRUs, but by its LRUs */
    char refusal[160];
};

/* A line of metadump; false when it is none, or its key is empty or too long. */
bool key_list_parse_line(struct span line, struct listed_key *key);

/* Asks for the list on a link of its own, which stays the caller's. */
void key_list_init(struct key_list *list, struct link *link, const atomic_bool *stops);

/* The next key. Lines that are none are passed over. */
MUST_USE enum key_list_status key_list_next(struct key_list *list, struct listed_key *key);

#endif
