/* Decoding memcached's binary protocol. The expectations are what memcached 1.6.45 answered to the same bytes. */
#include "wire/binary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <stdlib.h>

#define KEY_50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KEY_250 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50
#define KEY_251 KEY_250 "k"
#define OPAQUE "\x01\xfe\x03\xfc"
#define STORE_EXTRAS SPAN("\xde\xad\xbe\xef\x80\x00\x00\x01")
#define NO_EXTRAS SPAN("")
#define NO_KEY SPAN("")
#define NO_VALUE SPAN("")
#define FRAME_MAX (64 * 1024)

static const struct decode_limits limits = {.max_item_size = 1024, .has_login = true};

/* A frame as a client makes it; `body_size` says something else than is true where it is not 0. */
struct sample {
    uint8_t opcode;
    struct span extras, key, value;
    uint64_t cas;
    uint32_t body_size;
};

#define SAMPLE(code, ...) (&(struct sample){.opcode = (code), __VA_ARGS__})

struct frame {
    size_t size;
    char bytes[FRAME_MAX];
};

static void put(struct frame *frame, struct span bytes)
{
    assert_true(bytes.size <= sizeof frame->bytes - frame->size);
    if (bytes.size > 0) {
        memcpy(frame->bytes + frame->size, bytes.data, bytes.size);
    }
    frame->size += bytes.size;
}

static struct span make(struct frame *frame, const struct sample *sample)
{
    const char start[2] = {(char)0x80, (char)sample->opcode};
    const char extras_size_and_type[2] = {(char)sample->extras.size, 0x7f};
    uint16_t key_size = htobe16((uint16_t)sample->key.size);
    size_t body = sample->extras.size + sample->key.size + sample->value.size;
    uint32_t body_size = htobe32(sample->body_size != 0 ? sample->body_size : (uint32_t)body);
    uint64_t cas = htobe64(sample->cas);
    frame->size = 0;
    put(frame, span_of(start, 2));
    put(frame, span_of(&key_size, 2));
    put(frame, span_of(extras_size_and_type, 2));
    put(frame, SPAN("\x12\x34")); /* vbucket */
    put(frame, span_of(&body_size, 4));
    put(frame, SPAN(OPAQUE));
    put(frame, span_of(&cas, 8));
    put(frame, sample->extras);
    put(frame, sample->key);
    put(frame, sample->value);
    return span_of(frame->bytes, frame->size);
}

static struct frame frame;
static struct extras extras;

static enum decode_status decode(struct span input, struct decoded *decoded)
{
    return binary_decode(input, &limits, &extras, decoded);
}

static struct decoded decode_sample(const struct sample *sample)
{
    struct decoded decoded;
    memset(&extras, 0xee, sizeof extras);
    assert_int_equal(decode(make(&frame, sample), &decoded), DECODE_REQUEST);
    assert_int_equal(decoded.request.opcode, sample->opcode);
    assert_memory_equal(&decoded.request.opaque, OPAQUE, 4);
    return decoded;
}

/* One request that takes the whole input and goes on. */
static struct request decode_whole(const struct sample *sample)
{
    struct decoded decoded = decode_sample(sample);
    assert_int_equal(decoded.consumed, frame.size);
    assert_int_equal(decoded.swallow, 0);
    assert_false(decoded.closes);
    assert_int_equal(decoded.keys.size, 0);
    assert_false(decoded.request.ends_reply);
    return decoded.request;
}

static void assert_span(struct span span, struct span expected)
{
    assert_int_equal(span.size, expected.size);
    assert_memory_equal(span.data, expected.data, expected.size);
}

