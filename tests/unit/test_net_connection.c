/* How one connection treats a client that misbehaves, and the others beside it. */
#include "fake/door.h"

#include "base/clock.h"
#include "net/pool.h"
#include "net/turn.h"

#include <malloc.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BULK_REPLY_SIZE (sizeof("VALUE bulk 0 100000\r\n\r\nEND\r\n") - 1 + DOOR_BULK_SIZE)
#define SMALL_BUFFER 4096

static const size_t none = 0;
static const size_t one = 1;

/* The clock has no context that a test could change. The linker sends all calls here (Makefile). */
static struct {
    _Atomic uint64_t us; /* by which it is ahead of the real one */
} clock_ahead;

uint64_t __real_clock_monotonic_us(void);
uint64_t __wrap_clock_monotonic_us(void);

uint64_t __wrap_clock_monotonic_us(void)
{
    return __real_clock_monotonic_us() + atomic_load(&clock_ahead.us);
}

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

static void turn(struct door *door, int turns)
{
    for (int i = 0; i < turns; i++) {
        door_turn(door);
    }
}

static void ask(struct door *door, int client, struct span request, struct span expected)
{
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_ask(door, client, request, &reply, expected.size));
    assert_int_equal(buffer_size(&reply), expected.size);
    if (expected.size > 0) {
        assert_memory_equal(buffer_content(&reply).data, expected.data, expected.size);
    }
    buffer_deinit(&reply);
}

static void say_often(struct buffer *request, struct span text, int times)
{
    for (int i = 0; i < times; i++) {
        buffer_append(request, text);
    }
}

/* Turns until nothing is executed any more. Each answer to `other` proves that worker and executor, which may wait for a processor,
 * have had their turns; the kernel has a moment, too. What is executed for it does not count. */
static void settle(struct door *door, int other)
{
    for (int quiet = 0; quiet < 100;) {
        size_t before = atomic_load(&door->executed);
        (void)usleep(200);
        ask(door, other, SPAN("get nothing\r\n"), SPAN("END\r\n"));
        size_t after = atomic_fetch_sub(&door->executed, 1) - 1;
        quiet = after == before ? quiet + 1 : 0;
    }
}

static void test_slow_reader_is_throttled(void **state)
{
    struct door *door = *state;
    enum { GETS = 1000 };
    struct buffer request;
    struct buffer reply;
    buffer_init(&request);
    buffer_init(&reply);
    say_often(&request, SPAN("get bulk\r\n"), GETS);
    int client = door_connect(door, SMALL_BUFFER), other = door_connect(door, 0);
    ask(door, client, buffer_content(&request), SPAN(""));
    settle(door, other); /* meanwhile the others are served */
    close(other);
    /* The kernel's send buffer may take up to 4 MB, ours about half of one. */
    assert_true(atomic_load(&door->executed) * DOOR_BULK_SIZE < 8 * 1024 * 1024);

    assert_true(door_ask(door, client, SPAN(""), &reply, 10 * BULK_REPLY_SIZE));
    buffer_deinit(&reply);
    close(client);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    buffer_deinit(&request);
}

#define SMALL_VALUE_SIZE 4000

/* One that is copied to be sent. */
static void set_small_value(struct door *door, int client)
{
    struct buffer request;
    buffer_init(&request);
    buffer_append(&request, SPAN("set k 0 0 4000\r\n"));
    say_often(&request, SPAN("v"), SMALL_VALUE_SIZE);
    buffer_append(&request, SPAN("\r\n"));
    ask(door, client, buffer_content(&request), SPAN("STORED\r\n"));
    buffer_deinit(&request);
}

