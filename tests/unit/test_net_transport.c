/* The server's end of a TLS connection over a socket pair, and a client that does what clients may do. */
#include "net/transport.h"

#include "fake/certificate.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define BULK ((size_t)3 * 1024 * 1024)

struct pair {
    int server_socket;
    int client_socket;
    SSL *server;
    SSL *client;
};

static const int version_1_2 = TLS1_2_VERSION;
static const int version_1_3 = TLS1_3_VERSION;

static void shake_hands(struct pair *pair)
{
    bool is_done = false;
    for (int i = 0; i < 100 && !is_done; i++) {
        int client = SSL_do_handshake(pair->client);
        is_done = SSL_accept(pair->server) == 1 && client == 1;
    }
    assert_true(is_done);
}

static int set_up(void **state)
{
    int version = *(const int *)*state;
    struct pair *pair = calloc(1, sizeof(*pair));
    int sockets[2];
    struct certificate certificate;
    (void)signal(SIGPIPE, SIG_IGN); /* as engines do */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
    pair->server_socket = sockets[0];
    pair->client_socket = sockets[1];
    certificate_make(&certificate, NULL);
    struct tls_settings settings = certificate_settings(&certificate);
    SSL_CTX *context = certificate_server(&settings);
    pair->server = SSL_new(context);
    SSL_CTX_free(context);
    certificate_remove(&certificate);
    assert_int_equal(SSL_set_fd(pair->server, pair->server_socket), 1);
    pair->client = certificate_client(pair->client_socket, version);
    shake_hands(pair);
    assert_int_equal(SSL_version(pair->server), version);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    if (pair->server_socket >= 0) {
        transport_close(pair->server_socket, &pair->server);
    }
    SSL_free(pair->client);
    if (pair->client_socket >= 0) {
        close(pair->client_socket);
    }
    free(pair);
    return 0;
}

static void assert_nothing(struct pair *pair)
{
    char data[16];
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_bytes_arrive(void **state)
{
    struct pair *pair = *state;
    char data[64];
    assert_nothing(pair);
    assert_int_equal(SSL_write(pair->client, "hello", 5), 5);
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 5);
    assert_memory_equal(data, "hello", 5);
    assert_nothing(pair);
    assert_int_equal(transport_send(pair->server_socket, pair->server, SPAN("good day")), 8);
    assert_int_equal(SSL_read(pair->client, data, sizeof(data)), 8);
    assert_memory_equal(data, "good day", 8);
}

static void test_what_is_left_of_a_record_comes_with_the_next_reads(void **state)
{
    struct pair *pair = *state;
    char data[4];
    assert_int_equal(SSL_write(pair->client, "0123456789", 10), 10);
    assert_int_equal(SSL_write(pair->client, "abcd", 4), 4);
    const char *expected[] = {"0123", "4567", "89", "abcd"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), strlen(expected[i]));
        assert_memory_equal(data, expected[i], strlen(expected[i]));
    }
    assert_nothing(pair);
}

static void test_half_a_record_is_nothing_yet(void **state)
{
    struct pair *pair = *state;
    char record[256];
    char data[16];
    BIO *memory = BIO_new(BIO_s_mem());
    BIO_up_ref(memory);
    BIO *socket_bio = SSL_get_wbio(pair->client);
    BIO_up_ref(socket_bio);
    SSL_set0_wbio(pair->client, memory);
    assert_int_equal(SSL_write(pair->client, "hello", 5), 5);
    int size = BIO_read(memory, record, sizeof(record));
    for (int i = 0; i < size; i++) {
        assert_nothing(pair);
        assert_int_equal(send(pair->client_socket, record + i, 1, 0), 1);
    }
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 5);
    SSL_set0_wbio(pair->client, socket_bio);
    BIO_free(memory);
}

