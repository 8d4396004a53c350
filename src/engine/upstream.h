/* Where the bridge to the old fleet (upstream/bridge.h) is at home: the engine's main thread, with the executor beside it and the
 * courier behind it. Main thread only. */
#ifndef DIGLOT_ENGINE_UPSTREAM_H
#define DIGLOT_ENGINE_UPSTREAM_H

#include "engine/access.h"
#include "engine/gate.h"
#include "upstream/bridge.h"
#include "upstream/courier.h"

struct engine_upstream {
    struct bridge_host host;
    struct bridge bridge;
    struct mailbox answers; /* with a bell; its descriptor is in the engine's event loop */
    struct courier *courier; /* NULL until a server is named for the first time */
    struct gate *gate;
    struct access *access;
};

/* False with errno when the kernel refuses a descriptor. */
MUST_USE bool engine_upstream_init(struct engine_upstream *upstream, struct command_context *command, struct gate *gate,
                                   struct access *access);
/* NULL when what the options say of old servers can be done here, else one sentence, in `error` or static. */
const char *engine_upstream_refusal(const struct options *options, bool is_in_cluster, char error[BRIDGE_ERROR_SIZE]);

/* Ends the courier's thread. */
void engine_upstream_stop(struct engine_upstream *upstream);
void engine_upstream_deinit(struct engine_upstream *upstream);

/* Gives the bridge what has come back; a turn has begun. */
void engine_upstream_collect(struct engine_upstream *upstream);

#endif
