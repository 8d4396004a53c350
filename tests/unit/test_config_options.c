#include "config/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_defaults_make_sense(void **state)
{
    (void)state;
    struct options options;
    options_init(&options);
    assert_int_equal(option_get(&options, port), 11211);
    assert_int_equal(option_get(&options, max_item_size), 1024 * 1024);
    assert_true(option_get(&options, flush_all));
    assert_string_equal(options.bind, "127.0.0.1 -::1");
    assert_string_equal(options.key_prefix, "");
    assert_null(options_refusal(&options));
}

static void test_out_of_range_is_refused(void **state)
{
    (void)state;
    struct options options;
    options_init(&options);
    atomic_store(&options.port, 65536);
    assert_non_null(strstr(options_refusal(&options), "diglot.port"));
    options_init(&options);
    atomic_store(&options.write_timeout, 0);
    assert_non_null(strstr(options_refusal(&options), "diglot.write-timeout"));
}

static void test_bad_prefix_is_refused(void **state)
{
    (void)state;
    struct options options;
    options_init(&options);
    memset(options.key_prefix, 'p', OPTION_KEY_PREFIX_MAX);
    assert_null(options_refusal(&options));
    options.key_prefix[OPTION_KEY_PREFIX_MAX] = 'p';
    assert_non_null(options_refusal(&options));
    options_init(&options);
    strcpy(options.key_prefix, "diglot:flags:");
    assert_non_null(strstr(options_refusal(&options), "diglot.key-prefix"));
}

static void test_open_port_needs_an_address(void **state)
{
    (void)state;
    struct options options;
    options_init(&options);
    strcpy(options.bind, "  ");
    assert_non_null(strstr(options_refusal(&options), "diglot.bind"));
    atomic_store(&options.port, 0);
    assert_null(options_refusal(&options));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_make_sense),
        cmocka_unit_test(test_out_of_range_is_refused),
        cmocka_unit_test(test_bad_prefix_is_refused),
        cmocka_unit_test(test_open_port_needs_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