/* Sends from buffers that move, to a client that reads only when nothing more goes. */
static void test_sending_goes_on_where_a_full_socket_stopped_it(void **state)
{
    struct pair *pair = *state;
    char *bulk = malloc(BULK);
    char *received = malloc(BULK);
    size_t sent = 0;
    size_t got = 0;
    int stops = 0;
    for (size_t i = 0; i < BULK; i++) {
        bulk[i] = (char)(i * 7 + i / 251);
    }
    while (got < BULK) {
        char *moved = malloc(BULK - sent + 1);
        memcpy(moved, bulk + sent, BULK - sent);
        ssize_t size = sent < BULK ? transport_send(pair->server_socket, pair->server, span_of(moved, BULK - sent)) : -1;
        free(moved);
        if (size > 0) {
            assert_true((size_t)size <= 512 * 1024); /* bounded, and told as it goes */
            sent += (size_t)size;
            continue;
        }
        assert_true(sent == BULK || errno == EAGAIN);
        stops++;
        int read = SSL_read(pair->client, received + got, (int)(BULK - got));
        assert_true(read > 0);
        got += (size_t)read;
    }
    assert_int_equal(sent, BULK);
    assert_true(stops > 1);
    assert_memory_equal(received, bulk, BULK);
    free(bulk);
    free(received);
}

/* Cuts the bulk behind what has been sent into parts of uneven sizes, each somewhere else than the one before. */
static size_t cut(const char *bulk, size_t sent, struct span parts[], size_t most, char *memory)
{
    size_t count = 0;
    for (size_t size; count < most && sent < BULK; sent += size, memory += size + 1) {
        size = count % 2 == 0 ? 23 : 20000 * count + 1;
        if (size > BULK - sent) size = BULK - sent;
        memcpy(memory, bulk + sent, size);
        parts[count++] = span_of(memory, size);
    }
    return count;
}

/* As values with words in between are sent, by TLS and by the bare socket. */
static void test_parts_arrive_in_their_order(void **state)
{
    enum { PARTS = 9 };
    struct pair *pair = *state;
    char *bulk = malloc(BULK), *received = malloc(BULK), *memory = malloc(BULK + PARTS);
    for (size_t i = 0; i < BULK; i++) bulk[i] = (char)(i * 7 + i / 251);
    for (int in_clear = 0; in_clear < 2; in_clear++) {
        SSL *tls = in_clear ? NULL : pair->server, *client = in_clear ? NULL : pair->client;
        size_t sent = 0;
        for (size_t got = 0; got < BULK;) {
            struct span parts[PARTS];
            size_t count = cut(bulk, sent, parts, PARTS, memory);
            ssize_t size = count > 0 ? transport_send_parts(pair->server_socket, tls, parts, count) : -1;
            if (size > 0) {
                sent += (size_t)size;
                continue;
            }
            assert_true(count == 0 || errno == EAGAIN);
            ssize_t read = transport_receive(pair->client_socket, client, received + got, BULK - got);
            assert_true(read > 0);
            got += (size_t)read;
        }
        assert_memory_equal(received, bulk, BULK);
    }
    free(bulk);
    free(received);
    free(memory);
}

static void test_the_clients_goodbye_is_the_end(void **state)
{
    struct pair *pair = *state;
    char data[16];
    assert_int_equal(SSL_write(pair->client, "last", 4), 4);
    (void)SSL_shutdown(pair->client);
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 4);
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 0);
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 0);
}

static void test_the_end_without_goodbye_is_the_end_too(void **state)
{
    struct pair *pair = *state;
    char data[16];
    assert_int_equal(SSL_write(pair->client, "last", 4), 4);
    assert_int_equal(SSL_read(pair->client, data, sizeof(data)), -1); /* takes tickets, which closing would answer by a reset */
    close(pair->client_socket);
    pair->client_socket = -1;
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 4);
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 0);
}

static void test_closing_says_goodbye(void **state)
{
    struct pair *pair = *state;
    char data[16];
    assert_int_equal(transport_send(pair->server_socket, pair->server, SPAN("last")), 4);
    transport_close(pair->server_socket, &pair->server);
    pair->server_socket = -1;
    assert_null(pair->server);
    assert_int_equal(SSL_read(pair->client, data, sizeof(data)), 4);
    int end = SSL_read(pair->client, data, sizeof(data));
    assert_int_equal(SSL_get_error(pair->client, end), SSL_ERROR_ZERO_RETURN);
}

