/* What each request does to an item. Sees messages and the keyspace, never bytes or sockets. Main thread only. */
#ifndef DIGLOT_COMMAND_COMMAND_H
#define DIGLOT_COMMAND_COMMAND_H

#include "base/buffer.h"
#include "command/flag_ledger.h"
#include "command/keyspace.h"
#include "config/options.h"
#include "item/history.h"
#include "item/version.h"
#include "observe/counters.h"
#include "wire/message.h"

/* What a read may do that comes to hand out the refreshing of an item, which is a write (the mark of the winner). */
enum command_leave {
    COMMAND_MUST_ASK,     /* nothing: the result is RESULT_NEEDS_WRITE */
    COMMAND_MAY_MARK,     /* the gate is open for a write */
    COMMAND_MAY_NOT_MARK, /* it is closed: the answer is that of one who has not won */
};

/* Everything that executing needs; the parts belong to the caller. */
struct command_context {
    struct keyspace *keyspace;
    struct flag_ledger *ledger;
    struct version_clock *versions;
    struct history *history; /* begun by the first meta request */
    struct counters *counters; /* of the main thread */
    const struct options *options;
    const struct stats_sources *stats;
    int db;
    struct span key_prefix;
    int64_t now_ms;      /* wall clock of this turn */
    enum command_leave leave;
    int64_t flush_at_ms; /* when a delayed flush_all is due; 0: none */
    struct buffer scratch;
    char key[OPTION_KEY_PREFIX_MAX + 256]; /* the key at hand, prefix included */
};

void command_context_init(struct command_context *context);
void command_context_deinit(struct command_context *context);

/* Executes one request that is not local. Value bytes are appended to `values`. A request that writes must have passed the
 * engine's gate. RESULT_NEEDS_WRITE: nothing has been done or counted; ask the gate, set `leave` and execute it again. No key may be open, none is open afterwards. */
void command_execute(struct command_context *context, const struct request *request, struct result *result,
                     struct buffer *values);

struct span command_prefixed_key(struct command_context *context, struct span key);

/* The key as the engine knows it, prefix included; holds until the next call. */
static inline struct span command_full_key(struct command_context *context, struct span key)
{
    return context->key_prefix.size == 0 ? key : command_prefixed_key(context, key);
}

/* Does a flush_all that was asked for earlier and is due; writing must be possible. */
void command_flush_when_due(struct command_context *context);

/* True when a delayed flush_all is due. */
bool command_flush_is_due(const struct command_context *context);

#endif
