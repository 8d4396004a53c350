#define _GNU_SOURCE
#include "lg.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static enum operation pick_operation(struct generator *lg)
{
    const struct settings *settings = &lg->settings;
    if (settings->operation != MIX)
        return settings->operation;
    return (int)(random_next(lg) % (uint64_t)(settings->sets + settings->gets)) < settings->sets ? SET : GET;
}

static void connection_flush(struct connection *connection)
{
    while (connection->output_sent < connection->output_size) {
        ssize_t sent = write(connection->descriptor, connection->output + connection->output_sent,
                             connection->output_size - connection->output_sent);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0 && errno != EINTR)
            die("write");
        connection->output_sent += sent > 0 ? (size_t)sent : 0;
    }
    bool wants_output = connection->output_sent < connection->output_size;
    if (wants_output == connection->wants_output)
        return;
    connection->wants_output = wants_output;
    struct epoll_event event = {.events = EPOLLIN | (wants_output ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(connection->lg->epoll, EPOLL_CTL_MOD, connection->descriptor, &event);
}

void connection_send_batch(struct connection *connection, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    int count = lg->settings.depth;
    uint64_t most = (uint64_t)lg->settings.requests;
    if (most && lg->issued + (uint64_t)count > most)
        count = (int)(most - lg->issued);
    if (count <= 0)
        return;
    char *to = connection->output;
    for (int i = 0; i < count; i++) {
        enum operation operation = pick_operation(lg);
        connection->kinds[i] = (unsigned char)operation;
        to = put_request(lg, to, operation);
    }
    lg->issued += (uint64_t)count;
    connection->asked = count;
    connection->answered = 0;
    connection->output_size = (size_t)(to - connection->output);
    connection->output_sent = 0;
    connection->sent_ns = time_ns;
    connection->busy = true;
    connection_flush(connection);
}

static int socket_connect(const struct settings *settings)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons((uint16_t)settings->port)};
    const struct sockaddr *address = (const struct sockaddr *)&remote;
    socklen_t size = sizeof remote;
    if (settings->socket_path) {
        snprintf(local.sun_path, sizeof local.sun_path, "%s", settings->socket_path);
        address = (const struct sockaddr *)&local;
        size = sizeof local;
    } else {
        inet_pton(AF_INET, settings->host, &remote.sin_addr);
    }
    int descriptor = socket(address->sa_family, SOCK_STREAM, 0);
    if (connect(descriptor, address, size))
        die("connect");
    if (!settings->socket_path)
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    return descriptor;
}

void connection_init(struct generator *lg, struct connection *connection)
{
    connection->lg = lg;
    connection->descriptor = socket_connect(&lg->settings);
    connection->output = malloc((size_t)lg->settings.depth * request_capacity(&lg->settings));
    connection->input = malloc(INPUT_CAPACITY);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(lg->epoll, EPOLL_CTL_ADD, connection->descriptor, &event);
}

static bool connection_read(struct connection *connection)
{
    struct generator *lg = connection->lg;
    ssize_t size = read(connection->descriptor, connection->input + connection->input_size,
                        INPUT_CAPACITY - connection->input_size);
    if (size == 0)
        return false;
    if (size < 0 && errno != EAGAIN)
        die("read");
    if (size < 0)
        return true;
    lg->tally.input_bytes += lg->tally.counting ? (uint64_t)size : 0;
    connection->input_size += (size_t)size;
    uint64_t time_ns = now_ns();
    connection_parse(connection, time_ns);
    if (connection->busy && connection->answered == connection->asked) {
        connection->busy = false;
        if (lg->settings.rate <= 0)
            connection_send_batch(connection, time_ns);
    }
    return true;
}

bool connection_handle(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT)
        connection_flush(connection);
    return !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || connection_read(connection);
}
