/* Items that are carried from another server, or to one, as they are: beside all that requests do. No key may be open. Main
 * thread only. */
#ifndef DIGLOT_COMMAND_CARRY_H
#define DIGLOT_COMMAND_CARRY_H

#include "command/command.h"

struct carried_item {
    struct span value;
    int64_t expiry; /* ms since the epoch, or EXPIRY_NEVER */
    uint32_t flags;
    bool is_stale;  /* meta's mark */
};

/* Whether there is a key of this name, of whatever type; one whose flags are lost is there. Counts as no use of it. */
bool carry_is_there(struct command_context *context, struct span name);

/* Stores the item where there is no key of its name; else, or where it has expired, does nothing and is false. Writing must be
 * possible. */
bool carry_in(struct command_context *context, struct span name, const struct carried_item *item);

/* The item as clients find it, its value appended to `value`. False: they find none. */
bool carry_out(struct command_context *context, struct span name, struct carried_item *item, struct buffer *value);

/* Removes the key, of whatever type, if there is one. Writing must be possible. */
void carry_away(struct command_context *context, struct span name);

#endif
