/* Encoding results of meta commands: each sample is a line, what came of it, and what memcached 1.6.45 then answered. The
 * requests are made by the decoder, since the answer follows the flags of the line. */
#include "wire/ascii.h"
#include "wire/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct decode_limits limits = {.max_item_size = 1024 * 1024};

/* What the executor tells; what a sample does not name is 0. */
struct sample {
    struct span line;
    enum result_status status;
    const char *expected;
    const char *value;
    uint32_t flags, told;
    uint64_t number, token, size;
    int64_t remaining, idle;
};

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

static void assert_encodes(const struct sample *sample)
{
    struct extras extras;
    struct decoded decoded;
    assert_int_equal(ascii_decode(sample->line, &limits, &extras, &decoded), DECODE_REQUEST);
    assert_ptr_equal(decoded.request.extras, &extras);
    extras.told = sample->told;
    extras.token = sample->token;
    extras.size = sample->size;
    extras.remaining_seconds = sample->remaining;
    extras.idle_seconds = sample->idle;
    struct span values = sample->value ? span_of(sample->value, strlen(sample->value)) : (struct span){NULL, 0};
    struct result result = {.status = sample->status, .flags = sample->flags, .number = sample->number,
                            .value_size = (uint32_t)values.size, .text = SPAN("why it cannot be")};
    struct buffer output;
    buffer_init(&output);
    buffer_append(&output, SPAN("before"));
    ascii_encode(&decoded.request, &result, values, &output);
    buffer_consume(&output, 6);
    assert_int_equal(buffer_size(&output), strlen(sample->expected));
    assert_memory_equal(buffer_content(&output).data, sample->expected, strlen(sample->expected));
    buffer_deinit(&output);
    if (result.status == RESULT_HIT && values.size > 0 && strncmp(sample->expected, "VA ", 3) == 0) {
        assert_goes_around(&decoded.request, &result, values, span_of(sample->expected, strlen(sample->expected)));
    }
}

static void assert_all(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_encodes(&samples[i]);
    }
}

#define ASSERT_ALL(samples) assert_all(samples, sizeof(samples) / sizeof *(samples))

static void test_hits(void **state)
{
    (void)state;
    const uint32_t all = TELL_HISTORY | TELL_IDLE;
    const struct sample samples[] = {
        {.line = SPAN("mg a\r\n"), .status = RESULT_HIT, .expected = "HD\r\n", .token = 12},
        {.line = SPAN("mg a v\r\n"), .status = RESULT_HIT, .expected = "VA 3\r\nabc\r\n", .value = "abc"},
        {.line = SPAN("mg a v q\r\n"), .status = RESULT_HIT, .expected = "VA 0\r\n\r\n"},
        {.line = SPAN("mg a v c k O1 s t f\r\n"), .status = RESULT_HIT,
         .expected = "VA 3 c100 ka O1 s3 t-1 f7\r\nabc\r\n", .value = "abc", .token = 100, .size = 3,
         .remaining = -1, .flags = 7},
        {.line = SPAN("mg a t f s O k c\r\n"), .status = RESULT_HIT,
         .expected = "HD t60 f4294967295 s1048516 O ka c18446744073709551615\r\n",
         .flags = UINT32_MAX, .token = UINT64_MAX, .size = 1048516, .remaining = 60},
        {.line = SPAN("mg a kx vv s1 ct t9\r\n"), .status = RESULT_HIT,
         .expected = "VA 3 ka s3 c5 t-1\r\nabc\r\n", .value = "abc", .token = 5, .size = 3,
         .remaining = -1},
        {.line = SPAN("mg a O\xff\1  k \r\n"), .status = RESULT_HIT, .expected = "HD O\xff\1 ka\r\n"},
        {.line = SPAN("mg a h l\r\n"), .status = RESULT_HIT, .expected = "HD h0 l17\r\n", .told = all, .idle = 17},
        {.line = SPAN("mg a l h\r\n"), .status = RESULT_HIT, .expected = "HD l0 h1\r\n", .told = all | TELL_HIT_BEFORE},
        /* What is not known is left out. */
        {.line = SPAN("mg a h l k\r\n"), .status = RESULT_HIT,
         .expected = "HD ka\r\n", .told = TELL_HIT_BEFORE, .idle = 17},
        {.line = SPAN("mg a t\r\n"), .status = RESULT_HIT, .expected = "HD t0\r\n", .remaining = -5},
        {.line = SPAN("mg a v P1 L2 x I F3 M D1 J1 u\r\n"), .status = RESULT_HIT,
         .expected = "VA 3\r\nabc\r\n", .value = "abc"},
    };
    ASSERT_ALL(samples);
}

