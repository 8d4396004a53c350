/* Takes an old server's list of keys in a thread of its own, while others copy what has come of it. So the list is read without
 * pauses, and copying begins with the first keys. */
#ifndef DIGLOT_CLI_LISTER_H
#define DIGLOT_CLI_LISTER_H

#include "cli/key_list.h"

#include <pthread.h>

struct lister {
    struct key_list list;
    struct spool *spool;
    _Atomic uint64_t *count; /* of the keys that were told */
    enum key_list_status status;
    pthread_t thread;
    bool has_thread;
};

/* The channel, whose errors are to be looked at behind lister_end, and the spool stay the caller's. The spool ends with the list, whatever
 * comes of it. False when there is no thread for it. */
MUST_USE bool lister_start(struct lister *lister, struct channel *channel, struct spool *spool, const atomic_bool *stops,
                           _Atomic uint64_t *count);

/* Breaks the list off if it has not ended yet. KEY_LIST_END, or what went wrong. */
enum key_list_status lister_end(struct lister *lister);

#endif
