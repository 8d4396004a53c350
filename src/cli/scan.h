/* Walks over keys of the new server with SCAN, at a pace. */
#ifndef DIGLOT_CLI_SCAN_H
#define DIGLOT_CLI_SCAN_H

#include "cli/pace.h"
#include "cli/resp.h"

struct scan {
    struct resp *resp;
    struct pace *pace;
    char pattern[1024]; /* glob, with what is special in the prefix escaped */
    const char *type;   /* of the keys, as TYPE tells it; NULL: any */
    char cursor[32];
    bool is_done;
};

/* Keys that begin with `prefix`. */
void scan_init(struct scan *scan, struct resp *resp, struct pace *pace, struct span prefix, const char *type);

/* The next keys: an array of strings inside the reply, perhaps none, perhaps some of them twice over the whole walk; to be freed.
 * NULL: resp->error tells. Call while !is_done. */
MUST_USE redisReply *scan_next(struct scan *scan, redisReply **keys);

#endif
