#include "net/listener.h"

#include "net/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* One word of the bind list. */
struct bind_word {
    char host[NI_MAXHOST];
    bool may_be_missing;
};

enum open_status {
    OPEN_DONE,
    OPEN_MISSING, /* the address is not one of this machine */
    OPEN_FAILED,
};

/* Takes the next word off *bind; an empty span when none is left. */
static struct span next_word(struct span *bind)
{
    while (bind->size > 0 && *bind->data == ' ') {
        *bind = span_skip(*bind, 1);
    }
    struct span word = {bind->data, 0};
    while (word.size < bind->size && word.data[word.size] != ' ') {
        word.size++;
    }
    if (word.size > 0) {
        *bind = span_skip(*bind, word.size);
    }
    return word;
}

static bool read_word(struct span text, struct bind_word *word)
{
    word->may_be_missing = text.data[0] == '-';
    if (word->may_be_missing) {
        text = span_skip(text, 1);
    }
    if (span_equal(text, SPAN("*"))) {
        text = SPAN("0.0.0.0");
    } else if (span_equal(text, SPAN("::*"))) {
        text = SPAN("::");
    }
    if (text.size == 0 || text.size >= sizeof(word->host)) {
        return false;
    }
    memcpy(word->host, text.data, text.size);
    word->host[text.size] = '\0';
    return true;
}

/* Returns the listening socket, or -1 with errno set. */
static int open_socket(const struct addrinfo *address)
{
    int type = address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int descriptor = socket(address->ai_family, type, address->ai_protocol);
    if (descriptor < 0) {
        return -1;
    }
    const int on = 1;
    bool is_open = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0
                   && (address->ai_family != AF_INET6
                       || setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0)
                   && bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 && listen(descriptor, SOMAXCONN) == 0;
    if (is_open) {
        return descriptor;
    }
    int reason = errno;
    (void)close(descriptor);
    errno = reason;
    return -1;
}

static void name_listener(struct listener *listener)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    (void)getsockname(listener->descriptor, (struct sockaddr *)(void *)&address, &length);
    address_format(&address, length, listener->address, sizeof(listener->address));
}

static bool means_missing(int reason)
{
    return reason == EADDRNOTAVAIL || reason == EAFNOSUPPORT || reason == EPROTONOSUPPORT;
}

static enum open_status refuse_socket(const char *host, uint16_t port, char error[LISTENER_ERROR_SIZE])
{
    int reason = errno;
    const char *remedy = reason == EADDRINUSE ? "choose another port (diglot.port, diglot.tls-port) or stop the server that holds it"
                         : reason == EACCES   ? "choose a port (diglot.port, diglot.tls-port) above 1023"
                                              : "name an address of this machine in diglot.bind";
    (void)snprintf(error, LISTENER_ERROR_SIZE, "cannot listen on %.64s port %u (%s): %s", host, (unsigned)port,
                   strerror(reason), remedy);
    return means_missing(reason) ? OPEN_MISSING : OPEN_FAILED;
}

/* Opens the first of the host's addresses that can be opened. */
static enum open_status open_host(struct listener *listener, const char *host, uint16_t port,
                                  char error[LISTENER_ERROR_SIZE])
{
    const struct addrinfo wish = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo *addresses = NULL;
    int failure = getaddrinfo(host, service, &wish, &addresses);
    if (failure != 0) {
        (void)snprintf(error, LISTENER_ERROR_SIZE, "cannot find the address %.64s (%s): correct diglot.bind", host,
                       gai_strerror(failure));
        return OPEN_MISSING;
    }
    errno = EADDRNOTAVAIL;
    int descriptor = -1;
    for (const struct addrinfo *address = addresses; address != NULL && descriptor < 0; address = address->ai_next) {
        descriptor = open_socket(address);
    }
    enum open_status status = descriptor >= 0 ? OPEN_DONE : refuse_socket(host, port, error);
    freeaddrinfo(addresses);
    if (status == OPEN_DONE) {
        listener->descriptor = descriptor;
        name_listener(listener);
    }
    return status;
}

static bool open_word(struct listener_set *set, struct span text, uint16_t port, char error[LISTENER_ERROR_SIZE])
{
    struct bind_word word;
    if (set->count == LISTENERS_MAX) {
        (void)snprintf(error, LISTENER_ERROR_SIZE, "diglot.bind names more than %d addresses: use fewer", LISTENERS_MAX);
        return false;
    }
    if (!read_word(text, &word)) {
        (void)snprintf(error, LISTENER_ERROR_SIZE, "diglot.bind holds a word that is no address: \"%.*s\"",
                       text.size < 64 ? (int)text.size : 64, text.data);
        return false;
    }
    switch (open_host(&set->listeners[set->count], word.host, port, error)) {
    case OPEN_DONE:
        set->count++;
        return true;
    case OPEN_MISSING:
        return word.may_be_missing;
    case OPEN_FAILED:
        return false;
    }
    return false;
}

bool listener_set_open(struct listener_set *set, struct span bind, uint16_t port, char error[LISTENER_ERROR_SIZE])
{
    set->count = 0;
    (void)snprintf(error, LISTENER_ERROR_SIZE, "diglot.bind names no address: name at least one");
    for (struct span word = next_word(&bind); word.size > 0; word = next_word(&bind)) {
        if (!open_word(set, word, port, error)) {
            listener_set_close(set);
            return false;
        }
    }
    if (set->count == 0) {
        return false; /* `error` is the last one's: all were missing, or there was none */
    }
    error[0] = '\0';
    return true;
}

void listener_set_close(struct listener_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        /* A forked child of the engine may hold a duplicate, which would keep the port open. */
        (void)shutdown(set->listeners[i].descriptor, SHUT_RDWR);
        (void)close(set->listeners[i].descriptor);
    }
    set->count = 0;
}
