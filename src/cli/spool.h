/* Keys on their way from an old server's list to whoever reads them: a file without a name, in TMPDIR (/tmp), of about 30 bytes
 * for each key besides the key itself. So a list is taken off the old server as fast as it comes, however slowly its items are
 * copied: while a list is being read, old servers hold locks that their clients wait for. */
#ifndef DIGLOT_CLI_SPOOL_H
#define DIGLOT_CLI_SPOOL_H

#include "base/check.h"
#include "wire/message.h"

#include <stdint.h>
#include <stdio.h>

struct listed_key {
    char name[ITEM_KEY_MAX];
    size_t size;
    int64_t expiry;      /* unix seconds, -1: never */
    uint64_t item_size;  /* as the server counts it, 0 if it does not say */
};

struct spool {
    FILE *file;
    uint64_t count;
};

/* False, with errno, when there is no place for the file. */
MUST_USE bool spool_open(struct spool *spool);
void spool_close(struct spool *spool);

/* Appends; false, with errno, when the disk is full. */
MUST_USE bool spool_put(struct spool *spool, const struct listed_key *key);

/* Ends the writing: what comes next is read from the beginning. */
MUST_USE bool spool_rewind(struct spool *spool);

/* The next key; false behind the last. */
MUST_USE bool spool_take(struct spool *spool, struct listed_key *key);

#endif
