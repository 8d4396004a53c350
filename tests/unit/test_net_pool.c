#include "net/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int set_up(void **state)
{
    static struct pool pool;
    pool_init(&pool);
    *state = &pool;
    return 0;
}

static int tear_down(void **state)
{
    pool_deinit(*state);
    return 0;
}

static void test_what_came_back_last_goes_out_first(void **state)
{
    struct pool *pool = *state;
    struct buffer first, second;
    buffer_init(&first);
    buffer_init(&second);
    pool_lend_buffer(pool, &first);
    pool_lend_buffer(pool, &second);
    char *memory = second.data;
    pool_reclaim_buffer(pool, &first);
    pool_reclaim_buffer(pool, &second);
    assert_null(second.data);
    pool_lend_buffer(pool, &first);
    assert_ptr_equal(first.data, memory);
    assert_int_equal(buffer_size(&first), 0);
    pool_reclaim_buffer(pool, &first);
}

/* A buffer that has grown to this comes back. */
static void reclaim_grown(struct pool *pool, size_t capacity)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_reserve(&buffer, capacity);
    pool_reclaim_buffer(pool, &buffer);
    assert_null(buffer.data);
}

static void test_a_buffer_that_has_grown_serves_large_requests(void **state)
{
    struct pool *pool = *state;
    struct buffer buffer;
    reclaim_grown(pool, 10 * POOL_BUFFER_SIZE);
    assert_int_equal(pool->buffer_count, 0);
    assert_false(pool_lend_large(pool, &buffer, 10 * POOL_BUFFER_SIZE + 1));
    assert_true(pool_lend_large(pool, &buffer, 10 * POOL_BUFFER_SIZE));
    assert_int_equal(buffer_size(&buffer), 0);
    assert_int_equal(buffer.capacity, 10 * POOL_BUFFER_SIZE);
    assert_false(pool_lend_large(pool, &buffer, 1));
    buffer_deinit(&buffer);
}

static void test_a_pool_keeps_few_large_buffers_and_no_larger_ones(void **state)
{
    struct pool *pool = *state;
    struct buffer buffer;
    reclaim_grown(pool, POOL_LARGE_MOST + 1);
    assert_int_equal(pool->large_count, 0);
    for (size_t i = 0; i < POOL_LARGE_DEPTH + 3; i++) reclaim_grown(pool, (3 + i) * POOL_BUFFER_SIZE);
    assert_int_equal(pool->large_count, POOL_LARGE_DEPTH);
    /* Those that serve for most. */
    for (size_t i = 0; i < POOL_LARGE_DEPTH; i++) {
        assert_true(pool_lend_large(pool, &buffer, 6 * POOL_BUFFER_SIZE));
        buffer_deinit(&buffer);
    }
}

static void test_a_batch_comes_back_empty(void **state)
{
    struct pool *pool = *state;
    struct batch *batch = pool_lend_batch(pool);
    batch_add(batch);
    pool_reclaim_batch(pool, &batch);
    assert_null(batch);
    batch = pool_lend_batch(pool);
    assert_int_equal(batch->count, 0);
    pool_reclaim_batch(pool, &batch);
}

static void test_a_pool_keeps_only_so_many(void **state)
{
    struct pool *pool = *state;
    struct batch *batches[POOL_DEPTH + 3];
    for (size_t i = 0; i < POOL_DEPTH + 3; i++) batches[i] = pool_lend_batch(pool);
    for (size_t i = 0; i < POOL_DEPTH + 3; i++) pool_reclaim_batch(pool, &batches[i]);
    assert_int_equal(pool->batch_count, POOL_DEPTH);
    assert_null(batches[POOL_DEPTH + 2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_came_back_last_goes_out_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_buffer_that_has_grown_serves_large_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pool_keeps_few_large_buffers_and_no_larger_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_batch_comes_back_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pool_keeps_only_so_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
