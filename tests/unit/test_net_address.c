#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static void test_an_ipv4_address(void **state)
{
    (void)state;
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(11211);
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char text[64];
    address_format(&address, sizeof *v4, text, sizeof text);
    assert_string_equal(text, "tcp:127.0.0.1:11211");
}

static void test_an_ipv6_address(void **state)
{
    (void)state;
    struct sockaddr_storage address = {0};
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(80);
    v6->sin6_addr = in6addr_loopback;
    char text[64];
    address_format(&address, sizeof *v6, text, sizeof text);
    assert_string_equal(text, "tcp6:[::1]:80");
}

static void test_a_unix_address(void **state)
{
    (void)state;
    struct sockaddr_storage address = {0};
    struct sockaddr_un *local = (struct sockaddr_un *)&address;
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, "/run/door", 10);
    char text[64];
    address_format(&address, offsetof(struct sockaddr_un, sun_path) + 10, text, sizeof text);
    assert_string_equal(text, "unix:/run/door");
}

static void test_a_text_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char text[8];
    memset(text, 'x', sizeof text);
    address_format(&address, sizeof *v4, text, sizeof text);
    assert_int_equal(strlen(text), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ipv4_address),
        cmocka_unit_test(test_an_ipv6_address),
        cmocka_unit_test(test_a_unix_address),
        cmocka_unit_test(test_a_text_that_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