static void test_gets(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode;
        enum request_op op;
        bool quiet;
        struct span extras;
        int64_t exptime;
    } samples[] = {
        {0x00, REQUEST_GET, false, NO_EXTRAS, 0},
        {0x09, REQUEST_GET, true, NO_EXTRAS, 0},
        {0x0c, REQUEST_GET, false, NO_EXTRAS, 0},
        {0x0d, REQUEST_GET, true, NO_EXTRAS, 0},
        {0x1c, REQUEST_TOUCH, false, SPAN("\0\0\x01\0"), 256},
        {0x1d, REQUEST_GAT, false, SPAN("\xff\xff\xff\xff"), 4294967295},
        {0x1e, REQUEST_GAT, true, SPAN("\0\0\0\0"), 0},
        {0x23, REQUEST_GAT, false, SPAN("\0\0\0\x05"), 5},
        {0x24, REQUEST_GAT, true, SPAN("\0\0\0\x05"), 5},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct request request =
            decode_whole(SAMPLE(samples[i].opcode, samples[i].extras, SPAN("a \0\r\nkey"), .cas = 99));
        assert_int_equal(request.op, samples[i].op);
        assert_int_equal(request.quiet, samples[i].quiet);
        assert_int_equal(request.exptime, samples[i].exptime);
        assert_true(request.want_cas);
        assert_null(request.extras);
        assert_span(request.key, SPAN("a \0\r\nkey"));
    }
}

static const struct {
    uint8_t opcode, quiet_opcode;
    enum request_op op;
} stores[] = {{0x01, 0x11, REQUEST_SET}, {0x02, 0x12, REQUEST_ADD}, {0x03, 0x13, REQUEST_REPLACE}},
  joins[] = {{0x0e, 0x19, REQUEST_APPEND}, {0x0f, 0x1a, REQUEST_PREPEND}};

static void assert_store(uint8_t opcode, bool quiet, enum request_op op, uint64_t cas)
{
    struct request request = decode_whole(SAMPLE(opcode, STORE_EXTRAS, SPAN("key"), SPAN("va\r\nlue"), cas));
    assert_int_equal(request.op, cas != 0 ? REQUEST_CAS : op);
    assert_int_equal(request.quiet, quiet);
    assert_true(request.operand == cas);
    assert_int_equal(request.flags, 0xdeadbeef);
    assert_true(request.exptime == 0x80000001);
    assert_true(request.want_cas);
    assert_null(request.extras);
    assert_span(request.key, SPAN("key"));
    assert_span(request.value, SPAN("va\r\nlue"));
}

static void test_stores(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        assert_store(stores[i].opcode, false, stores[i].op, 0);
        assert_store(stores[i].quiet_opcode, true, stores[i].op, 0);
        assert_store(stores[i].opcode, false, stores[i].op, UINT64_MAX - 1);
        assert_store(stores[i].quiet_opcode, true, stores[i].op, 1);
    }
    struct request request = decode_whole(SAMPLE(0x01, STORE_EXTRAS, SPAN("key"), NO_VALUE));
    assert_int_equal(request.value.size, 0);
}

static void assert_compares(const struct request *request, uint64_t cas)
{
    if (cas == 0) {
        assert_null(request->extras);
        return;
    }
    assert_ptr_equal(request->extras, &extras);
    assert_int_equal(extras.asks, ASK_COMPARE);
    assert_int_equal(extras.told, 0);
    assert_true(extras.compare == cas && extras.token == 0);
}

static void test_joins_and_deletes(void **state)
{
    (void)state;
    for (uint64_t cas = 0; cas < 2; cas++) {
        for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
            struct request loud = decode_whole(SAMPLE(joins[i].opcode, NO_EXTRAS, SPAN("k"), SPAN("v"), cas));
            assert_compares(&loud, cas);
            struct request request =
                decode_whole(SAMPLE(joins[i].quiet_opcode, NO_EXTRAS, SPAN("k"), SPAN("v"), cas));
            assert_compares(&request, cas);
            assert_int_equal(request.op, joins[i].op);
            assert_true(request.quiet && !loud.quiet && request.want_cas);
            assert_span(request.value, SPAN("v"));
        }
        struct request loud = decode_whole(SAMPLE(0x04, NO_EXTRAS, SPAN("k"), NO_VALUE, cas));
        assert_compares(&loud, cas);
        struct request request = decode_whole(SAMPLE(0x14, NO_EXTRAS, SPAN("k"), NO_VALUE, cas));
        assert_compares(&request, cas);
        assert_int_equal(request.op, REQUEST_DELETE);
        assert_true(request.quiet && !loud.quiet && !request.want_cas);
    }
}