static void test_slow_reader_of_small_values_is_throttled(void **state)
{
    struct door *door = *state;
    enum { GETS = 5000 };
    struct buffer request;
    buffer_init(&request);
    int client = door_connect(door, SMALL_BUFFER), other = door_connect(door, 0);
    set_small_value(door, client);
    say_often(&request, SPAN("get k\r\n"), GETS);
    ask(door, client, buffer_content(&request), SPAN(""));
    settle(door, other);
    assert_true(atomic_load(&door->executed) * SMALL_VALUE_SIZE < 8 * 1024 * 1024);
    assert_in_range(door_count(door, COUNTER_CLIENT_BYTES), 1, 2 * 1024 * 1024);
    if (door->threads == 0) { /* and nothing is tried over and over again */
        struct pollfd turn_due = {.fd = worker_descriptor(door->workers[0]), .events = POLLIN};
        assert_int_equal(poll(&turn_due, 1, 0), 0);
    }
    close(client);
    close(other);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(atomic_load(&door->shared.lent), 0);
    buffer_deinit(&request);
}

#define DEAF_CLIENTS 12
#define HELD_MOST ((size_t)1024 * 1024)

/* Together they would hold more than they may: who has waited longest goes, and who reads, however slowly, stays. Each worker
 * has its share. */
static void test_what_deaf_clients_hold_together_is_bounded(void **state)
{
    struct door *door = *state;
    struct buffer request, reply;
    int deaf[DEAF_CLIENTS];
    buffer_init(&request);
    buffer_init(&reply);
    say_often(&request, SPAN("get bulk bulk bulk\r\n"), 100);
    door->shared.worker_count = 4;
    atomic_store(&door->options.maxmemory_clients, 4 * HELD_MOST);
    int slow = door_connect(door, SMALL_BUFFER), other = door_connect(door, 0);
    ask(door, slow, buffer_content(&request), SPAN(""));
    settle(door, other);
    for (int i = 0; i < DEAF_CLIENTS; i++) {
        deaf[i] = door_connect(door, SMALL_BUFFER);
        ask(door, deaf[i], buffer_content(&request), SPAN(""));
        settle(door, other);
        assert_in_range(door_count(door, COUNTER_CLIENT_BYTES), 1, HELD_MOST);
        assert_true(door_ask(door, slow, SPAN(""), &reply, (size_t)(i + 1) * 20 * DOOR_BULK_SIZE));
        settle(door, other);
    }
    assert_in_range(door_count(door, COUNTER_MEMORY_KICKS), 1, DEAF_CLIENTS - 1);
    buffer_reset(&reply, 0);
    assert_true(door_read_to_end(door, deaf[0], &reply)); /* the first of them was the first to go */
    for (int i = 0; i < DEAF_CLIENTS; i++) {
        close(deaf[i]);
    }
    close(slow);
    close(other);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(door_count(door, COUNTER_CLIENT_BYTES), 0);
    buffer_deinit(&reply);
    buffer_deinit(&request);
}

static void test_throttled_client_gets_every_byte(void **state)
{
    struct door *door = *state;
    enum { GETS = 150 };
    struct buffer request;
    struct buffer reply;
    buffer_init(&request);
    buffer_init(&reply);
    say_often(&request, SPAN("get bulk\r\n"), GETS);
    int client = door_connect(door, SMALL_BUFFER), other = door_connect(door, 0);
    ask(door, client, buffer_content(&request), SPAN(""));
    settle(door, other);
    close(other);
    assert_true(door_ask(door, client, SPAN("nonsense\r\n"), &reply, GETS * BULK_REPLY_SIZE + 7));
    assert_int_equal(buffer_size(&reply), GETS * BULK_REPLY_SIZE + 7);
    for (size_t i = 0; i < GETS; i++) {
        const char *at = buffer_content(&reply).data + i * BULK_REPLY_SIZE;
        assert_memory_equal(at, "VALUE bulk 0 100000\r\nb", 22);
        assert_memory_equal(at + BULK_REPLY_SIZE - 8, "b\r\nEND\r\n", 8);
    }
    close(client);
    buffer_deinit(&reply);
    buffer_deinit(&request);
}

static void test_deaf_client_is_dropped(void **state)
{
    struct door *door = *state;
    struct buffer request;
    buffer_init(&request);
    say_often(&request, SPAN("get bulk\r\n"), 200);
    atomic_store(&door->options.write_timeout, 1);
    int client = door_connect(door, SMALL_BUFFER);
    int silent = door_connect(door, 0);
    ask(door, client, buffer_content(&request), SPAN(""));
    assert_true(door_await_count(door, COUNTER_SLOW_CONNECTIONS, 1));
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 1));
    ask(door, silent, SPAN("get k\r\n"), SPAN("END\r\n"));
    close(silent);
    close(client);
    buffer_deinit(&request);
}

