#include "upstream/roster.h"

#include <openssl/ssl.h>
#include <stdlib.h>

struct roster *roster_new(struct fleet *fleet, struct ssl_ctx_st *tls)
{
    struct roster *roster = check_calloc(1, sizeof *roster);
    atomic_init(&roster->references, 1);
    roster->fleet = fleet;
    roster->tls = tls;
    roster->servers = check_calloc(fleet->count, sizeof *roster->servers);
    return roster;
}

struct roster *roster_retain(struct roster *roster)
{
    atomic_fetch_add_explicit(&roster->references, 1, memory_order_relaxed);
    return roster;
}

void roster_release(struct roster **roster_at)
{
    struct roster *roster = *roster_at;
    *roster_at = NULL;
    if (!roster || atomic_fetch_sub_explicit(&roster->references, 1, memory_order_acq_rel) != 1) return;
    fleet_free(&roster->fleet);
    SSL_CTX_free(roster->tls);
    free(roster->servers);
    free(roster);
}