#define DELTA_AND_INITIAL "\x01\x02\x03\x04\x05\x06\x07\x08\xff\xff\xff\xff\xff\xff\xff\xfe"

static void test_arithmetic(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode;
        enum request_op op;
        bool quiet;
    } samples[] = {{0x05, REQUEST_INCR, false}, {0x06, REQUEST_DECR, false}, {0x15, REQUEST_INCR, true},
                   {0x16, REQUEST_DECR, true}};
    static const struct {
        struct span extras;
        uint64_t cas;
        uint32_t asks;
        int64_t exptime;
    } asks[] = {
        {SPAN(DELTA_AND_INITIAL "\0\0\0\0"), 0, ASK_VIVIFY, 0},
        {SPAN(DELTA_AND_INITIAL "\xff\xff\xff\xfe"), 7, ASK_VIVIFY | ASK_COMPARE, 4294967294},
        {SPAN(DELTA_AND_INITIAL "\xff\xff\xff\xff"), 0, 0, 4294967295},
        {SPAN(DELTA_AND_INITIAL "\xff\xff\xff\xff"), 7, ASK_COMPARE, 4294967295},
    };
    for (size_t i = 0; i < 16; i++) {
        struct request request =
            decode_whole(SAMPLE(samples[i / 4].opcode, asks[i % 4].extras, SPAN("k"), NO_VALUE, asks[i % 4].cas));
        assert_int_equal(request.op, samples[i / 4].op);
        assert_int_equal(request.quiet, samples[i / 4].quiet);
        assert_true(request.want_cas && request.operand == 0x0102030405060708);
        assert_ptr_equal(request.extras, &extras);
        assert_int_equal(extras.asks, asks[i % 4].asks);
        assert_true(extras.initial == UINT64_MAX - 1 && extras.compare == asks[i % 4].cas && extras.token == 0);
        assert_true(extras.vivify_exptime == asks[i % 4].exptime && extras.told == 0);
    }
}

static void test_flush(void **state)
{
    (void)state;
    for (int quiet = 0; quiet < 2; quiet++) {
        uint8_t opcode = quiet ? 0x18 : 0x08;
        struct request now = decode_whole(SAMPLE(opcode, NO_EXTRAS, NO_KEY, NO_VALUE));
        struct request later = decode_whole(SAMPLE(opcode, SPAN("\0\0\0\x0a"), NO_KEY, NO_VALUE, .cas = 3));
        assert_true(now.op == REQUEST_FLUSH_ALL && later.op == REQUEST_FLUSH_ALL);
        assert_true(now.quiet == quiet && later.quiet == quiet);
        assert_true(now.exptime == 0 && later.exptime == 10);
        assert_false(later.want_cas);
    }
}

static void assert_reply(const struct decoded *decoded, enum binary_status status, struct span text)
{
    assert_int_equal(decoded->request.op, REQUEST_REPLY);
    assert_int_equal(decoded->request.flags, status);
    assert_false(decoded->request.quiet);
    assert_span(decoded->request.text, text);
}