/* So much time passes, and only who has asked since then has been heard of lately. */
static void let_pass(struct door *door, uint64_t microseconds, int talking)
{
    atomic_fetch_add(&clock_ahead.us, microseconds);
    ask(door, talking, SPAN("get k\r\n"), SPAN("END\r\n"));
}

static void test_silent_client_is_dropped(void **state)
{
    struct door *door = *state;
    const uint64_t half_us = 1800 * UINT64_C(1000000);
    atomic_store(&door->options.idle_timeout, 3600);
    int silent = door_connect(door, 0);
    int talking = door_connect(door, 0);
    ask(door, talking, SPAN("get k\r\n"), SPAN("END\r\n"));
    let_pass(door, half_us, talking);
    assert_int_equal(door_count(door, COUNTER_IDLE_KICKS), 0);
    let_pass(door, half_us + half_us / 2, talking);
    assert_true(door_await_count(door, COUNTER_IDLE_KICKS, 1));
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_read_to_end(door, silent, &reply));
    assert_int_equal(buffer_size(&reply), 0);
    let_pass(door, half_us, talking);
    let_pass(door, half_us, talking);
    assert_int_equal(door_count(door, COUNTER_IDLE_KICKS), 1);
    buffer_deinit(&reply);
    close(silent);
    close(talking);
}

/* True when output stays pending though the kernel had time to move it on. The other client's answers prove that the worker,
 * which may wait for a processor, has tried to send it. */
static bool is_stuck(struct door *door, int other, uint64_t *bytes)
{
    for (int i = 0; i < 100; i++) {
        (void)usleep(1000);
        ask(door, other, SPAN("get nothing\r\n"), SPAN("END\r\n"));
        bool is_pending = door_count(door, COUNTER_BYTES_WRITTEN) < *bytes;
        *bytes += sizeof("END\r\n") - 1; /* which may not be counted yet */
        if (!is_pending) {
            return false;
        }
    }
    return true;
}

/* Asks one by one until the socket is full, but far less than the limit is pending; returns how many bytes are to come. */
static uint64_t fill_socket(struct door *door, int client)
{
    const uint64_t reply_size = sizeof("VALUE k 0 4000\r\n\r\nEND\r\n") - 1 + SMALL_VALUE_SIZE;
    uint64_t written = door_count(door, COUNTER_BYTES_WRITTEN), expected = 0;
    int other = door_connect(door, 0);
    do {
        ask(door, client, SPAN("get k\r\n"), SPAN(""));
        expected += reply_size;
        written += reply_size;
    } while (!is_stuck(door, other, &written));
    close(other);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 1));
    return expected;
}

/* Memory is short: who has not read what was asked before gets nothing more executed, however little it is. */
static void test_nothing_is_executed_for_the_deaf_while_memory_is_short(void **state)
{
    struct door *door = *state;
    struct buffer reply;
    buffer_init(&reply);
    int client = door_connect(door, SMALL_BUFFER);
    set_small_value(door, client);
    uint64_t bytes = fill_socket(door, client);
    atomic_store(&door->options.maxmemory_clients, 1);
    size_t executed = atomic_load(&door->executed);
    ask(door, client, SPAN("get nothing\r\n"), SPAN(""));
    turn(door, 100);
    assert_int_equal(atomic_load(&door->executed), executed);
    assert_true(door_ask(door, client, SPAN(""), &reply, bytes + 5));
    close(client);
    buffer_deinit(&reply);
}

/* Who waits for an answer is not idle. */
static void test_a_waiting_client_is_not_silent(void **state)
{
    struct door *door = *state;
    int waiting = door_connect(door, 0), silent = door_connect(door, 0);
    atomic_store(&door->is_held, true);
    ask(door, waiting, SPAN("get k\r\n"), SPAN(""));
    assert_true(door_await_count(door, COUNTER_BYTES_READ, 7));
    atomic_store(&door->options.idle_timeout, 1);
    assert_true(door_await_count(door, COUNTER_IDLE_KICKS, 1));
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 1));
    atomic_store(&door->is_held, false);
    ask(door, waiting, SPAN(""), SPAN("END\r\n"));
    close(waiting);
    close(silent);
}

