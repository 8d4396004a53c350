#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "item/expiry.h"

#define NOW INT64_C(1700000000123)

static void test_from_exptime(void **state)
{
    (void)state;
    assert_int_equal(expiry_from_exptime(0, NOW), EXPIRY_NEVER);
    assert_int_equal(expiry_from_exptime(1, NOW), NOW + 1000);
    assert_int_equal(expiry_from_exptime(2592000, NOW), NOW + INT64_C(2592000000));
    assert_int_equal(expiry_from_exptime(2592001, NOW), INT64_C(2592001000)); /* a unix time long past */
    assert_int_equal(expiry_from_exptime(1700000100, NOW), INT64_C(1700000100000));
    assert_int_equal(expiry_from_exptime(INT64_MAX / 1000, NOW), INT64_MAX / 1000 * 1000);
    assert_int_equal(expiry_from_exptime(INT64_MAX / 1000 + 1, NOW), INT64_MAX);
    assert_int_equal(expiry_from_exptime(INT64_MAX, NOW), INT64_MAX);
}

static void test_negative_has_passed(void **state)
{
    (void)state;
    static const int64_t exptimes[] = {-1, -2, -1000, INT64_MIN};
    for (size_t i = 0; i < sizeof exptimes / sizeof *exptimes; i++) {
        int64_t expiry = expiry_from_exptime(exptimes[i], NOW);
        assert_int_not_equal(expiry, EXPIRY_NEVER);
        assert_true(expiry_has_passed(expiry, NOW));
    }
}

static void test_has_passed(void **state)
{
    (void)state;
    assert_false(expiry_has_passed(EXPIRY_NEVER, NOW));
    assert_false(expiry_has_passed(EXPIRY_NEVER, INT64_MAX));
    assert_false(expiry_has_passed(NOW + 1, NOW));
    assert_true(expiry_has_passed(NOW, NOW));
    assert_true(expiry_has_passed(NOW - 1, NOW));
    assert_true(expiry_has_passed(0, NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_exptime),
        cmocka_unit_test(test_negative_has_passed),
        cmocka_unit_test(test_has_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
