#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/endpoint.h"

#include <string.h>

static void test_good_ones(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port, *name;
    } cases[] = {
        {"cache1", "cache1", "11211", "cache1:11211"},
        {"cache1:1", "cache1", "1", "cache1:1"},
        {"10.0.0.1:65535", "10.0.0.1", "65535", "10.0.0.1:65535"},
        {"::1", "::1", "11211", "[::1]:11211"},
        {"[::1]", "::1", "11211", "[::1]:11211"},
        {"[fe80::1]:6379", "fe80::1", "6379", "[fe80::1]:6379"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint endpoint;
        assert_true(endpoint_parse(cases[i].text, "11211", &endpoint));
        assert_string_equal(endpoint.host, cases[i].host);
        assert_string_equal(endpoint.port, cases[i].port);
        assert_string_equal(endpoint.name, cases[i].name);
    }
}

static void test_bad_ones(void **state)
{
    (void)state;
    static const char *const cases[] = {"", ":1", "host:", "host:0", "host:65536", "host:1x", "host:-1", "[::1", "[::1]1", "[]:1", "host: 1"};
    char longest[400];
    struct endpoint endpoint;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(endpoint_parse(cases[i], "11211", &endpoint));
    }
    memset(longest, 'h', sizeof longest);
    longest[256] = '\0';
    assert_false(endpoint_parse(longest, "11211", &endpoint));
    longest[255] = '\0';
    assert_true(endpoint_parse(longest, "11211", &endpoint));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good_ones), cmocka_unit_test(test_bad_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
