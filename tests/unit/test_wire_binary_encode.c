/* Encoding results as memcached's binary packets. The expectations are what memcached 1.6.45 answered. */
#include "wire/binary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define OPAQUE "\x01\xfe\x03\xfc"
#define TOKEN "\x11\x22\x33\x44\x55\x66\x77\x88"
#define NO_TOKEN "\0\0\0\0\0\0\0\0"
#define HEADER(opcode, key, extras, status, body, token) "\x81" opcode key extras "\0" status body OPAQUE token

static void assert_encodes(struct request request, const struct result *result, struct span values, struct span expected)
{
    struct buffer output;
    memcpy(&request.opaque, OPAQUE, 4);
    buffer_init(&output);
    buffer_append(&output, SPAN("before"));
    binary_encode(&request, result, values, &output);
    buffer_consume(&output, 6);
    assert_int_equal(buffer_size(&output), expected.size);
    assert_memory_equal(buffer_content(&output).data, expected.data, expected.size);
    buffer_deinit(&output);
}

/* The same bytes, where the value is sent from elsewhere. */
static void assert_goes_around(const struct request *request, const struct result *result, struct span value, struct span expected)
{
    struct buffer output;
    buffer_init(&output);
    buffer_append(&output, SPAN("before"));
    size_t behind = binary_encode_around(request, result, &output);
    struct span words = span_skip(buffer_content(&output), 6);
    size_t ahead = words.size - behind;
    assert_int_equal(words.size + value.size, expected.size);
    assert_memory_equal(words.data, expected.data, ahead);
    assert_memory_equal(value.data, expected.data + ahead, value.size);
    assert_memory_equal(words.data + ahead, expected.data + ahead + value.size, behind);
    buffer_deinit(&output);
}

static void assert_hit(uint8_t opcode, enum request_op op, bool quiet, struct span expected)
{
    struct result result = {.status = RESULT_HIT, .flags = 0xdeadbeef, .number = 0x1122334455667788, .value_offset = 2,
                            .value_size = 6};
    struct request request = {.op = op, .opcode = opcode, .key = SPAN("key"), .quiet = quiet, .want_cas = true};
    assert_encodes(request, &result, SPAN("xxva\0lueyy"), expected);
    memcpy(&request.opaque, OPAQUE, 4);
    assert_goes_around(&request, &result, SPAN("va\0lue"), expected);
}

#define PLAIN_HIT(opcode) \
    SPAN(HEADER(opcode, "\0\0", "\x04", "\0\0", "\0\0\0\x0a", TOKEN) "\xde\xad\xbe\xef" "va\0lue")
#define HIT_WITH_KEY(opcode) \
    SPAN(HEADER(opcode, "\0\x03", "\x04", "\0\0", "\0\0\0\x0d", TOKEN) "\xde\xad\xbe\xef" "key" "va\0lue")

static void test_hits(void **state)
{
    (void)state;
    assert_hit(0x00, REQUEST_GET, false, PLAIN_HIT("\x00"));
    assert_hit(0x09, REQUEST_GET, true, PLAIN_HIT("\x09"));
    assert_hit(0x0c, REQUEST_GET, false, HIT_WITH_KEY("\x0c"));
    assert_hit(0x0d, REQUEST_GET, true, HIT_WITH_KEY("\x0d"));
    assert_hit(0x1d, REQUEST_GAT, false, PLAIN_HIT("\x1d"));
    assert_hit(0x1e, REQUEST_GAT, true, PLAIN_HIT("\x1e"));
    assert_hit(0x23, REQUEST_GAT, false, HIT_WITH_KEY("\x23"));
    assert_hit(0x24, REQUEST_GAT, true, HIT_WITH_KEY("\x24"));
    struct result empty = {.status = RESULT_HIT};
    assert_encodes((struct request){.op = REQUEST_GET, .key = SPAN("k")}, &empty, SPAN(""),
                   SPAN(HEADER("\0", "\0\0", "\x04", "\0\0", "\0\0\0\x04", NO_TOKEN) "\0\0\0\0"));
}

