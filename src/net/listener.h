/* Listening sockets. Main thread. */
#ifndef DIGLOT_NET_LISTENER_H
#define DIGLOT_NET_LISTENER_H

#include "base/check.h"
#include "base/span.h"

#include <stdint.h>

#define LISTENERS_MAX 16
#define LISTENER_ADDRESS_SIZE 128
#define LISTENER_ERROR_SIZE 256

struct listener {
    int descriptor;
    char address[LISTENER_ADDRESS_SIZE]; /* "tcp:127.0.0.1:11211" */
};

struct listener_set {
    struct listener listeners[LISTENERS_MAX];
    size_t count;
};

/* Opens non-blocking listening sockets on `port` of every address in `bind` (space-separated; one behind a '-' may be
 * missing on this machine, "*" is every IPv4 address and "::*" every IPv6 one). On failure opens none, and `error` says
 * in one sentence what and how to mend it. */
MUST_USE bool listener_set_open(struct listener_set *set, struct span bind, uint16_t port, char error[LISTENER_ERROR_SIZE]);
void listener_set_close(struct listener_set *set);

#endif
