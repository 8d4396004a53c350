#include "net/transport.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

/* What one call sends at most: encrypting takes time that other connections wait for. */
#define SEND_MAX ((size_t)256 * 1024)
/* What OpenSSL is given at once. Of more it would tell nothing, once the socket was full in between, until all of it had
 * gone; a client that reads slowly would look like one that does not read. */
#define RECORD_MAX ((size_t)16 * 1024)

/* After a call that moved no byte: returns what recv or send would. */
static ssize_t explain_failure(SSL *tls)
{
    switch (SSL_get_error(tls, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        /* Nothing may be sent any more, not even a goodbye. */
        SSL_set_quiet_shutdown(tls, 1);
        ERR_clear_error();
        errno = ECONNRESET;
        return -1;
    }
}

ssize_t transport_receive_tls(struct ssl_st *tls, char *data, size_t size)
{
    size_t received = 0;
    ERR_clear_error();
    return SSL_read_ex(tls, data, size, &received) == 1 ? (ssize_t)received : explain_failure(tls);
}

ssize_t transport_send_tls(struct ssl_st *tls, struct span bytes)
{
    size_t total = 0;
    ERR_clear_error();
    while (total < bytes.size && total < SEND_MAX) {
        size_t sent = 0;
        size_t rest = bytes.size - total;
        if (SSL_write_ex(tls, bytes.data + total, rest < RECORD_MAX ? rest : RECORD_MAX, &sent) != 1) {
            break;
        }
        total += sent;
    }
    if (total > 0) {
        return (ssize_t)total; /* what stopped it will stop the next call again */
    }
    ssize_t failure = explain_failure(tls);
    if (failure == 0) {
        errno = ECONNRESET;
    }
    return -1;
}

void transport_close(int descriptor, struct ssl_st **tls)
{
    if (*tls != NULL) {
        ERR_clear_error();
        (void)SSL_shutdown(*tls);
        SSL_free(*tls);
        ERR_clear_error();
        *tls = NULL;
    }
    /* A forked child of the engine may hold a duplicate: closing alone would not tell the peer. */
    (void)shutdown(descriptor, SHUT_RDWR);
    (void)close(descriptor);
}
