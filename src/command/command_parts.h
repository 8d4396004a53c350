/* What the files of command/ share that execute requests: command.c (which request goes where), command_items.c (most functions
 * of this header), command_store.c, command_count.c, command_change.c (delete, touch), command_read.c and command_stats.c. Nobody
 * else includes this. */
#ifndef DIGLOT_COMMAND_COMMAND_PARTS_H
#define DIGLOT_COMMAND_COMMAND_PARTS_H

#include "command/command.h"
#include "item/ledger.h"

/* An item as a command finds it. Its key stays open while the command works on it. */
struct item {
    struct item_key key;
    enum keyspace_kind kind; /* a string whose flags are lost counts as absent */
    bool is_lost;            /* such a string */
    struct item_flags flags;
};

/* A command on one key that is open for writing. It closes it. */
typedef void item_command(struct command_context *context, struct item *item, const struct request *request,
                          struct result *result);

item_command execute_set, execute_add, execute_replace, execute_cas, execute_join, execute_set_too_large;
item_command execute_count;
item_command execute_delete, execute_touch;

/* Commands that open the key by themselves: get and gat; me. */
void execute_get(struct command_context *context, const struct request *request, struct span name, struct result *result,
                 struct buffer *values);
void execute_debug(struct command_context *context, const struct request *request, struct span name, struct result *result);

/* stats: command_stats.c. */
void execute_stats(struct command_context *context, const struct request *request, struct result *result,
                   struct buffer *values);

/* ---- Items ---- */

/* The hash of the key at hand, which who asks may have taken already. */
static inline uint64_t item_hash_for(const struct command_context *context, struct span name)
{
    uint64_t known = context->sighting ? context->sighting->hash : 0;
    return known != 0 ? known : hash_key(name);
}

/* That key, without its slot. */
static inline struct item_key item_key_for(const struct command_context *context, struct span name)
{
    return (struct item_key){name, item_hash_for(context, name), ITEM_SLOT_UNKNOWN};
}

/* Opens an item for writing. */
void item_open(struct command_context *context, struct span name, struct item *item);
/* The same for one that is stored anew, whatever it is: its flags are not looked up, and lost ones are not noticed. */
void item_open_to_replace(struct command_context *context, struct span name, struct item *item);
/* The same in two steps: `key` is set, then the flags are looked up (kind is not known, is_lost a guess, the slot known if any
 * item has flags), then it is opened. */
void item_look_up(struct command_context *context, struct item *item);
void item_open_found(struct command_context *context, enum keyspace_mode mode, struct item *item);
/* Opens an item for a command that leaves alone what is there: what is missing has no flags that were to be looked up. */
void item_open_missing(struct command_context *context, struct span name, struct item *item);
void item_close(struct command_context *context);

/* Closes it; returns the status that says why nothing was done. */
enum result_status item_refuse(struct command_context *context, enum result_status status);

/* Stores the open item anew and closes it: value, expiry, flags and token change together. */
void item_store(struct command_context *context, const struct item *item, const struct request *request, struct span value,
                int64_t expiry, struct item_flags flags, const char *event);
/* Makes the value of the open item longer, and closes it. */
void item_append(struct command_context *context, const struct item *item, const struct request *request, struct span bytes,
                 struct item_flags flags);
/* As item_store for an item that, to memcached, is the old one with other bytes: whether it has been read stays. */
void item_overwrite(struct command_context *context, const struct item *item, const struct request *request,
                    struct span value, int64_t expiry, struct item_flags flags, const char *event);
/* As item_store where the expiry may have passed: then what is there goes. */
void item_store_or_remove(struct command_context *context, const struct item *item, const struct request *request,
                          struct span value, int64_t expiry, struct item_flags flags);
void item_remove(struct command_context *context, const struct item *item);

/* Gives the open item a new expiry, or removes it where that has passed. True when it is still there. Closes it. */
bool item_touch(struct command_context *context, const struct item *item, int64_t expiry);

/* Sets the marks of an item that is closed. Its content stays, and so does its token. */
void item_mark(struct command_context *context, const struct item *item, uint32_t marks);

/* The present token is to be another: of the request's choice, or the next. */
void item_renew_token(struct command_context *context, const struct item *item, const struct request *request);

/* The item was read by a client. */
void item_note_read(struct command_context *context, const struct item *item);

/* h and l, me: what is known of the item's past. It must not be open yet, as opening it is a use. */
void tell_history(struct command_context *context, const struct request *request, const struct item *item);

uint64_t item_token(const struct command_context *context, const struct item *item);

/* Expiry of the open item, ms since the epoch, or EXPIRY_NEVER. */
int64_t item_expiry(struct command_context *context);

/* ---- Requests with extras ---- */

static inline bool request_asks(const struct request *request, uint32_t asks)
{
    return request->extras && (request->extras->asks & asks);
}

static inline void request_tell(const struct request *request, uint32_t told)
{
    if (request->extras) request->extras->told |= told;
}

/* Tells the item's token, if that was asked for. */
static inline void tell_token(const struct request *request, struct result *result, uint64_t token)
{
    if (request->extras)
        request->extras->token = token;
    else if (request->want_cas && result->status != RESULT_NUMBER)
        result->number = token;
}

/* False when the request compares the token of this item, and it is another. */
bool token_holds(const struct command_context *context, const struct item *item, const struct request *request);

/* The expiry of what a request with ASK_VIVIFY makes. */
int64_t vivified_expiry(const struct command_context *context, const struct request *request);

/* What `t` tells: of an item that was found with one expiry and has another now, or of one that was vivified. */
void tell_remaining(const struct command_context *context, const struct request *request, int64_t before, int64_t after);
void tell_remaining_vivified(const struct command_context *context, const struct request *request);

#endif
