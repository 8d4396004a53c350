#define _GNU_SOURCE 1 /* accept4 */

#include "net/acceptor.h"

#include "base/clock.h"
#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections accepted before something else has its turn. */
#define ACCEPTS_PER_TURN 64

/* Level-triggered, so that what a turn leaves in the backlog raises the next event. */
static bool watch(struct acceptor *acceptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &acceptor->source};
    return epoll_ctl(acceptor->epoll, EPOLL_CTL_ADD, acceptor->listener, &event) == 0;
}

static void pause_accepting(struct acceptor *acceptor)
{
    if (!acceptor->is_paused) {
        (void)epoll_ctl(acceptor->epoll, EPOLL_CTL_DEL, acceptor->listener, NULL);
        acceptor->is_paused = true;
    }
}

void acceptor_resume(struct acceptor *acceptor)
{
    if (acceptor->is_paused) {
        acceptor->is_paused = !watch(acceptor);
    }
}

static void refuse_connection(struct acceptor *acceptor, int descriptor)
{
    counter_add(acceptor->counters, COUNTER_REJECTED_CONNECTIONS, 1); /* before the client can know of it */
    (void)send(descriptor, acceptor->refusal.data, acceptor->refusal.size, MSG_NOSIGNAL);
    (void)shutdown(descriptor, SHUT_RDWR);
    (void)close(descriptor);
}

/* Takes a place below the bound; every connection gives its place back when it closes. */
static bool take_place(struct worker_shared *shared)
{
    size_t most = (size_t)option_get(shared->options, maxconns);
    if (atomic_fetch_add_explicit(&shared->connections, 1, memory_order_relaxed) < most) {
        return true;
    }
    atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
    return false;
}

/* A client that has vanished without a word would be waited for for hours. The times are those of Redis. */
static void set_keepalive(int descriptor, uint32_t seconds)
{
    const int on = 1, idle = (int)seconds, interval = idle / 3 > 0 ? idle / 3 : 1, probes = 3;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (seconds == 0) return;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* What is accepted inherits them from the listening socket, so that they are set once. */
static void set_tcp_options(int listener, uint32_t keepalive_s)
{
    const int on = 1;
    (void)setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    set_keepalive(listener, keepalive_s);
}

static bool is_tcp(int listener)
{
    int family = AF_UNSPEC;
    socklen_t size = sizeof(family);
    (void)getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &family, &size);
    return family == AF_INET || family == AF_INET6;
}

/* Moves a connection out of the numbers that somebody else needs. -1: all behind them are taken. It stays where the process
 * may have none behind them at all. */
static int lift_descriptor(const struct acceptor *acceptor, int descriptor)
{
    int lifted = acceptor->shared->descriptor_floor;
    if (descriptor >= lifted) return descriptor;
    lifted = fcntl(descriptor, F_DUPFD_CLOEXEC, lifted);
    if (lifted < 0) return errno == EINVAL ? descriptor : -1;
    (void)close(descriptor);
    return lifted;
}

/* The number that the connection is served under; -1: there is no room for it. */
static int find_room(const struct acceptor *acceptor, int descriptor)
{
    if (!take_place(acceptor->shared)) return -1;
    int lifted = lift_descriptor(acceptor, descriptor);
    if (lifted < 0) atomic_fetch_sub_explicit(&acceptor->shared->connections, 1, memory_order_relaxed);
    return lifted;
}

static void deal_out(struct acceptor *acceptor, int descriptor, const char *address)
{
    struct connection *connection = connection_new(descriptor, address, acceptor->door.address);
    connection->is_tcp = acceptor->is_tcp;
    struct worker *peer = acceptor->peers[acceptor->next_peer];
    acceptor->next_peer = (acceptor->next_peer + 1) % acceptor->peer_count;
    acceptor->admit(acceptor->owner, peer, connection);
}

/* Clients of a unix socket have no address of their own: they are known by the door. */
static void name_peer(const struct acceptor *acceptor, const struct sockaddr_storage *peer, socklen_t length,
                      char address[CLIENT_ADDRESS_SIZE])
{
    if (peer->ss_family == AF_UNIX)
        (void)snprintf(address, CLIENT_ADDRESS_SIZE, "%s", acceptor->door.address);
    else
        address_format(peer, length, address, CLIENT_ADDRESS_SIZE);
}

/* What accept4 says of a client that is gone again, not of the listener. */
static bool is_passing(int reason)
{
    return reason == EINTR || reason == ECONNABORTED || reason == EPROTO || reason == EPERM;
}

/* False when there is nothing more to accept now. */
static bool accept_connection(struct acceptor *acceptor)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(peer);
    int descriptor = accept4(acceptor->listener, (struct sockaddr *)(void *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && !is_passing(errno)) {
            pause_accepting(acceptor);
        }
        return is_passing(errno);
    }
    int lifted = find_room(acceptor, descriptor);
    if (lifted < 0) {
        refuse_connection(acceptor, descriptor);
        return true;
    }
    char address[CLIENT_ADDRESS_SIZE];
    name_peer(acceptor, &peer, length, address);
    deal_out(acceptor, lifted, address);
    return true;
}

static void handle_event(struct event_source *source, uint32_t events)
{
    (void)events;
    struct acceptor *acceptor = CONTAINER_OF(source, struct acceptor, source);
    for (int accepts = 0; accepts < ACCEPTS_PER_TURN && accept_connection(acceptor); accepts++) {
        if (acceptor->turn == NULL) continue;
        turn_charge(acceptor->turn, COST_OF_CONNECTION);
        if (turn_is_over(acceptor->turn)) break;
    }
}

static void name_door(struct acceptor *acceptor, const char *address)
{
    acceptor->door = (struct client_entry){.descriptor = acceptor->listener};
    (void)snprintf(acceptor->door.address, sizeof(acceptor->door.address), "%s", address);
    atomic_init(&acceptor->door.state, CLIENT_LISTENS);
    atomic_init(&acceptor->door.last_request_ms, clock_wall_ms());
}

bool acceptor_init(struct acceptor *acceptor, int listener, const char *address, struct worker **peers, size_t peer_count)
{
    CHECK(peer_count > 0);
    acceptor->source = (struct event_source){.is_patient = true, .handle = handle_event};
    acceptor->listener = listener;
    name_door(acceptor, address);
    acceptor->is_tcp = is_tcp(listener);
    if (acceptor->is_tcp) set_tcp_options(listener, acceptor->shared->keepalive_s);
    acceptor->peers = check_calloc(peer_count, sizeof(struct worker *));
    memcpy(acceptor->peers, peers, peer_count * sizeof(struct worker *));
    acceptor->peer_count = peer_count;
    if (!watch(acceptor)) {
        free(acceptor->peers);
        acceptor->peers = NULL;
        return false;
    }
    client_list_add(acceptor->shared->clients, &acceptor->door);
    return true;
}

void acceptor_deinit(struct acceptor *acceptor)
{
    client_list_remove(acceptor->shared->clients, &acceptor->door);
    pause_accepting(acceptor);
    free(acceptor->peers);
    acceptor->peers = NULL;
}