static void test_marks(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("mg a v t s\r\n"), .status = RESULT_HIT,
         .expected = "VA 2 t30 s2 X W\r\nXY\r\n", .value = "XY", .told = TELL_STALE | TELL_WON, .size = 2,
         .remaining = 30},
        {.line = SPAN("mg a k\r\n"), .status = RESULT_HIT,
         .expected = "HD ka Z X\r\n", .told = TELL_STALE | TELL_WON_BEFORE},
        {.line = SPAN("mg a N30 q v\r\n"), .status = RESULT_HIT, .expected = "VA 0 W\r\n\r\n", .told = TELL_WON},
        {.line = SPAN("mg a v\r\n"), .status = RESULT_HIT, .expected = "VA 0 Z\r\n\r\n", .told = TELL_WON_BEFORE},
    };
    ASSERT_ALL(samples);
}

static void test_value_only_if_changed(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("mg a v C100\r\n"), .status = RESULT_HIT, .expected = "HD\r\n", .value = "abc", .token = 100},
        {.line = SPAN("mg a v C100 c k s\r\n"), .status = RESULT_HIT,
         .expected = "HD c100 ka s3\r\n", .value = "abc", .token = 100, .size = 3},
        {.line = SPAN("mg a v C99 c\r\n"), .status = RESULT_HIT,
         .expected = "VA 3 c100\r\nabc\r\n", .value = "abc", .token = 100},
        {.line = SPAN("mg a q C99\r\n"), .status = RESULT_HIT, .expected = "HD\r\n", .token = 100},
        {.line = SPAN("mg a v C0\r\n"), .status = RESULT_HIT,
         .expected = "VA 3\r\nabc\r\n", .value = "abc", .token = 100},
        {.line = SPAN("mg a v C1 k\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN ka\r\n"},
    };
    ASSERT_ALL(samples);
}

static void test_misses(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("mg a k O1 c f h l s t v\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN ka O1\r\n"},
        {.line = SPAN("mg a T5 O1\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN O1\r\n"},
        {.line = SPAN("md a k O1 c s\r\n"), .status = RESULT_NOT_FOUND, .expected = "NF ka O1\r\n"},
        {.line = SPAN("ma a k O1 c t v\r\n"), .status = RESULT_NOT_FOUND, .expected = "NF ka O1\r\n"},
        {.line = SPAN("ms a 2 C1 k s c O1\r\nXY\r\n"), .status = RESULT_NOT_FOUND,
         .expected = "NF ka s2 c0 O1\r\n", .token = 7},
        {.line = SPAN("me a k O1\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN\r\n"},
    };
    ASSERT_ALL(samples);
}

static void test_stores(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("ms a 2\r\nXY\r\n"), .status = RESULT_STORED, .expected = "HD\r\n"},
        {.line = SPAN("ms a 2 k s c O1 t f h l v\r\nXY\r\n"), .status = RESULT_STORED,
         .expected = "HD ka s2 c50 O1\r\n", .token = 50},
        {.line = SPAN("ms a 2 MA k s c O1\r\nXY\r\n"), .status = RESULT_STORED,
         .expected = "HD ka s5 c1444 O1\r\n", .token = 1444, .size = 5},
        {.line = SPAN("ms a 2 MA k s c O1\r\nXY\r\n"), .status = RESULT_NOT_STORED, .expected = "NS ka s2 c0 O1\r\n"},
        {.line = SPAN("ms a 2 ME k s c E9\r\nXY\r\n"), .status = RESULT_NOT_STORED,
         .expected = "NS ka s2 c0\r\n", .token = 9},
        {.line = SPAN("ms a 2 C1 k s c O1\r\nXY\r\n"), .status = RESULT_EXISTS, .expected = "EX ka s2 c0 O1\r\n"},
        {.line = SPAN("ms a 2 MP k s\r\nXY\r\n"), .status = RESULT_TOO_LARGE, .expected = "NS ka s2\r\n"},
        {.line = SPAN("ms a 2 k\r\nXY\r\n"), .status = RESULT_TOO_LARGE,
         .expected = "SERVER_ERROR object too large for cache\r\n"},
        {.line = SPAN("ms a 2000000 q k\r\n"), .status = RESULT_OK,
         .expected = "SERVER_ERROR object too large for cache\r\n"},
        {.line = SPAN("ms a 2000000 k\r\n"), .status = RESULT_NOT_FOUND,
         .expected = "SERVER_ERROR object too large for cache\r\n"},
        {.line = SPAN("ms a 2000000 k\r\n"), .status = RESULT_REFUSED, .expected = "SERVER_ERROR why it cannot be\r\n"},
        {.line = SPAN("ms a 2 q\r\nXY\r\n"), .status = RESULT_OUT_OF_MEMORY,
         .expected = "SERVER_ERROR out of memory storing object\r\n"},
    };
    ASSERT_ALL(samples);
}