static void test_misses(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode;
        enum request_op op;
        bool quiet;
        struct span expected;
    } samples[] = {
        {0x00, REQUEST_GET, false, SPAN(HEADER("\0", "\0\0", "\0", "\0\x01", "\0\0\0\x09", NO_TOKEN) "Not found")},
        {0x09, REQUEST_GET, true, SPAN("")},
        {0x0c, REQUEST_GET, false, SPAN(HEADER("\x0c", "\0\x03", "\0", "\0\x01", "\0\0\0\x03", NO_TOKEN) "key")},
        {0x0d, REQUEST_GET, true, SPAN("")},
        {0x1d, REQUEST_GAT, false, SPAN(HEADER("\x1d", "\0\0", "\0", "\0\x01", "\0\0\0\x09", NO_TOKEN) "Not found")},
        {0x23, REQUEST_GAT, false, SPAN(HEADER("\x23", "\0\x03", "\0", "\0\x01", "\0\0\0\x03", NO_TOKEN) "key")},
        {0x24, REQUEST_GAT, true, SPAN("")},
        {0x1c, REQUEST_TOUCH, false, SPAN(HEADER("\x1c", "\0\0", "\0", "\0\x01", "\0\0\0\x09", NO_TOKEN) "Not found")},
    };
    struct result result = {.status = RESULT_NOT_FOUND};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct request request = {.op = samples[i].op, .opcode = samples[i].opcode, .quiet = samples[i].quiet,
                                  .want_cas = true, .key = SPAN("key")};
        assert_encodes(request, &result, SPAN(""), samples[i].expected);
    }
}

/* What succeeds, quiet and not. */
static void assert_success(struct request request, const struct result *result, struct span expected)
{
    request.key = SPAN("k");
    assert_encodes(request, result, SPAN(""), expected);
    request.quiet = true;
    assert_encodes(request, result, SPAN(""), SPAN(""));
}

static void test_successes(void **state)
{
    (void)state;
    struct extras extras = {.token = 0x1122334455667788};
    struct result stored = {.status = RESULT_STORED, .number = 0x1122334455667788};
    struct result joined = {.status = RESULT_STORED, .number = 99};
    struct result done = {.status = RESULT_OK, .number = 99};
    struct result counted = {.status = RESULT_NUMBER, .number = 0xfffffffffffffffe};
    struct span bare = SPAN(HEADER("\x04", "\0\0", "\0", "\0\0", "\0\0\0\0", NO_TOKEN));
    struct span with_token = SPAN(HEADER("\x04", "\0\0", "\0", "\0\0", "\0\0\0\0", TOKEN));
    assert_success((struct request){.op = REQUEST_SET, .opcode = 4, .want_cas = true}, &stored, with_token);
    assert_success((struct request){.op = REQUEST_CAS, .opcode = 4, .want_cas = true}, &stored, with_token);
    assert_success((struct request){.op = REQUEST_APPEND, .opcode = 4, .want_cas = true, .extras = &extras}, &joined,
                   with_token);
    assert_success((struct request){.op = REQUEST_DELETE, .opcode = 4}, &done, bare);
    assert_success((struct request){.op = REQUEST_DELETE, .opcode = 4, .extras = &extras}, &done, bare);
    assert_success((struct request){.op = REQUEST_FLUSH_ALL, .opcode = 4}, &done, bare);
    assert_success((struct request){.op = REQUEST_INCR, .opcode = 5, .want_cas = true, .extras = &extras}, &counted,
                   SPAN(HEADER("\x05", "\0\0", "\0", "\0\0", "\0\0\0\x08", TOKEN) "\xff\xff\xff\xff\xff\xff\xff\xfe"));
}

static void test_touch(void **state)
{
    (void)state;
    struct result result = {.status = RESULT_OK, .number = 0x1122334455667788, .flags = 0x01020304};
    assert_encodes((struct request){.op = REQUEST_TOUCH, .opcode = 0x1c, .want_cas = true}, &result, SPAN(""),
                   SPAN(HEADER("\x1c", "\0\0", "\x04", "\0\0", "\0\0\0\x04", TOKEN) "\x01\x02\x03\x04"));
}

