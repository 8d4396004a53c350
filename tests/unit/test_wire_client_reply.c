#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/client_reply.h"

#define VALUE_MOST 1024

/* Decodes a reply that must be whole, and at every point that it can be cut at must be known to be partial. The bytes are in
 * a block of their own, which the address sanitizer watches. */
static struct client_reply decode(struct span input)
{
    struct client_reply reply;
    for (size_t size = 0; size < input.size; size++) {
        char *part = malloc(size + !size);
        assert_non_null(part);
        memcpy(part, input.data, size);
        assert_int_equal(client_reply_decode(span_of(part, size), VALUE_MOST, &reply), CLIENT_PARTIAL);
        free(part);
    }
    assert_int_equal(client_reply_decode(input, VALUE_MOST, &reply), CLIENT_REPLY);
    assert_int_equal(reply.consumed, input.size);
    assert_int_equal(client_reply_size(input, VALUE_MOST), input.size);
    return reply;
}

static void assert_garbage(struct span input)
{
    struct client_reply reply;
    assert_int_equal(client_reply_decode(input, VALUE_MOST, &reply), CLIENT_GARBAGE);
}

/* Bytes of memcached 1.6.45. */
static void test_meta_values(void **state)
{
    (void)state;
    struct client_reply reply = decode(SPAN("VA 2 f7 t-1 c12 s2 kfoo Oabc\r\n\r\n\r\n"));
    assert_int_equal(reply.kind, CLIENT_REPLY_VALUE);
    assert_true(span_equal(reply.value, SPAN("\r\n")));
    assert_int_equal(reply.fields, CLIENT_HAS_FLAGS | CLIENT_HAS_TTL | CLIENT_HAS_TOKEN | CLIENT_HAS_SIZE | CLIENT_HAS_KEY |
                                       CLIENT_HAS_OPAQUE);
    assert_int_equal(reply.flags, 7);
    assert_true(reply.ttl == -1);
    assert_int_equal(reply.token, 12);
    assert_int_equal(reply.size, 2);
    assert_true(span_equal(reply.key, SPAN("foo")));
    assert_true(span_equal(reply.opaque, SPAN("abc")));

    reply = decode(SPAN("VA 0 t2592001 kYSBi b W X Z l5 h1\r\n\r\n"));
    assert_int_equal(reply.value.size, 0);
    assert_int_equal(reply.ttl, 2592001);
    assert_int_equal(reply.idle_seconds, 5);
    assert_int_equal(reply.fields, CLIENT_HAS_TTL | CLIENT_HAS_KEY | CLIENT_IS_BASE64 | CLIENT_HAS_WON | CLIENT_IS_STALE |
                                       CLIENT_HAS_IDLE | CLIENT_WON_BEFORE | CLIENT_HAS_HISTORY | CLIENT_WAS_READ);
}

