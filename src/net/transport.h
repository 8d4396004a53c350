/* How a connection's bytes travel: over the bare socket, or through TLS. Both speak as recv and send do: a number of bytes,
 * 0 for the end (receiving only), or -1 with errno, where EAGAIN means that the socket must first become ready. Unlike a
 * socket, TLS may have more to give behind a short read, and may wait for either readiness in either direction; so its
 * reader goes on until EAGAIN, and tries both ways again when the socket is ready for anything. One thread at a time. */
#ifndef DIGLOT_NET_TRANSPORT_H
#define DIGLOT_NET_TRANSPORT_H

#include "base/check.h"
#include "base/span.h"

#include <sys/socket.h>
#include <sys/types.h>

struct ssl_st;

/* `size` must not be 0. */
MUST_USE ssize_t transport_receive_tls(struct ssl_st *tls, char *data, size_t size);

/* Sends up to some hundred kilobytes. After EAGAIN what is sent next must begin with the same bytes, wherever they are. */
MUST_USE ssize_t transport_send_tls(struct ssl_st *tls, struct span bytes);

/* Sends what stands in several places, in their order, at least one and none of them empty; as transport_send. */
MUST_USE ssize_t transport_send_parts(int descriptor, struct ssl_st *tls, const struct span *parts, size_t count);

/* `tls` NULL: the bare socket. */
static inline ssize_t transport_receive(int descriptor, struct ssl_st *tls, char *data, size_t size)
{
    return tls == NULL ? recv(descriptor, data, size, 0) : transport_receive_tls(tls, data, size);
}

static inline ssize_t transport_send(int descriptor, struct ssl_st *tls, struct span bytes)
{
    return tls == NULL ? send(descriptor, bytes.data, bytes.size, MSG_NOSIGNAL) : transport_send_tls(tls, bytes);
}

/* Says goodbye as far as that takes no waiting, closes the socket and frees *tls, if there is one, which becomes NULL. */
void transport_close(int descriptor, struct ssl_st **tls);

#endif
