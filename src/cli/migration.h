/* Where a migration is, judged from what the server tells; and what deserves a look. Pure. */
#ifndef DIGLOT_CLI_MIGRATION_H
#define DIGLOT_CLI_MIGRATION_H

#include "cli/facts.h"

enum phase {
    PHASE_NATIVE,    /* no module: plain Redis or Valkey */
    PHASE_BRIDGE,    /* memcached clients are served, and no old server is known */
    PHASE_IDLE,      /* the same, and there are no memcached clients */
    PHASE_CONNECTED, /* old servers are named, and nothing is done with them */
    PHASE_READING,   /* what is missing is read through */
    PHASE_MIRRORING, /* writes are copied to the old servers, and perhaps reads go through */
    PHASE_SHARING,   /* some keys still live in the old servers */
};

#define MIGRATION_TEXT 256
#define MIGRATION_WARNINGS 12

struct migration {
    enum phase phase;
    char text[MIGRATION_TEXT]; /* the phase in words */
    char next[MIGRATION_TEXT]; /* the next step */
    char way_back[MIGRATION_TEXT];
    unsigned share;            /* percent of the keys that live here */
    bool has_upstream, reads, mirrors;
    char warnings[MIGRATION_WARNINGS][MIGRATION_TEXT];
    size_t warning_count;
};

/* Whether a counter of this name is one of trouble with the old servers. */
bool migration_tells_trouble(const char *name);

/* `before`: what was told some time ago, to see what grows; NULL: nothing. */
void migration_judge(const struct facts *facts, const struct facts *before, struct migration *migration);

#endif