static void test_deletes_and_counts(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("md a k O1 c s\r\n"), .status = RESULT_OK, .expected = "HD ka O1\r\n"},
        {.line = SPAN("md a C1 k\r\n"), .status = RESULT_EXISTS, .expected = "EX ka\r\n"},
        {.line = SPAN("md a x\r\n"), .status = RESULT_OUT_OF_MEMORY, .expected = "SERVER_ERROR out of memory\r\n"},
        {.line = SPAN("ma a\r\n"), .status = RESULT_NUMBER, .expected = "HD\r\n", .number = 11},
        {.line = SPAN("ma a k O1 c t v s f h l\r\n"), .status = RESULT_NUMBER,
         .expected = "VA 2 ka O1 c1451 t-1\r\n11\r\n", .number = 11, .token = 1451,
         .remaining = -1},
        {.line = SPAN("ma a v\r\n"), .status = RESULT_NUMBER,
         .expected = "VA 20\r\n18446744073709551615\r\n", .number = UINT64_MAX},
        {.line = SPAN("ma a C1 k O1 c t v\r\n"), .status = RESULT_EXISTS, .expected = "EX ka O1\r\n"},
        {.line = SPAN("ma a k O1 q\r\n"), .status = RESULT_NON_NUMERIC,
         .expected = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
        {.line = SPAN("ma a N0\r\n"), .status = RESULT_OUT_OF_MEMORY, .expected = "SERVER_ERROR out of memory\r\n"},
    };
    ASSERT_ALL(samples);
}

static void test_quiet(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("mg a q k\r\n"), .status = RESULT_NOT_FOUND, .expected = ""},
        {.line = SPAN("mg a q T5 v O1\r\n"), .status = RESULT_NOT_FOUND, .expected = ""},
        {.line = SPAN("mg a q\r\n"), .status = RESULT_HIT, .expected = "HD\r\n"},
        {.line = SPAN("ms a 2 q c k\r\nXY\r\n"), .status = RESULT_STORED, .expected = ""},
        {.line = SPAN("ms a 2 q ME\r\nXY\r\n"), .status = RESULT_NOT_STORED, .expected = "NS\r\n"},
        {.line = SPAN("ms a 2 q C1\r\nXY\r\n"), .status = RESULT_EXISTS, .expected = "EX\r\n"},
        {.line = SPAN("ms a 2 q C1\r\nXY\r\n"), .status = RESULT_NOT_FOUND, .expected = "NF\r\n"},
        {.line = SPAN("md a q k\r\n"), .status = RESULT_OK, .expected = ""},
        {.line = SPAN("md a q\r\n"), .status = RESULT_NOT_FOUND, .expected = "NF\r\n"},
        {.line = SPAN("md a q C1\r\n"), .status = RESULT_EXISTS, .expected = "EX\r\n"},
        {.line = SPAN("ma a q v\r\n"), .status = RESULT_NUMBER, .expected = ""},
        {.line = SPAN("ma a q\r\n"), .status = RESULT_NOT_FOUND, .expected = "NF\r\n"},
        {.line = SPAN("ma a q C1\r\n"), .status = RESULT_EXISTS, .expected = "EX\r\n"},
        {.line = SPAN("me a q\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN\r\n"},
    };
    ASSERT_ALL(samples);
}

