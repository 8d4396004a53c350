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

static void test_doors_need_ports_of_their_own(void **state)
{
    (void)state;
    struct options options;
    options_init(&options);
    atomic_store(&options.tls_port, 11211);
    assert_non_null(strstr(options_refusal(&options), "diglot.tls-port"));
    atomic_store(&options.tls_port, 11212);
    assert_null(options_refusal(&options));
    atomic_store(&options.port, 0);
    strcpy(options.bind, "");
    assert_non_null(strstr(options_refusal(&options), "diglot.bind"));
    atomic_store(&options.tls_port, 0);
    assert_null(options_refusal(&options));
}

static void test_socket_permissions_are_octal(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "8", "-1", "1000", "07777", "00777", "0x7", " 700", "700 ", "rwx"};
    static const struct {
        const char *text;
        unsigned mode;
    } good[] = {{"700", 0700}, {"0770", 0770}, {"0", 0}, {"7", 07}, {"0000", 0}, {"777", 0777}};
    struct options options;
    options_init(&options);
    assert_int_equal(options_socket_mode(&options), 0700);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        strcpy(options.unixsocketperm, bad[i]);
        assert_non_null(strstr(options_refusal(&options), "diglot.unixsocketperm"));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        strcpy(options.unixsocketperm, good[i].text);
        assert_null(options_refusal(&options));
        assert_int_equal(options_socket_mode(&options), good[i].mode);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_make_sense),
        cmocka_unit_test(test_out_of_range_is_refused),
        cmocka_unit_test(test_bad_prefix_is_refused),
        cmocka_unit_test(test_open_port_needs_an_address),
        cmocka_unit_test(test_doors_need_ports_of_their_own),
        cmocka_unit_test(test_socket_permissions_are_octal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
