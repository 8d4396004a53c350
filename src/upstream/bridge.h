/* The bridge to the old fleet, as the main thread sees it: which requests have to wait for an old server, what is stored of its
 * answers, what is copied to it, and which keys live there still. docs/upstream.md tells the whole idea.
 *
 * It is on while diglot.upstream names servers and this server is a primary. It touches keys through the keyspace and travels to
 * the servers by jobs (upstream/job.h), so that unit tests can be both. Main thread only. */
#ifndef DIGLOT_UPSTREAM_BRIDGE_H
#define DIGLOT_UPSTREAM_BRIDGE_H

#include "command/batch.h"
#include "command/command.h"
#include "net/ring.h"
#include "upstream/job.h"
#include "upstream/marks.h"
#include "upstream/name_table.h"
#include "upstream/roster.h"

/* Whether the bridge may write now. */
enum bridge_leave {
    BRIDGE_MAY,
    BRIDGE_WAITS,   /* at a later turn */
    BRIDGE_MAY_NOT, /* the engine takes no writes, or has no memory for them */
};

/* Where the bridge is at home: the executor, or a test. */
struct bridge_host {
    /* Takes a job over. */
    void (*send)(struct bridge_host *host, struct job *job);
    /* Whether whoever asks may do this; tells nobody. */
    bool (*may_ask)(struct bridge_host *host, struct identity *identity, const struct request *request);
    /* Whether an item may be stored now. */
    enum bridge_leave (*may_store)(struct bridge_host *host);
    /* The thread that speaks with the servers is to know this roster from now on. False when it cannot be had. */
    bool (*configure)(struct bridge_host *host, struct roster *roster);
};

/* A batch that waits for old servers, or has answers of theirs. */
struct errand;

/* What is copied to one server. */
struct bridge_server {
    struct ring queue;   /* of struct echo, whose turn is to come */
    size_t flying;       /* jobs under way */
    size_t flying_bytes; /* of values in them */
    bool owes_flush;     /* it is to be emptied before anything else */
    bool is_flushing;
};

struct bridge {
    struct mark_listener listener; /* first: of the door's commands */
    struct bridge_host *host;
    struct command_context *command;
    const struct options *options;
    struct counters *counters;
    struct marks marks;
    struct roster *roster; /* NULL: off */
    struct bridge_server *servers;
    uint64_t generation; /* of the roster */

    /* The options as they were last applied. */
    bool is_stale;  /* they have changed since */
    bool is_fresh;  /* nothing was applied yet: what is on from the start goes on where it was */
    uint64_t servers_hash; /* of those that tell who the servers are */
    bool reads;
    bool mirrors;
    unsigned share;
    uint32_t share_changes; /* so often has it changed: what was prepared before is prepared anew */

    bool is_active;  /* in this turn: on, and this server is a primary */
    bool may_write;  /* in this turn */
    bool is_quiet;   /* changes that are told now are the bridge's own */
    bool owes_fill;  /* the database was emptied */
    bool owes_flush; /* by a memcached client, so the old servers are to be, too */

    struct name_table asks;   /* struct question: keys that are being asked for */
    struct ring asked;        /* the same, the oldest first */
    struct ring passages;     /* struct passage: requests passed through, the oldest first */
    struct ring stalled;      /* asks with answers that cannot be stored yet */
    struct name_table echoes; /* struct echo: keys whose state is to be copied to an old server */
    struct buffer changed;    /* keys whose change is not settled yet: struct change and the name, one behind the other */
    struct buffer value;      /* of the echo at hand */
    struct errand *finished;  /* errands whose batches can go on */
};

/* `command` is the memcached door's; it, the options and the host must outlive the bridge. */
void bridge_init(struct bridge *bridge, struct bridge_host *host, struct command_context *command,
                 const struct options *options, struct counters *counters);
/* Batches that wait are their connections'; jobs under way must not come back any more. */
void bridge_deinit(struct bridge *bridge);

/* Whether diglot.upstream names a server. */
bool bridge_is_wanted(const struct options *options);

/* NULL when the options of diglot.upstream make sense, else one sentence in `error`, which is returned. */
#define BRIDGE_ERROR_SIZE 640
const char *bridge_refusal(const struct options *options, char error[BRIDGE_ERROR_SIZE]);

static inline bool bridge_is_on(const struct bridge *bridge)
{
    return bridge->roster != NULL;
}

/* True when the bridge has something to do in the next turn. */
bool bridge_has_work(const struct bridge *bridge);

/* A turn begins, keys can be used: applies options that have changed and settles what was told since the last turn. */
void bridge_begin_turn(struct bridge *bridge, bool is_primary, bool may_write);
/* It ends: settles what its requests have changed, and sends what may be sent. */
void bridge_end_turn(struct bridge *bridge);

/* A job has come back; takes it over. */
void bridge_take_job(struct bridge *bridge, struct job *job);

/* Whether the next message of the batch may be executed without asking: it is prepared, and its key lives where it did then. */
bool bridge_is_prepared(const struct bridge *bridge, const struct batch *batch);

/* Prepares the messages of the batch that are not yet, and tells whether it has to wait: then the bridge keeps it until
 * bridge_next_ready hands it out. Messages before batch->prepared can be executed without asking again. */
bool bridge_hold(struct bridge *bridge, struct batch *batch, struct identity *identity);

/* The next batch that needs to wait no longer; NULL: there is none. */
struct batch *bridge_next_ready(struct bridge *bridge);

/* True when the message of this index has been answered by an old server: its result is filled in. */
bool bridge_answer(struct batch *batch, uint32_t index);

/* The batch goes home: forgets what was kept for it, but for answers to messages that are not executed yet, which it takes along. */
void bridge_release(struct batch *batch);

/* What events and commands tell. These may be called while a key is open, and write nothing. */

/* A key was changed, or its expiry, or it was removed, by whomever; neither expired nor evicted. */
void bridge_note_change(struct bridge *bridge, int db, struct span name);
/* A database was emptied; `by_client`: by flush_all. */
void bridge_note_emptied(struct bridge *bridge, int db, bool by_client);
/* The dataset is another one, or the server has another role. */
void bridge_note_replaced(struct bridge *bridge);
/* An option of diglot.upstream may have changed. */
void bridge_note_options(struct bridge *bridge);

/* The pairs of `stats upstream`. */
void bridge_render(struct bridge *bridge, struct buffer *output);

#endif
