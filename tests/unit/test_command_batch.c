#include "command/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_new_batch_is_empty(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    assert_int_equal(batch->count, 0);
    assert_int_equal(batch->executed, 0);
    assert_int_equal(batch->encoded, 0);
    assert_false(batch->is_local);
    assert_false(batch_is_full(batch));
    assert_false(batch_is_due(batch));
    assert_int_equal(buffer_size(&batch->values), 0);
    batch_free(&batch);
    assert_null(batch);
    batch_free(&batch);
}

static void test_added_message_is_pending_and_zero(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    struct message *first = batch_add(batch);
    first->request.quiet = true;
    first->request.key = SPAN("left over");
    first->result.status = RESULT_HIT;
    batch_reset(batch);

    struct message *message = batch_add(batch);
    assert_ptr_equal(message, first);
    assert_int_equal(message->result.status, RESULT_PENDING);
    assert_false(message->request.quiet);
    assert_int_equal(message->request.key.size, 0);
    batch_free(&batch);
}

static void test_batch_fills(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    for (int i = 0; i < BATCH_CAPACITY; i++) {
        assert_false(batch_is_full(batch));
        (void)batch_add(batch);
    }
    assert_true(batch_is_full(batch));
    batch_reset(batch);
    assert_false(batch_is_full(batch));
    batch_free(&batch);
}

static void test_message_is_due_once_executed(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    batch_add(batch)->request.op = REQUEST_GET;
    batch_add(batch)->request.op = REQUEST_REPLY;
    assert_false(batch_is_due(batch));
    batch->executed = 1;
    assert_true(batch_is_due(batch));
    batch->encoded = 1;
    assert_true(batch_is_due(batch)); /* local: it waits for those before it alone */
    batch->encoded = 2;
    assert_false(batch_is_due(batch));
    batch_free(&batch);
}

static void test_reset_gives_large_values_back(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    buffer_append(&batch->values, SPAN("small"));
    size_t small = batch->values.capacity;
    batch_reset(batch);
    assert_int_equal(buffer_size(&batch->values), 0);
    assert_int_equal(batch->values.capacity, small);

    buffer_reserve(&batch->values, 1024 * 1024);
    batch_reset(batch);
    assert_true(batch->values.capacity < 1024 * 1024);
    batch_free(&batch);
}

/* A batch that comes and goes many times holds the values of one journey. */
static void test_values_of_a_journey_make_room(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    buffer_reserve(&batch->values, 1024 * 1024);
    batch->values.end = 1024 * 1024;
    batch_begin_journey(batch, 256 * 1024);
    assert_int_equal(buffer_size(&batch->values), 0);
    assert_true(batch->values.capacity <= 256 * 1024);
    batch_free(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_batch_is_empty),           cmocka_unit_test(test_added_message_is_pending_and_zero),
        cmocka_unit_test(test_batch_fills),                  cmocka_unit_test(test_message_is_due_once_executed),
        cmocka_unit_test(test_reset_gives_large_values_back), cmocka_unit_test(test_values_of_a_journey_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
