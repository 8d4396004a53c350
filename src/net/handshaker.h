/* TLS handshakes, which take a thousand times longer than a request: they have a thread of their own ("diglot-tls"), which
 * gives way to the others, so that no worker ever waits for one. It accepts on the TLS listeners, and gives each connection
 * whose handshake has succeeded to a worker. A connection under way counts towards diglot.maxconns, is in no list of
 * clients, and has HANDSHAKE_TIMEOUT_S from its acceptance on. Main thread, where nothing else is said. */
#ifndef DIGLOT_NET_HANDSHAKER_H
#define DIGLOT_NET_HANDSHAKER_H

#include "net/worker.h"

#define HANDSHAKE_TIMEOUT_S 10

struct handshaker;
struct ssl_ctx_st;

/* Handshakes are made from `context`, which it takes. `counters` are those of its thread alone. NULL with errno set when the
 * kernel refuses; the context is freed then. */
MUST_USE struct handshaker *handshaker_new(struct worker_shared *shared, struct counters *counters, struct ssl_ctx_st *context);

/* Closes what is under way. Its thread must be stopped. Sets *handshaker to NULL, and is harmless when it is. */
void handshaker_free(struct handshaker **handshaker);

/* Accepts on this listening socket, which stays the caller's, for `peers` in turn. Before the thread is started. */
MUST_USE bool handshaker_listen(struct handshaker *handshaker, int listener, const char *address, struct worker **peers,
                                size_t peer_count);

/* Makes the handshakes that begin from here on from another context, which it takes. */
void handshaker_set_context(struct handshaker *handshaker, struct ssl_ctx_st *context);

/* False, with errno set, when the thread cannot be made. Stopping joins it, and does nothing when there is none; the peers
 * must outlive it. */
MUST_USE bool handshaker_start_thread(struct handshaker *handshaker);
void handshaker_stop_thread(struct handshaker *handshaker);

#endif