#define FAILURE(status, size, text) SPAN(HEADER("\x19", "\0\0", "\0", "\0" status, "\0\0\0" size, NO_TOKEN) text)
#define NOT_FOUND FAILURE("\x01", "\x09", "Not found")
#define EXISTS FAILURE("\x02", "\x14", "Data exists for key.")
#define TOO_LARGE FAILURE("\x03", "\x0a", "Too large.")
#define NOT_STORED FAILURE("\x05", "\x0b", "Not stored.")
#define NON_NUMERIC FAILURE("\x06", "\x2e", "Non-numeric server-side value for incr or decr")
#define AUTH_ERROR FAILURE("\x20", "\x0d", "Auth failure.")
#define UNKNOWN FAILURE("\x81", "\x0f", "Unknown command")
#define NO_MEMORY FAILURE("\x82", "\x0d", "Out of memory")
#define REFUSED FAILURE("\x86", "\x03", "why")
#define DENIED FAILURE("\x20", "\x03", "why")

/* An error is told to quiet requests, too. */
static void test_failures(void **state)
{
    (void)state;
    static const struct {
        enum request_op op;
        enum result_status status;
        struct span expected;
    } samples[] = {
        {REQUEST_SET, RESULT_OUT_OF_MEMORY, NO_MEMORY},
        {REQUEST_SET, RESULT_TOO_LARGE, TOO_LARGE},
        {REQUEST_SET, RESULT_REFUSED, REFUSED},
        {REQUEST_SET, RESULT_DENIED, DENIED},
        {REQUEST_SET, RESULT_UNAUTHENTICATED, AUTH_ERROR},
        {REQUEST_SET_TOO_LARGE, RESULT_TOO_LARGE, TOO_LARGE},
        {REQUEST_SET_TOO_LARGE, RESULT_NOT_FOUND, TOO_LARGE},
        {REQUEST_SET_TOO_LARGE, RESULT_OK, TOO_LARGE},
        {REQUEST_SET_TOO_LARGE, RESULT_REFUSED, REFUSED},
        {REQUEST_SET_TOO_LARGE, RESULT_DENIED, DENIED},
        {REQUEST_ADD, RESULT_NOT_STORED, EXISTS},
        {REQUEST_REPLACE, RESULT_NOT_STORED, NOT_FOUND},
        {REQUEST_CAS, RESULT_EXISTS, EXISTS},
        {REQUEST_CAS, RESULT_NOT_FOUND, NOT_FOUND},
        {REQUEST_APPEND, RESULT_NOT_STORED, NOT_STORED},
        {REQUEST_APPEND, RESULT_TOO_LARGE, NOT_STORED},
        {REQUEST_PREPEND, RESULT_TOO_LARGE, NOT_STORED},
        {REQUEST_PREPEND, RESULT_EXISTS, EXISTS},
        {REQUEST_DELETE, RESULT_NOT_FOUND, NOT_FOUND},
        {REQUEST_DELETE, RESULT_EXISTS, EXISTS},
        {REQUEST_INCR, RESULT_NOT_FOUND, NOT_FOUND},
        {REQUEST_INCR, RESULT_NON_NUMERIC, NON_NUMERIC},
        {REQUEST_DECR, RESULT_OUT_OF_MEMORY, NO_MEMORY},
        {REQUEST_GET, RESULT_REFUSED, REFUSED},
        {REQUEST_GET, RESULT_UNAUTHENTICATED, AUTH_ERROR},
        {REQUEST_GAT, RESULT_DENIED, DENIED},
        {REQUEST_FLUSH_ALL, RESULT_NOT_ALLOWED, AUTH_ERROR},
        {REQUEST_STATS, RESULT_NOT_FOUND, NOT_FOUND},
        {REQUEST_AUTH, RESULT_UNAUTHENTICATED, AUTH_ERROR},
        {REQUEST_AUTH, RESULT_NOT_ALLOWED, UNKNOWN},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct result result = {.status = samples[i].status, .number = 4711, .text = SPAN("why")};
        struct request request = {.op = samples[i].op, .opcode = 0x19, .want_cas = true, .key = SPAN("k")};
        assert_encodes(request, &result, SPAN(""), samples[i].expected);
        request.quiet = true;
        assert_encodes(request, &result, SPAN(""), samples[i].expected);
    }
    struct result unexplained = {.status = RESULT_REFUSED};
    assert_encodes((struct request){.op = REQUEST_SET, .opcode = 0x19}, &unexplained, SPAN(""),
                   FAILURE("\x86", "\x11", "Temporary failure"));
}

