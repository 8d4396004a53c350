#include "wire/ascii.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum decode_status decode(struct span input, struct decoded *decoded)
{
    static struct extras extras;
    const struct decode_limits limits = {.max_item_size = 1024 * 1024};
    return ascii_decode_login(input, &limits, &extras, decoded);
}

static void assert_span(struct span span, const char *text)
{
    assert_true(span_equal(span, span_of(text, strlen(text))));
}

/* Every cut of the input is PARTIAL, and the whole is a request. */
static void decode_whole(const char *text, struct decoded *decoded)
{
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut++) {
        char *copy = check_malloc(cut + 1);
        memcpy(copy, text, cut);
        assert_int_equal(decode(span_of(copy, cut), decoded), DECODE_PARTIAL);
        free(copy);
    }
    assert_int_equal(decode(span_of(text, size), decoded), DECODE_REQUEST);
    assert_int_equal(decoded->consumed, size);
}

static void test_set_offers_user_and_password(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *password;
    } offers[] = {
        {"set x 0 0 10\r\nbob secret\r\n", "bob", "secret"},
        {"set x 0 0 10\nbob secret\r\n", "bob", "secret"},
        {"  set   any a b 10 noreply\r\nbob secret\r\n", "bob", "secret"},
        {"set x 0 0 9 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4\r\nbob a b c\r\n", "bob", "a b c"},
        {"set x 0 0 12\r\nbob  secret \r\n", "bob", " secret "},
        {"set x 0 0 8\r\nb\nb s\r\nt\r\n", "b\nb", "s\r\nt"},
    };
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        struct decoded decoded;
        decode_whole(offers[i].text, &decoded);
        assert_int_equal(decoded.request.op, REQUEST_AUTH);
        assert_span(decoded.request.key, offers[i].user);
        assert_span(decoded.request.value, offers[i].password);
        assert_false(decoded.request.quiet);
    }
}

static void check_reply(const char *text, size_t consumed, const char *reply)
{
    struct decoded decoded;
    assert_int_equal(decode(span_of(text, strlen(text)), &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.request.op, REQUEST_REPLY);
    assert_int_equal(decoded.consumed, consumed);
    assert_int_equal(decoded.swallow, 0);
    assert_false(decoded.closes);
    assert_span(decoded.request.text, reply);
}

static void test_everything_else_is_answered_alike(void **state)
{
    (void)state;
    const char *const lines[] = {"get k\r\n", "\n", "\r\n", "quit\r\n", "set x 0 0\r\n", "SET x 0 0 1\r\n", "set x 0 0 -1\r\n",
                                 "set x 0 0 one\r\n", "add x 0 0 1\r\n", "sets x 0 0 1\r\n", "GET / HTTP/1.1\r\n", "mn\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char pipelined[64];
        (void)snprintf(pipelined, sizeof pipelined, "%sget k\r\n", lines[i]);
        check_reply(pipelined, strlen(lines[i]), "CLIENT_ERROR unauthenticated");
    }
}

static void test_malformed_tokens(void **state)
{
    (void)state;
    check_reply("set x 0 0 6\r\nsecret\r\n", 21, "CLIENT_ERROR bad authentication token format");
    check_reply("set x 0 0 4\r\nbob \r\n", 19, "CLIENT_ERROR bad authentication token format");
    check_reply("set x 0 0 4\r\n bob\r\n", 19, "CLIENT_ERROR bad authentication token format");
    check_reply("set x 0 0 0\r\n\r\n", 15, "CLIENT_ERROR bad authentication token format");
    check_reply("set x 0 0 2\r\nbob secret\r\n", 17, "CLIENT_ERROR bad command line termination");
    check_reply("set x 0 0 16385\r\n", 17, "CLIENT_ERROR auth token too long");
    check_reply("set x 0 0 4294967295\r\n", 22, "CLIENT_ERROR auth token too long");
}

static void test_bounds(void **state)
{
    (void)state;
    enum { ROOM = 2 * ASCII_WHOLE_LINE_MAX };
    struct decoded decoded;
    char *text = check_malloc(ROOM);
    memset(text, 'x', ROOM);
    assert_int_equal(decode(span_of(text, ASCII_LINE_MAX), &decoded), DECODE_PARTIAL);
    assert_int_equal(decode(span_of(text, ASCII_LINE_MAX + 1), &decoded), DECODE_CLOSE);
    memcpy(text, "get ", 4);
    assert_int_equal(decode(span_of(text, ASCII_LINE_MAX + 1), &decoded), DECODE_CLOSE);
    text[ASCII_WHOLE_LINE_MAX - 1] = '\n';
    assert_int_equal(decode(span_of(text, ROOM), &decoded), DECODE_REQUEST);
    text[ASCII_WHOLE_LINE_MAX - 1] = 'x';
    text[ASCII_WHOLE_LINE_MAX] = '\n';
    assert_int_equal(decode(span_of(text, ROOM), &decoded), DECODE_CLOSE);
    int head = snprintf(text, ROOM, "set x 0 0 %d\r\nu ", ASCII_TOKEN_MAX);
    memset(text + head, 'p', ROOM - (size_t)head);
    memcpy(text + head - 2 + ASCII_TOKEN_MAX, "\r\n", 2);
    assert_int_equal(decode(span_of(text, ROOM), &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.request.op, REQUEST_AUTH);
    assert_int_equal(decoded.request.value.size, ASCII_TOKEN_MAX - 2);
    free(text);
}

static void check_answer(enum result_status status, const char *expected)
{
    const struct request request = {.op = REQUEST_AUTH, .key = SPAN("bob"), .value = SPAN("secret")};
    const struct result result = {.status = status};
    struct buffer output;
    buffer_init(&output);
    ascii_encode(&request, &result, SPAN(""), &output);
    assert_span(buffer_content(&output), expected);
    buffer_deinit(&output);
}

static void test_answers(void **state)
{
    (void)state;
    check_answer(RESULT_OK, "STORED\r\n");
    check_answer(RESULT_UNAUTHENTICATED, "CLIENT_ERROR authentication failure\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_offers_user_and_password), cmocka_unit_test(test_everything_else_is_answered_alike),
        cmocka_unit_test(test_malformed_tokens),             cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
