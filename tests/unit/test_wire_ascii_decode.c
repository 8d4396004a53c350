/* Decoding memcached's text protocol. The expectations are what memcached 1.6.18 answered to the same bytes. */
#include "wire/ascii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define KEY_50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KEY_250 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50
#define KEY_251 KEY_250 "k"
#define BAD_FORMAT "CLIENT_ERROR bad command line format"
#define BAD_EXPTIME "CLIENT_ERROR invalid exptime argument"
#define BAD_DELETE "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
#define TOO_LARGE "SERVER_ERROR object too large for cache"

static const struct decode_limits limits = {.max_item_size = 1024 * 1024};

static enum decode_status decode(struct span input, struct decoded *decoded)
{
    static struct extras extras;
    return ascii_decode(input, &limits, &extras, decoded);
}

static void assert_span(struct span span, const char *expected)
{
    assert_int_equal(span.size, strlen(expected));
    assert_memory_equal(span.data, expected, span.size);
}

/* One request that takes the whole input. */
static struct request decode_whole(struct span input)
{
    struct decoded decoded;
    assert_int_equal(decode(input, &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.consumed, input.size);
    assert_int_equal(decoded.swallow, 0);
    return decoded.request;
}

struct reply_sample {
    struct span line;
    const char *text; /* NULL: not answered by the decoder */
    bool quiet;
};

static void assert_replies(const struct reply_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct request request = decode_whole(samples[i].line);
        if (samples[i].text == NULL) {
            assert_int_not_equal(request.op, REQUEST_REPLY);
            continue;
        }
        assert_int_equal(request.op, REQUEST_REPLY);
        assert_int_equal(request.quiet, samples[i].quiet);
        assert_span(request.text, samples[i].text);
    }
}

#define ASSERT_REPLIES(samples) assert_replies(samples, sizeof(samples) / sizeof *(samples))

static void test_get(void **state)
{
    (void)state;
    static const struct {
        struct span line;
        enum request_op op;
        bool want_cas;
        int64_t exptime;
        const char *keys[4];
    } samples[] = {
        {SPAN("get a\r\n"), REQUEST_GET, false, 0, {"a"}},
        {SPAN("get a\n"), REQUEST_GET, false, 0, {"a"}},
        {SPAN("bget a\r\n"), REQUEST_GET, false, 0, {"a"}},
        {SPAN("  gets  a bb   ccc \r\n"), REQUEST_GET, true, 0, {"a", "bb", "ccc"}},
        {SPAN("get a\tb \x01\r \xff\r\n"), REQUEST_GET, false, 0, {"a\tb", "\x01\r", "\xff"}},
        {SPAN("get a\0b c\r\n"), REQUEST_GET, false, 0, {"a"}},
        {SPAN("get " KEY_250 "\r\n"), REQUEST_GET, false, 0, {KEY_250}},
        {SPAN("get noreply\r\n"), REQUEST_GET, false, 0, {"noreply"}},
        {SPAN("gat -5 a b\r\n"), REQUEST_GAT, false, -5, {"a", "b"}},
        {SPAN("gats 4294967297 a\r\n"), REQUEST_GAT, true, 1, {"a"}},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded decoded;
        struct span key;
        assert_int_equal(decode(samples[i].line, &decoded), DECODE_REQUEST);
        assert_int_equal(decoded.consumed, samples[i].line.size);
        assert_int_equal(decoded.request.op, samples[i].op);
        assert_int_equal(decoded.request.want_cas, samples[i].want_cas);
        assert_int_equal(decoded.request.exptime, samples[i].exptime);
        assert_false(decoded.request.quiet);
        bool is_only = samples[i].keys[1] == NULL;
        assert_int_equal(decoded.request.ends_reply, is_only);
        assert_span(decoded.request.key, is_only ? samples[i].keys[0] : "");
        for (size_t k = 0; k < 4 && samples[i].keys[k] != NULL; k++) {
            assert_true(ascii_next_key(&decoded.keys, &key));
            assert_span(key, samples[i].keys[k]);
        }
        assert_false(ascii_next_key(&decoded.keys, &key));
    }
}

