#include "net/transport.h"

#include "base/pieces.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/uio.h>
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

/* What is still to be sent of several parts. */
struct parts {
    const struct span *next;
    size_t count;
    size_t offset; /* bytes of the next one that are gone */
};

static struct span rest_of_next(const struct parts *parts)
{
    return span_skip(*parts->next, parts->offset);
}

static void skip(struct parts *parts, size_t size)
{
    while (parts->count > 0 && size >= parts->next->size - parts->offset) {
        size -= parts->next->size - parts->offset;
        parts->next++;
        parts->count--;
        parts->offset = 0;
    }
    parts->offset += size;
}

/* The bytes of the next record; where they stand in several places they are put together in `joined`. */
static struct span next_record(struct parts parts, char joined[RECORD_MAX])
{
    struct span first = rest_of_next(&parts);
    if (parts.count == 1 || first.size >= RECORD_MAX) {
        return span_of(first.data, first.size < RECORD_MAX ? first.size : RECORD_MAX);
    }
    size_t size = 0;
    while (parts.count > 0 && size < RECORD_MAX) {
        struct span part = rest_of_next(&parts);
        size_t taken = part.size < RECORD_MAX - size ? part.size : RECORD_MAX - size;
        memcpy(joined + size, part.data, taken);
        skip(&parts, taken);
        size += taken;
    }
    return span_of(joined, size);
}

static ssize_t send_parts_tls(struct ssl_st *tls, struct parts parts)
{
    char joined[RECORD_MAX];
    size_t total = 0;
    ERR_clear_error();
    while (parts.count > 0 && total < SEND_MAX) {
        size_t sent = 0;
        struct span record = next_record(parts, joined);
        if (SSL_write_ex(tls, record.data, record.size, &sent) != 1) {
            break;
        }
        skip(&parts, sent);
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

ssize_t transport_send_tls(struct ssl_st *tls, struct span bytes)
{
    return send_parts_tls(tls, (struct parts){&bytes, 1, 0});
}

ssize_t transport_send_parts(int descriptor, struct ssl_st *tls, const struct span *parts, size_t count)
{
    if (tls != NULL) {
        return send_parts_tls(tls, (struct parts){parts, count, 0});
    }
    struct iovec places[PIECES_PARTS_MAX];
    CHECK(count > 0 && count <= PIECES_PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        places[i] = (struct iovec){(void *)parts[i].data, parts[i].size};
    }
    const struct msghdr message = {.msg_iov = places, .msg_iovlen = count};
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
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
