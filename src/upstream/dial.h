/* Making a connection to a server, without waiting for it but for a name that has to be looked up. */
#ifndef DIGLOT_UPSTREAM_DIAL_H
#define DIGLOT_UPSTREAM_DIAL_H

#include "upstream/fleet.h"

struct ssl_st;
struct ssl_ctx_st;

/* A socket whose connection is under way, to one of the addresses that the server's name has. `*address` is how many of them are
 * left out, and is set to the place of the one that is tried. -1: the name is not known, has no more addresses, or the machine
 * refuses. */
int dial_start(const struct fleet_server *server, unsigned *address);

enum dial_status {
    DIAL_WAITS,
    DIAL_CONNECTED,
    DIAL_FAILED,
};

/* What has come of it, when the socket is ready for something. */
enum dial_status dial_finish(int descriptor);

/* TLS on a connected socket, for a certificate of this server. Never NULL. */
struct ssl_st *dial_tls(struct ssl_ctx_st *context, const struct fleet_server *server, int descriptor);

/* What connections with TLS are made from: who may sign the servers' certificates is read from the file, or, where that is empty, is
 * whom the machine trusts. NULL with a sentence in `error`. Reads files. */
#define DIAL_ERROR_SIZE 512
MUST_USE struct ssl_ctx_st *dial_tls_context(const char *ca_cert_file, char error[DIAL_ERROR_SIZE]);

#endif