static void test_stat(void **state)
{
    (void)state;
    static const struct {
        struct span key, group;
    } groups[] = {
        {SPAN(""), SPAN("")},
        {SPAN("settings"), SPAN("settings")},
        {SPAN("settingsx y"), SPAN("settings")},
        {SPAN("reset"), SPAN("reset")},
        {SPAN("reset it"), SPAN("reset")},
        {SPAN("items"), SPAN("items")},
        {SPAN("itemsx"), SPAN("itemsx")},
        {SPAN("detail on"), SPAN("detail on")},
        {SPAN("detail offx"), SPAN("detail off")},
        {SPAN("detail dump"), SPAN("detail dump")},
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct request request = decode_whole(SAMPLE(0x10, NO_EXTRAS, groups[i].key, NO_VALUE));
        assert_int_equal(request.op, REQUEST_STATS);
        assert_span(request.text, groups[i].group);
    }
    static const struct {
        struct span key;
        enum binary_status status;
        struct span text;
    } replies[] = {
        {SPAN("detail"), BINARY_NOT_FOUND, SPAN("Not found")},
        {SPAN("detailx"), BINARY_NOT_FOUND, SPAN("Not found")},
        {SPAN("detail x"), BINARY_NOT_FOUND, SPAN("Not found")},
        {SPAN("conns"), BINARY_NOT_FOUND, SPAN("Not found")},
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct decoded decoded = decode_sample(SAMPLE(0x10, NO_EXTRAS, replies[i].key, NO_VALUE));
        assert_reply(&decoded, replies[i].status, replies[i].text);
    }
}

static void test_local_commands(void **state)
{
    (void)state;
    struct decoded noop = decode_sample(SAMPLE(0x0a, NO_EXTRAS, NO_KEY, NO_VALUE, .cas = 5));
    assert_reply(&noop, BINARY_OK, SPAN(""));
    assert_false(noop.closes || noop.is_before_login);
    struct decoded version = decode_sample(SAMPLE(0x0b, NO_EXTRAS, NO_KEY, NO_VALUE));
    assert_int_equal(version.request.op, REQUEST_REPLY);
    assert_true(version.is_before_login && version.request.text.size > 0);
    struct decoded quit = decode_sample(SAMPLE(0x07, NO_EXTRAS, NO_KEY, NO_VALUE));
    assert_reply(&quit, BINARY_OK, SPAN(""));
    assert_true(quit.closes && !quit.is_before_login);
    struct decoded quitq = decode_sample(SAMPLE(0x17, NO_EXTRAS, NO_KEY, NO_VALUE));
    assert_int_equal(quitq.request.op, REQUEST_QUIT);
    assert_true(quitq.closes);
}

