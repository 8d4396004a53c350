#include "cli/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define RECORD_MOST ((size_t)8 * 1024)
/* So much is waited for together at most, and so long. */
#define TOGETHER_MOST ((size_t)64 * 1024)
#define TOGETHER_MS 3

enum turn {
    TURN_MOVED,   /* bytes went */
    TURN_BLOCKED, /* none can go now */
    TURN_OVER,    /* the peer closed, or it failed */
};

static bool fail(struct channel *channel, const char *what)
{
    if (channel->error[0] == '\0') {
        (void)snprintf(channel->error, sizeof channel->error, "%s: %s", channel->peer, what);
    }
    return false;
}

static bool wait_for(int descriptor, short events, int timeout_ms)
{
    struct pollfd poller = {.fd = descriptor, .events = events};
    int ready;
    do {
        ready = poll(&poller, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* ---- Opening ---- */

static int connect_one(const struct addrinfo *address, int timeout_ms)
{
    int descriptor = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    int failure = 0;
    socklen_t size = sizeof failure;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        failure = errno;
        if (failure == EINPROGRESS) {
            failure = ETIMEDOUT;
            if (wait_for(descriptor, POLLOUT, timeout_ms)) {
                (void)getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size);
            }
        }
    }
    if (failure != 0) {
        (void)close(descriptor);
        errno = failure;
        return -1;
    }
    const int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
}

static int connect_any(const struct endpoint *endpoint, int timeout_ms, char error[CHANNEL_ERROR_SIZE])
{
    const struct addrinfo wish = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int failure = getaddrinfo(endpoint->host, endpoint->port, &wish, &addresses);
    if (failure != 0) {
        (void)snprintf(error, CHANNEL_ERROR_SIZE, "%s: %s", endpoint->name, gai_strerror(failure));
        return -1;
    }
    int descriptor = -1;
    for (const struct addrinfo *at = addresses; at && descriptor < 0; at = at->ai_next) {
        descriptor = connect_one(at, timeout_ms);
    }
    if (descriptor < 0) {
        (void)snprintf(error, CHANNEL_ERROR_SIZE, "%s: %s", endpoint->name, strerror(errno));
    }
    freeaddrinfo(addresses);
    return descriptor;
}

static const char *tls_reason(const struct channel *channel)
{
    long verified = SSL_get_verify_result(channel->tls);
    if (verified != X509_V_OK) {
        return X509_verify_cert_error_string(verified);
    }
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "the TLS connection failed";
}

static bool name_peer(struct channel *channel, const char *host, const char *tls_name)
{
    struct in6_addr address;
    bool is_address = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    if (tls_name && strcmp(tls_name, host) == 0 && is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(channel->tls), host) == 1;
    }
    const char *name = tls_name ? tls_name : host;
    if (!is_address || tls_name) {
        (void)SSL_set_tlsext_host_name(channel->tls, name);
    }
    return !tls_name || SSL_set1_host(channel->tls, tls_name) == 1;
}

static bool shake_hands(struct channel *channel, SSL_CTX *tls, const char *host, const char *tls_name)
{
    channel->tls = SSL_new(tls);
    if (!channel->tls || SSL_set_fd(channel->tls, channel->descriptor) != 1 || !name_peer(channel, host, tls_name)) {
        return fail(channel, "TLS could not be set up");
    }
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(channel->tls);
        if (result == 1) {
            return true;
        }
        int wish = SSL_get_error(channel->tls, result);
        if (wish != SSL_ERROR_WANT_READ && wish != SSL_ERROR_WANT_WRITE) {
            return fail(channel, tls_reason(channel));
        }
        if (!wait_for(channel->descriptor, wish == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, channel->timeout_ms)) {
            return fail(channel, "no answer to the TLS handshake");
        }
    }
}

struct channel *channel_open(const struct endpoint *endpoint, SSL_CTX *tls, const char *tls_name, int timeout_ms,
                       char error[CHANNEL_ERROR_SIZE])
{
    int descriptor = connect_any(endpoint, timeout_ms, error);
    if (descriptor < 0) {
        return NULL;
    }
    struct channel *channel = check_calloc(1, sizeof *channel);
    channel->descriptor = descriptor;
    channel->timeout_ms = timeout_ms;
    channel->low_water = 1;
    buffer_init(&channel->input);
    buffer_init(&channel->output);
    memcpy(channel->peer, endpoint->name, sizeof channel->peer);
    if (tls && !shake_hands(channel, tls, endpoint->host, tls_name)) {
        memcpy(error, channel->error, CHANNEL_ERROR_SIZE);
        channel_close(&channel);
    }
    return channel;
}

void channel_close(struct channel **link_at)
{
    struct channel *channel = *link_at;
    *link_at = NULL;
    if (!channel) {
        return;
    }
    if (channel->tls) {
        SSL_free(channel->tls);
    }
    (void)close(channel->descriptor);
    buffer_deinit(&channel->input);
    buffer_deinit(&channel->output);
    free(channel);
}

void channel_interrupt(struct channel *channel)
{
    (void)shutdown(channel->descriptor, SHUT_RDWR);
}

