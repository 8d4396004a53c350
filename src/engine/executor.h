/* The executor: takes batches from workers, executes them on the keyspace, gives them back. Main thread only, but for the
 * inbox.
 *
 * It runs in the before-sleep event, a proper execution unit of every engine; right behind it, in the same function, the
 * engine writes (and with appendfsync always syncs) its append-only file. So the replies of writes, and of reads that may
 * have seen unflushed ones, leave from the after-sleep event on (law 4); the bell makes that come at once. A turn is bounded,
 * so that RESP clients keep their latency; what is left waits for the next one. */
#ifndef DIGLOT_ENGINE_EXECUTOR_H
#define DIGLOT_ENGINE_EXECUTOR_H

#include "base/mailbox.h"
#include "command/batch.h"
#include "command/command.h"
#include "engine/cluster.h"
#include "engine/gate.h"
#include "engine/keyspace.h"
#include "engine/login.h"
#include "engine/upstream.h"

/* Batches in the order of their coming. */
struct batch_list {
    struct batch *first;
    struct batch *last;
};

/* Batches come from no more workers: the most that diglot.io-threads takes. */
#define EXECUTOR_WORKERS_MOST 64

struct executor {
    struct mailbox inbox; /* with a bell; its descriptor is in the engine's event loop */
    bool is_ringing;      /* the loop will not sleep, for all that we know */
    struct engine_keyspace *keyspace;
    struct command_context *command;
    struct cluster *cluster;
    struct access *access;
    struct login *login;
    struct calm *calm;
    struct engine_upstream *upstream;
    struct gate gate;
    struct batch_list ready;
    struct batch_list heavy;     /* they come again for the rest, because their values were large: behind the others */
    struct batch_list parked;    /* their next message cannot be executed yet */
    struct batch_list logins;    /* their next message is a login that has to wait, */
    uint64_t logins_due_us;      /* until then, monotonic */
    atomic_size_t *lent;         /* bytes of values on their way home: the workers' count */
    struct batch_list unflushed; /* executed, but the append-only file is not written yet */
    bool has_unflushed_writes;
    bool must_retain;     /* some ledgers are to be used, so that items are evicted and not they, */
    uint64_t retained_us; /* as they were then, monotonic */
    uint64_t evictions;   /* since then */
    uint64_t evictions_most; /* before it is time again */
    bool has_met_costly; /* one part of a dump, or one of the statistics, in each turn: the others wait for the next one */
    uint64_t flushed_version; /* the version clock when everything was flushed */
    struct mailbox *sleepers[EXECUTOR_WORKERS_MOST]; /* homes of workers that are to be woken, */
    size_t sleeper_count;
    uint64_t woken_us; /* as they last were, monotonic */
    /* Called when batches have gone home without a bell; may submit new ones. */
    void (*collect)(void *context);
    void *collect_context;
};

/* The caller sets `cluster`, `access`, `login`, `calm`, `upstream` and `lent` behind this. False with errno when the kernel
 * refuses a descriptor. */
MUST_USE bool executor_init(struct executor *executor, struct engine_keyspace *keyspace, struct command_context *command);
/* Forgets the batches that it holds; they are their connections'. */
void executor_deinit(struct executor *executor);

/* Time goes by, monotonic: some times a second. */
void executor_note_time(struct executor *executor, uint64_t now_us);
/* The engine has evicted a key. */
void executor_note_eviction(struct executor *executor);
/* The engine's loop has found the inbox's bell ringing. It is silenced by the turn that leaves nothing to do. */
void executor_note_bell(struct executor *executor);
/* The before-sleep event. */
void executor_turn(struct executor *executor, RedisModuleCtx *ctx);
/* The after-sleep event. */
void executor_release(struct executor *executor);

#endif
