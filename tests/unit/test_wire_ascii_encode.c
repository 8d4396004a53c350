/* Encoding results in memcached's words. */
#include "wire/ascii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_encodes(const struct request *request, const struct result *result, struct span values,
                           const char *expected)
{
    struct buffer output;
    buffer_init(&output);
    buffer_append(&output, SPAN("before"));
    ascii_encode(request, result, values, &output);
    buffer_consume(&output, 6);
    assert_int_equal(buffer_size(&output), strlen(expected));
    assert_memory_equal(buffer_content(&output).data, expected, strlen(expected));
    buffer_deinit(&output);
}

static void assert_status(enum request_op op, enum result_status status, const char *expected)
{
    struct request request = {.op = op, .key = SPAN("k"), .text = SPAN("")};
    struct result result = {.status = status, .number = 4711, .text = SPAN("why it cannot be")};
    assert_encodes(&request, &result, SPAN(""), expected);
    request.quiet = true;
    assert_encodes(&request, &result, SPAN(""), "");
}

static void test_words(void **state)
{
    (void)state;
    for (int op = REQUEST_SET; op <= REQUEST_CAS; op++) {
        assert_status((enum request_op)op, RESULT_STORED, "STORED\r\n");
        assert_status((enum request_op)op, RESULT_NOT_STORED, "NOT_STORED\r\n");
        assert_status((enum request_op)op, RESULT_OUT_OF_MEMORY, "SERVER_ERROR out of memory storing object\r\n");
        assert_status((enum request_op)op, RESULT_REFUSED, "SERVER_ERROR why it cannot be\r\n");
    }
    assert_status(REQUEST_CAS, RESULT_EXISTS, "EXISTS\r\n");
    assert_status(REQUEST_CAS, RESULT_NOT_FOUND, "NOT_FOUND\r\n");
    assert_status(REQUEST_CAS, RESULT_TOO_LARGE, "SERVER_ERROR object too large for cache\r\n");
    assert_status(REQUEST_APPEND, RESULT_TOO_LARGE, "NOT_STORED\r\n");
    assert_status(REQUEST_INCR, RESULT_NUMBER, "4711\r\n");
    assert_status(REQUEST_DECR, RESULT_NOT_FOUND, "NOT_FOUND\r\n");
    assert_status(REQUEST_INCR, RESULT_NON_NUMERIC,
                  "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
    assert_status(REQUEST_INCR, RESULT_OUT_OF_MEMORY, "SERVER_ERROR out of memory\r\n");
    assert_status(REQUEST_DELETE, RESULT_OK, "DELETED\r\n");
    assert_status(REQUEST_DELETE, RESULT_NOT_FOUND, "NOT_FOUND\r\n");
    assert_status(REQUEST_TOUCH, RESULT_OK, "TOUCHED\r\n");
    assert_status(REQUEST_FLUSH_ALL, RESULT_OK, "OK\r\n");
    assert_status(REQUEST_FLUSH_ALL, RESULT_NOT_ALLOWED, "CLIENT_ERROR flush_all not allowed\r\n");
    assert_status(REQUEST_SET_TOO_LARGE, RESULT_OK, "SERVER_ERROR object too large for cache\r\n");
    assert_status(REQUEST_SET_TOO_LARGE, RESULT_NOT_FOUND, "SERVER_ERROR object too large for cache\r\n");
    assert_status(REQUEST_SET_TOO_LARGE, RESULT_REFUSED, "SERVER_ERROR why it cannot be\r\n");
    assert_status(REQUEST_STATS, RESULT_OK, "RESET\r\n");
    assert_status(REQUEST_STATS, RESULT_NOT_FOUND, "ERROR\r\n");
    assert_status(REQUEST_QUIT, RESULT_PENDING, "");
}

static void test_reply(void **state)
{
    (void)state;
    struct request request = {.op = REQUEST_REPLY, .text = SPAN("VERSION 1")};
    struct result result = {.status = RESULT_PENDING};
    assert_encodes(&request, &result, SPAN(""), "VERSION 1\r\n");
    request.quiet = true;
    assert_encodes(&request, &result, SPAN(""), "");
}

/* The same bytes, where the value is sent from elsewhere. */
static void assert_goes_around(const struct request *request, const struct result *result, struct span value, struct span expected)
{
    struct buffer output;
    buffer_init(&output);
    buffer_append(&output, SPAN("before"));
    size_t behind = ascii_encode_around(request, result, &output);
    struct span words = span_skip(buffer_content(&output), 6);
    size_t ahead = words.size - behind;
    assert_int_equal(words.size + value.size, expected.size);
    assert_memory_equal(words.data, expected.data, ahead);
    assert_memory_equal(value.data, expected.data + ahead, value.size);
    assert_memory_equal(words.data + ahead, expected.data + ahead + value.size, behind);
    buffer_deinit(&output);
}

static void test_hits(void **state)
{
    (void)state;
    struct span values = SPAN("xxva\0lueyy");
    struct request request = {.op = REQUEST_GET, .key = SPAN("key")};
    struct result result = {.status = RESULT_HIT, .flags = UINT32_MAX, .value_offset = 2, .value_size = 6};
    struct buffer output;
    buffer_init(&output);
    ascii_encode(&request, &result, values, &output);
    struct span expected = SPAN("VALUE key 4294967295 6\r\nva\0lue\r\n");
    assert_true(span_equal(buffer_content(&output), expected));
    buffer_deinit(&output);
    assert_goes_around(&request, &result, SPAN("va\0lue"), expected);
    request.ends_reply = request.want_cas = true;
    result.number = 77;
    assert_goes_around(&request, &result, SPAN("va\0lue"), SPAN("VALUE key 4294967295 6 77\r\nva\0lue\r\nEND\r\n"));

    request = (struct request){.op = REQUEST_GAT, .key = SPAN("k"), .want_cas = true, .ends_reply = true};
    result = (struct result){.status = RESULT_HIT, .number = UINT64_MAX, .value_offset = 10};
    assert_encodes(&request, &result, values, "VALUE k 0 0 18446744073709551615\r\n\r\nEND\r\n");
    assert_encodes(&request, &(struct result){.status = RESULT_HIT}, (struct span){NULL, 0},
                   "VALUE k 0 0 0\r\n\r\nEND\r\n");
}

/* What stands in the reply of a get for keys that gave nothing. */
static void test_misses_and_errors_of_get(void **state)
{
    (void)state;
    struct request inner = {.op = REQUEST_GET, .key = SPAN("k")};
    struct request last = {.op = REQUEST_GAT, .key = SPAN("k"), .ends_reply = true};
    struct result miss = {.status = RESULT_NOT_FOUND};
    struct result refusal = {.status = RESULT_REFUSED, .text = SPAN("no")};
    struct result no_memory = {.status = RESULT_OUT_OF_MEMORY};
    assert_encodes(&inner, &miss, SPAN(""), "");
    assert_encodes(&last, &miss, SPAN(""), "END\r\n");
    assert_encodes(&inner, &refusal, SPAN(""), "");
    assert_encodes(&last, &refusal, SPAN(""), "SERVER_ERROR no\r\n");
    assert_encodes(&last, &no_memory, SPAN(""), "SERVER_ERROR out of memory storing object\r\n");
}

static void test_stats(void **state)
{
    (void)state;
    struct span values = SPAN("zzpid\0" "12\0" "version\0" "1.6 x\0" "empty\0" "\0");
    struct request request = {.op = REQUEST_STATS, .text = SPAN("")};
    struct result result = {.status = RESULT_STATS, .value_offset = 2, .value_size = values.size - 2};
    assert_encodes(&request, &result, values, "STAT pid 12\r\nSTAT version 1.6 x\r\nSTAT empty \r\nEND\r\n");
    result.value_size = 0;
    assert_encodes(&request, &result, values, "END\r\n");
}

/* Whatever the sizes, the reserved room suffices (the sanitizers watch). */
static void test_largest_hit(void **state)
{
    (void)state;
    static char key[ASCII_KEY_MAX];
    static char value[70000];
    memset(key, 'k', sizeof key);
    struct request request = {.op = REQUEST_GET, .key = span_of(key, sizeof key), .want_cas = true, .ends_reply = true};
    for (size_t size = 0; size < sizeof value; size += 997) {
        struct result result = {.status = RESULT_HIT, .flags = UINT32_MAX, .number = UINT64_MAX, .value_size = size};
        struct buffer output;
        buffer_init(&output);
        ascii_encode(&request, &result, span_of(value, sizeof value), &output);
        assert_true(buffer_size(&output) > size + sizeof key);
        buffer_deinit(&output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_misses_and_errors_of_get),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_largest_hit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
