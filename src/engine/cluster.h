/* This node's place in a cluster: which slots it serves. docs/cluster.md tells users.
 *
 * The engine tells modules nothing of slots and no event of their changes, and a map that is a moment old may let a key be
 * stored in a slot that has just become another node's. But every command that a module has the engine execute is checked as a
 * client's is, and a dry run of one costs about 100 ns (Redis 7.0 has none; there a PERSIST of an absent key takes 250). So for
 * every slot that is asked for in a turn the engine is asked once, with a key that does not exist: yes means that the slot is
 * ours and stays, for any key, for the rest of the turn, because nothing but us runs meanwhile. Where it says no, CLUSTER NODES
 * tells the rest: whose the slot is, whether it is on its way, and what a client is to be told. Main thread only. */
#ifndef DIGLOT_ENGINE_CLUSTER_H
#define DIGLOT_ENGINE_CLUSTER_H

#include "command/cluster_map.h"
#include "command/flag_ledger.h"
#include "engine/api.h"
#include "observe/counters.h"
#include "wire/message.h"

struct cluster {
    bool is_enabled; /* else nothing of what follows is used */
    bool is_asking;  /* a command that the filter sees now is our own */
    bool has_map;
    bool must_tell;      /* the ledger is to be told of every slot, whatever it was told before */
    bool has_no_dry_run; /* found out by the first probe */
    RedisModuleCtx *ctx; /* of the module, not of the turn */
    struct flag_ledger *ledger;
    struct counters *counters; /* of the main thread */
    struct slot_authority authority;
    uint32_t turn;
    uint32_t plain_in[HASH_SLOTS]; /* the turn in which the slot was found to be ours and to stay */
    uint16_t plain_slot;           /* the last one that was */
    RedisModuleString *absent[HASH_SLOTS]; /* of each slot, a key that does not exist; made when it is needed */
    struct cluster_map map;
    bool has_news;      /* the map may not hold any more */
    uint64_t read_us;   /* when the map was read, monotonic */
    uint64_t logged_us; /* when a refusal was last written to the log */
    uint64_t unlogged;  /* refusals since then */
};

/* `is_enabled`: the engine runs in cluster mode. What is passed must outlive the struct. */
void cluster_init(struct cluster *cluster, RedisModuleCtx *ctx, bool is_enabled, struct flag_ledger *ledger,
                  struct counters *counters);
void cluster_deinit(struct cluster *cluster);

/* A turn of the executor begins, the keyspace is entered. */
void cluster_begin_turn(struct cluster *cluster);

/* The role has changed, or the keys were loaded anew: what is known of the slots is no news any more. */
void cluster_note_upheaval(struct cluster *cluster);

/* Somebody sends a command about the cluster. */
void cluster_note_command(struct cluster *cluster);

/* True when somebody has, since a turn began. */
static inline bool cluster_has_news(const struct cluster *cluster)
{
    return cluster->is_enabled && cluster->has_news;
}

/* A slot's tenure at this moment. The keyspace is entered, and no key is open. */
enum slot_tenure cluster_confirm(struct cluster *cluster, uint16_t slot);

/* True when the slot of this key is ours and stays, for the rest of the turn. */
bool cluster_is_plain(struct cluster *cluster, uint16_t slot);

/* The name of a key of the slot that does not exist; holds as long as the cluster. */
struct span cluster_absent_key(struct cluster *cluster, uint16_t slot);

/* A key that does not exist, of a slot that is ours and stays for the rest of the turn; NULL: there is none. */
RedisModuleString *cluster_local_key(struct cluster *cluster);

/* The same as cluster_admits for what is not plain. */
bool cluster_admits_open(struct cluster *cluster, struct span name, uint16_t slot, bool writes, struct result *result,
                         char words[CLUSTER_WORDS_SIZE]);

/* Whether a request on this key, the engine's, is served here; if not, fills `result` and `words`, which its text is. The
 * keyspace is entered, and no key is open but for reading ahead. */
static inline bool cluster_admits(struct cluster *cluster, struct span name, bool writes, struct result *result,
                                  char words[CLUSTER_WORDS_SIZE])
{
    uint16_t slot = hash_slot(name);
    return cluster_is_plain(cluster, slot) || cluster_admits_open(cluster, name, slot, writes, result, words);
}

/* Whether the flags of a key that the engine serves a RESP client can be told or set here now. The keyspace is entered. */
bool cluster_has_flags(struct cluster *cluster, uint16_t slot);

/* How many keys of the slot this node has, and the names of some of them, to be freed with FreeCallReply; NULL: none. */
uint64_t cluster_count_keys(struct cluster *cluster, uint16_t slot);
RedisModuleCallReply *cluster_keys(struct cluster *cluster, uint16_t slot, size_t count);

#endif
