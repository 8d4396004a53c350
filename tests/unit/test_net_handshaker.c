/* Handshakes in their own thread, in front of workers with no thread, and with three. */
#include "net/handshaker.h"

#include "base/clock.h"
#include "fake/certificate.h"
#include "fake/door.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_US 20000000u

static const size_t none = 0;
static const size_t three = 3;

struct fixture {
    struct door *door;
    struct listener_set listeners;
    uint16_t port;
    struct handshaker *handshaker;
    struct certificate certificate;
};

static void start(struct fixture *fixture)
{
    struct tls_settings settings = certificate_settings(&fixture->certificate);
    struct door *door = fixture->door;
    fixture->handshaker = handshaker_new(&door->shared, &door->board.sets[DOOR_WORKERS_MAX - 1], certificate_server(&settings));
    assert_non_null(fixture->handshaker);
    const struct listener *listener = &fixture->listeners.listeners[0];
    assert_true(handshaker_listen(fixture->handshaker, listener->descriptor, listener->address, door->workers, door->worker_count));
    assert_true(handshaker_start_thread(fixture->handshaker));
}

static void stop(struct fixture *fixture)
{
    handshaker_stop_thread(fixture->handshaker);
    handshaker_stop_thread(fixture->handshaker); /* does nothing */
    handshaker_free(&fixture->handshaker);
    assert_null(fixture->handshaker);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char error[LISTENER_ERROR_SIZE];
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    (void)signal(SIGPIPE, SIG_IGN); /* as engines do */
    fixture->door = door_open(*(const size_t *)*state);
    assert_true(listener_set_open(&fixture->listeners, SPAN("127.0.0.1"), 0, error));
    assert_int_equal(getsockname(fixture->listeners.listeners[0].descriptor, (struct sockaddr *)&address, &length), 0);
    fixture->port = ntohs(address.sin_port);
    certificate_make(&fixture->certificate, NULL);
    start(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->handshaker != NULL) {
        stop(fixture);
    }
    handshaker_free(&fixture->handshaker); /* does nothing */
    door_close(&fixture->door);            /* finds that all places are free again */
    listener_set_close(&fixture->listeners);
    certificate_remove(&fixture->certificate);
    free(fixture);
    return 0;
}

static int connect_raw(const struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    return client;
}

/* True while the call that gave `result` wants to be made again. */
static bool wants_more(const SSL *tls, int result)
{
    int reason = SSL_get_error(tls, result);
    return result <= 0 && (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE);
}

static SSL *connect_tls(struct fixture *fixture)
{
    SSL *tls = certificate_client(connect_raw(fixture), TLS1_3_VERSION);
    uint64_t deadline = clock_monotonic_us() + PATIENCE_US;
    int result = SSL_do_handshake(tls);
    while (wants_more(tls, result)) {
        assert_true(clock_monotonic_us() < deadline);
        door_turn(fixture->door);
        result = SSL_do_handshake(tls);
    }
    assert_int_equal(result, 1);
    return tls;
}

static void disconnect(SSL *tls)
{
    close(SSL_get_fd(tls));
    SSL_free(tls);
}

/* Whether the request is answered as expected. */
static bool is_answered(struct fixture *fixture, SSL *tls, struct span request, struct span expected)
{
    char reply[256];
    size_t size = 0;
    uint64_t deadline = clock_monotonic_us() + PATIENCE_US;
    assert_int_equal(SSL_write(tls, request.data, (int)request.size), request.size);
    while (size < expected.size) {
        door_turn(fixture->door);
        int result = SSL_read(tls, reply + size, (int)(sizeof(reply) - size));
        if (result <= 0 && (!wants_more(tls, result) || clock_monotonic_us() > deadline)) {
            return false;
        }
        size += result > 0 ? (size_t)result : 0;
    }
    return span_equal(span_of(reply, size), expected);
}

static void assert_served(struct fixture *fixture, SSL *tls)
{
    assert_true(is_answered(fixture, tls, SPAN("set k 0 0 5\r\nhello\r\nget k\r\n"), SPAN("STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n")));
}

static void assert_closed(struct fixture *fixture, int client)
{
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_read_to_end(fixture->door, client, &reply));
    buffer_deinit(&reply);
    close(client);
}

static void test_a_connection_is_served(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 8; i++) {
        SSL *tls = connect_tls(fixture);
        assert_served(fixture, tls);
        disconnect(tls);
    }
    assert_true(door_await_count(fixture->door, COUNTER_CURR_CONNECTIONS, 0));
    assert_int_equal(door_count(fixture->door, COUNTER_TOTAL_CONNECTIONS), 8);
    assert_int_equal(door_count(fixture->door, COUNTER_TLS_HANDSHAKE_ERRORS), 0);
}

