#include "command/identity.h"

#include "base/check.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_identity_holds_its_name(void **state)
{
    (void)state;
    char text[] = "us\0er";
    struct identity *identity = identity_new(span_of(text, 5));
    text[0] = 'x';
    assert_true(span_equal(identity_name(identity), span_of("us\0er", 5)));
    assert_int_equal(identity->grant.generation, 0);
    identity_release(&identity);
    assert_null(identity);
}

static void test_nobody_is_retained_and_released(void **state)
{
    (void)state;
    struct identity *nobody = identity_retain(NULL);
    assert_null(nobody);
    identity_release(&nobody);
}

enum { SHARERS = 4, TIMES = 10000 };

static void *share(void *argument)
{
    for (int i = 0; i < TIMES; i++) {
        struct identity *mine = identity_retain(argument);
        CHECK(identity_name(mine).size == 3);
        identity_release(&mine);
    }
    struct identity *last = argument;
    identity_release(&last);
    return NULL;
}

static void test_references_are_counted_across_threads(void **state)
{
    (void)state;
    struct identity *identity = identity_new(SPAN("app"));
    pthread_t threads[SHARERS];
    for (int i = 0; i < SHARERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, share, identity_retain(identity)), 0);
    }
    for (int i = 0; i < SHARERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(identity->references, 1);
    identity_release(&identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_holds_its_name),
        cmocka_unit_test(test_nobody_is_retained_and_released),
        cmocka_unit_test(test_references_are_counted_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
