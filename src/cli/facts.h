/* What the new server tells of itself, by name: the statistics of DIGLOT.STATS and its group upstream under their own names,
 * options as CONFIG tells them ("diglot.upstream-share"), INFO's fields behind "info.". Nobody has to tell anything: what is
 * absent is absent. */
#ifndef DIGLOT_CLI_FACTS_H
#define DIGLOT_CLI_FACTS_H

#include "base/span.h"
#include "cli/resp.h"

#include <stdint.h>

struct fact {
    char *name, *value;
};

struct facts {
    struct fact *list;
    size_t count, capacity;
    bool has_module;
    uint64_t taken_us; /* clock_monotonic_us */
};

void facts_init(struct facts *facts);
void facts_deinit(struct facts *facts);
void facts_add(struct facts *facts, const char *prefix, struct span name, struct span value);

/* The value, or NULL. */
const char *facts_text(const struct facts *facts, const char *name);
/* The value if it is a whole number, else `otherwise`. */
uint64_t facts_number(const struct facts *facts, const char *name, uint64_t otherwise);
/* Whether an option is "yes". */
bool facts_is_on(const struct facts *facts, const char *name);

/* Whether the fact is a line about an old server ("server_0"). */
bool facts_is_server(const struct fact *fact);
/* Such a line of a server that is down; NULL: none is. */
const struct fact *facts_find_down(const struct facts *facts);

/* By how much a number has grown per second since `before`; 0 where either does not tell it, or it was reset. */
double facts_rate(const struct facts *facts, const struct facts *before, const char *name);

/* Takes INFO's text apart. */
void facts_add_info(struct facts *facts, struct span text);

/* Asks for everything; `facts` is empty. False: `error` of resp tells; so, too, where this user may not ask the module. */
MUST_USE bool facts_gather(struct facts *facts, struct resp *resp);

#endif
