#include "upstream/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(const struct addrinfo *address)
{
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS) return descriptor;
    (void)close(descriptor);
    return -1;
}

int dial_start(const struct fleet_server *server, unsigned *address)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)server->port);
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses;
    if (getaddrinfo(server->host, port, &wanted, &addresses) != 0) return -1;
    int descriptor = -1;
    unsigned place = 0;
    for (const struct addrinfo *at = addresses; at && descriptor < 0; at = at->ai_next, place++) {
        if (place < *address) continue;
        descriptor = connect_to(at);
        if (descriptor >= 0) *address = place;
    }
    freeaddrinfo(addresses);
    return descriptor;
}

enum dial_status dial_finish(int descriptor)
{
    struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
    if (poll(&wait, 1, 0) == 0) return DIAL_WAITS;
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 ? DIAL_CONNECTED : DIAL_FAILED;
}

struct ssl_st *dial_tls(struct ssl_ctx_st *context, const struct fleet_server *server, int descriptor)
{
    SSL *tls = SSL_new(context);
    CHECK(tls != NULL && SSL_set_fd(tls, descriptor) == 1);
    bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), server->host) == 1;
    if (!is_address) {
        CHECK(SSL_set1_host(tls, server->host) == 1);
        (void)SSL_set_tlsext_host_name(tls, server->host);
    }
    ERR_clear_error();
    SSL_set_connect_state(tls);
    return tls;
}

struct ssl_ctx_st *dial_tls_context(const char *ca_cert_file, char error[DIAL_ERROR_SIZE])
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK(context != NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    bool is_trusting = *ca_cert_file ? SSL_CTX_load_verify_file(context, ca_cert_file) == 1
                                     : SSL_CTX_set_default_verify_paths(context) == 1;
    is_trusting &= SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
    ERR_clear_error();
    if (is_trusting) return context;
    SSL_CTX_free(context);
    (void)snprintf(error, DIAL_ERROR_SIZE, "cannot use the CA certificate file %.300s: correct diglot.upstream-tls-ca-cert-file",
                   ca_cert_file);
    return NULL;
}
