/* Conversations through real workers and sockets, with no thread, one, and three. */
#include "fake/door.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const size_t none = 0;
static const size_t one = 1;
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

static void assert_reply(struct buffer *reply, struct span expected)
{
    assert_int_equal(buffer_size(reply), expected.size);
    assert_memory_equal(buffer_content(reply).data, expected.data, expected.size);
    buffer_reset(reply, SIZE_MAX);
}

static void ask(struct door *door, int client, struct span request, struct span expected)
{
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_ask(door, client, request, &reply, expected.size));
    assert_reply(&reply, expected);
    buffer_deinit(&reply);
}

static void test_request_is_answered(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, 0);
    ask(door, client, SPAN("set k 0 0 5\r\nhello\r\n"), SPAN("STORED\r\n"));
    ask(door, client, SPAN("get k\r\n"), SPAN("VALUE k 0 5\r\nhello\r\nEND\r\n"));
    ask(door, client, SPAN("nonsense\r\n"), SPAN("ERROR\r\n"));
    ask(door, client, SPAN("get missing\r\n"), SPAN("END\r\n"));
    close(client);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(door_count(door, COUNTER_TOTAL_CONNECTIONS), 1);
}

static void test_pipeline_keeps_its_order(void **state)
{
    struct door *door = *state;
    struct buffer request;
    struct buffer expected;
    buffer_init(&request);
    buffer_init(&expected);
    for (int i = 0; i < 2000; i++) {
        char text[128];
        const char *nonsense = i % 3 == 0 ? "nonsense\r\n" : "";
        int size = snprintf(text, sizeof(text), "set k 0 0 4\r\n%04d\r\n%sget k missing\r\n", i, nonsense);
        buffer_append(&request, span_of(text, (size_t)size));
        size = snprintf(text, sizeof(text), "STORED\r\n%sVALUE k 0 4\r\n%04d\r\nEND\r\n", i % 3 == 0 ? "ERROR\r\n" : "", i);
        buffer_append(&expected, span_of(text, (size_t)size));
    }
    int client = door_connect(door, 0);
    ask(door, client, buffer_content(&request), buffer_content(&expected));
    close(client);
    buffer_deinit(&request);
    buffer_deinit(&expected);
}

static void test_request_may_be_split_anywhere(void **state)
{
    struct door *door = *state;
    const struct span request = SPAN("set k 0 0 5\r\nhello\r\nget k nothing\r\nnonsense\r\nget k\r\n");
    const struct span expected = SPAN("STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\nERROR\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
    int client = door_connect(door, 0);
    for (size_t split = 1; split < request.size; split++) {
        ask(door, client, span_of(request.data, split), SPAN(""));
        for (int turn = 0; turn < 3; turn++) {
            door_turn(door);
        }
        ask(door, client, span_skip(request, split), expected);
    }
    close(client);
}

static void test_long_get_comes_in_one_reply(void **state)
{
    struct door *door = *state;
    struct buffer request;
    struct buffer expected;
    buffer_init(&request);
    buffer_init(&expected);
    buffer_append(&request, SPAN("set k 0 0 1\r\nv\r\nget"));
    buffer_append(&expected, SPAN("STORED\r\n"));
    for (int i = 0; i < 10 * BATCH_CAPACITY; i++) {
        buffer_append(&request, i % 2 == 0 ? SPAN(" k") : SPAN(" absent"));
        buffer_append(&expected, i % 2 == 0 ? SPAN("VALUE k 0 1\r\nv\r\n") : SPAN(""));
    }
    buffer_append(&request, SPAN("\r\nget k\r\n"));
    buffer_append(&expected, SPAN("END\r\nVALUE k 0 1\r\nv\r\nEND\r\n"));
    int client = door_connect(door, 0);
    ask(door, client, buffer_content(&request), buffer_content(&expected));
    close(client);
    buffer_deinit(&request);
    buffer_deinit(&expected);
}

static void fill_large(struct buffer *request, struct buffer *expected)
{
    enum { LARGE = 1024 * 1024 - 250 };
    char *value = check_malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        value[i] = (char)(i * 7 + i / 251);
    }
    char line[64];
    for (int i = 0; i < 3; i++) {
        int size = snprintf(line, sizeof(line), "set large 0 0 %d\r\n", LARGE);
        buffer_append(request, span_of(line, (size_t)size));
        buffer_append(request, span_of(value, LARGE));
        buffer_append(request, SPAN("\r\nget large large\r\n"));
        buffer_append(expected, SPAN("STORED\r\n"));
        for (int j = 0; j < 2; j++) {
            size = snprintf(line, sizeof(line), "VALUE large 0 %d\r\n", LARGE);
            buffer_append(expected, span_of(line, (size_t)size));
            buffer_append(expected, span_of(value, LARGE));
            buffer_append(expected, SPAN("\r\n"));
        }
        buffer_append(expected, SPAN("END\r\n"));
    }
    free(value);
}