/* Appends words of `size` bytes and the spaces behind them, about `length` bytes in all. */
static size_t put_words(char *line, size_t at, size_t size, size_t spaces, size_t length)
{
    size_t end = at + length;
    while (at < end) {
        for (size_t i = 0; i < size; i++) line[at++] = 'w';
        for (size_t i = 0; i < spaces; i++) line[at++] = ' ';
    }
    return at;
}

/* One key of about the longest size, anywhere among others. */
static void test_a_long_key_anywhere(void **state)
{
    (void)state;
    static char line[4096];
    static const size_t other_sizes[] = {1, 3, 16, 100, 249, 250};
    for (size_t other = 0; other < sizeof other_sizes / sizeof *other_sizes; other++) {
        for (size_t before = 0; before < 800; before++) {
            for (size_t size = 249; size <= 252; size++) {
                memcpy(line, "get ", 4);
                size_t end = put_words(line, 4, other_sizes[other], 1 + before % 3, before);
                end = put_words(line, end, size, 1, 1);
                end = put_words(line, end, other_sizes[other], 1 + before % 2, before % 7 * 50);
                line[end++] = '\n';
                bool is_refused = decode_whole(span_of(line, end)).op == REQUEST_REPLY;
                assert_int_equal(is_refused, size > 250);
            }
        }
    }
}

static void test_get_refusals(void **state)
{
    (void)state;
    static const struct reply_sample samples[] = {
        {SPAN("get\r\n"), "ERROR", false},
        {SPAN("get \r\n"), "ERROR", false},
        {SPAN("gat\r\n"), "ERROR", false},
        {SPAN("gat 10\r\n"), "END", false},
        {SPAN("gat x\r\n"), BAD_EXPTIME, false},
        {SPAN("gat x a\r\n"), BAD_EXPTIME, false},
        {SPAN("gat x " KEY_251 "\r\n"), BAD_EXPTIME, false},
        {SPAN("gat 1 " KEY_251 "\r\n"), BAD_FORMAT, false},
        {SPAN("get " KEY_251 "\r\n"), BAD_FORMAT, false},
        {SPAN("get a b " KEY_251 " c\r\n"), BAD_FORMAT, false},
    };
    ASSERT_REPLIES(samples);
}

static void test_storage(void **state)
{
    (void)state;
    struct request request = decode_whole(SPAN("set key 4294967295 -1 5\r\na\r\n\0b\r\n"));
    assert_int_equal(request.op, REQUEST_SET);
    assert_false(request.quiet);
    assert_span(request.key, "key");
    assert_int_equal(request.flags, UINT32_MAX);
    assert_int_equal(request.exptime, -1);
    assert_int_equal(request.value.size, 5);
    assert_memory_equal(request.value.data, "a\r\n\0b", 5);

    request = decode_whole(SPAN("cas k 1 2 0 18446744073709551615 noreply\n\r\n"));
    assert_int_equal(request.op, REQUEST_CAS);
    assert_true(request.quiet);
    assert_int_equal(request.flags, 1);
    assert_int_equal(request.exptime, 2);
    assert_true(request.operand == UINT64_MAX);
    assert_int_equal(request.value.size, 0);

    assert_int_equal(decode_whole(SPAN("add k 0 0 1\r\na\r\n")).op, REQUEST_ADD);
    assert_int_equal(decode_whole(SPAN("replace k 0 0 1\r\na\r\n")).op, REQUEST_REPLACE);
    assert_int_equal(decode_whole(SPAN("append k 0 0 1\r\na\r\n")).op, REQUEST_APPEND);
    assert_int_equal(decode_whole(SPAN("prepend k 0 0 1 foo\r\na\r\n")).op, REQUEST_PREPEND);
}