static void test_a_broken_record_is_a_failure_for_good(void **state)
{
    struct pair *pair = *state;
    char data[16];
    assert_int_equal(send(pair->client_socket, "\x17\x03\x03\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 37, 0), 37);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), -1);
        assert_int_not_equal(errno, EAGAIN);
    }
    assert_int_equal(transport_send(pair->server_socket, pair->server, SPAN("hello")), -1);
    assert_int_not_equal(errno, EAGAIN);
}

static void test_sending_to_nobody_fails(void **state)
{
    struct pair *pair = *state;
    close(pair->client_socket);
    pair->client_socket = -1;
    assert_int_equal(transport_send(pair->server_socket, pair->server, SPAN("hello")), -1);
    assert_int_not_equal(errno, EAGAIN);
}

/* TLS 1.2's renegotiation is refused; TLS 1.3's new keys are taken. */
static void test_a_client_that_wants_to_begin_anew_gets_no_handshake(void **state)
{
    struct pair *pair = *state;
    char data[16];
    if (SSL_version(pair->client) == TLS1_2_VERSION) {
        assert_int_equal(SSL_renegotiate(pair->client), 1);
        (void)SSL_do_handshake(pair->client);
        ssize_t size = transport_receive(pair->server_socket, pair->server, data, sizeof(data));
        assert_int_equal(size, -1);
        assert_int_equal(SSL_is_init_finished(pair->server), 1);
        return;
    }
    assert_int_equal(SSL_key_update(pair->client, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_write(pair->client, "hello", 5), 5);
    assert_int_equal(transport_receive(pair->server_socket, pair->server, data, sizeof(data)), 5);
    assert_int_equal(transport_send(pair->server_socket, pair->server, SPAN("hello")), 5);
    assert_int_equal(SSL_read(pair->client, data, sizeof(data)), 5);
}

/* The answer to a request for new keys finds no room: reading then waits for writing. */
static void test_reading_waits_for_room_to_write(void **state)
{
    struct pair *pair = *state;
    char data[16384];
    while (transport_send(pair->server_socket, pair->server, span_of(data, sizeof(data))) > 0) {
    }
    assert_int_equal(SSL_key_update(pair->client, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_write(pair->client, "hello", 5), 5);
    bool is_read = false;
    for (int i = 0; i < 1000 && !is_read; i++) {
        ssize_t size = transport_receive(pair->server_socket, pair->server, data, sizeof(data));
        is_read = size == 5;
        assert_true(is_read || (size == -1 && errno == EAGAIN));
        (void)SSL_read(pair->client, data, sizeof(data));
        (void)transport_send(pair->server_socket, pair->server, span_of(data, sizeof(data)));
    }
    assert_true(is_read);
}

static void test_the_bare_socket_is_one(void **state)
{
    (void)state;
    int sockets[2];
    char data[16];
    SSL *none = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
    assert_int_equal(transport_receive(sockets[0], NULL, data, sizeof(data)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(transport_send(sockets[0], NULL, SPAN("hello")), 5);
    assert_int_equal(transport_receive(sockets[1], NULL, data, sizeof(data)), 5);
    transport_close(sockets[0], &none);
    assert_int_equal(transport_receive(sockets[1], NULL, data, sizeof(data)), 0);
    transport_close(sockets[1], &none);
}

#define PAIR_TEST(test, version)                                                                                          \
    {                                                                                                                     \
        #test " (" #version ")", test, set_up, tear_down, (void *)(uintptr_t)&version                                     \
    }
#define BOTH(test) PAIR_TEST(test, version_1_2), PAIR_TEST(test, version_1_3)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_bytes_arrive),
        BOTH(test_what_is_left_of_a_record_comes_with_the_next_reads),
        BOTH(test_half_a_record_is_nothing_yet),
        BOTH(test_sending_goes_on_where_a_full_socket_stopped_it),
        BOTH(test_parts_arrive_in_their_order),
        BOTH(test_the_clients_goodbye_is_the_end),
        BOTH(test_the_end_without_goodbye_is_the_end_too),
        BOTH(test_closing_says_goodbye),
        BOTH(test_a_broken_record_is_a_failure_for_good),
        BOTH(test_sending_to_nobody_fails),
        BOTH(test_a_client_that_wants_to_begin_anew_gets_no_handshake),
        PAIR_TEST(test_reading_waits_for_room_to_write, version_1_3),
        cmocka_unit_test(test_the_bare_socket_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
