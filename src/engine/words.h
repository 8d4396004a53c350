/* Words of commands that a command filter sees. Main thread. */
#ifndef DIGLOT_ENGINE_WORDS_H
#define DIGLOT_ENGINE_WORDS_H

#include "base/span.h"
#include "engine/api.h"

/* Argument `index` of the command, the command's name being the first; holds until the filter returns. */
struct span words_argument(RedisModuleCommandFilterCtx *filter, int index);

/* Whether the text is this word, in upper or lower case. */
bool words_equal(struct span text, const char *word);

/* The database that the text names; -1 where it is no number. */
int words_db(struct span text);

#endif