static void test_unknown_opcodes(void **state)
{
    (void)state;
    for (int opcode = 0; opcode < 256; opcode++) {
        if (opcode < 0x25 && opcode != 0x1b && opcode != 0x1f) {
            continue;
        }
        struct decoded decoded = decode_sample(SAMPLE((uint8_t)opcode, SPAN("ext"), SPAN("key"), SPAN("value")));
        assert_reply(&decoded, BINARY_UNKNOWN_COMMAND, SPAN("Unknown command"));
        assert_int_equal(decoded.consumed + decoded.swallow, frame.size);
        assert_false(decoded.closes || decoded.is_before_login || decoded.is_too_large);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.opcode = 0x00, NO_EXTRAS, NO_KEY, NO_VALUE},
        {.opcode = 0x00, NO_EXTRAS, SPAN(KEY_251), NO_VALUE},
        {.opcode = 0x00, SPAN("abcd"), SPAN("k"), NO_VALUE},
        {.opcode = 0x00, NO_EXTRAS, SPAN("k"), SPAN("v")},
        {.opcode = 0x01, NO_EXTRAS, SPAN("k"), SPAN("v")},
        {.opcode = 0x01, SPAN("1234"), SPAN("k"), SPAN("v")},
        {.opcode = 0x01, STORE_EXTRAS, NO_KEY, SPAN("v")},
        {.opcode = 0x11, STORE_EXTRAS, SPAN(KEY_251), SPAN("v")},
        {.opcode = 0x01, STORE_EXTRAS, SPAN("k"), NO_VALUE, .body_size = (1u << 30) + 1},
        {.opcode = 0x01, STORE_EXTRAS, SPAN("k"), NO_VALUE, .body_size = UINT32_MAX},
        {.opcode = 0x30, NO_EXTRAS, SPAN(KEY_251), NO_VALUE},
        {.opcode = 0x30, NO_EXTRAS, NO_KEY, NO_VALUE, .body_size = UINT32_MAX},
        {.opcode = 0x04, NO_EXTRAS, SPAN("k"), SPAN("v")},
        {.opcode = 0x05, SPAN("1234567890123456789"), SPAN("k"), NO_VALUE},
        {.opcode = 0x05, SPAN("12345678901234567890"), SPAN("k"), SPAN("v")},
        {.opcode = 0x07, NO_EXTRAS, NO_KEY, SPAN("v")},
        {.opcode = 0x17, NO_EXTRAS, SPAN("k"), NO_VALUE},
        {.opcode = 0x08, SPAN("12"), NO_KEY, NO_VALUE},
        {.opcode = 0x08, NO_EXTRAS, SPAN("k"), NO_VALUE},
        {.opcode = 0x0a, NO_EXTRAS, SPAN("k"), NO_VALUE},
        {.opcode = 0x0b, NO_EXTRAS, NO_KEY, SPAN("v")},
        {.opcode = 0x0e, SPAN("1234"), SPAN("k"), SPAN("v")},
        {.opcode = 0x0f, NO_EXTRAS, NO_KEY, SPAN("v")},
        {.opcode = 0x10, SPAN("1234"), NO_KEY, NO_VALUE},
        {.opcode = 0x10, NO_EXTRAS, SPAN("items"), SPAN("v")},
        {.opcode = 0x1c, NO_EXTRAS, SPAN("k"), NO_VALUE},
        {.opcode = 0x1d, SPAN("1234"), NO_KEY, NO_VALUE},
        {.opcode = 0x1d, SPAN("1234"), SPAN("k"), SPAN("v")},
        {.opcode = 0x20, NO_EXTRAS, NO_KEY, SPAN("v")},
        {.opcode = 0x21, NO_EXTRAS, NO_KEY, SPAN("v")},
        {.opcode = 0x21, SPAN("1234"), SPAN("PLAIN"), SPAN("v")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded decoded = decode_sample(&samples[i]);
        assert_reply(&decoded, BINARY_INVALID, SPAN("Invalid arguments"));
        assert_true(decoded.closes);
        assert_int_equal(decoded.swallow, 0);
    }
}

static void test_sizes_that_contradict(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.opcode = 0x00, NO_EXTRAS, SPAN("kk"), NO_VALUE, .body_size = 1},
        {.opcode = 0x01, STORE_EXTRAS, SPAN("k"), NO_VALUE, .body_size = 8},
        {.opcode = 0x30, SPAN("1234"), SPAN("k"), NO_VALUE, .body_size = 4},
        {.opcode = 0x00, NO_EXTRAS, SPAN(KEY_251), NO_VALUE, .body_size = 1},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded decoded = decode_sample(&samples[i]);
        assert_reply(&decoded, BINARY_UNKNOWN_COMMAND, SPAN("Unknown command"));
        assert_true(decoded.closes && decoded.is_before_login);
    }
}

static void test_values_too_large(void **state)
{
    (void)state;
    static const struct {
        uint8_t opcode;
        struct span extras;
        uint64_t cas;
        enum request_op op;
    } samples[] = {
        {0x01, STORE_EXTRAS, 0, REQUEST_SET_TOO_LARGE},
        {0x11, STORE_EXTRAS, 0, REQUEST_SET_TOO_LARGE},
        {0x01, STORE_EXTRAS, 7, REQUEST_SET_TOO_LARGE},
        {0x02, STORE_EXTRAS, 0, REQUEST_REPLY},
        {0x13, STORE_EXTRAS, 7, REQUEST_REPLY},
        {0x0e, NO_EXTRAS, 0, REQUEST_REPLY},
        {0x1a, NO_EXTRAS, 7, REQUEST_REPLY},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded decoded =
            decode_sample(SAMPLE(samples[i].opcode, samples[i].extras, SPAN("key"), SPAN("abc"), samples[i].cas,
                                           .body_size = 11 + 1024));
        assert_int_equal(decoded.request.op, samples[i].op);
        assert_int_equal(decoded.consumed, frame.size - 3);
        assert_int_equal(decoded.swallow, 11 + 1024 - 3 - samples[i].extras.size);
        assert_false(decoded.closes);
        assert_int_equal(decoded.is_too_large, samples[i].op == REQUEST_REPLY);
        if (samples[i].op == REQUEST_REPLY) {
            assert_reply(&decoded, BINARY_TOO_LARGE, SPAN("Too large."));
        } else {
            assert_span(decoded.request.key, SPAN("key"));
        }
    }
}

