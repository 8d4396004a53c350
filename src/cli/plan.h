/* What becomes of a memcached command line: lines of redis.conf, each with a comment, and warnings of what has no
 * equivalent. Pure. */
#ifndef DIGLOT_CLI_PLAN_H
#define DIGLOT_CLI_PLAN_H

#include "cli/item_memory.h"
#include "cli/memcached_options.h"

#define PLAN_ENTRIES_MAX 192

enum plan_kind {
    PLAN_LINE,    /* `line`, and why */
    PLAN_WARNING, /* something has no equivalent: somebody should think about it */
    PLAN_NOTE,    /* something has no equivalent and needs none */
    PLAN_UNKNOWN, /* an option that nobody knows */
};

struct plan_entry {
    enum plan_kind kind;
    char line[MEMCACHED_TEXT_MAX + 64]; /* PLAN_LINE: of redis.conf; else the option */
    char comment[400];
};

struct plan {
    struct plan_entry entries[PLAN_ENTRIES_MAX];
    size_t count;
    uint64_t items;                 /* that maxmemory has room for */
    double memcached_item, engine_item; /* bytes */
    uint64_t maxmemory;             /* bytes */
};

struct plan_wishes {
    struct item_shape shape;
    uint64_t items; /* 0: as many as memcached's memory holds */
    bool is_valkey;
    const char *module_path; /* NULL: its line is a comment */
};

void plan_make(const struct memcached_options *options, const struct plan_wishes *wishes, struct plan *plan);

#endif