static void test_large_values_go_both_ways(void **state)
{
    struct door *door = *state;
    struct buffer request;
    struct buffer expected;
    buffer_init(&request);
    buffer_init(&expected);
    fill_large(&request, &expected);
    int client = door_connect(door, 0);
    ask(door, client, buffer_content(&request), buffer_content(&expected));
    close(client);
    buffer_deinit(&request);
    buffer_deinit(&expected);
}

static void test_refused_value_is_skipped(void **state)
{
    struct door *door = *state;
    enum { HUGE_SIZE = 5000000 };
    struct buffer request;
    buffer_init(&request);
    buffer_append(&request, SPAN("add k 0 0 5000000\r\n"));
    buffer_reserve(&request, HUGE_SIZE);
    memset(request.data + request.end, 'x', HUGE_SIZE);
    request.end += HUGE_SIZE;
    buffer_append(&request, SPAN("\r\nget k\r\n"));
    int client = door_connect(door, 0);
    ask(door, client, buffer_content(&request), SPAN("SERVER_ERROR object too large for cache\r\nEND\r\n"));
    close(client);
    buffer_deinit(&request);
}

static void test_half_closed_client_gets_its_replies(void **state)
{
    struct door *door = *state;
    struct buffer reply;
    buffer_init(&reply);
    for (int i = 0; i < 20; i++) {
        int client = door_connect(door, 0);
        ask(door, client, SPAN("set k 0 0 1\r\nv\r\nget k\r\nversio"), SPAN(""));
        assert_int_equal(shutdown(client, SHUT_WR), 0);
        assert_true(door_read_to_end(door, client, &reply));
        assert_reply(&reply, SPAN("STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n"));
        close(client);
    }
    buffer_deinit(&reply);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
}

static void test_half_closed_client_gets_bulk(void **state)
{
    struct door *door = *state;
    struct buffer reply;
    struct buffer request;
    buffer_init(&reply);
    buffer_init(&request);
    for (int i = 0; i < 200; i++) {
        buffer_append(&request, SPAN("get bulk\r\n"));
    }
    int client = door_connect(door, 4096);
    ask(door, client, buffer_content(&request), SPAN(""));
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    assert_true(door_read_to_end(door, client, &reply));
    assert_int_equal(buffer_size(&reply), 200 * (sizeof("VALUE bulk 0 100000\r\n\r\nEND\r\n") - 1 + DOOR_BULK_SIZE));
    close(client);
    buffer_deinit(&reply);
    buffer_deinit(&request);
}

static void test_requests_of_a_gone_client_are_executed(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, 0);
    ask(door, client, SPAN("set gone 0 0 1 noreply\r\nv\r\n"), SPAN(""));
    close(client);
    assert_true(door_await_count(door, COUNTER_TOTAL_CONNECTIONS, 1));
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    client = door_connect(door, 0);
    ask(door, client, SPAN("get gone\r\n"), SPAN("VALUE gone 0 1\r\nv\r\nEND\r\n"));
    close(client);
}

