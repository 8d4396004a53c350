#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static uint16_t port_of(const struct listener *listener)
{
    const char *colon = strrchr(listener->address, ':');
    assert_non_null(colon);
    return (uint16_t)atoi(colon + 1);
}

static bool can_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    bool is_connected = connect(descriptor, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(descriptor);
    return is_connected;
}

static void test_opens_and_closes(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    assert_true(listener_set_open(&set, SPAN("127.0.0.1"), 0, error));
    assert_string_equal(error, "");
    assert_int_equal(set.count, 1);
    assert_memory_equal(set.listeners[0].address, "tcp:127.0.0.1:", 14);
    uint16_t port = port_of(&set.listeners[0]);
    assert_true(port > 0);
    assert_true(fcntl(set.listeners[0].descriptor, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(set.listeners[0].descriptor, F_GETFD) & FD_CLOEXEC);
    assert_true(can_connect(port));
    listener_set_close(&set);
    assert_int_equal(set.count, 0);
    assert_false(can_connect(port));
}

static void test_missing_address_may_be_missing(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    /* 192.0.2.0/24 is for documentation and belongs to no machine. */
    assert_true(listener_set_open(&set, SPAN("  127.0.0.1   -192.0.2.1 "), 0, error));
    assert_int_equal(set.count, 1);
    listener_set_close(&set);
}

static void test_missing_address_is_told(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    assert_false(listener_set_open(&set, SPAN("127.0.0.1 192.0.2.1"), 0, error));
    assert_int_equal(set.count, 0);
    assert_non_null(strstr(error, "192.0.2.1"));
    assert_non_null(strstr(error, "diglot.bind"));
}

static void test_all_missing_is_refused(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    assert_false(listener_set_open(&set, SPAN("-192.0.2.1"), 0, error));
    assert_non_null(strstr(error, "192.0.2.1"));
    assert_false(listener_set_open(&set, SPAN("   "), 0, error));
    assert_non_null(strstr(error, "diglot.bind"));
}

static void test_port_in_use_is_told(void **state)
{
    (void)state;
    struct listener_set first;
    struct listener_set second;
    char error[LISTENER_ERROR_SIZE];
    assert_true(listener_set_open(&first, SPAN("127.0.0.1"), 0, error));
    uint16_t port = port_of(&first.listeners[0]);
    assert_false(listener_set_open(&second, SPAN("-127.0.0.1"), port, error));
    assert_int_equal(second.count, 0);
    assert_non_null(strstr(error, "diglot.port"));
    listener_set_close(&first);
    assert_true(listener_set_open(&second, SPAN("127.0.0.1"), port, error));
    listener_set_close(&second);
}

static void test_port_is_free_though_a_child_holds_it(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    assert_true(listener_set_open(&set, SPAN("127.0.0.1"), 0, error));
    uint16_t port = port_of(&set.listeners[0]);
    int copy = dup(set.listeners[0].descriptor);
    listener_set_close(&set);
    assert_false(can_connect(port));
    assert_true(listener_set_open(&set, SPAN("127.0.0.1"), port, error));
    listener_set_close(&set);
    close(copy);
}

static void test_bad_words_are_refused(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    char many[LISTENERS_MAX * 16 + 32] = "";
    assert_false(listener_set_open(&set, SPAN("-"), 0, error));
    assert_false(listener_set_open(&set, SPAN("127.0.0.1 999.1.1.1"), 0, error));
    assert_non_null(strstr(error, "999.1.1.1"));
    for (int i = 0; i <= LISTENERS_MAX; i++) {
        strcat(many, "127.0.0.1 ");
    }
    assert_false(listener_set_open(&set, span_of(many, strlen(many)), 0, error));
    assert_int_equal(set.count, 0);
}

static void test_stars_mean_every_address(void **state)
{
    (void)state;
    struct listener_set set;
    char error[LISTENER_ERROR_SIZE];
    assert_true(listener_set_open(&set, SPAN("* -::*"), 0, error));
    assert_memory_equal(set.listeners[0].address, "tcp:0.0.0.0:", 12);
    if (set.count > 1) {
        assert_memory_equal(set.listeners[1].address, "tcp6:[::]:", 10);
    }
    listener_set_close(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_and_closes),
        cmocka_unit_test(test_missing_address_may_be_missing),
        cmocka_unit_test(test_missing_address_is_told),
        cmocka_unit_test(test_all_missing_is_refused),
        cmocka_unit_test(test_port_in_use_is_told),
        cmocka_unit_test(test_port_is_free_though_a_child_holds_it),
        cmocka_unit_test(test_bad_words_are_refused),
        cmocka_unit_test(test_stars_mean_every_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
