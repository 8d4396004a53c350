/* Hashes against published values: both are stored or agreed with others, so they never change. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_xxh3(void **state)
{
    (void)state;
    assert_true(hash_key(SPAN("")) == 0x2d06800538d394c2);
    assert_true(hash_key(SPAN("foo")) == 0xab6e5f64077e7d8a);
    assert_true(hash_key(SPAN("a key that is a good deal longer than sixteen bytes")) == 0x58da68221f1c22b8);
}

static void test_crc16(void **state)
{
    (void)state;
    assert_int_equal(hash_crc16(SPAN("123456789")), 0x31c3);
    assert_int_equal(hash_crc16(SPAN("")), 0);
}

static void test_slots(void **state)
{
    (void)state;
    static const struct {
        struct span key;
        int slot;
    } samples[] = {
        {SPAN(""), 0},
        {SPAN("foo"), 12182},
        {SPAN("bar"), 5061},
        {SPAN("user1000"), 3443},
        {SPAN("{user1000}.following"), 3443},
        {SPAN("{user1000}.followers"), 3443},
        {SPAN("foo{bar}{zap}"), 5061},
        {SPAN("foo{{bar}}zap"), 4015},
        {SPAN("{bar"), 4015},
        {SPAN("foo{}{bar}"), 8363},
        {SPAN("foo{bar"), 15278},
        {SPAN("123456789"), 12739},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        assert_int_equal(hash_slot(samples[i].key), samples[i].slot);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xxh3),
        cmocka_unit_test(test_crc16),
        cmocka_unit_test(test_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