static void test_quit_closes_behind_the_replies(void **state)
{
    struct door *door = *state;
    struct buffer reply;
    buffer_init(&reply);
    int client = door_connect(door, 0);
    ask(door, client, SPAN("get nothing\r\nnonsense\r\nquit\r\n"), SPAN(""));
    assert_true(door_read_to_end(door, client, &reply));
    assert_reply(&reply, SPAN("END\r\nERROR\r\n"));
    close(client);
    buffer_deinit(&reply);
}

static void test_endless_line_is_dropped(void **state)
{
    struct door *door = *state;
    struct buffer reply;
    char line[3000];
    memset(line, 'x', sizeof(line));
    buffer_init(&reply);
    int client = door_connect(door, 0);
    (void)door_ask(door, client, span_of(line, sizeof(line)), &reply, 0);
    assert_true(door_read_to_end(door, client, &reply));
    assert_int_equal(buffer_size(&reply), 0);
    close(client);
    buffer_deinit(&reply);
}

static void test_clients_come_and_go(void **state)
{
    struct door *door = *state;
    int clients[100];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            clients[i] = door_connect(door, 0);
        }
        for (int i = 0; i < 100; i++) {
            ask(door, clients[i], SPAN("get k\r\n"), SPAN("END\r\n"));
        }
        assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 100));
        for (int i = 0; i < 100; i++) {
            if (i % 2 == 0) {
                /* Gone without a word: a reset instead of an end. */
                const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
                (void)setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
            }
            close(clients[i]);
        }
        assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    }
    assert_int_equal(atomic_load(&door->shared.connections), 0);
    assert_int_equal(door_count(door, COUNTER_TOTAL_CONNECTIONS), 300);
}

/* Asks without end, until the other side closes. */
static void *press(void *argument)
{
    int client = *(int *)argument;
    const struct span request = SPAN("set p 0 0 3\r\nabc\r\nget p\r\nget bulk\r\nnonsense\r\n");
    char sink[16384];
    ssize_t size = 1;
    while (size != 0) {
        (void)send(client, request.data, request.size, MSG_NOSIGNAL);
        size = recv(client, sink, sizeof(sink), 0);
        if (size < 0 && errno != EAGAIN && errno != EINTR) {
            break;
        }
    }
    return NULL;
}

static void test_stops_under_load(void **state)
{
    struct door *door = *state;
    enum { CLIENTS = 8 };
    pthread_t threads[CLIENTS];
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = door_connect(door, 0);
        assert_int_equal(pthread_create(&threads[i], NULL, press, &clients[i]), 0);
    }
    uint64_t end_us = clock_monotonic_us() + 200000;
    while (clock_monotonic_us() < end_us) {
        door_turn(door);
    }
    size_t workers = door->threads;
    door_close(&door);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        close(clients[i]);
    }
    *state = door_open(workers);
}

static void test_frees_what_the_executor_has_dropped(void **state)
{
    struct door *door = *state;
    atomic_store(&door->is_held, true);
    int client = door_connect(door, 0);
    ask(door, client, SPAN("get k\r\n"), SPAN(""));
    for (int i = 0; i < 50; i++) {
        door_turn(door);
    }
    size_t workers = door->threads;
    door_close(&door);
    close(client);
    *state = door_open(workers);
}

static void test_connections_are_dealt_out(void **state)
{
    struct door *door = *state;
    int clients[6];
    for (int i = 0; i < 6; i++) {
        clients[i] = door_connect(door, 0);
        ask(door, clients[i], SPAN("get k\r\n"), SPAN("END\r\n"));
    }
    for (size_t i = 0; i < door->worker_count; i++) {
        uint64_t served = atomic_load(&door->board.sets[i].values[COUNTER_TOTAL_CONNECTIONS]);
        assert_int_equal(served, 6 / door->worker_count);
    }
    for (int i = 0; i < 6; i++) {
        close(clients[i]);
    }
}

#define READERS 50

static void ask_all(struct door *door, const int *clients, struct span request, struct span expected)
{
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(send(clients[i], request.data, request.size, 0), request.size);
    }
    for (int i = 0; i < READERS; i++) {
        ask(door, clients[i], SPAN(""), expected);
    }
}

