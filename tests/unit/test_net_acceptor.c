/* The bounds on connections: diglot.maxconns, and the process's descriptors. */
#include "fake/door.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const size_t none = 0;
static const size_t three = 3;

static int set_up(void **state)
{
    *state = door_open(*(const size_t *)*state);
    return 0;
}

static int tear_down(void **state)
{
    door_close((struct door **)state);
    return 0;
}

static void assert_served(struct door *door, int client)
{
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_ask(door, client, SPAN("get k\r\n"), &reply, 5));
    assert_memory_equal(buffer_content(&reply).data, "END\r\n", 5);
    buffer_deinit(&reply);
}

static void assert_refused(struct door *door, int client)
{
    const struct span words = SPAN("ERROR Too many open connections\r\n");
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_read_to_end(door, client, &reply));
    assert_int_equal(buffer_size(&reply), words.size);
    assert_memory_equal(buffer_content(&reply).data, words.data, words.size);
    buffer_deinit(&reply);
}

static void test_maxconns_holds(void **state)
{
    struct door *door = *state;
    atomic_store(&door->options.maxconns, 4);
    int clients[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = door_connect(door, 0);
        assert_served(door, clients[i]);
    }
    for (int i = 0; i < 3; i++) {
        int refused = door_connect(door, 0);
        assert_refused(door, refused);
        close(refused);
    }
    assert_true(door_await_count(door, COUNTER_REJECTED_CONNECTIONS, 3));
    assert_int_equal(door_count(door, COUNTER_CURR_CONNECTIONS), 4);
    assert_int_equal(door_count(door, COUNTER_TOTAL_CONNECTIONS), 4);

    close(clients[0]);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 3));
    clients[0] = door_connect(door, 0);
    assert_served(door, clients[0]);
    for (int i = 0; i < 4; i++) {
        close(clients[i]);
    }
}

/* Those who are there already have their turn between those who come. */
static void test_a_turn_accepts_only_so_many(void **state)
{
    struct door *door = *state;
    enum { CLIENTS = 100, ACCEPTED_MOST = 64 };
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = door_connect(door, 0);
    }
    worker_poll(door->workers[0], 1000);
    assert_in_range(door_count(door, COUNTER_CURR_CONNECTIONS), 1, ACCEPTED_MOST);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, CLIENTS));
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i]);
    }
}

/* The process may open one descriptor more from here on: the client's. */
static struct rlimit leave_one_descriptor(void)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(next >= 0);
    close(next);
    struct rlimit tight = {.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    return before;
}

static void test_accepting_rests_without_descriptors(void **state)
{
    struct door *door = *state;
    const struct rlimit before = leave_one_descriptor();
    int client = door_connect(door, 0);
    /* At most one of the turns below resumes, and the next one pauses again. */
    bool was_quiet = false;
    for (int i = 0; i < 5 && !was_quiet; i++) {
        struct pollfd turn_due = {.fd = worker_descriptor(door->workers[0]), .events = POLLIN};
        door_turn(door);
        was_quiet = poll(&turn_due, 1, 0) == 0;
    }
    assert_true(was_quiet);
    assert_int_equal(door_count(door, COUNTER_TOTAL_CONNECTIONS), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_served(door, client);
    close(client);
}

static void test_clients_are_listed(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, 0);
    assert_served(door, client);
    assert_int_equal(door->clients.count, 2); /* the door itself comes first */
    const struct client_entry *entry = door->clients.first.next;
    assert_int_equal(atomic_load(&entry->state), CLIENT_LISTENS);
    assert_int_equal(entry->descriptor, door->listeners.listeners[0].descriptor);
    assert_string_equal(entry->address, door->listeners.listeners[0].address);
    assert_string_equal(entry->listening, "");
    entry = entry->next;
    assert_memory_equal(entry->address, "tcp:127.0.0.1:", 14);
    assert_string_equal(entry->listening, door->listeners.listeners[0].address);
    assert_true(atomic_load(&entry->last_request_ms) > 0);
    close(client);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(door->clients.count, 1);
}

static void test_descriptors_are_not_inherited(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, 0);
    assert_served(door, client);
    int descriptor = door->clients.first.previous->descriptor;
    assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(worker_descriptor(door->workers[0]), F_GETFD) & FD_CLOEXEC);
    close(client);
}

static int read_option(int descriptor, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);
    assert_int_equal(getsockopt(descriptor, level, name, &value, &size), 0);
    return value;
}

/* They are set on the door alone. */
static void test_connections_inherit_their_options(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, 0);
    assert_served(door, client);
    int descriptor = door->clients.first.previous->descriptor;
    assert_int_equal(read_option(descriptor, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(read_option(descriptor, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(read_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE), DOOR_KEEPALIVE_S);
    assert_int_equal(read_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL), DOOR_KEEPALIVE_S / 3);
    assert_int_equal(read_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT), 3);
    close(client);
}

#define DOOR_TEST(test, threads)                                                                                          \
    {                                                                                                                     \
        #test " (" #threads ")", test, set_up, tear_down, (void *)(uintptr_t)&threads                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TEST(test_maxconns_holds, none),
        DOOR_TEST(test_maxconns_holds, three),
        DOOR_TEST(test_a_turn_accepts_only_so_many, none),
        DOOR_TEST(test_accepting_rests_without_descriptors, none),
        DOOR_TEST(test_clients_are_listed, none),
        DOOR_TEST(test_descriptors_are_not_inherited, none),
        DOOR_TEST(test_connections_inherit_their_options, none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
