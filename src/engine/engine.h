/* The engine side of the program, as the callbacks of the module API find it. The API hands them no pointer of ours, so this
 * is the one place that keeps one. Main thread only. */
#ifndef DIGLOT_ENGINE_ENGINE_H
#define DIGLOT_ENGINE_ENGINE_H

#include "engine/access.h"
#include "engine/calm.h"
#include "config/tls_settings.h"
#include "engine/cluster.h"
#include "engine/cluster_traffic.h"
#include "engine/executor.h"
#include "engine/login.h"
#include "engine/relocations.h"
#include "engine/settling.h"
#include "engine/turnover.h"

struct engine {
    const struct options *options;
    struct engine_keyspace keyspace;
    struct version_clock versions;
    struct history history;
    struct flag_ledger *ledger;
    struct command_context command; /* of the memcached door */
    struct cluster cluster;
    enum cluster_traffic traffic; /* of the command at work; none without a cluster */
    bool has_sent_ledger[HASH_SLOTS]; /* a MIGRATE takes the slot's ledger, or will at the end of a MULTI */
    struct access access;
    struct calm calm;
    struct turnover turnover;
    struct login login;
    struct executor executor;
    struct engine_upstream upstream;
    struct counter_board *board;

    int databases;
    bool is_primary;
    bool is_loading;
    bool hears_evictions; /* keys that leave are told, on engines that can */
    bool may_expire; /* a command of this turn may have ended a key by its expiry (filter.c) */
    bool hears_keys; /* keyspace events are subscribed to (events.c) */
    struct settling settling;
    struct relocations relocations;
    struct counter_board unread; /* what DIGLOT.GET and DIGLOT.SET would count as memcached commands */

    /* Set by module.c. */
    void (*on_turn)(void *owner);     /* once in each turn of the engine's loop, and at least 10 times a second */
    void (*on_shutdown)(void *owner); /* stops what must not outlive the engine's loop */
    /* Reads the TLS settings and their files anew, for the handshakes from here on; true when there is no TLS door. False
     * with one sentence in `error`, and what was in force stays. */
    bool (*reload_tls)(void *owner, char error[TLS_ERROR_SIZE]);
    void *owner;
    int descriptor_floor; /* connections have descriptors from this number on (descriptors.h); 0: it is not known yet */
    RedisModuleCtx *ctx;  /* for callbacks that get none */
};

/* The engine of this process, NULL before it is set. */
struct engine *engine_instance(void);
void engine_set_instance(struct engine *engine);

/* events.c: any number of items may have changed, here or at another server that they were at until now. */
void engine_note_all_changed(struct engine *engine);

/* events.c: subscribes to keyspace and server events. False when the engine refuses. */
MUST_USE bool engine_subscribe(RedisModuleCtx *ctx);
/* events.c: has ledgers put back that the engine evicts, on all engines but Redis 7.0. */
void engine_hear_evictions(RedisModuleCtx *ctx);
/* filter.c: sees every RESP command on its way. False when the engine refuses. */
MUST_USE bool engine_register_filter(RedisModuleCtx *ctx);
/* commands.c: DIGLOT.GET, DIGLOT.SET and DIGLOT.STATS. */
MUST_USE bool engine_create_commands(RedisModuleCtx *ctx);
/* tls_settings.c: the options, and where they are not set what the engine's own TLS door works with. */
void engine_read_tls_settings(RedisModuleCtx *ctx, const struct options *options, struct tls_settings *settings);
/* info.c: what the engine knows of itself, for the statistics. Not while a command of the memcached door is executed. */
void engine_read_facts(struct engine *engine, RedisModuleCtx *ctx, struct engine_facts *facts);
/* info.c: INFO diglot. */
MUST_USE bool engine_register_info(RedisModuleCtx *ctx);

#endif
