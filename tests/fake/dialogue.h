/* A short way to ask a world and to hear its answer in tests: lines much like those of the classic and the meta protocol,
 * without what belongs to the wire alone (k, O, q, b, opaque, quiet). Numbers are not checked, as tests are trusted. */
#ifndef DIGLOT_TESTS_FAKE_DIALOGUE_H
#define DIGLOT_TESTS_FAKE_DIALOGUE_H

#include "fake/world.h"

/* What came of the latest line. */
struct dialogue {
    struct world *world;
    struct request request;
    struct extras extras;
    struct result result;
    char answer[256]; /* as memcached says it, but `c`; a value stands behind a colon */
    char counts[256]; /* what it counted: "cmd_get+1 get_hits+1" */
};

/* Executes a line; `value` is the data of those that have some, else NULL. A read that comes to a write is executed again,
 * with leave. Returns the answer. */
const char *dialogue_say(struct dialogue *dialogue, const char *line, const char *value);

#endif
