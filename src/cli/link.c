#include "cli/link.h"

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

enum turn {
    TURN_MOVED,   /* bytes went */
    TURN_BLOCKED, /* none can go now */
    TURN_OVER,    /* the peer closed, or it failed */
};

static bool fail(struct link *link, const char *what)
{
    if (link->error[0] == '\0') {
        (void)snprintf(link->error, sizeof link->error, "%s: %s", link->peer, what);
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

static int connect_any(const struct endpoint *endpoint, int timeout_ms, char error[LINK_ERROR_SIZE])
{
    const struct addrinfo wish = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int failure = getaddrinfo(endpoint->host, endpoint->port, &wish, &addresses);
    if (failure != 0) {
        (void)snprintf(error, LINK_ERROR_SIZE, "%s: %s", endpoint->name, gai_strerror(failure));
        return -1;
    }
    int descriptor = -1;
    for (const struct addrinfo *at = addresses; at && descriptor < 0; at = at->ai_next) {
        descriptor = connect_one(at, timeout_ms);
    }
    if (descriptor < 0) {
        (void)snprintf(error, LINK_ERROR_SIZE, "%s: %s", endpoint->name, strerror(errno));
    }
    freeaddrinfo(addresses);
    return descriptor;
}

static const char *tls_reason(const struct link *link)
{
    long verified = SSL_get_verify_result(link->tls);
    if (verified != X509_V_OK) {
        return X509_verify_cert_error_string(verified);
    }
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "the TLS connection failed";
}

static bool name_peer(struct link *link, const char *host, const char *tls_name)
{
    struct in6_addr address;
    bool is_address = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    if (tls_name && strcmp(tls_name, host) == 0 && is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(link->tls), host) == 1;
    }
    const char *name = tls_name ? tls_name : host;
    if (!is_address || tls_name) {
        (void)SSL_set_tlsext_host_name(link->tls, name);
    }
    return !tls_name || SSL_set1_host(link->tls, tls_name) == 1;
}

static bool shake_hands(struct link *link, SSL_CTX *tls, const char *host, const char *tls_name)
{
    link->tls = SSL_new(tls);
    if (!link->tls || SSL_set_fd(link->tls, link->descriptor) != 1 || !name_peer(link, host, tls_name)) {
        return fail(link, "TLS could not be set up");
    }
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(link->tls);
        if (result == 1) {
            return true;
        }
        int wish = SSL_get_error(link->tls, result);
        if (wish != SSL_ERROR_WANT_READ && wish != SSL_ERROR_WANT_WRITE) {
            return fail(link, tls_reason(link));
        }
        if (!wait_for(link->descriptor, wish == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, link->timeout_ms)) {
            return fail(link, "no answer to the TLS handshake");
        }
    }
}

struct link *link_open(const struct endpoint *endpoint, SSL_CTX *tls, const char *tls_name, int timeout_ms,
                       char error[LINK_ERROR_SIZE])
{
    int descriptor = connect_any(endpoint, timeout_ms, error);
    if (descriptor < 0) {
        return NULL;
    }
    struct link *link = check_calloc(1, sizeof *link);
    link->descriptor = descriptor;
    link->timeout_ms = timeout_ms;
    buffer_init(&link->input);
    buffer_init(&link->output);
    memcpy(link->peer, endpoint->name, sizeof link->peer);
    if (tls && !shake_hands(link, tls, endpoint->host, tls_name)) {
        memcpy(error, link->error, LINK_ERROR_SIZE);
        link_close(&link);
    }
    return link;
}

void link_close(struct link **link_at)
{
    struct link *link = *link_at;
    *link_at = NULL;
    if (!link) {
        return;
    }
    if (link->tls) {
        SSL_free(link->tls);
    }
    (void)close(link->descriptor);
    buffer_deinit(&link->input);
    buffer_deinit(&link->output);
    free(link);
}

/* ---- Sending and receiving ---- */

void link_queue(struct link *link, struct span bytes)
{
    buffer_append(&link->output, bytes);
}

static enum turn over(struct link *link, ssize_t moved)
{
    (void)fail(link, moved == 0 ? "closed the connection" : strerror(errno));
    return TURN_OVER;
}

static enum turn tls_turn(struct link *link, int result)
{
    int wish = SSL_get_error(link->tls, result);
    if (wish == SSL_ERROR_WANT_READ || wish == SSL_ERROR_WANT_WRITE) {
        return TURN_BLOCKED;
    }
    (void)fail(link, wish == SSL_ERROR_ZERO_RETURN || wish == SSL_ERROR_SYSCALL ? "closed the connection" : tls_reason(link));
    return TURN_OVER;
}

static enum turn send_some(struct link *link)
{
    struct span rest = buffer_content(&link->output);
    if (link->tls) {
        ERR_clear_error();
        int sent = SSL_write(link->tls, rest.data, rest.size > 65536 ? 65536 : (int)rest.size);
        if (sent <= 0) {
            return tls_turn(link, sent);
        }
        buffer_consume(&link->output, (size_t)sent);
        return TURN_MOVED;
    }
    ssize_t sent = send(link->descriptor, rest.data, rest.size, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? TURN_BLOCKED : over(link, sent);
    }
    buffer_consume(&link->output, (size_t)sent);
    return TURN_MOVED;
}

static enum turn receive_some(struct link *link)
{
    buffer_reserve(&link->input, READ_SIZE);
    char *at = link->input.data + link->input.end;
    if (link->tls) {
        ERR_clear_error();
        int received = SSL_read(link->tls, at, READ_SIZE);
        if (received <= 0) {
            return tls_turn(link, received);
        }
        link->input.end += (size_t)received;
        return TURN_MOVED;
    }
    ssize_t received = recv(link->descriptor, at, READ_SIZE, 0);
    if (received <= 0) {
        return received < 0 && (errno == EAGAIN || errno == EINTR) ? TURN_BLOCKED : over(link, received);
    }
    link->input.end += (size_t)received;
    return TURN_MOVED;
}

bool link_push(struct link *link)
{
    enum turn turn = TURN_MOVED;
    while (turn == TURN_MOVED && buffer_size(&link->output) > 0) {
        turn = send_some(link);
    }
    if (buffer_size(&link->output) == 0) {
        buffer_reset(&link->output, 1 << 20);
    }
    return turn != TURN_OVER;
}

bool link_fill(struct link *link)
{
    for (;;) {
        if (!link_push(link)) {
            return false;
        }
        enum turn turn = receive_some(link);
        if (turn != TURN_BLOCKED) {
            return turn == TURN_MOVED;
        }
        short events = buffer_size(&link->output) > 0 ? POLLIN | POLLOUT : POLLIN;
        if (!wait_for(link->descriptor, events, link->timeout_ms)) {
            return fail(link, "does not answer");
        }
    }
}

bool link_read_line(struct link *link, size_t most, struct span *line)
{
    size_t seen = 0;
    for (;;) {
        struct span content = buffer_content(&link->input);
        const char *end = memchr(content.data + seen, '\n', content.size - seen);
        if (end) {
            size_t size = (size_t)(end - content.data);
            buffer_consume(&link->input, size + 1);
            *line = span_of(content.data, size > 0 && content.data[size - 1] == '\r' ? size - 1 : size);
            return true;
        }
        if (content.size > most) {
            return fail(link, "sends a line without an end: is it a memcached?");
        }
        seen = content.size;
        if (!link_fill(link)) {
            return false;
        }
    }
}