static void test_classic_values(void **state)
{
    (void)state;
    struct client_reply reply = decode(SPAN("VALUE foo 4294967295 3\r\nbar\r\n"));
    assert_int_equal(reply.kind, CLIENT_REPLY_VALUE);
    assert_true(span_equal(reply.key, SPAN("foo")));
    assert_true(span_equal(reply.value, SPAN("bar")));
    assert_int_equal(reply.flags, UINT32_MAX);
    assert_int_equal(reply.fields, CLIENT_HAS_KEY | CLIENT_HAS_FLAGS);
    reply = decode(SPAN("VALUE foo 0 0 99\r\n\r\n"));
    assert_int_equal(reply.token, 99);
    assert_int_equal(reply.fields, CLIENT_HAS_KEY | CLIENT_HAS_FLAGS | CLIENT_HAS_TOKEN);
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        struct span line;
        enum client_reply_kind kind;
        struct span text;
    } samples[] = {
        {SPAN("END\r\n"), CLIENT_REPLY_END, SPAN("")},
        {SPAN("HD\r\n"), CLIENT_REPLY_DONE, SPAN("")},
        {SPAN("EN\r\n"), CLIENT_REPLY_MISS, SPAN("")},
        {SPAN("NS\r\n"), CLIENT_REPLY_NOT_STORED, SPAN("")},
        {SPAN("EX\r\n"), CLIENT_REPLY_EXISTS, SPAN("")},
        {SPAN("NF\r\n"), CLIENT_REPLY_NOT_FOUND, SPAN("")},
        {SPAN("MN\r\n"), CLIENT_REPLY_NOOP, SPAN("")},
        {SPAN("STORED\r\n"), CLIENT_REPLY_STORED, SPAN("")},
        {SPAN("NOT_STORED\r\n"), CLIENT_REPLY_NOT_STORED, SPAN("")},
        {SPAN("EXISTS\r\n"), CLIENT_REPLY_EXISTS, SPAN("")},
        {SPAN("NOT_FOUND\r\n"), CLIENT_REPLY_NOT_FOUND, SPAN("")},
        {SPAN("DELETED\r\n"), CLIENT_REPLY_DELETED, SPAN("")},
        {SPAN("TOUCHED\r\n"), CLIENT_REPLY_TOUCHED, SPAN("")},
        {SPAN("OK\n"), CLIENT_REPLY_OK, SPAN("")},
        {SPAN("VERSION 1.6.45\r\n"), CLIENT_REPLY_VERSION, SPAN("1.6.45")},
        {SPAN("STAT pid 12\r\n"), CLIENT_REPLY_STAT, SPAN("pid 12")},
        {SPAN("ERROR\r\n"), CLIENT_REPLY_ERROR, SPAN("ERROR")},
        {SPAN("CLIENT_ERROR bad data chunk\r\n"), CLIENT_REPLY_ERROR, SPAN("CLIENT_ERROR bad data chunk")},
        {SPAN("SERVER_ERROR out of memory storing object\r\n"), CLIENT_REPLY_ERROR,
         SPAN("SERVER_ERROR out of memory storing object")},
        {SPAN("key=a exp=-1 la=1 cas=2 fetch=no cls=1 size=65 flags=0\n"), CLIENT_REPLY_LINE,
         SPAN("key=a exp=-1 la=1 cas=2 fetch=no cls=1 size=65 flags=0")},
        {SPAN("mg YSBi b\r\n"), CLIENT_REPLY_LINE, SPAN("mg YSBi b")},
        {SPAN("\r\n"), CLIENT_REPLY_LINE, SPAN("")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct client_reply reply = decode(samples[i].line);
        assert_int_equal(reply.kind, samples[i].kind);
        assert_true(span_equal(reply.text, samples[i].text));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct client_reply reply = decode(SPAN("18446744073709551615\r\n"));
    assert_int_equal(reply.kind, CLIENT_REPLY_NUMBER);
    assert_true(reply.number == UINT64_MAX);
    assert_int_equal(decode(SPAN("12 34\r\n")).kind, CLIENT_REPLY_LINE);
}

/* Replies come one behind the other. */
static void test_several(void **state)
{
    (void)state;
    struct span input = SPAN("VALUE a 1 1\r\nx\r\nEND\r\nEN\r\nHD O1\r\nVA 1 f1\r\ny");
    static const enum client_reply_kind kinds[] = {CLIENT_REPLY_VALUE, CLIENT_REPLY_END, CLIENT_REPLY_MISS, CLIENT_REPLY_DONE};
    struct client_reply reply;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(client_reply_decode(input, VALUE_MOST, &reply), CLIENT_REPLY);
        assert_int_equal(reply.kind, kinds[i]);
        input = span_skip(input, reply.consumed);
    }
    assert_int_equal(client_reply_decode(input, VALUE_MOST, &reply), CLIENT_PARTIAL);
    assert_int_equal(client_reply_size(input, VALUE_MOST), 12);
    assert_int_equal(client_reply_size(SPAN("VA 1"), VALUE_MOST), 0);
}

static void test_garbage(void **state)
{
    (void)state;
    assert_garbage(SPAN("VALUE a 1 1025\r\n"));
    assert_garbage(SPAN("VALUE a 1 18446744073709551616\r\n"));
    assert_garbage(SPAN("VALUE a x 1\r\n"));
    assert_garbage(SPAN("VALUE a 1 1\r\nxyz\r\n"));
    assert_garbage(SPAN("VA\r\n"));
    assert_garbage(SPAN("VA -1\r\n"));
    assert_garbage(SPAN("VA 1 fx\r\ny\r\n"));
    assert_garbage(SPAN("HD t\r\n"));
    char line[CLIENT_LINE_MAX];
    memset(line, 'x', sizeof line);
    struct client_reply reply;
    assert_int_equal(client_reply_decode(span_of(line, sizeof line - 1), VALUE_MOST, &reply), CLIENT_PARTIAL);
    assert_garbage(span_of(line, sizeof line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meta_values), cmocka_unit_test(test_classic_values), cmocka_unit_test(test_words),
        cmocka_unit_test(test_numbers),     cmocka_unit_test(test_several),        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
