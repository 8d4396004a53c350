/* What an import remembers beyond its end, in a file: which servers it has begun, and which are done. A list of keys cannot
 * be taken up in its middle, so a server that was begun and is not done is listed anew from its start; what the new side has
 * already is then looked for, and not read again. Any thread. */
#ifndef DIGLOT_CLI_JOURNAL_H
#define DIGLOT_CLI_JOURNAL_H

#include "base/check.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

struct journal {
    FILE *file; /* NULL: none is kept */
    pthread_mutex_t lock;
};

enum journal_mark { JOURNAL_NEW, JOURNAL_BEGUN, JOURNAL_DONE };

/* `path` NULL: remembers nothing. False, with a sentence on stderr, when the file cannot be written or is none of ours. */
MUST_USE bool journal_open(struct journal *journal, const char *path, const char *target);
void journal_close(struct journal *journal);

/* What the file says of a server, as it was opened. */
enum journal_mark journal_find(const char *path, const char *server);

/* Is on the disk when it returns. */
void journal_note(struct journal *journal, enum journal_mark mark, const char *server);

#endif
