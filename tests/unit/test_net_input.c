/* How the room that a connection reads into grows and shrinks. */
#include "net/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MIB ((size_t)1024 * 1024)

struct arrival {
    struct pool pool;
    struct buffer input;
};

static int set_up(void **state)
{
    struct arrival *arrival = check_calloc(1, sizeof *arrival);
    pool_init(&arrival->pool);
    buffer_init(&arrival->input);
    *state = arrival;
    return 0;
}

static int tear_down(void **state)
{
    struct arrival *arrival = *state;
    pool_reclaim_buffer(&arrival->pool, &arrival->input);
    pool_deinit(&arrival->pool);
    free(arrival);
    return 0;
}

/* So much more comes, in reads that take what there is room for. Returns the most room that there was for each byte that had
 * come, but for that which everybody has. */
static size_t receive(struct arrival *arrival, size_t size, size_t needed)
{
    struct buffer *input = &arrival->input;
    size_t most = 0;
    while (size > 0) {
        input_make_room(input, needed, 0, &arrival->pool);
        size_t room = buffer_room(input);
        assert_true(room > 0);
        size_t share = input->capacity / (buffer_size(input) + POOL_BUFFER_SIZE);
        most = share > most ? share : most;
        size_t read = room < size ? room : size;
        memset(input->data + input->end, 'v', read);
        input->end += read;
        size -= read;
    }
    return most;
}

static void test_a_large_request_gets_the_room_that_it_needs(void **state)
{
    struct arrival *arrival = *state;
    assert_true(receive(arrival, MIB + 20, MIB + 20) <= 4);
    assert_int_equal(arrival->input.capacity, MIB + 20);
}

/* Who announces much and sends little holds little. */
static void test_room_grows_with_what_comes(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, 20, 0);
    receive(arrival, 100, 512 * MIB);
    assert_int_equal(arrival->input.capacity, POOL_BUFFER_SIZE);
    assert_true(receive(arrival, 3 * MIB, 512 * MIB) <= 4);
    assert_true(arrival->input.capacity <= 16 * MIB);
}

static void test_what_has_served_before_serves_again(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, MIB, MIB);
    const char *memory = arrival->input.data;
    buffer_consume(&arrival->input, MIB);
    input_give_back(&arrival->input, 0, &arrival->pool);
    assert_int_equal(arrival->input.capacity, POOL_BUFFER_SIZE);
    receive(arrival, POOL_BUFFER_SIZE, MIB);
    input_make_room(&arrival->input, MIB, 0, &arrival->pool);
    assert_ptr_equal(arrival->input.data, memory);
    assert_int_equal(buffer_size(&arrival->input), POOL_BUFFER_SIZE);
}

/* Who has sent a large one before, and has nothing under way. */
static void test_what_is_expected_is_used_if_it_is_there(void **state)
{
    struct arrival *arrival = *state;
    input_make_room(&arrival->input, 0, MIB, &arrival->pool);
    assert_int_equal(arrival->input.capacity, POOL_BUFFER_SIZE);
    receive(arrival, MIB, MIB);
    const char *memory = arrival->input.data;
    pool_reclaim_buffer(&arrival->pool, &arrival->input);
    input_make_room(&arrival->input, 0, MIB, &arrival->pool);
    assert_ptr_equal(arrival->input.data, memory);
}

/* The next request has begun behind the large one. */
static void test_a_small_rest_needs_no_large_memory(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, MIB, MIB);
    buffer_consume(&arrival->input, MIB - 3);
    memcpy(arrival->input.data + arrival->input.begin, "get", 3);
    input_give_back(&arrival->input, 0, &arrival->pool);
    assert_int_equal(arrival->input.capacity, POOL_BUFFER_SIZE);
    assert_true(span_equal(buffer_content(&arrival->input), SPAN("get")));
}

static void test_what_is_needed_is_not_given_back(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, MIB / 2, MIB);
    input_give_back(&arrival->input, MIB, &arrival->pool);
    assert_int_equal(buffer_size(&arrival->input), MIB / 2);
    buffer_consume(&arrival->input, MIB / 2 - 30);
    input_give_back(&arrival->input, MIB, &arrival->pool); /* a line of the next large one */
    assert_true(arrival->input.capacity > 2 * POOL_BUFFER_SIZE);
}

/* A line of which nobody knows how long it will be. */
static void test_what_is_full_is_not_given_back(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, MIB / 2, 0);
    input_give_back(&arrival->input, 0, &arrival->pool);
    assert_true(arrival->input.capacity >= MIB / 2);
    assert_int_equal(arrival->pool.large_count, 0);
}

/* Else much would be copied for every little that was consumed. */
static void test_much_is_not_moved_for_little_room(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, POOL_BUFFER_SIZE - 100, 0);
    buffer_consume(&arrival->input, 10);
    input_make_room(&arrival->input, 0, 0, &arrival->pool);
    assert_int_equal(arrival->input.begin, 10);
    assert_int_equal(buffer_room(&arrival->input), 100);
}

/* Large requests one behind the other fit into one that has been large enough for each. */
static void test_large_memory_does_not_grow_for_the_next_one(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, MIB, MIB);
    for (int i = 0; i < 5; i++) {
        buffer_consume(&arrival->input, MIB * 2 / 5);
        receive(arrival, MIB * 2 / 5, MIB);
        assert_int_equal(arrival->input.capacity, MIB);
        assert_int_equal(buffer_size(&arrival->input), MIB);
    }
}

/* Lines without an end, whose size nobody knows. */
static void test_room_doubles_where_the_need_is_not_known(void **state)
{
    struct arrival *arrival = *state;
    assert_true(receive(arrival, MIB - 1, 0) <= 2);
    assert_int_equal(arrival->input.capacity, MIB);
}

/* A line as long as one before it is copied into memory that has been large enough, once. */
static void test_where_the_need_is_not_known_memory_serves_again(void **state)
{
    struct arrival *arrival = *state;
    receive(arrival, MIB, 0);
    const char *memory = arrival->input.data;
    pool_reclaim_buffer(&arrival->pool, &arrival->input);
    receive(arrival, POOL_BUFFER_SIZE, 0);
    assert_int_equal(arrival->input.capacity, POOL_BUFFER_SIZE);
    receive(arrival, MIB - POOL_BUFFER_SIZE, 0);
    assert_ptr_equal(arrival->input.data, memory);
    assert_int_equal(arrival->input.capacity, MIB);
    assert_int_equal(buffer_size(&arrival->input), MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_large_request_gets_the_room_that_it_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_grows_with_what_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_served_before_serves_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_expected_is_used_if_it_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_small_rest_needs_no_large_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_needed_is_not_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_full_is_not_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_much_is_not_moved_for_little_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_memory_does_not_grow_for_the_next_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_doubles_where_the_need_is_not_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where_the_need_is_not_known_memory_serves_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
