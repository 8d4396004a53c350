#define _GNU_SOURCE 1 /* pthread_getname_np, gettid */

#include "net/thread.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

struct facts {
    int before;
    int after;
    sigset_t blocked;
};

static void *look_around(void *argument)
{
    struct facts *facts = argument;
    facts->before = getpriority(PRIO_PROCESS, (id_t)gettid());
    thread_lower_priority();
    facts->after = getpriority(PRIO_PROCESS, (id_t)gettid());
    (void)pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked);
    return NULL;
}

static void test_a_thread_takes_no_signals_and_gives_way(void **state)
{
    (void)state;
    struct facts facts;
    pthread_t thread;
    sigset_t own;
    int own_priority = getpriority(PRIO_PROCESS, 0);
    assert_true(thread_start(&thread, "a name", look_around, &facts));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sigismember(&facts.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&facts.blocked, SIGUSR1), 1);
    assert_true(facts.after > facts.before);
    /* Whoever started it stays as he was. */
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own_priority);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &own);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
}

static void *wait_for_end(void *argument)
{
    (void)pthread_mutex_lock(argument);
    (void)pthread_mutex_unlock(argument);
    return NULL;
}

static void test_a_thread_has_its_name(void **state)
{
    (void)state;
    char name[16];
    pthread_t thread;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    assert_int_equal(pthread_mutex_lock(&lock), 0);
    assert_true(thread_start(&thread, "diglot-test", wait_for_end, &lock));
    assert_int_equal(pthread_getname_np(thread, name, sizeof(name)), 0);
    assert_string_equal(name, "diglot-test");
    assert_int_equal(pthread_mutex_unlock(&lock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thread_takes_no_signals_and_gives_way),
        cmocka_unit_test(test_a_thread_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