/* The batch comes back to a connection that is closed already. */
static void test_batch_outlives_its_connection(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, SMALL_BUFFER);
    set_small_value(door, client);
    (void)fill_socket(door, client);
    atomic_store(&door->is_held, true);
    uint64_t read = door_count(door, COUNTER_BYTES_READ);
    size_t executed = atomic_load(&door->executed);
    ask(door, client, SPAN("get bulk\r\n"), SPAN(""));
    assert_true(door_await_count(door, COUNTER_BYTES_READ, read + 10)); /* it is at the executor */
    atomic_store(&door->options.write_timeout, 1);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(door_count(door, COUNTER_SLOW_CONNECTIONS), 1);
    atomic_store(&door->is_held, false);
    close(client);
    client = door_connect(door, 0);
    ask(door, client, SPAN("get nothing\r\n"), SPAN("END\r\n")); /* behind the other one, which has come back then */
    assert_int_equal(atomic_load(&door->executed), executed + 2);
    assert_int_equal(atomic_load(&door->shared.lent), 0);
    close(client);
}

static void test_chatterer_leaves_room_for_others(void **state)
{
    struct door *door = *state;
    struct buffer request;
    struct buffer reply;
    buffer_init(&request);
    buffer_init(&reply);
    say_often(&request, SPAN("x\r\n"), 100000);
    int chatterer = door_connect(door, 0);
    int other = door_connect(door, 0);
    turn(door, 20);
    (void)send(chatterer, buffer_content(&request).data, buffer_size(&request), MSG_NOSIGNAL);
    (void)usleep(10000);
    uint64_t before = door_count(door, COUNTER_BYTES_WRITTEN);
    worker_poll(door->workers[0], 0);
    assert_true(door_count(door, COUNTER_BYTES_WRITTEN) > before);
    assert_true(door_count(door, COUNTER_BYTES_WRITTEN) - before < 100000);
    /* What is left raises the next turn. */
    struct pollfd turn_due = {.fd = worker_descriptor(door->workers[0]), .events = POLLIN};
    assert_int_equal(poll(&turn_due, 1, 0), 1);
    ask(door, other, SPAN("get k\r\n"), SPAN("END\r\n"));
    close(other);
    close(chatterer);
    buffer_deinit(&request);
    buffer_deinit(&reply);
}

#define FLOODERS 12
/* What a turn moves: the last connection may move that much once more. */
#define TURN_BYTES_MOST (2 * TURN_COST_MOST)

static void flood(const int flooders[FLOODERS])
{
    static const char bytes[65536];
    for (int i = 0; i < FLOODERS; i++) {
        while (send(flooders[i], bytes, sizeof(bytes), MSG_NOSIGNAL) > 0) {
        }
    }
}

/* Asks for a small item: the answer comes in the same turn, whatever else there is to be done in it. */
static void assert_answered_at_once(struct door *door, int client)
{
    char reply[16];
    assert_int_equal(send(client, "get k\r\n", 7, MSG_NOSIGNAL), 7);
    door_turn(door);
    assert_int_equal(recv(client, reply, sizeof(reply), 0), 5);
    assert_memory_equal(reply, "END\r\n", 5);
}

/* Those who only send have nothing to write either. */
static void test_small_request_goes_before_floods(void **state)
{
    struct door *door = *state;
    int flooders[FLOODERS];
    for (int i = 0; i < FLOODERS; i++) {
        flooders[i] = door_connect(door, 0);
        (void)send(flooders[i], "set k 0 0 2147483645\r\n", 22, MSG_NOSIGNAL);
    }
    int other = door_connect(door, 0);
    for (int i = 0; i < 40; i++) {
        flood(flooders);
        door_turn(door);
    }
    for (int i = 0; i < 100; i++) {
        uint64_t before = door_count(door, COUNTER_BYTES_READ);
        assert_answered_at_once(door, other);
        assert_in_range(door_count(door, COUNTER_BYTES_READ) - before, TURN_COST_MOST / 2, TURN_BYTES_MOST);
        flood(flooders);
    }
    for (int i = 0; i < FLOODERS; i++) {
        close(flooders[i]);
    }
    close(other);
}