/* Lone reads of many clients that come in one turn wait for memory together. */
static void test_lone_reads_are_answered_without_the_executor(void **state)
{
    struct door *door = *state;
    int clients[READERS];
    for (int i = 0; i < READERS; i++) {
        clients[i] = door_connect(door, 0);
    }
    atomic_store(&door->doorkeeper.reads_freely, true);
    version_set_life(&door->versions, 3600000); /* however long all of that takes */
    ask(door, clients[0], SPAN("set k 0 0 5\r\nhello\r\n"), SPAN("STORED\r\n"));
    for (int i = 0; i < 2; i++) {
        ask_all(door, clients, SPAN("get k\r\n"), SPAN("VALUE k 0 5\r\nhello\r\nEND\r\n"));
    }
    size_t executed = atomic_load(&door->executed);
    atomic_store(&door->is_held, true);
    ask_all(door, clients, SPAN("get k\r\n"), SPAN("VALUE k 0 5\r\nhello\r\nEND\r\n"));
    ask_all(door, clients, SPAN("get absent\r\n"), SPAN(""));
    assert_int_equal(atomic_load(&door->executed), executed);
    atomic_store(&door->is_held, false);
    ask_all(door, clients, SPAN(""), SPAN("END\r\n"));
    ask(door, clients[0], SPAN("set k 0 0 3\r\nnew\r\n"), SPAN("STORED\r\n"));
    ask_all(door, clients, SPAN("get k\r\n"), SPAN("VALUE k 0 3\r\nnew\r\nEND\r\n"));
    for (int i = 0; i < READERS; i++) {
        close(clients[i]);
    }
}

static void test_clients_go_while_their_lone_reads_are_fetched(void **state)
{
    struct door *door = *state;
    atomic_store(&door->doorkeeper.reads_freely, true);
    int keeper = door_connect(door, 0);
    ask(door, keeper, SPAN("set k 0 0 5\r\nhello\r\n"), SPAN("STORED\r\n"));
    for (int round = 0; round < 20; round++) {
        int clients[READERS];
        for (int i = 0; i < READERS; i++) {
            clients[i] = door_connect(door, 0);
        }
        assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, READERS + 1));
        for (int i = 0; i < READERS; i++) {
            const struct linger at_once = {.l_onoff = i % 2};
            assert_int_equal(setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
            assert_int_equal(send(clients[i], "get k\r\n", 7, 0), 7);
            close(clients[i]);
        }
        assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 1));
        ask(door, keeper, SPAN("get k\r\n"), SPAN("VALUE k 0 5\r\nhello\r\nEND\r\n"));
    }
    close(keeper);
}

#define DOOR_TEST(test, threads)                                                                                          \
    {                                                                                                                     \
        #test " (" #threads ")", test, set_up, tear_down, (void *)(uintptr_t)&threads                                     \
    }
#define DOOR_TESTS(test) DOOR_TEST(test, none), DOOR_TEST(test, one), DOOR_TEST(test, three)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TESTS(test_request_is_answered),
        DOOR_TESTS(test_pipeline_keeps_its_order),
        DOOR_TESTS(test_request_may_be_split_anywhere),
        DOOR_TESTS(test_long_get_comes_in_one_reply),
        DOOR_TESTS(test_large_values_go_both_ways),
        DOOR_TESTS(test_refused_value_is_skipped),
        DOOR_TESTS(test_half_closed_client_gets_its_replies),
        DOOR_TESTS(test_half_closed_client_gets_bulk),
        DOOR_TESTS(test_requests_of_a_gone_client_are_executed),
        DOOR_TESTS(test_quit_closes_behind_the_replies),
        DOOR_TESTS(test_endless_line_is_dropped),
        DOOR_TESTS(test_clients_come_and_go),
        DOOR_TESTS(test_stops_under_load),
        DOOR_TESTS(test_frees_what_the_executor_has_dropped),
        DOOR_TESTS(test_connections_are_dealt_out),
        DOOR_TESTS(test_lone_reads_are_answered_without_the_executor),
        DOOR_TESTS(test_clients_go_while_their_lone_reads_are_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
