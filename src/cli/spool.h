/* Keys on their way from an old server's list to whoever reads them: a file without a name, in TMPDIR (/tmp), of 16 bytes
 * for each key besides the key itself. So a list is taken off the old server as fast as it comes, however slowly its items are
 * copied: while a list is being read, old servers hold locks that their clients wait for.
 *
 * One thread may put while another one takes, and waits where it has taken all that was put by then. */
#ifndef DIGLOT_CLI_SPOOL_H
#define DIGLOT_CLI_SPOOL_H

#include "base/buffer.h"
#include "base/check.h"
#include "wire/message.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct listed_key {
    int64_t expiry;      /* unix seconds, -1: never */
    uint32_t item_size;  /* as the server counts it, 0 if it does not say */
    uint32_t size;
    char name[ITEM_KEY_MAX]; /* last: of a short key, little memory is touched */
};

struct spool {
    int descriptor;
    uint64_t count;          /* keys that were put */
    struct buffer put;       /* not in the file yet */
    _Atomic uint64_t filled; /* bytes in the file */
    atomic_bool has_ended;   /* no more will be put */
    uint64_t position;       /* of the file, those that the reader has in `taken` or behind it */
    struct buffer taken;
    bool has_failed;         /* it cannot be read: keys are lost */
    pthread_mutex_t lock; /* of nothing but the wait for news */
    pthread_cond_t news;
};

/* False, with errno, when there is no place for the file. */
MUST_USE bool spool_open(struct spool *spool);
/* Also one that was not opened, if it is all zero. */
void spool_close(struct spool *spool);

/* Appends; false, with errno, when the disk is full. It can be taken when some more have been put, or at the end. */
MUST_USE bool spool_put(struct spool *spool, const struct listed_key *key);
/* No more will be put; as spool_put. */
MUST_USE bool spool_end(struct spool *spool);

/* The next key, from the first one on; false when there is none that can be taken now, or `has_failed`. Sets no more of the
 * name than there is. */
MUST_USE bool spool_take(struct spool *spool, struct listed_key *key);
/* True when there is nothing left to take, nor will be, or `has_failed`. */
bool spool_is_over(const struct spool *spool);
/* Waits until there is something to take, it has ended, or a tenth of a second has passed. */
void spool_wait(struct spool *spool);

#endif