#define NEWCOMERS 60

/* Accepting some hundred clients takes longer than anybody should wait, and so does letting them go. */
static void test_small_request_goes_before_those_who_come_and_go(void **state)
{
    struct door *door = *state;
    const uint64_t most_per_turn = TURN_COST_MOST / COST_OF_CONNECTION + 1;
    int clients[NEWCOMERS], other = door_connect(door, 0);
    turn(door, 5);
    for (int i = 0; i < NEWCOMERS; i++) {
        clients[i] = door_connect(door, 0);
    }
    uint64_t open = 1;
    while (open < NEWCOMERS + 1) {
        assert_answered_at_once(door, other);
        assert_in_range(door_count(door, COUNTER_CURR_CONNECTIONS) - open, 1, most_per_turn);
        open = door_count(door, COUNTER_CURR_CONNECTIONS);
    }
    turn(door, 5);
    for (int i = 0; i < NEWCOMERS; i++) {
        close(clients[i]);
    }
    while (open > 1) {
        assert_answered_at_once(door, other);
        assert_in_range(open - door_count(door, COUNTER_CURR_CONNECTIONS), 1, most_per_turn);
        open = door_count(door, COUNTER_CURR_CONNECTIONS);
    }
    close(other);
}

/* Turns until the connections hold no more than this. */
static bool await_held_bytes(struct door *door, uint64_t most)
{
    uint64_t deadline = clock_monotonic_us() + 10000000;
    while (door_count(door, COUNTER_CLIENT_BYTES) > most && clock_monotonic_us() < deadline) {
        door_turn(door);
    }
    return door_count(door, COUNTER_CLIENT_BYTES) <= most;
}

/* A value that is thrown away takes no memory, ends where it ends, and is counted. */
static void test_refused_value_is_not_held(void **state)
{
    struct door *door = *state;
    enum { SIZE = 3000000 };
    struct buffer request;
    buffer_init(&request);
    buffer_append(&request, SPAN("add k 0 0 3000000\r\n"));
    buffer_reserve(&request, SIZE + 100);
    memset(request.data + request.end, 'x', SIZE);
    request.end += SIZE;
    int client = door_connect(door, 0);
    struct span last = SPAN("\r\nget k\r\nnonsense\r\n");
    ask(door, client, buffer_content(&request), SPAN("SERVER_ERROR object too large for cache\r\n"));
    assert_true(door_await_count(door, COUNTER_BYTES_READ, buffer_size(&request)));
    assert_true(await_held_bytes(door, 0)); /* it is counted a moment later */
    ask(door, client, last, SPAN("END\r\nERROR\r\n"));
    assert_int_equal(door_count(door, COUNTER_BYTES_READ), buffer_size(&request) + last.size);
    close(client);
    buffer_deinit(&request);
}

static void test_chatterer_gets_every_reply(void **state)
{
    struct door *door = *state;
    struct buffer request;
    struct buffer reply;
    buffer_init(&request);
    buffer_init(&reply);
    say_often(&request, SPAN("x\r\n"), 100000);
    int client = door_connect(door, 0);
    assert_true(door_ask(door, client, buffer_content(&request), &reply, 700000));
    assert_int_equal(buffer_size(&reply), 700000);
    close(client);
    buffer_deinit(&request);
    buffer_deinit(&reply);
}

