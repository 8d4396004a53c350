/* A connection to a server, in the clear or with TLS, that sends while it receives: however much is queued, the two sides
 * never wait for each other to read. One thread at a time. */
#ifndef DIGLOT_CLI_CHANNEL_H
#define DIGLOT_CLI_CHANNEL_H

#include "base/buffer.h"
#include "base/check.h"
#include "cli/endpoint.h"

#include <openssl/ssl.h>

#define CHANNEL_ERROR_SIZE 640

struct channel {
    int descriptor;
    SSL *tls; /* NULL in the clear */
    int timeout_ms; /* longest silence while something is waited for */
    size_t expected; /* see channel_expect */
    int low_water;   /* what the socket was told: from how many bytes on it wakes who waits */
    struct buffer input;
    struct buffer output;
    char peer[ENDPOINT_NAME_SIZE];
    char error[CHANNEL_ERROR_SIZE]; /* a sentence, once anything has failed */
};

/* Connects; `tls` (NULL: in the clear) stays its owner's and must outlive the channel, `tls_name` is whom the certificate must
 * name (NULL: not looked at). NULL when that fails, with a sentence in `error`. */
MUST_USE struct channel *channel_open(const struct endpoint *endpoint, SSL_CTX *tls, const char *tls_name, int timeout_ms,
                                char error[CHANNEL_ERROR_SIZE]);
void channel_close(struct channel **channel);

/* Ends whatever the channel's thread waits for: what it does next with it fails. Any thread. */
void channel_interrupt(struct channel *channel);

/* Queues bytes. */
void channel_queue(struct channel *channel, struct span bytes);

/* Sends what can be sent without waiting. */
MUST_USE bool channel_push(struct channel *channel);

/* About so many bytes more will come (0: nobody knows). Being woken costs more than reading, so for a moment they are waited for
 * together; fewer of them do no harm. Holds until it is told anew. */
static inline void channel_expect(struct channel *channel, size_t bytes)
{
    channel->expected = bytes;
}

/* Waits until more has been received, and sends what is queued meanwhile. False at the end, at a failure or after
 * timeout_ms of silence; `error` tells. */
MUST_USE bool channel_fill(struct channel *channel);

/* Waits until the input has a whole line, and takes it without its end (LF or CRLF); it stays in place until the next call.
 * A line of more than `most` bytes is a failure. */
MUST_USE bool channel_read_line(struct channel *channel, size_t most, struct span *line);

#endif
