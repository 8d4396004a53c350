/* memcached's item size, at the boundaries where memcached 1.6.18 with its default limit of 1 MiB was seen to turn from
 * STORED to "object too large"; and which requests write. */
#include "wire/message.h"
#include "wire/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_item_size(void **state)
{
    (void)state;
    static const struct {
        size_t key_size;
        uint32_t flags;
        size_t largest_value;
    } stored[] = {
        {1, 0, 1048516}, {1, 1, 1048512}, {100, 0, 1048417}, {100, 1, 1048413}, {250, 0, 1048267}, {250, 1, 1048263},
    };
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        assert_int_equal(item_size(stored[i].key_size, stored[i].flags, stored[i].largest_value), 1024 * 1024);
    }
}

static void test_request_kinds(void **state)
{
    (void)state;
    for (int op = 0; op < REQUEST_OPS; op++) {
        bool reads = op == REQUEST_GET || op == REQUEST_DEBUG || request_is_on_server((enum request_op)op);
        assert_int_equal(request_writes((enum request_op)op), !reads && !request_is_local((enum request_op)op));
    }
    assert_true(request_is_local(REQUEST_REPLY));
    assert_true(request_is_local(REQUEST_QUIT));
    assert_false(request_is_local(REQUEST_GET));
    assert_false(request_is_on_server(REQUEST_FLUSH_ALL));
    assert_true(request_is_on_server(REQUEST_STATS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_item_size),
        cmocka_unit_test(test_request_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
