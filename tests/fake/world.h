/* Everything that executing requests needs, on the keyspace in memory, as the module would set it up. */
#ifndef DIGLOT_TESTS_FAKE_WORLD_H
#define DIGLOT_TESTS_FAKE_WORLD_H

#include "cache/near_cache.h"
#include "command/command.h"
#include "fake/keyspace.h"
#include "observe/stats.h"

/* The wall clock of a world that begins. */
#define WORLD_BEGIN_MS INT64_C(1700000000000)
/* How long near caches answer without asking again. */
#define WORLD_LIFE_MS 1000

struct world {
    struct fake_keyspace fake;
    struct options options;
    struct counter_board board;
    struct client_list clients;
    struct version_clock versions;
    struct history history;
    struct flag_ledger *ledger;
    struct stats_sources stats;
    struct command_context context;
    struct buffer values; /* of the latest request */
    /* Keep what reads find, one for each database. What they would have answered to a read is compared with what executing it
     * finds: a breach is a failed CHECK. An item whose flags are lost may still be kept with them. */
    struct near_cache *caches[FAKE_DATABASES];
    struct counter_board cache_board;
    struct buffer kept; /* the value that was kept for the latest read … */
    uint32_t kept_flags;
    bool has_kept;      /* … if one was */
    uint64_t kept_count; /* so that tests can see that they tested something */
};

void world_init(struct world *world);
void world_deinit(struct world *world);

/* As good as new, but for the version clock, which never goes back. */
void world_reset(struct world *world);

void world_set_clock(struct world *world, int64_t now_ms);
/* A primary may write or has to put it off. */
void world_set_writable(struct world *world, bool is_writable);

/* Executes a request. The result's value can be read until the next one. */
struct result world_execute(struct world *world, const struct request *request);
struct span world_value(const struct world *world, const struct result *result);

/* A turn of the executor without requests: settles, and sweeps one step. True while there is more to sweep. */
bool world_turn(struct world *world);

/* The name of the ledger string of a slot, found among the keys of a database; false when there is none. */
bool world_find_ledger(const struct world *world, int db, uint16_t slot, struct span *name);

#endif