/* They are told whatever the request is, quiet or not. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct span lines[] = {
        SPAN("mg a q v k\r\n"), SPAN("mg a T5\r\n"), SPAN("ms a 2 q\r\nXY\r\n"), SPAN("ms a 2 MA\r\nXY\r\n"),
        SPAN("md a q O1\r\n"),  SPAN("ma a q v\r\n"), SPAN("me a\r\n"),            SPAN("ms a 2000000\r\n"),
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const struct sample samples[] = {
            {.line = lines[i], .status = RESULT_REFUSED, .expected = "SERVER_ERROR why it cannot be\r\n"},
            {.line = lines[i], .status = RESULT_DENIED, .expected = "CLIENT_ERROR why it cannot be\r\n"},
            {.line = lines[i], .status = RESULT_UNAUTHENTICATED, .expected = "CLIENT_ERROR unauthenticated\r\n"},
        };
        ASSERT_ALL(samples);
    }
}

static void test_encoded_keys(void **state)
{
    (void)state;
    const struct sample samples[] = {
        {.line = SPAN("mg YWJj b k O1\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN kYWJj b O1\r\n"},
        {.line = SPAN("mg YWJj b O1\r\n"), .status = RESULT_NOT_FOUND, .expected = "EN O1\r\n"},
        {.line = SPAN("mg YWJj k b O1\r\n"), .status = RESULT_HIT, .expected = "HD kYWJj b O1\r\n"},
        {.line = SPAN("mg YR== k b\r\n"), .status = RESULT_HIT, .expected = "HD kYQ== b\r\n"},
        {.line = SPAN("ms YWJj 2 O1 k b s\r\nXY\r\n"), .status = RESULT_STORED, .expected = "HD O1 kYWJj b s2\r\n"},
        {.line = SPAN("md YWJj b k O1\r\n"), .status = RESULT_OK, .expected = "HD kYWJj b O1\r\n"},
        {.line = SPAN("ma YWJj b k N0 v O1\r\n"), .status = RESULT_NUMBER, .expected = "VA 1 kYWJj b O1\r\n0\r\n"},
    };
    ASSERT_ALL(samples);
}

static void test_debug(void **state)
{
    (void)state;
    const uint32_t all = TELL_HISTORY | TELL_IDLE;
    const struct sample samples[] = {
        {.line = SPAN("me a\r\n"), .status = RESULT_HIT,
         .expected = "ME a exp=-1 la=0 cas=21 fetch=no cls=1 size=67\r\n", .told = all, .flags = 7,
         .token = 21, .size = 3, .remaining = -1},
        {.line = SPAN("me YWJj b\r\n"), .status = RESULT_OK,
         .expected = "ME YWJj exp=60 la=5 cas=13 fetch=yes cls=1 size=64\r\n",
         .told = all | TELL_HIT_BEFORE, .token = 13, .size = 2, .remaining = 60, .idle = 5},
        {.line = SPAN("me a x b\r\n"), .status = RESULT_HIT,
         .expected = "ME a exp=-1 cas=21 cls=1 size=63\r\n", .token = 21, .size = 3, .remaining = -1},
    };
    ASSERT_ALL(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_value_only_if_changed),
        cmocka_unit_test(test_misses),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_deletes_and_counts),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_encoded_keys),
        cmocka_unit_test(test_debug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
