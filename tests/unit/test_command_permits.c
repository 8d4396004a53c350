#include "command/permits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define BIT(id) (1u << PERMIT_##id)

static uint32_t of(enum request_op op, uint32_t asks)
{
    struct extras extras = {.asks = asks};
    const struct request request = {.op = op, .key = SPAN("k"), .extras = &extras};
    return permits_of(&request);
}

/* Nothing that is executed is free, or somebody has forgotten it. */
static void test_every_request_that_is_executed_needs_a_permit(void **state)
{
    (void)state;
    for (enum request_op op = 0; op < REQUEST_OPS; op++) {
        const struct request request = {.op = op};
        bool is_free = request_is_local(op) || op == REQUEST_AUTH;
        assert_int_equal(permits_of(&request) == 0, is_free);
        assert_int_equal(of(op, 0) == 0, is_free);
    }
}

static void test_what_changes_an_item_needs_a_write(void **state)
{
    (void)state;
    for (enum request_op op = 0; op < REQUEST_OPS; op++) {
        assert_false(request_writes(op) && of(op, 0) == BIT(GET));
    }
}

static void test_extras_may_need_more(void **state)
{
    (void)state;
    assert_int_equal(of(REQUEST_GET, ASK_META | ASK_HISTORY), BIT(GET));
    assert_int_equal(of(REQUEST_GAT, ASK_META | ASK_TOUCH), BIT(GETEX));
    assert_int_equal(of(REQUEST_GAT, ASK_META | ASK_VIVIFY), BIT(GET) | BIT(SET));
    assert_int_equal(of(REQUEST_GAT, ASK_META | ASK_RECACHE), BIT(GET) | BIT(SET));
    assert_int_equal(of(REQUEST_GAT, ASK_META | ASK_TOUCH | ASK_VIVIFY), BIT(GETEX) | BIT(SET));
    assert_int_equal(of(REQUEST_APPEND, ASK_META | ASK_VIVIFY), BIT(APPEND) | BIT(SET));
    assert_int_equal(of(REQUEST_INCR, ASK_META | ASK_TOUCH), BIT(INCRBY) | BIT(EXPIRE));
    assert_int_equal(of(REQUEST_DELETE, ASK_META | ASK_CLEAR), BIT(DEL) | BIT(SET));
    assert_int_equal(of(REQUEST_DELETE, ASK_META | ASK_INVALIDATE), BIT(DEL) | BIT(SET));
    assert_int_equal(of(REQUEST_SET, ASK_META | ASK_INVALIDATE), BIT(SET));
}

static void test_some_stats_need_more_than_info(void **state)
{
    (void)state;
    const struct request reset = {.op = REQUEST_STATS, .text = SPAN("reset")};
    const struct request items = {.op = REQUEST_STATS, .text = SPAN("items")};
    assert_int_equal(permits_of(&reset), BIT(RESETSTAT));
    const struct request dump = {.op = REQUEST_STATS, .text = SPAN(" cachedump 1 10")};
    assert_int_equal(permits_of(&items), BIT(INFO));
    assert_int_equal(permits_of(&dump), BIT(SCAN));
}

static void test_every_permit_is_a_command(void **state)
{
    (void)state;
    assert_true(PERMITS <= 32);
    for (enum permit permit = 0; permit < PERMITS; permit++) {
        char quoted[40];
        (void)snprintf(quoted, sizeof quoted, "'%s' command", permit_name(permit));
        struct span denial = permit_denial(permit);
        assert_true(denial.size > strlen(quoted));
        assert_true(span_equal(span_skip(denial, denial.size - strlen(quoted)), span_of(quoted, strlen(quoted))));
        assert_non_null(permit_word(permit, 0));
        assert_null(permit_word(permit, PERMIT_WORDS_MAX));
    }
    assert_string_equal(permit_word(PERMIT_GETEX, 0), "GETEX");
    assert_string_equal(permit_word(PERMIT_GETEX, 1), "");
    assert_string_equal(permit_word(PERMIT_GETEX, 2), "EX");
    assert_null(permit_word(PERMIT_GET, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_request_that_is_executed_needs_a_permit),
        cmocka_unit_test(test_what_changes_an_item_needs_a_write),
        cmocka_unit_test(test_extras_may_need_more),
        cmocka_unit_test(test_some_stats_need_more_than_info),
        cmocka_unit_test(test_every_permit_is_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