static void test_replies(void **state)
{
    (void)state;
    struct result result = {.status = RESULT_PENDING};
    assert_encodes((struct request){.op = REQUEST_REPLY, .opcode = 0x0a, .text = SPAN("")}, &result, SPAN(""),
                   SPAN(HEADER("\x0a", "\0\0", "\0", "\0\0", "\0\0\0\0", NO_TOKEN)));
    assert_encodes((struct request){.op = REQUEST_REPLY, .opcode = 0x30, .flags = 0x81, .text = SPAN("no")}, &result,
                   SPAN(""), SPAN(HEADER("\x30", "\0\0", "\0", "\0\x81", "\0\0\0\x02", NO_TOKEN) "no"));
    assert_encodes((struct request){.op = REQUEST_QUIT, .opcode = 0x17, .quiet = true}, &result, SPAN(""), SPAN(""));
    struct result in = {.status = RESULT_OK};
    assert_encodes((struct request){.op = REQUEST_AUTH, .opcode = 0x21}, &in, SPAN(""),
                   SPAN(HEADER("\x21", "\0\0", "\0", "\0\0", "\0\0\0\x0d", NO_TOKEN) "Authenticated"));
}

#define STAT_END HEADER("\x10", "\0\0", "\0", "\0\0", "\0\0\0\0", NO_TOKEN)

static void test_stats(void **state)
{
    (void)state;
    struct span values = SPAN("zzpid\0" "12\0" "empty\0" "\0");
    struct request request = {.op = REQUEST_STATS, .opcode = 0x10};
    struct result result = {.status = RESULT_STATS, .value_offset = 2, .value_size = values.size - 2};
    struct result reset = {.status = RESULT_OK};
    assert_encodes(request, &result, values,
                   SPAN(HEADER("\x10", "\0\x03", "\0", "\0\0", "\0\0\0\x05", NO_TOKEN) "pid12"
                        HEADER("\x10", "\0\x05", "\0", "\0\0", "\0\0\0\x05", NO_TOKEN) "empty" STAT_END));
    assert_encodes(request, &reset, SPAN(""), SPAN(STAT_END));
    request.op = REQUEST_REPLY;
    request.text = SPAN("detailed\0END\r\n\0");
    assert_encodes(request, &reset, SPAN(""),
                   SPAN(HEADER("\x10", "\0\x08", "\0", "\0\0", "\0\0\0\x0d", NO_TOKEN) "detailedEND\r\n" STAT_END));
    request.flags = BINARY_NOT_FOUND;
    request.text = SPAN("Not found");
    assert_encodes(request, &reset, SPAN(""),
                   SPAN(HEADER("\x10", "\0\0", "\0", "\0\x01", "\0\0\0\x09", NO_TOKEN) "Not found"));
}

/* Whatever the sizes, the reserved room suffices (the sanitizers watch). */
static void test_largest_hit(void **state)
{
    (void)state;
    static char key[ITEM_KEY_MAX];
    static char value[70000];
    memset(key, 'k', sizeof key);
    struct request request = {.op = REQUEST_GET, .opcode = 0x0c, .key = span_of(key, sizeof key), .want_cas = true};
    for (size_t size = 0; size < sizeof value; size += 997) {
        struct result result = {.status = RESULT_HIT, .flags = UINT32_MAX, .number = UINT64_MAX, .value_size = size};
        struct buffer output;
        buffer_init(&output);
        binary_encode(&request, &result, span_of(value, sizeof value), &output);
        assert_int_equal(buffer_size(&output), BINARY_HEADER_SIZE + 4 + sizeof key + size);
        buffer_deinit(&output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_misses),
        cmocka_unit_test(test_successes),
        cmocka_unit_test(test_touch),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_largest_hit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