/* The engine forks to save, and the child keeps duplicates of all sockets open. */
static void test_closes_though_a_child_holds_the_socket(void **state)
{
    struct door *door = *state;
    struct buffer reply;
    buffer_init(&reply);
    int client = door_connect(door, 0);
    ask(door, client, SPAN("get k\r\n"), SPAN("END\r\n"));
    pid_t child = fork();
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    ask(door, client, SPAN("quit\r\n"), SPAN(""));
    assert_true(door_read_to_end(door, client, &reply));
    close(client);
    turn(door, 5);
    /* The closed connection raises no event any more. */
    struct pollfd turn_due = {.fd = worker_descriptor(door->workers[0]), .events = POLLIN};
    assert_int_equal(poll(&turn_due, 1, 0), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    buffer_deinit(&reply);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 0
#else
#define COUNTS_MEMORY 1
#endif

static size_t memory_in_use(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_idle_connections_are_cheap(void **state)
{
    struct door *door = *state;
    enum { CLIENTS = 2000, SPARE = 50 };
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (!COUNTS_MEMORY || limit.rlim_cur < 2 * CLIENTS + 2 * SPARE) {
        skip();
    }
    atomic_store(&door->options.maxconns, CLIENTS);
    int clients[CLIENTS];
    size_t before = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = door_connect(door, 0);
        ask(door, clients[i], SPAN("get k k k\r\n"), SPAN("END\r\n"));
        if (i + 1 == SPARE) {
            before = memory_in_use();
        }
    }
    size_t each = (memory_in_use() - before) / (CLIENTS - SPARE);
    assert_true(each < 1500);
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i]);
    }
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
}

static void test_large_buffers_go_back(void **state)
{
    struct door *door = *state;
    if (!COUNTS_MEMORY) {
        skip();
    }
    struct buffer reply;
    int client = door_connect(door, 0);
    ask(door, client, SPAN("get k\r\n"), SPAN("END\r\n"));
    size_t before = memory_in_use();
    buffer_init(&reply);
    assert_true(door_ask(door, client, SPAN("get bulk bulk bulk bulk bulk\r\n"), &reply, 5 * (DOOR_BULK_SIZE + 23) + 5));
    buffer_deinit(&reply);
    turn(door, 5);
    assert_true(memory_in_use() < before + 100000);
    close(client);
}

#define LARGE_SIZE ((size_t)4 * 1024 * 1024)

/* A set of LARGE_SIZE bytes that differ from their neighbours. */
static void make_large_set(struct door *door, struct buffer *request)
{
    atomic_store(&door->options.max_item_size, 2 * (int64_t)LARGE_SIZE);
    buffer_append(request, SPAN("set large 0 0 4194304\r\n"));
    buffer_reserve(request, LARGE_SIZE);
    for (size_t i = 0; i < LARGE_SIZE; i++) {
        request->data[request->end++] = (char)(i * 7 + i / 251);
    }
    buffer_append(request, SPAN("\r\n"));
}

/* A value that is on its way takes what has come of it, up to four times; one that has come takes itself; and what little comes
 * behind it takes what every connection has. */
static void test_input_takes_what_it_needs(void **state)
{
    struct door *door = *state;
    struct buffer request;
    buffer_init(&request);
    make_large_set(door, &request);
    int client = door_connect(door, 0);
    ask(door, client, span_of(request.data, 200000), SPAN(""));
    assert_true(door_await_count(door, COUNTER_BYTES_READ, 200000));
    assert_true(door_count(door, COUNTER_CLIENT_BYTES) <= 4 * 200000);
    ask(door, client, span_of(request.data + 200000, request.end - 200100), SPAN(""));
    assert_true(door_await_count(door, COUNTER_BYTES_READ, request.end - 100));
    assert_true(await_held_bytes(door, LARGE_SIZE + 100));
    buffer_append(&request, SPAN("get "));
    ask(door, client, span_of(request.data + request.end - 104, 104), SPAN("STORED\r\n"));
    assert_true(await_held_bytes(door, 2 * POOL_BUFFER_SIZE));
    ask(door, client, SPAN("k\r\n"), SPAN("END\r\n"));
    close(client);
    buffer_deinit(&request);
}

