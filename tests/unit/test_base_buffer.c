/* Growing, consuming and giving back of a buffer. */
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void assert_content(const struct buffer *buffer, const char *expected)
{
    assert_int_equal(buffer_size(buffer), strlen(expected));
    assert_memory_equal(buffer_content(buffer).data, expected, strlen(expected));
}

static void test_starts_empty(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_int_equal(buffer_size(&buffer), 0);
    assert_int_equal(buffer_room(&buffer), 0);
    buffer_append(&buffer, SPAN(""));
    assert_int_equal(buffer.capacity, 0);
    buffer_deinit(&buffer);
}

static void test_appends_and_consumes(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append(&buffer, SPAN("hello "));
    buffer_append(&buffer, SPAN("world"));
    assert_content(&buffer, "hello world");
    buffer_consume(&buffer, 6);
    assert_content(&buffer, "world");
    buffer_consume(&buffer, 5);
    assert_content(&buffer, "");
    buffer_deinit(&buffer);
    assert_null(buffer.data);
}

static void test_consuming_moves_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append(&buffer, SPAN("0123456789"));
    const char *five = buffer.data + 5;
    buffer_consume(&buffer, 5);
    assert_ptr_equal(buffer_content(&buffer).data, five);
    buffer_deinit(&buffer);
}

static void test_reuses_the_room_at_the_front(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_reserve(&buffer, 1000);
    size_t capacity = buffer.capacity;
    memset(buffer.data, 'x', capacity);
    buffer.end = capacity;
    buffer_consume(&buffer, capacity - 3);
    buffer_append(&buffer, SPAN("abc"));
    assert_content(&buffer, "xxxabc");
    assert_int_equal(buffer.begin, 0);
    assert_int_equal(buffer.capacity, capacity);
    buffer_deinit(&buffer);
}

static void test_grows_to_what_is_asked(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append(&buffer, SPAN("abc"));
    buffer_reserve(&buffer, 1000000);
    assert_true(buffer_room(&buffer) >= 1000000);
    assert_content(&buffer, "abc");
    buffer_deinit(&buffer);
}

/* A reader that takes a little at a time must not make every append copy everything. */
static void test_trickle_keeps_capacity_bounded(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    char block[1000];
    memset(block, 'b', sizeof block);
    for (int i = 0; i < 64; i++) {
        buffer_append(&buffer, span_of(block, sizeof block));
    }
    size_t moves = 0;
    for (int i = 0; i < 100000; i++) {
        const char *before = buffer.data;
        size_t begin = buffer.begin + 10;
        buffer_consume(&buffer, 10);
        buffer_append(&buffer, span_of(block, 10));
        moves += buffer.data != before || buffer.begin != begin;
        assert_true(buffer.capacity <= 4 * 64010);
    }
    assert_int_equal(buffer_size(&buffer), 64000);
    assert_true(moves < 100);
    buffer_deinit(&buffer);
}

static void test_reset_gives_back_much_memory(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append(&buffer, SPAN("abc"));
    size_t small = buffer.capacity;
    buffer_reset(&buffer, small);
    assert_int_equal(buffer_size(&buffer), 0);
    assert_int_equal(buffer.capacity, small);
    buffer_reserve(&buffer, 100000);
    buffer_reset(&buffer, small);
    assert_int_equal(buffer.capacity, 0);
    buffer_deinit(&buffer);
}

/* Compared with a plain array. */
static void test_random_walk(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    static char model[1 << 16];
    size_t size = 0;
    unsigned seed = 7;
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245U + 12345U;
        size_t amount = (seed >> 16) % 700;
        if ((seed & 0x100) != 0 && size + amount <= sizeof model) {
            for (size_t i = 0; i < amount; i++) {
                model[size + i] = (char)(step + (int)i);
            }
            buffer_append(&buffer, span_of(model + size, amount));
            size += amount;
        } else {
            amount = amount < size ? amount : size;
            buffer_consume(&buffer, amount);
            memmove(model, model + amount, size - amount);
            size -= amount;
        }
        assert_int_equal(buffer_size(&buffer), size);
        assert_true(size == 0 || memcmp(buffer_content(&buffer).data, model, size) == 0);
    }
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_empty),
        cmocka_unit_test(test_appends_and_consumes),
        cmocka_unit_test(test_consuming_moves_nothing),
        cmocka_unit_test(test_reuses_the_room_at_the_front),
        cmocka_unit_test(test_grows_to_what_is_asked),
        cmocka_unit_test(test_trickle_keeps_capacity_bounded),
        cmocka_unit_test(test_reset_gives_back_much_memory),
        cmocka_unit_test(test_random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
