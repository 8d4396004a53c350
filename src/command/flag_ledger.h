/* The flag ledger: where the flags of items are kept whose flags are not 0. docs/flags.md tells the whole idea.
 *
 * Flags live beside the values, in one plain Redis string per hash slot and database named diglot:flags:{tag}, written
 * through the keyspace, so that they are persisted, replicated, dumped and moved with their slot like any key. Law 2: a lost
 * flag is a miss, never a wrong flag. What RESP commands do to items is noted when the engine tells of it and settled before
 * the next read or write here; nothing is written inside an event. Main thread only. */
#ifndef DIGLOT_COMMAND_FLAG_LEDGER_H
#define DIGLOT_COMMAND_FLAG_LEDGER_H

#include "command/cluster_map.h"
#include "command/keyspace.h"
#include "item/key.h"
#include "item/version.h"

struct flag_ledger;

/* `versions` is told where flags or marks change. `databases`: how many the engine has. */
struct flag_ledger *flag_ledger_new(struct keyspace *keyspace, struct version_clock *versions, int databases);
void flag_ledger_free(struct flag_ledger **ledger);

/* What the server is now. A replica follows the ledger strings that its primary writes: it takes no notes and writes
 * nothing. A primary may have to put off writing for a while (is_writable false). */
void flag_ledger_set_role(struct flag_ledger *ledger, bool is_primary, bool is_writable);

/* True when something is left to be settled. */
bool flag_ledger_has_notes(const struct flag_ledger *ledger);

/* True when settling or sweeping has something to do. */
bool flag_ledger_has_work(const struct flag_ledger *ledger);

/* What the ledger keeps of an item. All zero for most. */
struct item_flags {
    uint32_t flags; /* the client's */
    uint32_t marks; /* LEDGER_STALE, LEDGER_WON (item/ledger.h) */
};

/* True when no item of the database has flags, nor had any that were lost: its keys need no slot (item/key.h). */
bool flag_ledger_is_blank(const struct flag_ledger *ledger, int db);

/* How many ledger strings are known in the database: keys that are no items. */
size_t flag_ledger_strings(const struct flag_ledger *ledger, int db);

/* Finds out about a few more slots of the database, in the end whether it is blank. To be called once in a while; cheap when
 * nothing is left to find out. No key may be open. */
void flag_ledger_explore(struct flag_ledger *ledger, int db);

/* Uses the ledger strings of so many slots of the database, so that the engine evicts items and not them, and removes those
 * that say nothing. To be called some times a second while it may evict. A fraction of a millisecond, if all of them have ledgers. No key may be open. */
#define FLAG_LEDGER_RETAINED_AT_ONCE 1024
void flag_ledger_retain(struct flag_ledger *ledger, int db);

/* The flags of an item, if it exists. False: they are lost, and the item must answer as a miss. No key may be open. */
bool flag_ledger_read(struct flag_ledger *ledger, int db, const struct item_key *key, struct item_flags *flags);

/* The item was written anew with these flags, or removed (all zero). Must be writable; no key may be open. */
void flag_ledger_write(struct flag_ledger *ledger, int db, const struct item_key *key, struct item_flags flags);

/* Does what events left to be done, as far as it may be written. No key may be open. */
void flag_ledger_settle(struct flag_ledger *ledger);

/* Removes some of the items whose flags are lost. True while there is more to do. No key may be open. */
bool flag_ledger_sweep(struct flag_ledger *ledger);

/* True when the key is the ledger string of a slot. */
bool flag_ledger_owns(const struct flag_ledger *ledger, const struct item_key *key);
/* True when memcached clients must keep off this key, because it is or looks like a ledger's. */
bool flag_ledger_reserves(struct span name);

/* What events tell. These may be called while a key is open, and write nothing. */