static void test_storage_refusals(void **state)
{
    (void)state;
    static const struct reply_sample samples[] = {
        {SPAN("set\r\n"), "ERROR", false},
        {SPAN("set k 0 0\r\n"), "ERROR", false},
        {SPAN("set k 0 0 1 noreply x\r\n"), "ERROR", false},
        {SPAN("cas k 0 0 1\r\n"), "ERROR", false},
        {SPAN("set " KEY_251 " 0 0 1\r\n"), BAD_FORMAT, false},
        {SPAN("set " KEY_251 " 0 0 1 noreply\r\n"), BAD_FORMAT, true},
        {SPAN("set k -1 0 1\r\n"), BAD_FORMAT, false},
        {SPAN("set k 5x 0 1\r\n"), BAD_FORMAT, false},
        {SPAN("set k 0 9223372036854775808 1\r\n"), BAD_FORMAT, false},
        {SPAN("set k 0 0 noreply\r\n"), BAD_FORMAT, true},
        {SPAN("set k 0 0 -1\r\n"), BAD_FORMAT, false},
        {SPAN("set k 0 0 2147483646\r\n"), BAD_FORMAT, false},
        {SPAN("cas k 0 0 1 x\r\n"), BAD_FORMAT, false},
        {SPAN("cas k 0 0 1 noreply\r\n"), BAD_FORMAT, true},
        {SPAN("set k 0 0 1\r\nabc"), "CLIENT_ERROR bad data chunk", false},
        {SPAN("set k 0 0 1 noreply\r\na\r\r"), "CLIENT_ERROR bad data chunk", true},
    };
    ASSERT_REPLIES(samples);
}