static void test_clear_and_tls_connections_go_side_by_side(void **state)
{
    struct fixture *fixture = *state;
    SSL *tls = connect_tls(fixture);
    int client = door_connect(fixture->door, 0);
    struct buffer reply;
    buffer_init(&reply);
    for (int i = 0; i < 100; i++) {
        assert_served(fixture, tls);
        buffer_reset(&reply, SIZE_MAX);
        assert_true(door_ask(fixture->door, client, SPAN("get k\r\n"), &reply, 25));
    }
    buffer_deinit(&reply);
    close(client);
    disconnect(tls);
}

static void await_connections(struct fixture *fixture, size_t count)
{
    uint64_t deadline = clock_monotonic_us() + PATIENCE_US;
    while (atomic_load(&fixture->door->shared.connections) != count && clock_monotonic_us() < deadline) door_turn(fixture->door);
    assert_int_equal(atomic_load(&fixture->door->shared.connections), count);
}

static void test_what_is_no_handshake_is_counted_and_closed(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 4; i++) {
        int client = connect_raw(fixture);
        assert_int_equal(send(client, "get k\r\n", 7, 0), 7);
        assert_closed(fixture, client);
        assert_true(door_await_count(fixture->door, COUNTER_TLS_HANDSHAKE_ERRORS, i));
    }
    close(connect_raw(fixture)); /* leaves without a word */
    assert_true(door_await_count(fixture->door, COUNTER_TLS_HANDSHAKE_ERRORS, 5));
    await_connections(fixture, 0); /* it is counted a moment before it has gone */
    assert_int_equal(door_count(fixture->door, COUNTER_TOTAL_CONNECTIONS), 0);
}

static void test_handshakes_count_towards_maxconns(void **state)
{
    struct fixture *fixture = *state;
    int waiting[3];
    atomic_store(&fixture->door->options.maxconns, 3);
    for (int i = 0; i < 3; i++) {
        waiting[i] = connect_raw(fixture);
    }
    int refused = connect_raw(fixture);
    struct buffer reply;
    buffer_init(&reply);
    assert_true(door_read_to_end(fixture->door, refused, &reply));
    assert_int_equal(buffer_size(&reply), 0); /* there is no TLS to say it in */
    buffer_deinit(&reply);
    close(refused);
    assert_true(door_await_count(fixture->door, COUNTER_REJECTED_CONNECTIONS, 1));
    for (int i = 0; i < 3; i++) {
        close(waiting[i]);
    }
    assert_true(door_await_count(fixture->door, COUNTER_TLS_HANDSHAKE_ERRORS, 3));
    SSL *tls = connect_tls(fixture);
    assert_served(fixture, tls);
    disconnect(tls);
}

static void test_a_new_context_is_for_new_handshakes(void **state)
{
    struct fixture *fixture = *state;
    struct certificate second;
    SSL *before = connect_tls(fixture);
    certificate_make(&second, NULL);
    struct tls_settings settings = certificate_settings(&second);
    handshaker_set_context(fixture->handshaker, certificate_server(&settings));
    certificate_remove(&second);
    SSL *after = connect_tls(fixture);
    X509 *old_certificate = SSL_get1_peer_certificate(before);
    X509 *new_certificate = SSL_get1_peer_certificate(after);
    assert_int_not_equal(X509_cmp(old_certificate, new_certificate), 0);
    X509_free(old_certificate);
    X509_free(new_certificate);
    assert_served(fixture, before);
    assert_served(fixture, after);
    disconnect(before);
    disconnect(after);
}

static void test_stopping_closes_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    SSL *served = connect_tls(fixture);
    assert_served(fixture, served);
    int waiting[8];
    for (int i = 0; i < 8; i++) {
        waiting[i] = connect_raw(fixture);
        assert_int_equal(send(waiting[i], "\x16\x03\x01", (size_t)(i % 4), 0), i % 4);
    }
    await_connections(fixture, 9);
    stop(fixture);
    for (int i = 0; i < 8; i++) {
        assert_closed(fixture, waiting[i]);
    }
    assert_int_equal(atomic_load(&fixture->door->shared.connections), 1);
    assert_served(fixture, served); /* it is the worker's */
    start(fixture);
    SSL *tls = connect_tls(fixture);
    assert_served(fixture, tls);
    disconnect(tls);
    disconnect(served);
}

#define DOOR_TEST(test, threads)                                                                                          \
    {                                                                                                                     \
        #test " (" #threads ")", test, set_up, tear_down, (void *)(uintptr_t)&threads                                     \
    }
#define BOTH(test) DOOR_TEST(test, none), DOOR_TEST(test, three)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_connection_is_served),
        BOTH(test_clear_and_tls_connections_go_side_by_side),
        BOTH(test_what_is_no_handshake_is_counted_and_closed),
        BOTH(test_handshakes_count_towards_maxconns),
        BOTH(test_a_new_context_is_for_new_handshakes),
        BOTH(test_stopping_closes_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