/* The client takes a large value little by little; meanwhile it is held once, and another one is stored in its place. */
static void test_a_value_that_waits_is_held_once(void **state)
{
    struct door *door = *state;
    struct buffer request, reply;
    buffer_init(&request);
    buffer_init(&reply);
    make_large_set(door, &request);
    int client = door_connect(door, SMALL_BUFFER), other = door_connect(door, 0);
    ask(door, other, buffer_content(&request), SPAN("STORED\r\n"));
    ask(door, other, SPAN("set k 0 0 1\r\nv\r\n"), SPAN("STORED\r\n"));
    ask(door, client, SPAN("get k large k\r\nget bulk\r\n"), SPAN(""));
    settle(door, other);
    uint64_t held = door_count(door, COUNTER_CLIENT_BYTES);
    assert_in_range(held, 1, LARGE_SIZE + LARGE_SIZE / 8);
    static const struct span before = SPAN("VALUE k 0 1\r\nv\r\nVALUE large 0 4194304\r\n");
    static const struct span behind = SPAN("\r\nVALUE k 0 1\r\nv\r\nEND\r\nVALUE bulk 0 100000\r\nb");
    struct buffer expected;
    buffer_init(&expected);
    buffer_append(&expected, before);
    buffer_append(&expected, span_of(request.data + sizeof "set large 0 0 4194304\r\n" - 1, LARGE_SIZE));
    buffer_append(&expected, behind);
    memset(request.data + sizeof "set large 0 0 4194304\r\n" - 1, 'x', LARGE_SIZE); /* in the same memory, maybe */
    ask(door, other, buffer_content(&request), SPAN("STORED\r\n"));
    assert_true(door_ask(door, client, SPAN(""), &reply, buffer_size(&expected) - 1 + DOOR_BULK_SIZE + 7));
    assert_memory_equal(buffer_content(&reply).data, buffer_content(&expected).data, buffer_size(&expected));
    buffer_deinit(&expected);
    assert_true(await_held_bytes(door, 0));
    close(client);
    close(other);
    buffer_deinit(&reply);
    buffer_deinit(&request);
}

/* Small and large ones behind one another, in any order. */
static void test_large_values_keep_their_place(void **state)
{
    struct door *door = *state;
    struct buffer reply, expected, bulk;
    buffer_init(&reply);
    buffer_init(&expected);
    buffer_init(&bulk);
    buffer_append(&bulk, SPAN("VALUE bulk 0 100000\r\n"));
    buffer_reserve(&bulk, DOOR_BULK_SIZE);
    memset(bulk.data + bulk.end, 'b', DOOR_BULK_SIZE);
    bulk.end += DOOR_BULK_SIZE;
    buffer_append(&bulk, SPAN("\r\n"));
    int client = door_connect(door, 0);
    ask(door, client, SPAN("set k 0 0 1\r\nv\r\n"), SPAN("STORED\r\n"));
    static const char pattern[] = "kbbkxbkkbbbbbbbkb";
    for (const char *at = pattern; *at; at++) {
        if (*at == 'b') buffer_append(&expected, buffer_content(&bulk));
        if (*at == 'k') buffer_append(&expected, SPAN("VALUE k 0 1\r\nv\r\n"));
    }
    buffer_append(&expected, SPAN("END\r\nERROR\r\n"));
    struct span request = SPAN("get k bulk bulk k x bulk k k bulk bulk bulk bulk bulk bulk bulk k bulk\r\nnonsense\r\n");
    for (int i = 0; i < 10; i++) {
        buffer_reset(&reply, SIZE_MAX);
        assert_true(door_ask(door, client, request, &reply, buffer_size(&expected)));
        assert_true(span_equal(buffer_content(&reply), buffer_content(&expected)));
    }
    close(client);
    buffer_deinit(&bulk);
    buffer_deinit(&expected);
    buffer_deinit(&reply);
}