/* A key came into being ("new"), by whatever command. */
void flag_ledger_note_new(struct flag_ledger *ledger, int db, const struct item_key *key);
/* A key was written anew by RESP: no flags. */
void flag_ledger_note_overwrite(struct flag_ledger *ledger, int db, const struct item_key *key);
/* A key was removed, has expired or was evicted, or has gone to another node of the cluster. */
void flag_ledger_note_removed(struct flag_ledger *ledger, int db, const struct item_key *key);
/* A key came from another node of the cluster, by its MIGRATE. */
void flag_ledger_note_came(struct flag_ledger *ledger, int db, const struct item_key *key);
/* A key was renamed or moved, or copied: the flags go along. */
void flag_ledger_note_move(struct flag_ledger *ledger, int from_db, const struct item_key *from, int to_db,
                           const struct item_key *to);
void flag_ledger_note_copy(struct flag_ledger *ledger, int from_db, const struct item_key *from, int to_db,
                           const struct item_key *to);
/* A key was copied from this one, in a database that is not known. */
void flag_ledger_note_copy_from_any_db(struct flag_ledger *ledger, const struct item_key *from, int to_db,
                                       const struct item_key *to);
/* A key was copied from nobody knows where. */
void flag_ledger_note_unknown(struct flag_ledger *ledger, int db, const struct item_key *key);
/* A ledger string was lost or written by a stranger. */
void flag_ledger_note_ledger_lost(struct flag_ledger *ledger, int db, uint16_t slot);
/* The engine is about to evict a ledger string. */
void flag_ledger_note_ledger_leaving(struct flag_ledger *ledger, int db, uint16_t slot, struct span table);
/* It has evicted it: the one that was leaving last is put back, another one is lost. */
void flag_ledger_note_ledger_evicted(struct flag_ledger *ledger, int db, uint16_t slot);
/* A ledger string went to another node of the cluster, by our MIGRATE. */
void flag_ledger_note_ledger_left(struct flag_ledger *ledger, int db, uint16_t slot);
/* A ledger string was written by our primary, or came with its slot. */
void flag_ledger_note_ledger_changed(struct flag_ledger *ledger, int db, uint16_t slot);
void flag_ledger_note_emptied(struct flag_ledger *ledger, int db);
void flag_ledger_note_swapped(struct flag_ledger *ledger, int first, int second);
/* Everything was loaded anew. */
void flag_ledger_note_loaded(struct flag_ledger *ledger);

/* ---- In a cluster (ledger_tenure.c; docs/cluster.md tells the whole idea) ---- */

/* Whoever knows the cluster. `owner` is handed to its functions. */
struct slot_authority {
    void *owner;
    /* What the slot is to us at this moment; where that has changed it tells flag_ledger_set_tenure first. */
    enum slot_tenure (*confirm)(void *owner, uint16_t slot);
    /* How many keys of the slot this node has. */
    uint64_t (*count_keys)(void *owner, uint16_t slot);
    /* Visits so many of them, or all. */
    void (*visit_keys)(void *owner, uint16_t slot, size_t most, void (*visit)(void *context, struct span key), void *context);
};

/* From now on slots may be others'. `authority` outlives the ledger. */
void flag_ledger_join_cluster(struct flag_ledger *ledger, const struct slot_authority *authority);

/* What a slot is to us has changed, or is told for the first time (`is_news` false: what it was before is not known). No key
 * may be open. */
void flag_ledger_set_tenure(struct flag_ledger *ledger, uint16_t slot, enum slot_tenure tenure, bool is_news);

/* A key of the slot is about to come from another node. No key may be open. */
void flag_ledger_expect(struct flag_ledger *ledger, uint16_t slot);

/* True when the flags of the slot's items are at another node already. No key may be open. */
bool flag_ledger_has_left(struct flag_ledger *ledger, int db, uint16_t slot);

/* True when the slot has a ledger string here. No key may be open. */
bool flag_ledger_is_here(struct flag_ledger *ledger, int db, uint16_t slot);

/* The name of a slot's ledger string, in `name`. */
#define LEDGER_NAME_SIZE 32
struct span flag_ledger_name(const struct flag_ledger *ledger, uint16_t slot, char name[LEDGER_NAME_SIZE]);

/* The tag whose hash is the slot; holds as long as the ledger. */
const char *flag_ledger_tag(const struct flag_ledger *ledger, uint16_t slot);

#endif