/* A refused line leaves what follows it to be read as commands; a value that is too large is swallowed. */
static void test_refused_values(void **state)
{
    (void)state;
    struct decoded decoded;
    assert_int_equal(decode(SPAN("set k x 0 4\r\nquit\r\n"), &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.consumed, 13);
    assert_int_equal(decoded.swallow, 0);

    assert_int_equal(decode(SPAN("set k 0 0 1048517 noreply\r\nab"), &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.request.op, REQUEST_SET_TOO_LARGE);
    assert_true(decoded.request.quiet);
    assert_span(decoded.request.key, "k");
    assert_int_equal(decoded.consumed, 27);
    assert_int_equal(decoded.swallow, 1048519);

    assert_int_equal(decode(SPAN("add k 0 0 2147483645\r\n"), &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.request.op, REQUEST_REPLY);
    assert_span(decoded.request.text, TOO_LARGE);
    assert_int_equal(decoded.swallow, 2147483647);

    assert_int_equal(decode(SPAN("set k 0 0 1048516\r\n"), &decoded), DECODE_PARTIAL);
    assert_int_equal(decode(SPAN("set k 1 0 1048512\r\n"), &decoded), DECODE_PARTIAL);
    assert_int_equal(decode(SPAN("set k 1 0 1048513\r\n"), &decoded), DECODE_REQUEST);
}

static void test_arithmetic_touch_delete(void **state)
{
    (void)state;
    struct request request = decode_whole(SPAN("incr k 18446744073709551615\r\n"));
    assert_int_equal(request.op, REQUEST_INCR);
    assert_true(request.operand == UINT64_MAX);
    request = decode_whole(SPAN("decr k 5 noreply\r\n"));
    assert_int_equal(request.op, REQUEST_DECR);
    assert_true(request.quiet);
    request = decode_whole(SPAN("touch k 3000000000 foo\r\n"));
    assert_int_equal(request.op, REQUEST_TOUCH);
    assert_int_equal(request.exptime, -1294967296);
    assert_span(request.key, "k");
    request = decode_whole(SPAN("delete noreply\r\n"));
    assert_int_equal(request.op, REQUEST_DELETE);
    assert_span(request.key, "noreply");
    assert_false(request.quiet);
    assert_true(decode_whole(SPAN("delete k 0 noreply\r\n")).quiet);
    assert_true(decode_whole(SPAN("delete k noreply\r\n")).quiet);
    assert_int_equal(decode_whole(SPAN("delete k 0\r\n")).op, REQUEST_DELETE);

    static const struct reply_sample samples[] = {
        {SPAN("incr k\r\n"), "ERROR", false},
        {SPAN("incr k x\r\n"), "CLIENT_ERROR invalid numeric delta argument", false},
        {SPAN("incr k -1\r\n"), "CLIENT_ERROR invalid numeric delta argument", false},
        {SPAN("decr k noreply\r\n"), "CLIENT_ERROR invalid numeric delta argument", true},
        {SPAN("incr " KEY_251 " x\r\n"), BAD_FORMAT, false},
        {SPAN("touch k\r\n"), "ERROR", false},
        {SPAN("touch k 0 foo bar\r\n"), "ERROR", false},
        {SPAN("touch k x\r\n"), BAD_EXPTIME, false},
        {SPAN("touch k noreply\r\n"), BAD_EXPTIME, true},
        {SPAN("delete\r\n"), "ERROR", false},
        {SPAN("delete k 0 noreply x\r\n"), "ERROR", false},
        {SPAN("delete k 00\r\n"), BAD_DELETE, false},
        {SPAN("delete k 0 x\r\n"), BAD_DELETE, false},
        {SPAN("delete k 5 noreply\r\n"), BAD_DELETE, true},
        {SPAN("delete k noreply noreply\r\n"), BAD_DELETE, true},
        {SPAN("delete " KEY_251 " noreply\r\n"), BAD_FORMAT, true},
    };
    ASSERT_REPLIES(samples);
}

static void test_server_commands(void **state)
{
    (void)state;
    static const struct reply_sample samples[] = {
        {SPAN("version\r\n"), "VERSION 1.6.18", false},
        {SPAN("version foo\n"), "VERSION 1.6.18", false},
        {SPAN("version\0foo\r\n"), "VERSION 1.6.18", false},
        {SPAN("version\r\r\n"), "ERROR", false},
        {SPAN("shutdown graceful\r\n"), NULL, false},
        {SPAN("verbosity\r\n"), "ERROR", false},
        {SPAN("verbosity 1\r\n"), "OK", false},
        {SPAN("verbosity 1 noreply\r\n"), "OK", true},
        {SPAN("verbosity -1\r\n"), BAD_FORMAT, false},
        {SPAN("verbosity noreply\r\n"), BAD_FORMAT, true},
        {SPAN("cache_memlimit x\r\n"), "ERROR", false},
        {SPAN("cache_memlimit 7\r\n"), "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m", false},
        {SPAN("cache_memlimit 8 noreply\r\n"), "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust", true},
        {SPAN("cache_memlimit 1000000001\r\n"), "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes", false},
        {SPAN("flush_all 0 0 0\r\n"), "ERROR", false},
        {SPAN("flush_all x\r\n"), BAD_EXPTIME, false},
        {SPAN("flush_all noreply x\r\n"), BAD_EXPTIME, false},
        {SPAN("flush_all noreply noreply\r\n"), BAD_EXPTIME, true},
        {SPAN("stats detail\r\n"), NULL, false},
        {SPAN("stats detail on\r\n"), NULL, false},
        {SPAN("stats detail off\r\n"), NULL, false},
        {SPAN("stats detail dump\r\n"), NULL, false},
        {SPAN("stats cachedump 1 1\r\n"), NULL, false},
        {SPAN("watch\r\n"), NULL, false},
        {SPAN("mn\r\n"), "MN", false},
    };
    ASSERT_REPLIES(samples);
    assert_int_equal(decode_whole(SPAN("quit now\r\n")).op, REQUEST_QUIT);
    assert_span(decode_whole(SPAN("stats\r\n")).text, "");
    assert_span(decode_whole(SPAN("stats items x\r\n")).text, " items x");
    assert_int_equal(decode_whole(SPAN("stats detail on\r\n")).op, REQUEST_STATS);
    assert_span(decode_whole(SPAN("stats detail on\r\n")).text, " detail on");
    assert_int_equal(decode_whole(SPAN("shutdown\r\n")).op, REQUEST_SHUTDOWN);
    assert_int_equal(decode_whole(SPAN("refresh_certs\r\n")).op, REQUEST_REFRESH_CERTS);
    assert_span(decode_whole(SPAN("shutdown\r\n")).text, "");
    assert_span(decode_whole(SPAN("shutdown graceful x\r\n")).text, "graceful");
    assert_int_equal(decode_whole(SPAN("watch fetchers  x\r\n")).op, REQUEST_WATCH);
    assert_span(decode_whole(SPAN("watch fetchers  x\r\n")).text, " fetchers  x");
}

static void test_flush_all(void **state)
{
    (void)state;
    struct request request = decode_whole(SPAN("flush_all\r\n"));
    assert_int_equal(request.op, REQUEST_FLUSH_ALL);
    assert_int_equal(request.exptime, 0);
    assert_int_equal(decode_whole(SPAN("flush_all -5\r\n")).exptime, -5);
    assert_int_equal(decode_whole(SPAN("flush_all 7 x\r\n")).exptime, 7);
    request = decode_whole(SPAN("flush_all 7 noreply\r\n"));
    assert_int_equal(request.exptime, 7);
    assert_true(request.quiet);
    assert_true(decode_whole(SPAN("flush_all noreply\r\n")).quiet);
}

static void test_tuning(void **state)
{
    (void)state;
    static const struct reply_sample samples[] = {
        {SPAN("slabs\r\n"), "ERROR", false},
        {SPAN("slabs reassign 1 2\r\n"), "CLIENT_ERROR slab reassignment disabled", false},
        {SPAN("slabs automove\r\n"), "ERROR", false},
        {SPAN("slabs automove 2 noreply\r\n"), "OK", true},
        {SPAN("slabs automove 3\r\n"), "ERROR", false},
        {SPAN("slabs automove x\r\n"), BAD_FORMAT, false},
        {SPAN("slabs automove ratio 0.8\r\n"), "OK", false},
        {SPAN("slabs automove ratio\r\n"), "ERROR", false},
        {SPAN("lru\r\n"), "ERROR", false},
        {SPAN("lru tune 10 25 0.1 2.0\r\n"), "OK", false},
        {SPAN("lru tune 10 25 0.1\r\n"), "ERROR", false},
        {SPAN("lru tune 50 50 0.1 2.0\r\n"), "ERROR hot and warm pcts must not exceed 80", false},
        {SPAN("lru tune 10 25 0 2.0\r\n"), "ERROR hot/warm age factors must be greater than 0", false},
        {SPAN("lru mode flat noreply\r\n"), "OK", true},
        {SPAN("lru mode x\r\n"), "ERROR", false},
        {SPAN("lru temp_ttl -1\r\n"), "OK", false},
        {SPAN("lru temp_ttl x\r\n"), "ERROR", false},
        {SPAN("lru_crawler\r\n"), "ERROR", false},
        {SPAN("lru_crawler enable\r\n"), "ERROR failed to start lru crawler thread", false},
        {SPAN("lru_crawler disable\r\n"), "OK", false},
        {SPAN("lru_crawler crawl all\r\n"), "OK", false},
        {SPAN("lru_crawler crawl ,1,,63\r\n"), "OK", false},
        {SPAN("lru_crawler crawl 1,64\r\n"), "BADCLASS invalid class id", false},
        {SPAN("lru_crawler crawl x\r\n"), "BADCLASS invalid class id", false},
        {SPAN("lru_crawler crawl ,\r\n"), "NOTSTARTED no items to crawl", false},
        {SPAN("lru_crawler sleep 1000001\r\n"), "CLIENT_ERROR sleep must be one second or less", false},
        {SPAN("lru_crawler sleep x\r\n"), BAD_FORMAT, false},
        {SPAN("lru_crawler tocrawl 5\r\n"), "OK", false},
        {SPAN("lru_crawler metadump all x\r\n"), "ERROR", false},
        {SPAN("lru_crawler metadump 64\r\n"), "BADCLASS invalid class id", false},
        {SPAN("lru_crawler metadump 2,3\r\n"), "NOTSTARTED no items to crawl", false},
        {SPAN("lru_crawler mgdump ,\r\n"), "NOTSTARTED no items to crawl", false},
    };
    ASSERT_REPLIES(samples);
}

static void test_dumps(void **state)
{
    (void)state;
    static const struct {
        struct span line;
        enum request_op op;
    } cases[] = {
        {SPAN("lru_crawler metadump all\r\n"), REQUEST_METADUMP}, {SPAN("lru_crawler metadump hash\n"), REQUEST_METADUMP},
        {SPAN("lru_crawler metadump 3,1\r\n"), REQUEST_METADUMP}, {SPAN("lru_crawler mgdump all\r\n"), REQUEST_MGDUMP},
        {SPAN("lru_crawler mgdump 1\r\n"), REQUEST_MGDUMP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decoded decoded;
        assert_int_equal(ascii_decode(cases[i].line, &(struct decode_limits){.max_item_size = 1024}, NULL, &decoded), DECODE_REQUEST);
        assert_int_equal(decoded.request.op, cases[i].op);
        assert_int_equal(decoded.request.operand, 0);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    static const struct reply_sample samples[] = {
        {SPAN("\r\n"), "ERROR", false},          {SPAN("\n"), "ERROR", false},
        {SPAN(" \r\n"), "ERROR", false},         {SPAN("\0version\r\n"), "ERROR", false},
        {SPAN("GET k\r\n"), "ERROR", false},     {SPAN("x HTTP/1.1\r\n"), "ERROR", false},
        {SPAN("gett k\r\n"), "ERROR", false},    {SPAN("set / HTTP/1.1\r\n"), "ERROR", false},
        {SPAN("ge\0t k\r\n"), "ERROR", false},   {SPAN("sfoo HTTP/1.1\r\n"), "ERROR", false},
        {SPAN("mz HTTP/1.1\r\n"), "ERROR", false}, {SPAN("get\tk\r\n"), "ERROR", false},
        {SPAN("foo 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 HTTP/1.1\r\n"), "ERROR", false},
    };
    ASSERT_REPLIES(samples);
}

static void test_http_closes(void **state)
{
    (void)state;
    struct decoded decoded;
    assert_int_equal(decode(SPAN("GET / HTTP/1.1\r\n"), &decoded), DECODE_CLOSE);
    assert_int_equal(decode(SPAN("HTTP/1.1\r\n"), &decoded), DECODE_CLOSE);
    assert_int_equal(decode(SPAN("mzz HTTP/\r\n"), &decoded), DECODE_CLOSE);
    assert_int_equal(decode(SPAN("foo HTTP/1\0x y\r\n"), &decoded), DECODE_CLOSE);
    assert_int_equal(decode(SPAN("foo 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 HTTP/1 24\r\n"), &decoded),
                     DECODE_CLOSE);
}

/* The text, then `count` times 'a', then `tail`. */
static enum decode_status decode_long(const char *text, size_t count, struct span tail)
{
    size_t size = strlen(text);
    char *input = malloc(size + count + tail.size);
    assert_non_null(input);
    memcpy(input, text, size);
    memset(input + size, 'a', count);
    memcpy(input + size + count, tail.data, tail.size);
    struct decoded decoded;
    enum decode_status status = decode(span_of(input, size + count + tail.size), &decoded);
    free(input);
    return status;
}

static void test_long_lines(void **state)
{
    (void)state;
    char spaces[110];
    memset(spaces, ' ', sizeof spaces);
    assert_int_equal(decode_long("", 2048, SPAN("")), DECODE_PARTIAL);
    assert_int_equal(decode_long("", 2049, SPAN("")), DECODE_CLOSE);
    assert_int_equal(decode_long("set ", 16378, SPAN("\r\n")), DECODE_REQUEST);
    assert_int_equal(decode_long("set ", 16379, SPAN("\r\n")), DECODE_CLOSE);
    assert_int_equal(decode_long("gat 0 ", 3000, SPAN("")), DECODE_CLOSE);
    assert_int_equal(decode_long("bget ", 3000, SPAN("")), DECODE_CLOSE);
    assert_int_equal(decode_long("get\t", 3000, SPAN("")), DECODE_CLOSE);
    assert_int_equal(decode_long("get ", 3000, SPAN("")), DECODE_PARTIAL);
    assert_int_equal(decode_long("gets ", 3000, SPAN("")), DECODE_PARTIAL);
    memcpy(spaces + 100, "get ", 5);
    assert_int_equal(decode_long(spaces, 3000, SPAN("")), DECODE_PARTIAL);
    memcpy(spaces + 100, " get ", 6);
    assert_int_equal(decode_long(spaces, 3000, SPAN("")), DECODE_CLOSE);
    assert_int_equal(decode_long("get ", ASCII_GET_LINE_MAX - 4, SPAN("")), DECODE_PARTIAL);
    assert_int_equal(decode_long("get ", ASCII_GET_LINE_MAX - 3, SPAN("")), DECODE_CLOSE);
    assert_int_equal(decode_long("get ", ASCII_GET_LINE_MAX - 6, SPAN("\r\n")), DECODE_REQUEST);
    assert_int_equal(decode_long("get ", ASCII_GET_LINE_MAX - 5, SPAN("\r\n")), DECODE_CLOSE);
}

static bool is_same(const struct decoded *a, const struct decoded *b)
{
    return a->request.op == b->request.op && a->request.quiet == b->request.quiet &&
           a->request.flags == b->request.flags && a->request.exptime == b->request.exptime &&
           a->request.operand == b->request.operand && span_equal(a->request.key, b->request.key) &&
           span_equal(a->request.value, b->request.value) && span_equal(a->request.text, b->request.text) &&
           a->request.ends_reply == b->request.ends_reply && a->consumed == b->consumed && a->swallow == b->swallow && span_equal(a->keys, b->keys);
}

/* Words and spaces of all sizes around the ends of the steps in which a line is looked through, each line in memory of its
 * own, alone and with more behind it. */
static void test_words_at_every_place(void **state)
{
    (void)state;
    for (size_t before = 0; before < 70; before++) {
        for (size_t size = 1; size < 70; size++) {
            char line[160], *copy = malloc(4 + before + size + 2);
            assert_non_null(copy);
            int length = snprintf(line, sizeof line, "get %*s%.*s\r\n", (int)before, "", (int)size, KEY_250);
            memcpy(copy, line, (size_t)length);
            struct request request = decode_whole(span_of(copy, (size_t)length));
            assert_int_equal(request.key.size, size);
            assert_ptr_equal(request.key.data, copy + 4 + before);
            struct decoded decoded;
            memset(line + length, ' ', sizeof line - (size_t)length);
            assert_int_equal(decode(span_of(line, sizeof line), &decoded), DECODE_REQUEST);
            assert_int_equal(decoded.consumed, length);
            assert_ptr_equal(decoded.request.key.data, line + 4 + before);
            free(copy);
        }
    }
}

/* Spaces behind the last key are looked through backwards, in steps, too. */
static void test_spaces_behind_the_keys(void **state)
{
    (void)state;
    for (size_t spaces = 0; spaces < 200; spaces++) {
        for (size_t size = 1; size < 20; size++) {
            char line[300];
            int length = snprintf(line, sizeof line, "get x %.*s%*s\r\n", (int)size, KEY_250, (int)spaces, "");
            struct decoded decoded;
            assert_int_equal(decode(span_of(line, (size_t)length), &decoded), DECODE_REQUEST);
            assert_ptr_equal(decoded.keys.data + decoded.keys.size, line + 6 + size);
        }
    }
}

/* Each prefix in memory of its own, so that a read beyond its end is seen. */
static void assert_prefix(struct span whole, size_t size, const struct decoded *expected)
{
    char *prefix = malloc(size > 0 ? size : 1);
    assert_non_null(prefix);
    memcpy(prefix, whole.data, size);
    struct decoded decoded;
    if (decode(span_of(prefix, size), &decoded) == DECODE_REQUEST) {
        assert_true(is_same(&decoded, expected));
    } else {
        assert_int_equal(decode(span_of(prefix, size), &decoded), DECODE_PARTIAL);
        assert_true(size < expected->consumed);
    }
    free(prefix);
}

/* What comes behind a request changes nothing: where much does, the line is looked through in longer steps. */
static void assert_any_end(struct span whole, const struct decoded *expected)
{
    static const char *const ends[] = {"\r\nget other\r\n", "    \n\n\n", "word word word"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (size_t size = 0; size < 100; size++) {
            char *input = malloc(expected->consumed + size + 1);
            assert_non_null(input);
            memcpy(input, whole.data, expected->consumed);
            for (size_t at = 0; at < size; at++) input[expected->consumed + at] = ends[i][at % strlen(ends[i])];
            struct decoded decoded;
            assert_int_equal(decode(span_of(input, expected->consumed + size), &decoded), DECODE_REQUEST);
            assert_true(is_same(&decoded, expected));
            free(input);
        }
    }
}

static void assert_prefixes(struct span whole)
{
    struct decoded expected;
    assert_int_equal(decode(whole, &expected), DECODE_REQUEST);
    for (size_t size = 0; size < whole.size; size++) {
        assert_prefix(whole, size, &expected);
    }
    assert_any_end(whole, &expected);
}

static void test_every_split(void **state)
{
    (void)state;
    static const struct span requests[] = {
        SPAN("get key\r\nget more\r\n"),
        SPAN("get a b c d e f g h i j k l m n o p q r s t u v w x y z\r\n"),
        SPAN("gats 100 a b\n"),
        SPAN("set key 1 2 10\r\n0123456789\r\nget key\r\n"),
        SPAN("set key 1 2 0 noreply\r\n\r\n"),
        SPAN("set key 1 2 4\r\n\r\n\r\n\r\n"),
        SPAN("set key 1 2 4\nabcdefgh\r\n"),
        SPAN("set key 1 2 9999999\r\nabcdefgh\r\n"),
        SPAN("add key 1 2 9999999\r\nabcdefgh\r\n"),
        SPAN("set key 1 x 4\r\nquit\r\n"),
        SPAN("cas key 1 2 3 4 noreply\r\nabc\r\n"),
        SPAN("incr key 1\r\n"),
        SPAN("delete key noreply\r\n"),
        SPAN("touch key 1\r\n"),
        SPAN("flush_all 10\r\n"),
        SPAN("stats settings\r\n"),
        SPAN("lru_crawler crawl 1,2,3\r\n"),
        SPAN("ver\0sion\r\n"),
        SPAN("\r\n\r\n"),
        SPAN("quit\r\n"),
        SPAN("nonsense and more\r\n"),
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        assert_prefixes(requests[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_a_long_key_anywhere),
        cmocka_unit_test(test_get_refusals),
        cmocka_unit_test(test_storage),
        cmocka_unit_test(test_storage_refusals),
        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_arithmetic_touch_delete),
        cmocka_unit_test(test_server_commands),
        cmocka_unit_test(test_flush_all),
        cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_dumps),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_http_closes),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_spaces_behind_the_keys),
        cmocka_unit_test(test_words_at_every_place),
        cmocka_unit_test(test_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