static void test_largest_body(void **state)
{
    (void)state;
    struct decoded decoded =
        decode_sample(SAMPLE(0x30, NO_EXTRAS, NO_KEY, NO_VALUE, .body_size = BINARY_BODY_MAX));
    assert_false(decoded.closes);
    assert_int_equal(decoded.swallow, BINARY_BODY_MAX);
}

static void test_login(void **state)
{
    (void)state;
    static const struct {
        struct span text, user, password;
    } samples[] = {
        {SPAN("\0user\0secret"), SPAN("user"), SPAN("secret")},
        {SPAN("user\0user\0secret"), SPAN("user"), SPAN("secret")},
        {SPAN("\0user\0"), SPAN("user"), SPAN("")},
        {SPAN("\0u\0 \r\n\xff"), SPAN("u"), SPAN(" \r\n\xff")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded start = decode_sample(SAMPLE(0x21, NO_EXTRAS, SPAN("PLAIN"), samples[i].text));
        struct decoded step = decode_sample(SAMPLE(0x22, NO_EXTRAS, SPAN("PLAIN"), samples[i].text));
        assert_true(start.is_before_login && step.is_before_login);
        assert_true(start.request.op == REQUEST_AUTH && step.request.op == REQUEST_AUTH);
        assert_span(start.request.key, samples[i].user);
        assert_span(step.request.value, samples[i].password);
    }
    struct decoded list = decode_sample(SAMPLE(0x20, NO_EXTRAS, NO_KEY, NO_VALUE));
    assert_reply(&list, BINARY_OK, SPAN("PLAIN"));
    assert_true(list.is_before_login);
    struct decoded empty = decode_sample(SAMPLE(0x21, NO_EXTRAS, SPAN("PLAIN"), NO_VALUE));
    assert_reply(&empty, BINARY_AUTH_CONTINUE, SPAN(""));
}

static void test_wrong_logins(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("user")},
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("\0user")},
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("\0\0secret")},
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("other\0user\0secret")},
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("\0user\0secret\0")},
        {.opcode = 0x21, NO_EXTRAS, SPAN("plain"), SPAN("\0user\0secret")},
        {.opcode = 0x21, NO_EXTRAS, SPAN("CRAM-MD5"), NO_VALUE},
        {.opcode = 0x22, NO_EXTRAS, SPAN("PLAIN"), NO_VALUE},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded decoded = decode_sample(&samples[i]);
        assert_reply(&decoded, BINARY_AUTH_ERROR, SPAN("Auth failure."));
        assert_int_equal(decoded.consumed, frame.size);
        assert_true(decoded.is_before_login && !decoded.closes);
    }
    struct decoded mechanism = decode_sample(SAMPLE(0x21, NO_EXTRAS, SPAN(KEY_50), SPAN("abc")));
    assert_reply(&mechanism, BINARY_INVALID, SPAN("Invalid arguments"));
    assert_true(!mechanism.closes && mechanism.swallow == 3);
    struct decoded large =
        decode_sample(SAMPLE(0x21, NO_EXTRAS, SPAN("PLAIN"), NO_VALUE, .body_size = 5 + 16 * 1024 + 1));
    assert_reply(&large, BINARY_AUTH_ERROR, SPAN("Auth failure."));
    assert_true(large.closes);
}

