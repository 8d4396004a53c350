/* Checks abort, and the clocks run. */
#include "base/check.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_failed_check_aborts(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        CHECK(child != 0);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_memory(void **state)
{
    (void)state;
    CHECK(state != NULL || state == NULL);
    char *zeros = check_calloc(3, 5);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(zeros[i], 0);
    }
    zeros = check_realloc(zeros, 100);
    assert_non_null(zeros);
    free(zeros);
    char *line = check_calloc_aligned(64, 128);
    assert_int_equal((uintptr_t)line % 64, 0);
    for (int i = 0; i < 128; i++) {
        assert_int_equal(line[i], 0);
    }
    free(line);
    free(check_malloc(0));
    free(check_calloc(0, 8));
}

static void test_clocks(void **state)
{
    (void)state;
    uint64_t before = clock_monotonic_us();
    time_t begin = time(NULL);
    int64_t wall_ms = clock_wall_ms();
    uint64_t wall_ns = clock_wall_ns();
    int64_t end_ms = clock_wall_ms();
    assert_true(wall_ms / 1000 - begin >= -1 && time(NULL) - end_ms / 1000 >= -1); /* time() is a tick behind */
    assert_in_range(wall_ns / 1000000, wall_ms, end_ms);
    assert_true(clock_monotonic_us() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_check_aborts),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
