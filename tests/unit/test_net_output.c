/* Values that are sent from where they lie: with how many calls, and what becomes of those that the client does not take. */
#include "fake/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static size_t sends;
static int room; /* what the kernel takes of a connection's output at once, about; 0: as much as it likes */

ssize_t __real_sendmsg(int descriptor, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags);

/* Who sends several parts. */
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    sends++;
    if (room > 0) {
        assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    }
    return __real_sendmsg(descriptor, message, flags);
}

static int set_up(void **state)
{
    sends = 0;
    room = 0;
    *state = door_open(0);
    return 0;
}

static int tear_down(void **state)
{
    door_close((struct door **)state);
    return 0;
}

static void append_often(struct buffer *buffer, char what, size_t times)
{
    buffer_reserve(buffer, times);
    memset(buffer->data + buffer->end, what, times);
    buffer->end += times;
}

static void append_hit(struct buffer *buffer, char key, char what, size_t size)
{
    char words[32];
    int count = snprintf(words, sizeof(words), "VALUE %c 0 %zu\r\n", key, size);
    buffer_append(buffer, span_of(words, (size_t)count));
    append_often(buffer, what, size);
    buffer_append(buffer, SPAN("\r\n"));
}

static void expect(struct door *door, int client, struct span request, struct span expected)
{
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_ask(door, client, request, &reply, expected.size));
    assert_true(span_equal(buffer_content(&reply), expected));
    buffer_deinit(&reply);
}

/* Stores so many bytes of the letter. */
static void put(struct door *door, int client, char key, char what, size_t size)
{
    struct buffer request;
    char words[32];
    buffer_init(&request);
    int count = snprintf(words, sizeof(words), "set %c 0 0 %zu\r\n", key, size);
    buffer_append(&request, span_of(words, (size_t)count));
    append_often(&request, what, size);
    buffer_append(&request, SPAN("\r\n"));
    expect(door, client, buffer_content(&request), SPAN("STORED\r\n"));
    buffer_deinit(&request);
}

/* Values that are just large enough, small ones between them, and what stands around them: the client has all of it by one call. */
static void test_values_that_are_read_together_leave_together(void **state)
{
    struct door *door = *state;
    struct buffer expected;
    buffer_init(&expected);
    int client = door_connect(door, 0);
    put(door, client, 'a', 'A', BATCH_APART_LEAST);
    put(door, client, 'b', 'B', BATCH_APART_LEAST + 1);
    put(door, client, 'c', 'C', 1);
    for (const char *key = "abcab"; *key; key++) {
        append_hit(&expected, *key, (char)(*key - 'a' + 'A'), *key == 'c' ? 1 : BATCH_APART_LEAST + (size_t)(*key - 'a'));
    }
    buffer_append(&expected, SPAN("END\r\n"));
    sends = 0;
    expect(door, client, SPAN("get a b absent c a b\r\n"), buffer_content(&expected));
    assert_int_equal(sends, 1);
    close(client);
    buffer_deinit(&expected);
}

/* What the client has not taken by then is what was read, though all of it has been overwritten since. */
static void test_values_that_wait_are_those_that_were_read(void **state)
{
    enum { SIZE = 60000 };
    struct door *door = *state;
    struct buffer expected;
    buffer_init(&expected);
    int client = door_connect(door, 4096), other = door_connect(door, 0);
    for (const char *key = "abc"; *key; key++) {
        put(door, other, *key, *key, SIZE);
        append_hit(&expected, *key, *key, SIZE);
    }
    buffer_append(&expected, SPAN("END\r\n"));
    room = 4096;
    sends = 0;
    size_t executed = atomic_load(&door->executed);
    expect(door, client, SPAN("get a b c\r\n"), SPAN(""));
    while (atomic_load(&door->executed) < executed + 3) {
        door_turn(door);
    }
    assert_int_equal(sends, 1); /* a part of the first one has left */
    assert_in_range(door_count(door, COUNTER_CLIENT_BYTES), 2 * SIZE, 6 * SIZE);
    for (const char *key = "abc"; *key; key++) {
        put(door, other, *key, 'x', SIZE);
    }
    expect(door, client, SPAN(""), buffer_content(&expected));
    assert_true(sends > 1);
    close(client);
    close(other);
    buffer_deinit(&expected);
}

/* The client is gone by the time that its values would leave. */
static void test_values_of_who_is_gone_leave_nothing_behind(void **state)
{
    struct door *door = *state;
    int client = door_connect(door, 0), other = door_connect(door, 0);
    put(door, client, 'a', 'A', 200000);
    expect(door, client, SPAN("get a a bulk a\r\n"), SPAN(""));
    const struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(client);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 1));
    expect(door, other, SPAN("get absent\r\n"), SPAN("END\r\n"));
    close(other);
    assert_true(door_await_count(door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(door_count(door, COUNTER_CLIENT_BYTES), 0);
    assert_int_equal(atomic_load(&door->shared.lent), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values_that_are_read_together_leave_together),
        TEST(test_values_that_wait_are_those_that_were_read),
        TEST(test_values_of_who_is_gone_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