/* ---- Sending and receiving ---- */

void channel_queue(struct channel *channel, struct span bytes)
{
    buffer_append(&channel->output, bytes);
}

static enum turn over(struct channel *channel, ssize_t moved)
{
    (void)fail(channel, moved == 0 ? "closed the connection" : strerror(errno));
    return TURN_OVER;
}

static enum turn tls_turn(struct channel *channel, int result)
{
    int wish = SSL_get_error(channel->tls, result);
    if (wish == SSL_ERROR_WANT_READ || wish == SSL_ERROR_WANT_WRITE) {
        return TURN_BLOCKED;
    }
    (void)fail(channel, wish == SSL_ERROR_ZERO_RETURN || wish == SSL_ERROR_SYSCALL ? "closed the connection" : tls_reason(channel));
    return TURN_OVER;
}

/* How much of the output is sent by one record: whole lines, where they fit. memcached 1.6.18 keeps what it has no room for of a
 * record until more comes. */
static int record_size(struct span rest)
{
    if (rest.size <= RECORD_MOST) {
        return (int)rest.size;
    }
    size_t size = RECORD_MOST;
    while (size > 0 && rest.data[size - 1] != '\n') {
        size--;
    }
    return (int)(size > 0 ? size : RECORD_MOST);
}

static enum turn send_some(struct channel *channel)
{
    struct span rest = buffer_content(&channel->output);
    if (channel->tls) {
        ERR_clear_error();
        int sent = SSL_write(channel->tls, rest.data, record_size(rest));
        if (sent <= 0) {
            return tls_turn(channel, sent);
        }
        buffer_consume(&channel->output, (size_t)sent);
        return TURN_MOVED;
    }
    ssize_t sent = send(channel->descriptor, rest.data, rest.size, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? TURN_BLOCKED : over(channel, sent);
    }
    buffer_consume(&channel->output, (size_t)sent);
    return TURN_MOVED;
}

static enum turn receive_some(struct channel *channel)
{
    buffer_reserve(&channel->input, READ_SIZE);
    char *at = channel->input.data + channel->input.end;
    if (channel->tls) {
        ERR_clear_error();
        int received = SSL_read(channel->tls, at, READ_SIZE);
        if (received <= 0) {
            return tls_turn(channel, received);
        }
        channel->input.end += (size_t)received;
        return TURN_MOVED;
    }
    ssize_t received = recv(channel->descriptor, at, READ_SIZE, 0);
    if (received <= 0) {
        return received < 0 && (errno == EAGAIN || errno == EINTR) ? TURN_BLOCKED : over(channel, received);
    }
    channel->input.end += (size_t)received;
    return TURN_MOVED;
}

bool channel_push(struct channel *channel)
{
    enum turn turn = TURN_MOVED;
    while (turn == TURN_MOVED && buffer_size(&channel->output) > 0) {
        turn = send_some(channel);
    }
    if (buffer_size(&channel->output) == 0) {
        buffer_reset(&channel->output, 1 << 20);
    }
    return turn != TURN_OVER;
}

/* Of TLS it is not known how many bytes are in its hands already. */
static bool set_low_water(struct channel *channel, size_t bytes)
{
    int wanted = channel->tls || bytes <= 1 ? 1 : bytes < TOGETHER_MOST ? (int)bytes : (int)TOGETHER_MOST;
    if (wanted != channel->low_water && setsockopt(channel->descriptor, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted) == 0) {
        channel->low_water = wanted;
    }
    return channel->low_water > 1;
}

/* Waits for what is expected first, for a moment, and then for anything. */
static bool wait_for_more(struct channel *channel, bool is_first)
{
    short events = buffer_size(&channel->output) > 0 ? POLLIN | POLLOUT : POLLIN;
    if (is_first && set_low_water(channel, channel->expected)) {
        (void)wait_for(channel->descriptor, events, TOGETHER_MS);
        return true;
    }
    (void)set_low_water(channel, 1);
    return wait_for(channel->descriptor, events, channel->timeout_ms) || fail(channel, "does not answer");
}

bool channel_fill(struct channel *channel)
{
    for (bool is_first = true;; is_first = false) {
        if (!channel_push(channel)) {
            return false;
        }
        enum turn turn = receive_some(channel);
        if (turn != TURN_BLOCKED) {
            return turn == TURN_MOVED;
        }
        if (!wait_for_more(channel, is_first)) {
            return false;
        }
    }
}

bool channel_read_line(struct channel *channel, size_t most, struct span *line)
{
    size_t seen = 0;
    for (;;) {
        struct span content = buffer_content(&channel->input);
        const char *end = memchr(content.data + seen, '\n', content.size - seen);
        if (end) {
            size_t size = (size_t)(end - content.data);
            buffer_consume(&channel->input, size + 1);
            *line = span_of(content.data, size > 0 && content.data[size - 1] == '\r' ? size - 1 : size);
            return true;
        }
        if (content.size > most) {
            return fail(channel, "sends a line without an end: is it a memcached?");
        }
        seen = content.size;
        if (!channel_fill(channel)) {
            return false;
        }
    }
}
