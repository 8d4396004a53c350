#include "net/unix_listener.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[32];
    char path[64];
    struct unix_listener listener;
    char error[LISTENER_ERROR_SIZE];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/diglot-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/door", fixture->folder);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    unix_listener_close(&fixture->listener);
    (void)unlink(fixture->path);
    (void)rmdir(fixture->folder);
    free(fixture);
    return 0;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static bool exists(const char *path)
{
    struct stat file;
    return lstat(path, &file) == 0;
}

static void assert_open(struct fixture *fixture, unsigned mode)
{
    assert_true(unix_listener_open(&fixture->listener, fixture->path, mode, fixture->error));
    assert_string_equal(fixture->error, "");
}

static void assert_refused(struct fixture *fixture, const char *path, const char *words)
{
    struct unix_listener other;
    assert_false(unix_listener_open(&other, path, 0700, fixture->error));
    assert_false(other.is_open);
    assert_non_null(strstr(fixture->error, words));
    assert_non_null(strstr(fixture->error, "diglot.unixsocket"));
    unix_listener_close(&other);
}

static void test_opens_and_closes(void **state)
{
    struct fixture *fixture = *state;
    assert_open(fixture, 0640);
    struct stat file;
    assert_int_equal(lstat(fixture->path, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 0777, 0640);
    assert_memory_equal(fixture->listener.listener.address, "unix:/tmp/", 10);
    assert_true(fcntl(fixture->listener.listener.descriptor, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fixture->listener.listener.descriptor, F_GETFD) & FD_CLOEXEC);
    int client = connect_to(fixture->path);
    assert_true(client >= 0);
    close(client);
    unix_listener_close(&fixture->listener);
    assert_false(exists(fixture->path));
    unix_listener_close(&fixture->listener);
}

static void test_a_stale_file_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    assert_open(fixture, 0700);
    close(fixture->listener.listener.descriptor); /* as a killed server does */
    assert_true(exists(fixture->path));
    assert_int_equal(connect_to(fixture->path), -1);
    assert_open(fixture, 0700);
    int client = connect_to(fixture->path);
    assert_true(client >= 0);
    close(client);
}

static void test_a_live_one_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_open(fixture, 0700);
    assert_refused(fixture, fixture->path, "a server is there");
    assert_true(exists(fixture->path));
}

/* A server that is too busy to accept is there still. */
static void test_a_busy_one_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_open(fixture, 0700);
    assert_int_equal(listen(fixture->listener.listener.descriptor, 0), 0);
    int client = connect_to(fixture->path);
    assert_refused(fixture, fixture->path, "a server is there");
    close(client);
}

static void test_another_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int file = open(fixture->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(file, "precious", 8), 8);
    close(file);
    assert_refused(fixture, fixture->path, "no socket");
    assert_refused(fixture, fixture->folder, "no socket");
    assert_true(exists(fixture->path));
}

static void test_bad_paths_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "/no/such/folder/door", "/no/such/folder/door (No such file");
    char path[256];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_refused(fixture, path, "too long");
    path[UNIX_PATH_SIZE] = '\0';
    assert_refused(fixture, path, "too long");
}

static void test_a_file_of_another_socket_is_left(void **state)
{
    struct fixture *fixture = *state;
    assert_open(fixture, 0700);
    assert_int_equal(unlink(fixture->path), 0);
    int file = open(fixture->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
    unix_listener_close(&fixture->listener);
    assert_true(exists(fixture->path));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_opens_and_closes),        TEST(test_a_stale_file_is_replaced),
        TEST(test_a_live_one_is_refused),   TEST(test_a_busy_one_is_refused),
        TEST(test_another_file_is_refused), TEST(test_bad_paths_are_refused),
        TEST(test_a_file_of_another_socket_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
