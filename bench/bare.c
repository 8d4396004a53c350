/* bare -p PORT -q REQUEST_BYTES < ANSWER - what the kernel allows: a server that reads, counts and writes, and does nothing else.
 *
 * One thread and one epoll set, as a worker of the others has them. Every REQUEST_BYTES that arrive, whatever they are, are
 * answered with the bytes of standard input. A pipeline is read with one call and answered with one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_CAPACITY = 256 * 1024, ANSWERS_LEAST = 1024 * 1024, ANSWER_MAX = 8 * 1024 * 1024, EVENTS = 256 };

struct server {
    int listener, epoll;
    size_t request_size, answer_size;
    char *answers; /* the same one again and again */
    size_t answers_size;
    char *input; /* that of all connections: nobody looks at it */
};

struct connection {
    int descriptor;
    bool waits;                    /* for room to write */
    size_t begun, owed, sent_part; /* bytes: of the request that is not whole, to be sent, of the answer that is sent in part */
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(const struct server *server, int operation, struct connection *connection, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(server->epoll, operation, connection ? connection->descriptor : server->listener, &event) != 0)
        die("epoll_ctl");
}

static void connection_accept(const struct server *server)
{
    int descriptor = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK);
    if (descriptor < 0)
        return;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *connection = calloc(1, sizeof *connection);
    connection->descriptor = descriptor;
    watch(server, EPOLL_CTL_ADD, connection, EPOLLIN);
}

static void connection_close(struct connection *connection)
{
    close(connection->descriptor);
    free(connection);
}

/* Each of these is false when the connection is at its end. */
static bool connection_read(const struct server *server, struct connection *connection)
{
    ssize_t size = read(connection->descriptor, server->input, INPUT_CAPACITY);
    if (size <= 0)
        return size < 0 && errno == EAGAIN;
    size_t received = connection->begun + (size_t)size;
    connection->begun = received % server->request_size;
    connection->owed += received / server->request_size * server->answer_size;
    return true;
}

static bool connection_write(const struct server *server, struct connection *connection)
{
    bool is_full = false;
    while (connection->owed && !is_full) {
        size_t size = server->answers_size - connection->sent_part;
        size = size < connection->owed ? size : connection->owed;
        ssize_t sent = write(connection->descriptor, server->answers + connection->sent_part, size);
        if (sent < 0 && errno != EAGAIN)
            return false;
        is_full = sent < (ssize_t)size;
        connection->owed -= sent > 0 ? (size_t)sent : 0;
        connection->sent_part = (connection->sent_part + (sent > 0 ? (size_t)sent : 0)) % server->answer_size;
    }
    if (is_full != connection->waits)
        watch(server, EPOLL_CTL_MOD, connection, is_full ? EPOLLIN | EPOLLOUT : EPOLLIN);
    connection->waits = is_full;
    return true;
}

static void serve(const struct server *server)
{
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(server->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection)
                connection_accept(server);
            else if (!connection_read(server, connection) || !connection_write(server, connection))
                connection_close(connection);
        }
    }
}

static void server_listen(struct server *server, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(server->listener, 1024) != 0)
        die("listen");
    server->epoll = epoll_create1(0);
    watch(server, EPOLL_CTL_ADD, NULL, EPOLLIN);
}

static void server_read_answer(struct server *server)
{
    char *answer = malloc(ANSWER_MAX);
    server->answer_size = fread(answer, 1, ANSWER_MAX, stdin);
    size_t copies = server->answer_size ? ANSWERS_LEAST / server->answer_size + 1 : 0;
    server->answers_size = copies * server->answer_size;
    server->answers = malloc(server->answers_size);
    for (size_t i = 0; i < copies; i++)
        memcpy(server->answers + i * server->answer_size, answer, server->answer_size);
    free(answer);
}

int main(int argc, char **argv)
{
    struct server server = {.input = malloc(INPUT_CAPACITY)};
    int letter, port = 0;
    while ((letter = getopt(argc, argv, "p:q:")) > 0) {
        if (letter == 'p')
            port = (int)strtol(optarg, NULL, 10);
        else if (letter == 'q')
            server.request_size = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    server_read_answer(&server);
    if (port == 0 || server.request_size == 0 || server.answer_size == 0)
        return 2;
    server_listen(&server, port);
    serve(&server);
}