static void test_no_login(void **state)
{
    (void)state;
    static const struct decode_limits no_login = {.max_item_size = 1024};
    static const struct sample samples[] = {
        {.opcode = 0x20, NO_EXTRAS, NO_KEY, NO_VALUE},
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("\0user\0secret")},
        {.opcode = 0x22, NO_EXTRAS, SPAN(KEY_50), SPAN("abc")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded decoded;
        assert_int_equal(binary_decode(make(&frame, &samples[i]), &no_login, &extras, &decoded), DECODE_REQUEST);
        assert_reply(&decoded, BINARY_UNKNOWN_COMMAND, SPAN("Unknown command"));
        assert_int_equal(decoded.consumed + decoded.swallow, frame.size);
        assert_false(decoded.closes);
    }
}

static void test_other_magic(void **state)
{
    (void)state;
    struct decoded decoded;
    make(&frame, SAMPLE(0x0a, NO_EXTRAS, NO_KEY, NO_VALUE));
    for (int magic = 0; magic < 256; magic++) {
        frame.bytes[0] = (char)magic;
        enum decode_status whole = magic == 0x80 ? DECODE_REQUEST : DECODE_CLOSE;
        enum decode_status first = magic == 0x80 ? DECODE_PARTIAL : DECODE_CLOSE;
        assert_int_equal(decode(span_of(frame.bytes, frame.size), &decoded), whole);
        assert_int_equal(decode(span_of(frame.bytes, 1), &decoded), first);
    }
    assert_int_equal(decode(SPAN(""), &decoded), DECODE_PARTIAL);
}

/* Each prefix in memory of its own, so that a read beyond its end is seen. */
static void assert_prefixes(struct span whole, const struct decoded *expected)
{
    for (size_t size = 0; size < whole.size; size++) {
        char *prefix = malloc(size > 0 ? size : 1);
        struct decoded decoded;
        assert_non_null(prefix);
        memcpy(prefix, whole.data, size);
        if (decode(span_of(prefix, size), &decoded) == DECODE_REQUEST) {
            assert_int_equal(decoded.consumed, expected->consumed);
            assert_int_equal(decoded.swallow, expected->swallow);
            assert_int_equal(decoded.request.op, expected->request.op);
            assert_true(span_equal(decoded.request.key, expected->request.key));
            assert_true(span_equal(decoded.request.value, expected->request.value));
        } else {
            assert_int_equal(decode(span_of(prefix, size), &decoded), DECODE_PARTIAL);
            assert_true(size < expected->consumed);
        }
        free(prefix);
    }
}

static void test_every_split(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.opcode = 0x00, NO_EXTRAS, SPAN("key"), NO_VALUE},
        {.opcode = 0x01, STORE_EXTRAS, SPAN("key"), SPAN("value")},
        {.opcode = 0x1a, NO_EXTRAS, SPAN("key"), SPAN("value"), .cas = 1},
        {.opcode = 0x15, SPAN("12345678901234567890"), SPAN("key"), NO_VALUE},
        {.opcode = 0x10, NO_EXTRAS, SPAN("settings"), NO_VALUE},
        {.opcode = 0x21, NO_EXTRAS, SPAN("PLAIN"), SPAN("\0user\0secret")},
        {.opcode = 0x30, SPAN("ext"), SPAN("key"), SPAN("value")},
        {.opcode = 0x01, STORE_EXTRAS, SPAN("key"), SPAN("value"), .body_size = 4000},
        {.opcode = 0x00, NO_EXTRAS, SPAN(KEY_251), NO_VALUE},
        {.opcode = 0x00, NO_EXTRAS, SPAN("kk"), NO_VALUE, .body_size = 1},
        {.opcode = 0x17, NO_EXTRAS, NO_KEY, NO_VALUE},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct decoded expected = decode_sample(&samples[i]);
        assert_prefixes(span_of(frame.bytes, frame.size), &expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gets),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_joins_and_deletes),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_local_commands),
        cmocka_unit_test(test_unknown_opcodes),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_sizes_that_contradict),
        cmocka_unit_test(test_values_too_large),
        cmocka_unit_test(test_largest_body),
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_wrong_logins),
        cmocka_unit_test(test_no_login),
        cmocka_unit_test(test_other_magic),
        cmocka_unit_test(test_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
