/* Who serves which hash slot, as this node of a cluster sees it: read off the engine's CLUSTER NODES. Pure. */
#ifndef DIGLOT_COMMAND_CLUSTER_MAP_H
#define DIGLOT_COMMAND_CLUSTER_MAP_H

#include "base/check.h"
#include "base/hash.h"

#include <stdint.h>

/* What a slot is to this node. Without a cluster every slot is ours. */
enum slot_tenure {
    TENURE_OURS,
    TENURE_LEAVING,   /* ours, but its keys go to another node one by one (CLUSTER SETSLOT MIGRATING) */
    TENURE_COMING,    /* another's, and its keys come here one by one (CLUSTER SETSLOT IMPORTING) */
    TENURE_ELSEWHERE, /* another's, or nobody's; keys may come here behind the scenes (Valkey 9's atomic migration) */
};

/* True when clients of this node may be served keys of the slot. */
static inline bool tenure_serves(enum slot_tenure tenure)
{
    return tenure == TENURE_OURS || tenure == TENURE_LEAVING;
}

#define CLUSTER_NODES_MAX 4096
#define CLUSTER_ID_SIZE 40
#define CLUSTER_ADDRESS_SIZE 54 /* of an IPv6 address, a colon and a port */

struct cluster_node {
    char id[CLUSTER_ID_SIZE];
    uint8_t address_size; /* 0: not known */
    char address[CLUSTER_ADDRESS_SIZE];
};

struct cluster_map {
    uint8_t tenure[HASH_SLOTS]; /* enum slot_tenure */
    uint16_t node[HASH_SLOTS];  /* who is to be asked instead: its index and 1; 0: nobody, or we are */
    struct cluster_node *nodes;
    size_t node_count;
};

/* A zeroed struct is a map of a server on its own. */
void cluster_map_deinit(struct cluster_map *map);

/* Reads the reply of CLUSTER NODES. What is beyond CLUSTER_NODES_MAX nodes, or is not understood, is left out. */
void cluster_map_read(struct cluster_map *map, struct span text);

/* Writes what a client is told who asks for a key of this slot in vain: "MOVED 1234 10.0.0.1:6379", "ASK …", or that nobody
 * serves it. Returns its size. */
#define CLUSTER_WORDS_SIZE 80 /* room in a message's extras: REFUSAL_SIZE */
size_t cluster_map_tell(const struct cluster_map *map, uint16_t slot, char words[CLUSTER_WORDS_SIZE]);

#endif
