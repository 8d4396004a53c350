/* What each request does to an item. Sees messages and the keyspace, never bytes or sockets. Main thread only. */
#ifndef DIGLOT_COMMAND_COMMAND_H
#define DIGLOT_COMMAND_COMMAND_H

#include "base/buffer.h"
#include "command/flag_ledger.h"
#include "command/identity.h"
#include "command/keyspace.h"
#include "config/options.h"
#include "item/history.h"
#include "item/version.h"
#include "observe/counters.h"
#include "observe/detail.h"
#include "observe/usage.h"
#include "observe/watch.h"
#include "wire/message.h"

/* What a read may do that comes to hand out the refreshing of an item, which is a write (the mark of the winner). */
enum command_leave {
    COMMAND_MUST_ASK,     /* nothing: the result is RESULT_NEEDS_WRITE */
    COMMAND_MAY_MARK,     /* the gate is open for a write */
    COMMAND_MAY_NOT_MARK, /* it is closed: the answer is that of one who has not won */
};

/* What a command found in the place of its key; noted only while somebody wants to know (command/report.h). */
struct found_item {
    bool is_item;
    size_t size;    /* of the value */
    int64_t expiry; /* ms since the epoch, or KEYSPACE_NO_EXPIRY */
};

/* What who asks knows of a request beforehand, and what a read leaves for those who keep items (cache/near_cache.h). */
struct sighting {
    uint64_t hash;   /* of the engine's key; 0: not known */
    uint32_t uses;   /* of the item since the engine was last asked for it: answers of the near cache */
    bool is_wanted;  /* whether it is to be kept; then, where an item without marks was found: */
    uint64_t stamp;  /* of the moment (item/version.h); 0: there is nothing to keep */
    uint64_t token;
    int64_t expiry;  /* ms since the epoch, or KEYSPACE_NO_EXPIRY */
};

/* Who can take large values from where they lie, so that they need not be copied. */
struct outlet {
    size_t least; /* bytes that are worth it */
    size_t held;  /* bytes of values that it has taken and not been done with: they must stay in place until it is settled */
    /* Offers the value that the request at hand has found. True: it has been taken. Then `result`, complete but for value_offset,
     * leaves for the client when the outlet is settled at the latest. */
    bool (*offer)(struct outlet *outlet, const struct result *result, struct span value);
    /* The values that it holds will not stay where they are any longer. */
    void (*settle)(struct outlet *outlet);
};

/* On whose behalf keys are told. */
struct key_reader {
    bool (*may_read)(struct key_reader *reader, struct span key);
};

/* Who hears of items that are marked stale, which the keyspace does not tell of: their keys do not change. */
struct mark_listener {
    void (*on_stale)(struct mark_listener *listener, int db, struct span name);
};

/* Everything that executing needs; the parts belong to the caller. */
struct command_context {
    struct keyspace *keyspace;
    struct flag_ledger *ledger;
    struct version_clock *versions;
    struct history *history; /* begun by the first meta request */
    struct counters *counters; /* of the main thread */
    const struct options *options;
    struct stats_sources *stats;
    const struct doorkeeper *doorkeeper; /* NULL: there is no door */
    struct watch_hub *watch;     /* whom to tell; NULL: nobody */
    struct detail_table *detail; /* statistics by prefix; NULL: none */
    struct usage *usage;         /* who speaks memcached; NULL: not kept */
    int client_descriptor;       /* of the connection that asks … */
    const char *client_address;  /* … and where it comes from (net/address.h); NULL: not known */
    struct sighting *sighting;   /* of the request at hand; NULL: there is none */
    struct outlet *outlet;       /* for the value of the request at hand; NULL: it is copied */
    struct key_reader *reader;   /* dumps tell of no other keys than he may read; NULL: of all */
    struct mark_listener *marks; /* NULL: nobody */
    struct found_item found;
    int db;
    struct span key_prefix;
    int64_t now_ms;      /* wall clock of this turn */
    enum command_leave leave;
    bool is_short_of_memory; /* no marks, which take some: nobody wins, and what would be marked stale goes */
    int64_t flush_at_ms; /* when a delayed flush_all is due; 0: none */
    struct buffer scratch;
    size_t joined; /* bytes of a value that was put together anew: they cost time of which neither request nor result tells. Whoever
                    * counts them sets it to 0 */
    char key[OPTION_KEY_PREFIX_MAX + 256]; /* the key at hand, prefix included */
};

void command_context_init(struct command_context *context);
void command_context_deinit(struct command_context *context);

/* Executes one request that is not local. Value bytes are appended to `values`. A request that writes must have passed the
 * engine's gate. RESULT_NEEDS_WRITE: nothing has been done or counted; ask the gate, set `leave` and execute it again. No key may be open, none is open afterwards. */
void command_execute(struct command_context *context, const struct request *request, struct result *result,
                     struct buffer *values);

/* A read that was answered ahead of its execution (command/batch.h), with this sighting: true when executing it now would
 * find the same. Then it is counted as if it had been. */
bool command_take_answer(struct command_context *context, const struct sighting *sighting);

/* The module's own keys beside the flag ledgers: which keys were changed here (upstream/marks.h). */
#define COMMAND_UPSTREAM_PREFIX SPAN("diglot:upstream:")

/* How all of the module's own keys begin. */
#define COMMAND_OWN_PREFIX SPAN("diglot:")

/* True when memcached clients must keep off this key: it is, or looks like, one of the module's own. */
static inline bool command_reserves(struct span name)
{
    if (!span_starts_with(name, COMMAND_OWN_PREFIX)) return false;
    return flag_ledger_reserves(name) || span_starts_with(name, COMMAND_UPSTREAM_PREFIX);
}

struct span command_prefixed_key(struct command_context *context, struct span key);

/* The key as the engine knows it, prefix included; holds until the next call. */
static inline struct span command_full_key(struct command_context *context, struct span key)
{
    return context->key_prefix.size == 0 ? key : command_prefixed_key(context, key);
}

/* Takes the prefix off the engine's key; false where it is no item's that a memcached client could name. */
bool command_is_item_name(const struct command_context *context, struct span name, struct span *key);

/* Tells watchers that the engine has evicted a key, if it was an item that memcached clients can name. */
void command_tell_eviction(const struct command_context *context, int db, struct span name);

/* Does a flush_all that was asked for earlier and is due; writing must be possible. */
void command_flush_when_due(struct command_context *context);

/* True when a delayed flush_all is due. */
bool command_flush_is_due(const struct command_context *context);

#endif
