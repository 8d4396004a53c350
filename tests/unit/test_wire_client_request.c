#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/client_request.h"
#include "wire/message.h"

static void expect(struct buffer *output, struct span text)
{
    assert_true(span_equal(buffer_content(output), text));
    buffer_reset(output, 0);
}

static void test_meta(void **state)
{
    (void)state;
    struct buffer output;
    buffer_init(&output);
    client_put_mg(&output, SPAN("k"), SPAN("v f t"));
    expect(&output, SPAN("mg k v f t\r\n"));
    client_put_mg(&output, SPAN("a b"), SPAN(""));
    expect(&output, SPAN("mg YSBi b\r\n"));
    client_put_md(&output, SPAN("\x01"), SPAN("q O7"));
    expect(&output, SPAN("md AQ== b q O7\r\n"));
    client_put_ma(&output, SPAN("n"), SPAN("D2 v"));
    expect(&output, SPAN("ma n D2 v\r\n"));
    client_put_ms(&output, SPAN("k"), 7, -1, SPAN("I"), SPAN("a\r\nb"));
    expect(&output, SPAN("ms k 4 F7 T-1 I\r\na\r\nb\r\n"));
    client_put_ms(&output, SPAN("a b"), UINT32_MAX, 1800000000, SPAN(""), SPAN(""));
    expect(&output, SPAN("ms YSBi 0 F4294967295 T1800000000 b\r\n\r\n"));
    client_put_mn(&output);
    expect(&output, SPAN("mn\r\n"));
    buffer_deinit(&output);
}

static void test_classic(void **state)
{
    (void)state;
    struct buffer output;
    buffer_init(&output);
    client_put_get(&output, SPAN("k"));
    client_put_gets(&output, SPAN("l"));
    expect(&output, SPAN("get k\r\ngets l\r\n"));
    client_put_store(&output, SPAN("set"), SPAN("k"), 3, -1, SPAN("val"));
    expect(&output, SPAN("set k 3 -1 3\r\nval\r\n"));
    client_put_cas(&output, SPAN("k"), 0, 60, UINT64_MAX, SPAN("v"));
    expect(&output, SPAN("cas k 0 60 1 18446744073709551615\r\nv\r\n"));
    client_put_delete(&output, SPAN("k"));
    client_put_touch(&output, SPAN("k"), INT64_MIN);
    client_put_count(&output, SPAN("decr"), SPAN("k"), 10);
    client_put_version(&output);
    expect(&output, SPAN("delete k\r\ntouch k -9223372036854775808\r\ndecr k 10\r\nversion\r\n"));
    client_put_login(&output, SPAN("me"), SPAN("secret"));
    expect(&output, SPAN("set auth 0 0 9\r\nme secret\r\n"));
    buffer_deinit(&output);
}

static void test_names(void **state)
{
    (void)state;
    char key[ITEM_KEY_MAX + 1];
    memset(key, 'k', sizeof key);
    assert_true(client_can_name(CLIENT_CLASSIC, span_of(key, ITEM_KEY_MAX)));
    assert_false(client_can_name(CLIENT_META, span_of(key, ITEM_KEY_MAX + 1)));
    assert_false(client_can_name(CLIENT_META, SPAN("")));
    assert_true(client_can_name(CLIENT_CLASSIC, SPAN("\xc3\xa9")));
    key[0] = '\n';
    assert_false(client_can_name(CLIENT_CLASSIC, span_of(key, 2)));
    assert_true(client_can_name(CLIENT_META, span_of(key, 186)));
    assert_false(client_can_name(CLIENT_META, span_of(key, 187))); /* 252 characters of base64 */
    assert_false(client_can_name(CLIENT_CLASSIC, SPAN("a b")));
    assert_false(client_can_name(CLIENT_CLASSIC, SPAN("a\x7f")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_classic),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