/* Replies that fill the output, and behind them, in the same batch, a large value: it must not overtake those that wait. */
static void test_large_values_do_not_overtake(void **state)
{
    struct door *door = *state;
    enum { SMALL = 127, SMALL_SIZE = 2050 };
    static const struct span name = SPAN("a_key_that_makes_headers_long");
    struct buffer request, expected, reply, value;
    buffer_init(&request);
    buffer_init(&expected);
    buffer_init(&reply);
    buffer_init(&value);
    say_often(&value, SPAN("s"), SMALL_SIZE);
    int client = door_connect(door, 0);
    buffer_append(&request, SPAN("set a_key_that_makes_headers_long 0 0 2050\r\n"));
    buffer_append(&request, buffer_content(&value));
    buffer_append(&request, SPAN("\r\n"));
    ask(door, client, buffer_content(&request), SPAN("STORED\r\n"));
    buffer_reset(&request, SIZE_MAX);
    buffer_append(&request, SPAN("get"));
    for (int i = 0; i < SMALL; i++) {
        buffer_append(&request, SPAN(" "));
        buffer_append(&request, name);
        buffer_append(&expected, SPAN("VALUE a_key_that_makes_headers_long 0 2050\r\n"));
        buffer_append(&expected, buffer_content(&value));
        buffer_append(&expected, SPAN("\r\n"));
    }
    buffer_append(&request, SPAN(" bulk\r\n"));
    buffer_append(&expected, SPAN("VALUE bulk 0 100000\r\n"));
    say_often(&expected, SPAN("b"), DOOR_BULK_SIZE);
    buffer_append(&expected, SPAN("\r\nEND\r\n"));
    assert_true(door_ask(door, client, buffer_content(&request), &reply, buffer_size(&expected)));
    assert_true(span_equal(buffer_content(&reply), buffer_content(&expected)));
    close(client);
    buffer_deinit(&value);
    buffer_deinit(&reply);
    buffer_deinit(&expected);
    buffer_deinit(&request);
}

#define DOOR_TEST(test, threads)                                                                                          \
    {                                                                                                                     \
        #test " (" #threads ")", test, set_up, tear_down, (void *)(uintptr_t)&threads                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TEST(test_slow_reader_is_throttled, none),
        DOOR_TEST(test_slow_reader_is_throttled, one),
        DOOR_TEST(test_slow_reader_of_small_values_is_throttled, none),
        DOOR_TEST(test_slow_reader_of_small_values_is_throttled, one),
        DOOR_TEST(test_what_deaf_clients_hold_together_is_bounded, none),
        DOOR_TEST(test_throttled_client_gets_every_byte, none),
        DOOR_TEST(test_throttled_client_gets_every_byte, one),
        DOOR_TEST(test_deaf_client_is_dropped, none),
        DOOR_TEST(test_deaf_client_is_dropped, one),
        DOOR_TEST(test_silent_client_is_dropped, none),
        DOOR_TEST(test_silent_client_is_dropped, one),
        DOOR_TEST(test_nothing_is_executed_for_the_deaf_while_memory_is_short, none),
        DOOR_TEST(test_a_waiting_client_is_not_silent, none),
        DOOR_TEST(test_a_waiting_client_is_not_silent, one),
        DOOR_TEST(test_batch_outlives_its_connection, none),
        DOOR_TEST(test_batch_outlives_its_connection, one),
        DOOR_TEST(test_chatterer_leaves_room_for_others, none),
        DOOR_TEST(test_small_request_goes_before_floods, none),
        DOOR_TEST(test_small_request_goes_before_those_who_come_and_go, none),
        DOOR_TEST(test_refused_value_is_not_held, none),
        DOOR_TEST(test_refused_value_is_not_held, one),
        DOOR_TEST(test_chatterer_gets_every_reply, none),
        DOOR_TEST(test_chatterer_gets_every_reply, one),
        DOOR_TEST(test_closes_though_a_child_holds_the_socket, none),
        DOOR_TEST(test_idle_connections_are_cheap, none),
        DOOR_TEST(test_large_buffers_go_back, none),
        DOOR_TEST(test_input_takes_what_it_needs, none),
        DOOR_TEST(test_input_takes_what_it_needs, one),
        DOOR_TEST(test_a_value_that_waits_is_held_once, none),
        DOOR_TEST(test_a_value_that_waits_is_held_once, one),
        DOOR_TEST(test_large_values_keep_their_place, none),
        DOOR_TEST(test_large_values_keep_their_place, one),
        DOOR_TEST(test_large_values_do_not_overtake, none),
        DOOR_TEST(test_large_values_do_not_overtake, one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
