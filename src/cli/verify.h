/* diglot verify: what its parts share. */
#ifndef DIGLOT_CLI_VERIFY_H
#define DIGLOT_CLI_VERIFY_H

#include "cli/parcel.h"
#include "cli/divergence.h"
#include "cli/pace.h"
#include "cli/sides.h"

#include <stdatomic.h>

enum verify_state { VERIFY_WAITS, VERIFY_LISTS, VERIFY_COMPARES, VERIFY_DONE, VERIFY_BROKEN, VERIFY_STOPPED };

struct verify_server {
    struct endpoint endpoint;
    atomic_int state; /* enum verify_state */
    atomic_bool is_unsupported; /* it cannot list its keys */
    _Atomic uint64_t listed, chosen, compared, gone, stale, failed;
    char error[CHANNEL_ERROR_SIZE];
};

struct verify {
    struct sides sides;
    struct verify_server *servers;
    size_t count;
    uint64_t sample;    /* keys of all servers; 0: all */
    int64_t tolerance;  /* seconds that a TTL may be off */
    unsigned rechecks;  /* how often a difference is looked at again */
    struct pace pace;
    struct divergence divergence;
    struct failures failures;
    atomic_bool stops;
};

/* What two answers for a key have in common; `to_value` of an item that is not FOUND is not looked at. Pure. */
enum difference verify_judge(const struct parcel_item *from, struct span from_value, const struct parcel_item *to, struct span to_value,
                             int64_t tolerance);

/* Compares one server's items with the target's. A thread of its own. */
void verify_server(struct verify *verify, struct verify_server *server);

#endif
