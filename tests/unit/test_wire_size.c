#include "wire/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The parts that memcached 1.6.18 adds up: header, CAS, key and NUL, value and line end. The differential test finds the
 * same boundary on memcached itself. */
static void test_an_item_counts_as_memcached_counts_it(void **state)
{
    (void)state;
    assert_int_equal(item_size(1, 0, 0), 48 + 8 + 1 + 1 + 2);
    assert_int_equal(item_size(250, 0, 100) - item_size(1, 0, 0), 249 + 100);
}

static void test_flags_take_four_bytes_when_they_are_not_zero(void **state)
{
    (void)state;
    assert_int_equal(item_size(10, 1, 5) - item_size(10, 0, 5), 4);
    assert_int_equal(item_size(10, UINT32_MAX, 5), item_size(10, 1, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_item_counts_as_memcached_counts_it),
        cmocka_unit_test(test_flags_take_four_bytes_when_they_are_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
