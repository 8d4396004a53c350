/* Decoding the meta commands. The refusals are what memcached 1.6.45 answered to the same bytes; what is asked is read from
 * what it then did. */
#include "wire/ascii.h"
#include "wire/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#define KEY_50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define KEY_250 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50
#define KEY_251 KEY_250 "k"
#define OPAQUE_31 "Oooooooooooooooooooooooooooooooo"
#define OPAQUE_32 OPAQUE_31 "o"

#define UNKNOWN "ERROR"
#define BAD_FORMAT "CLIENT_ERROR bad command line format"
#define BAD_TOKEN "CLIENT_ERROR bad token in command line format"
#define BAD_FLAG "CLIENT_ERROR invalid flag"
#define DUPLICATE "CLIENT_ERROR duplicate flag"
#define BAD_DELTA "CLIENT_ERROR invalid numeric delta value"
#define BAD_INITIAL "CLIENT_ERROR invalid numeric initial value"
#define BAD_KEY "CLIENT_ERROR error decoding key"
#define TOO_MANY "CLIENT_ERROR options flags are too long"
#define LONG_OPAQUE "CLIENT_ERROR opaque token too long"
#define BAD_MA "CLIENT_ERROR invalid or duplicate flag"
#define MA_MODE "CLIENT_ERROR invalid mode for ma M token"
#define MS_MODE "CLIENT_ERROR invalid mode for ms M token"

static const struct decode_limits limits = {.max_item_size = 1024 * 1024};

/* A request with the room that its extras are in. */
struct sample_request {
    struct decoded decoded;
    struct extras extras;
};

static enum decode_status decode(struct span input, struct sample_request *sample)
{
    memset(&sample->extras, 0xa5, sizeof sample->extras); /* of the request before */
    return ascii_decode(input, &limits, &sample->extras, &sample->decoded);
}

static void assert_span(struct span span, const char *expected)
{
    assert_int_equal(span.size, strlen(expected));
    assert_memory_equal(span.data, expected, span.size);
}

struct refusal {
    struct span line;
    const char *text; /* NULL: not refused */
    size_t swallow;
};

static void assert_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sample_request sample;
        const struct refusal *refusal = &refusals[i];
        assert_int_equal(decode(refusal->line, &sample), DECODE_REQUEST);
        assert_int_equal(sample.decoded.swallow, refusal->swallow);
        if (refusal->text == NULL) {
            assert_int_not_equal(sample.decoded.request.op, REQUEST_REPLY);
            assert_ptr_equal(sample.decoded.request.extras, &sample.extras);
            continue;
        }
        assert_int_equal(sample.decoded.request.op, REQUEST_REPLY);
        assert_null(sample.decoded.request.extras);
        assert_false(sample.decoded.request.quiet);
        assert_span(sample.decoded.request.text, refusal->text);
    }
}

#define ASSERT_REFUSALS(refusals) assert_refusals(refusals, sizeof(refusals) / sizeof *(refusals))

static void test_forms_of_a_line(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {SPAN("mn\r\n"), "MN", 0},
        {SPAN("mn \n"), "MN", 0},
        {SPAN("mn junk !\r\n"), "MN", 0},
        {SPAN(" mn\r\n"), UNKNOWN, 0},
        {SPAN("mn\0\r\n"), UNKNOWN, 0},
        {SPAN("mn\t\r\n"), UNKNOWN, 0},
        {SPAN("mnx\r\n"), UNKNOWN, 0},
        {SPAN("mz a\r\n"), UNKNOWN, 0},
        {SPAN("MG a\r\n"), UNKNOWN, 0},
        {SPAN("mg\r\n"), BAD_FORMAT, 0},
        {SPAN("mg  \r\n"), BAD_FORMAT, 0},
        {SPAN("md\r\n"), BAD_FORMAT, 0},
        {SPAN("ma\r\n"), BAD_FORMAT, 0},
        {SPAN("me\r\n"), BAD_FORMAT, 0},
        {SPAN("ms\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a  \r\n"), BAD_FORMAT, 0},
        {SPAN(" mg a\r\n"), UNKNOWN, 0},
        {SPAN("mg\ta\r\n"), UNKNOWN, 0},
        {SPAN("mg\0 a\r\n"), UNKNOWN, 0},
        {SPAN("mg a\n"), NULL, 0},
        {SPAN("mg a\0b v\r\n"), NULL, 0},
        {SPAN("mg a v\rx\r\n"), NULL, 0},
        {SPAN("mg a v\r\r\n"), NULL, 0},
        {SPAN("mg a \rv\r\n"), BAD_FORMAT, 0},
        {SPAN("mg " KEY_250 "\r\n"), NULL, 0},
        {SPAN("mg " KEY_251 "\r\n"), BAD_FORMAT, 0},
        {SPAN("mg " KEY_251 " z\r\n"), BAD_FORMAT, 0},
        {SPAN("md " KEY_251 "\r\n"), BAD_FORMAT, 0},
        {SPAN("me " KEY_250 "\r\n"), NULL, 0},
        {SPAN("me " KEY_251 "\r\n"), BAD_FORMAT, 0},
        {SPAN("ma " KEY_251 "\r\n"), BAD_MA, 0},
        {SPAN("me a z z\r\n"), NULL, 0},
        {SPAN("me a !\r\n"), BAD_FORMAT, 0},
        {SPAN("me YQ b\r\n"), BAD_FORMAT, 0},
        {SPAN("me YQ== x b\r\n"), NULL, 0},
    };
    ASSERT_REFUSALS(refusals);
}

static void test_refused_flags(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {SPAN("mg a v v\r\n"), DUPLICATE, 0},
        {SPAN("mg a O O1\r\n"), DUPLICATE, 0},
        {SPAN("mg a v v z\r\n"), DUPLICATE, 0},
        {SPAN("mg a z v v\r\n"), BAD_FLAG, 0},
        {SPAN("mg a C z\r\n"), BAD_FLAG, 0},
        {SPAN("mg a C v v\r\n"), DUPLICATE, 0},
        {SPAN("mg a z !\r\n"), BAD_FORMAT, 0},
        {SPAN("mg a v v !\r\n"), BAD_FORMAT, 0},
        {SPAN("mg a C\r\n"), BAD_TOKEN, 0},
        {SPAN("mg a C D\r\n"), BAD_DELTA, 0},
        {SPAN("mg a D C\r\n"), BAD_TOKEN, 0},
        {SPAN("mg a J\r\n"), BAD_INITIAL, 0},
        {SPAN("mg a F\r\n"), BAD_FORMAT, 0},
        {SPAN("mg a C F\r\n"), BAD_TOKEN, 0},
        {SPAN("mg a F C\r\n"), BAD_TOKEN, 0},
        {SPAN("mg a b\r\n"), BAD_KEY, 0},
        {SPAN("mg !! b z\r\n"), BAD_FLAG, 0},
        {SPAN("mg !! b C\r\n"), BAD_TOKEN, 0},
        {SPAN("mg !! C b\r\n"), BAD_KEY, 0},
        {SPAN("mg a " OPAQUE_31 "\r\n"), NULL, 0},
        {SPAN("mg a " OPAQUE_32 "\r\n"), LONG_OPAQUE, 0},
        {SPAN("mg a q " OPAQUE_32 " z\r\n"), BAD_FLAG, 0},
        {SPAN("md a q " OPAQUE_32 "\r\n"), LONG_OPAQUE, 0},
        {SPAN("md a C D\r\n"), BAD_DELTA, 0},
        {SPAN("md a v v\r\n"), DUPLICATE, 0},
        {SPAN("md a MZ\r\n"), NULL, 0},
        {SPAN("ma a v v\r\n"), BAD_MA, 0},
        {SPAN("ma a z\r\n"), BAD_MA, 0},
        {SPAN("ma a D\r\n"), BAD_MA, 0},
        {SPAN("ma !! b\r\n"), BAD_MA, 0},
        {SPAN("ma a ! v v\r\n"), BAD_FORMAT, 0},
        {SPAN("ma a MZ\r\n"), MA_MODE, 0},
        {SPAN("ma a M\r\n"), MA_MODE, 0},
        {SPAN("ma a Minc\r\n"), MA_MODE, 0},
        {SPAN("ma a MX " OPAQUE_32 "\r\n"), MA_MODE, 0},
        {SPAN("ma a C MX\r\n"), BAD_MA, 0},
        {SPAN("ma a " OPAQUE_32 "\r\n"), LONG_OPAQUE, 0},
        {SPAN("mg a c f h k l s t u v x I L P C1 D1 E1 F1 J1\r\n"), NULL, 0},
        {SPAN("mg a c f h k l s t u v x I L P C1 D1 E1 F1 J1 q\r\n"), TOO_MANY, 0},
        {SPAN("mg a z z z z z z z z z z z z z z z z z z z z z z z z z\r\n"), TOO_MANY, 0},
        {SPAN("mg a z z z z z z z z z z z z z z z z z z z z z z z z !\r\n"), BAD_FORMAT, 0},
        {SPAN("mg " KEY_251 " z z z z z z z z z z z z z z z z z z z z z\r\n"), BAD_FORMAT, 0},
        {SPAN("ma a c f h k l s t u v x I L P C1 D1 E1 F1 J1 q\r\n"), BAD_MA, 0},
    };
    ASSERT_REFUSALS(refusals);
}

/* Every byte by itself behind mg, and behind the others, where only the words differ. */
static void test_every_letter(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        if (c == ' ' || c == '\n' || c == '\r') continue;
        const char *expected = NULL;
        bool is_letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'z');
        if (!is_letter) expected = BAD_FORMAT;
        else if (strchr("CENRT", c)) expected = BAD_TOKEN;
        else if (c == 'D') expected = BAD_DELTA;
        else if (c == 'J') expected = BAD_INITIAL;
        else if (c == 'F') expected = BAD_FORMAT;
        else if (c == 'b') expected = BAD_KEY;
        else if (!strchr("ILMOPcfhklqstuvx", c)) expected = BAD_FLAG;
        char get[] = "mg a _\r\n";
        char delete[] = "md a _\r\n";
        char arithmetic[] = "ma a _\r\n";
        char set[] = "ms a 2 _\r\nXY\r\n";
        get[5] = delete[5] = arithmetic[5] = set[7] = (char)c;
        const char *ma_expected = c == 'M' ? MA_MODE : expected && is_letter ? BAD_MA : expected;
        const char *ms_expected = c == 'M' ? MS_MODE : expected;
        const struct refusal refusals[] = {
            {span_of(get, strlen(get)), expected, 0},
            {span_of(delete, strlen(delete)), expected, 0},
            {span_of(arithmetic, strlen(arithmetic)), ma_expected, 0},
            {span_of(set, strlen(set)), ms_expected, ms_expected && is_letter ? 4 : 0},
        };
        ASSERT_REFUSALS(refusals);
    }
}

/* The value is swallowed once its length is read; the line itself is not well formed: nothing is. */
static void test_refused_values(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {SPAN("ms a -1\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a +2\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a 2x\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a S2\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a 2\0\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a 2\t\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a 2147483646\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a 99999999999999999999\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a -1 z\r\n"), BAD_FORMAT, 0},
        {SPAN("ms a 2 !\r\n"), BAD_FORMAT, 0},
        {SPAN("ms " KEY_251 " 2\r\n"), BAD_FORMAT, 4},
        {SPAN("ms a 2 z\r\n"), BAD_FLAG, 4},
        {SPAN("ms a 2 S2\r\n"), BAD_FLAG, 4},
        {SPAN("ms a 2 v v\r\n"), DUPLICATE, 4},
        {SPAN("ms a 2 F\r\n"), BAD_FORMAT, 4},
        {SPAN("ms a 2 b\r\n"), BAD_KEY, 4},
        {SPAN("ms a 2 q MZ\r\n"), MS_MODE, 4},
        {SPAN("ms a 2 M\r\n"), MS_MODE, 4},
        {SPAN("ms a 2 Ma\r\n"), MS_MODE, 4},
        {SPAN("ms a 2 M+\r\n"), MS_MODE, 4},
        {SPAN("ms a 2 MX C\r\n"), BAD_TOKEN, 4},
        {SPAN("ms a 2 MX " OPAQUE_32 "\r\n"), MS_MODE, 4},
        {SPAN("ms a 2 " OPAQUE_32 "\r\n"), LONG_OPAQUE, 4},
        {SPAN("ms a 2147483645 z\r\n"), BAD_FLAG, 2147483647},
        {SPAN("ms a 2 c f h k l s t u v x I L P C1 D1 E1 F1\r\nXY\r\n"), NULL, 0},
        {SPAN("ms a 2 c f h k l s t u v x I L P C1 D1 E1 F1 J1\r\nXY\r\n"), TOO_MANY, 4},
        {SPAN("ms a 2 q\r\nXYZ\r"), "CLIENT_ERROR bad data chunk", 0},
        {SPAN("ms a 2\r\nXY\n\n"), "CLIENT_ERROR bad data chunk", 0},
        {SPAN("ms a 2147483645 q k\r\n"), NULL, 2147483647},
        {SPAN("ms a 1048517\r\n"), NULL, 1048519},
    };
    ASSERT_REFUSALS(refusals);
    struct sample_request sample;
    assert_int_equal(decode(SPAN("ms a 1048517 MA q C5\r\n"), &sample), DECODE_REQUEST);
    assert_int_equal(sample.decoded.request.op, REQUEST_SET_TOO_LARGE);
    assert_span(sample.decoded.request.key, "a");
    assert_int_equal(sample.extras.asks & ASK_COMPARE, 0);
    assert_int_equal(decode(SPAN("ms a 1048516\r\n"), &sample), DECODE_PARTIAL);
    assert_int_equal(decode(SPAN("ms a 1048516 F1\r\n"), &sample), DECODE_REQUEST);
    assert_int_equal(sample.decoded.request.op, REQUEST_SET_TOO_LARGE);
}

/* What a line asks. Where a field is not named it must be 0. */
struct asked {
    struct span line;
    enum request_op op;
    uint32_t asks;
    int64_t exptime, vivify, recache;
    uint64_t compare, token, initial, operand;
    uint32_t flags;
    bool quiet, want_cas;
};

static void assert_asked(const struct asked *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sample_request sample;
        const struct asked *asked = &samples[i];
        assert_int_equal(decode(asked->line, &sample), DECODE_REQUEST);
        const struct request *request = &sample.decoded.request;
        const struct extras *extras = &sample.extras;
        assert_ptr_equal(request->extras, extras);
        assert_int_equal(sample.decoded.consumed, asked->line.size);
        assert_int_equal(request->op, asked->op);
        assert_int_equal(extras->asks, ASK_META | asked->asks);
        assert_int_equal(request->exptime, asked->exptime);
        assert_int_equal(extras->vivify_exptime, asked->vivify);
        assert_int_equal(extras->recache_seconds, asked->recache);
        assert_true(extras->compare == asked->compare && extras->token == asked->token);
        assert_true(extras->initial == asked->initial && request->operand == asked->operand);
        assert_int_equal(request->flags, asked->flags);
        assert_int_equal(request->quiet, asked->quiet);
        assert_int_equal(request->want_cas, asked->want_cas);
        assert_span(request->key, "a");
        assert_int_equal(extras->told, 0);
        assert_int_equal(sample.decoded.keys.size, 0);
    }
}

#define ASSERT_ASKED(samples) assert_asked(samples, sizeof(samples) / sizeof *(samples))
#define NO_VALUE ASK_NO_VALUE

static void test_get(void **state)
{
    (void)state;
    static const struct asked samples[] = {
        {.line = SPAN("mg a\r\n"), .op = REQUEST_GET, .asks = NO_VALUE},
        {.line = SPAN("mg  a   v  \r\n"), .op = REQUEST_GET},
        {.line = SPAN("mg a v q k c f s t O1 P2 L3 x I M\n"), .op = REQUEST_GET, .asks = ASK_TTL, .quiet = true, .want_cas = true},
        {.line = SPAN("mg a h\r\n"), .op = REQUEST_GET, .asks = NO_VALUE | ASK_HISTORY},
        {.line = SPAN("mg a v l u\r\n"), .op = REQUEST_GET, .asks = ASK_HISTORY | ASK_NO_BUMP},
        {.line = SPAN("mg a v C12\r\n"), .op = REQUEST_GET, .asks = ASK_COMPARE, .compare = 12},
        {.line = SPAN("mg a v E12\r\n"), .op = REQUEST_GET, .token = 12},
        {.line = SPAN("mg a v T-1\r\n"), .op = REQUEST_GAT, .asks = ASK_TOUCH, .exptime = -1},
        {.line = SPAN("mg a v t T5\r\n"), .op = REQUEST_GAT, .asks = ASK_TTL | ASK_TOUCH | ASK_TTL_BEFORE_TOUCH, .exptime = 5},
        {.line = SPAN("mg a v T5 t\r\n"), .op = REQUEST_GAT, .asks = ASK_TTL | ASK_TOUCH, .exptime = 5},
        {.line = SPAN("mg a v R30\r\n"), .op = REQUEST_GAT, .asks = ASK_RECACHE, .recache = 30},
        {.line = SPAN("mg a v R30 T60\r\n"), .op = REQUEST_GAT, .asks = ASK_RECACHE | ASK_TOUCH | ASK_RECACHE_BEFORE_TOUCH,
         .recache = 30, .exptime = 60},
        {.line = SPAN("mg a v T60 R30\r\n"), .op = REQUEST_GAT, .asks = ASK_RECACHE | ASK_TOUCH, .recache = 30,
         .exptime = 60},
        {.line = SPAN("mg a v N30 E7\r\n"), .op = REQUEST_GAT, .asks = ASK_VIVIFY | ASK_TOKEN, .vivify = 30, .token = 7},
        {.line = SPAN("mg a v N30 E0\r\n"), .op = REQUEST_GAT, .asks = ASK_VIVIFY, .vivify = 30},
        {.line = SPAN("mg a v t N30\r\n"), .op = REQUEST_GAT, .asks = ASK_TTL | ASK_VIVIFY | ASK_TTL_BEFORE_VIVIFY, .vivify = 30},
        {.line = SPAN("mg a v N30 T60\r\n"), .op = REQUEST_GAT, .asks = ASK_VIVIFY | ASK_TOUCH, .vivify = 30, .exptime = 60},
        {.line = SPAN("mg a v T60 t N30\r\n"), .op = REQUEST_GAT,
         .asks = ASK_TTL | ASK_VIVIFY | ASK_TOUCH | ASK_TTL_BEFORE_VIVIFY | ASK_TOUCH_BEFORE_VIVIFY, .vivify = 30, .exptime = 60},
    };
    ASSERT_ASKED(samples);
}

static void test_set(void **state)
{
    (void)state;
    static const struct asked samples[] = {
        {.line = SPAN("ms a 0\r\n\r\n"), .op = REQUEST_SET, .asks = NO_VALUE},
        {.line = SPAN("ms a 2 T60 F9 c q\r\nXY\r\n"), .op = REQUEST_SET, .asks = NO_VALUE, .exptime = 60, .flags = 9,
         .quiet = true, .want_cas = true},
        {.line = SPAN("ms a 2 MS N5\r\nXY\r\n"), .op = REQUEST_SET, .asks = NO_VALUE, .vivify = 5},
        {.line = SPAN("ms a 2 ME C5 I\r\nXY\r\n"), .op = REQUEST_ADD, .asks = NO_VALUE, .compare = 5},
        {.line = SPAN("ms a 2 MR I\r\nXY\r\n"), .op = REQUEST_REPLACE, .asks = NO_VALUE},
        {.line = SPAN("ms a 2 MReplace C5\r\nXY\r\n"), .op = REQUEST_SET, .asks = NO_VALUE | ASK_COMPARE, .compare = 5},
        {.line = SPAN("ms a 2 C5 E6 I\r\nXY\r\n"), .op = REQUEST_SET,
         .asks = NO_VALUE | ASK_COMPARE | ASK_TOKEN | ASK_INVALIDATE, .compare = 5, .token = 6},
        {.line = SPAN("ms a 2 C0\r\nXY\r\n"), .op = REQUEST_SET, .asks = NO_VALUE | ASK_COMPARE},
        {.line = SPAN("ms a 2 MA C5 I\r\nXY\r\n"), .op = REQUEST_APPEND, .asks = NO_VALUE | ASK_COMPARE, .compare = 5},
        {.line = SPAN("ms a 2 MP C0\r\nXY\r\n"), .op = REQUEST_PREPEND, .asks = NO_VALUE},
        {.line = SPAN("ms a 2 MA N30 T60\r\nXY\r\n"), .op = REQUEST_APPEND, .asks = NO_VALUE | ASK_VIVIFY, .vivify = 30,
         .exptime = 60},
    };
    ASSERT_ASKED(samples);
    struct sample_request sample;
    assert_int_equal(decode(SPAN("ms key 5 k\r\na\r\n\0b\r\n"), &sample), DECODE_REQUEST);
    assert_int_equal(sample.decoded.request.value.size, 5);
    assert_memory_equal(sample.decoded.request.value.data, "a\r\n\0b", 5);
}

static void test_delete(void **state)
{
    (void)state;
    static const struct asked samples[] = {
        {.line = SPAN("md a q k O1 N6 T5\r\n"), .op = REQUEST_DELETE, .asks = NO_VALUE, .exptime = 5, .vivify = 6,
         .quiet = true},
        {.line = SPAN("md a C0\r\n"), .op = REQUEST_DELETE, .asks = NO_VALUE | ASK_COMPARE},
        {.line = SPAN("md a I T5 E6\r\n"), .op = REQUEST_DELETE, .asks = NO_VALUE | ASK_INVALIDATE | ASK_TOUCH | ASK_TOKEN,
         .exptime = 5, .token = 6},
        {.line = SPAN("md a x F3 T5\r\n"), .op = REQUEST_DELETE, .asks = NO_VALUE | ASK_CLEAR | ASK_TOUCH, .exptime = 5,
         .flags = 3},
        {.line = SPAN("md a x I\r\n"), .op = REQUEST_DELETE, .asks = NO_VALUE | ASK_CLEAR | ASK_INVALIDATE},
    };
    ASSERT_ASKED(samples);
}

static void test_arithmetic(void **state)
{
    (void)state;
    static const struct asked samples[] = {
        {.line = SPAN("ma a\r\n"), .op = REQUEST_INCR, .asks = NO_VALUE, .operand = 1},
        {.line = SPAN("ma a MI v\r\n"), .op = REQUEST_INCR, .operand = 1},
        {.line = SPAN("ma a M+ v D0\r\n"), .op = REQUEST_INCR},
        {.line = SPAN("ma a MD v D5 q\r\n"), .op = REQUEST_DECR, .operand = 5, .quiet = true},
        {.line = SPAN("ma a M- v c\r\n"), .op = REQUEST_DECR, .operand = 1, .want_cas = true},
        {.line = SPAN("ma a v C7 E8\r\n"), .op = REQUEST_INCR, .asks = ASK_COMPARE | ASK_TOKEN, .operand = 1, .compare = 7,
         .token = 8},
        {.line = SPAN("ma a v C0\r\n"), .op = REQUEST_INCR, .operand = 1},
        {.line = SPAN("ma a v N30 J18446744073709551615\r\n"), .op = REQUEST_INCR, .asks = ASK_VIVIFY, .operand = 1,
         .vivify = 30, .initial = UINT64_MAX},
        {.line = SPAN("ma a v t T60 N30\r\n"), .op = REQUEST_INCR, .operand = 1, .vivify = 30, .exptime = 60,
         .asks = ASK_VIVIFY | ASK_TOUCH | ASK_TTL_BEFORE_TOUCH | ASK_TTL_BEFORE_VIVIFY | ASK_TOUCH_BEFORE_VIVIFY},
    };
    ASSERT_ASKED(samples);
}

static void test_debug(void **state)
{
    (void)state;
    static const struct asked samples[] = {
        {.line = SPAN("me a\r\n"), .op = REQUEST_DEBUG, .asks = NO_VALUE | ASK_HISTORY | ASK_NO_BUMP, .want_cas = true},
        {.line = SPAN("me a q T5 C\r\n"), .op = REQUEST_DEBUG, .asks = NO_VALUE | ASK_HISTORY | ASK_NO_BUMP,
         .want_cas = true},
        {.line = SPAN("me YQ== b\r\n"), .op = REQUEST_DEBUG, .asks = NO_VALUE | ASK_HISTORY | ASK_NO_BUMP,
         .want_cas = true},
    };
    ASSERT_ASKED(samples);
}

static void test_encoded_keys(void **state)
{
    (void)state;
    struct sample_request sample;
    const struct request *request = &sample.decoded.request;
    assert_int_equal(decode(SPAN("ms AAEgDQo= 2 k b O1\r\nXY\r\n"), &sample), DECODE_REQUEST);
    assert_int_equal(request->key.size, 5);
    assert_memory_equal(request->key.data, "\0\1 \r\n", 5);
    assert_ptr_equal(request->key.data, sample.extras.key);
    assert_int_equal(decode(SPAN("mg Y!W=\tJ bx\r\n"), &sample), DECODE_REQUEST);
    assert_int_equal(request->key.size, 2);
    /* 250 characters of which only four count. */
    assert_int_equal(decode(SPAN("mg YQ==" KEY_50 KEY_50 " b\r\n"), &sample), DECODE_REQUEST);
    assert_span(request->key, "a");
}

static void test_flags_stay_where_they_stand(void **state)
{
    (void)state;
    struct sample_request sample;
    struct span flag;
    assert_int_equal(decode(SPAN("ms a 2  k  O\xff\1 s \r\nXY\r\n"), &sample), DECODE_REQUEST);
    struct span flags = sample.decoded.request.text;
    static const char *const expected[] = {"k", "O\xff\1", "s"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(ascii_next_key(&flags, &flag));
        assert_span(flag, expected[i]);
    }
    assert_false(ascii_next_key(&flags, &flag));
}

static void test_every_split(void **state)
{
    (void)state;
    static const struct span requests[] = {
        SPAN("mg key v k T5\r\nmg more\r\n"),
        SPAN("ms key 10 T5\r\n0123456789\r\nmn\r\n"),
        SPAN("ms YQ== 0 b\r\n\r\n"),
        SPAN("ms key 4\nabcdefgh\r\n"),
        SPAN("ms key 9999999\r\nabcdefgh\r\n"),
        SPAN("ms key 4 z\r\nabcdefgh\r\n"),
        SPAN("ma key C5 O1\r\n"),
        SPAN("md key\n"),
        SPAN("me key b\r\n"),
        SPAN("mn\r\n"),
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct sample_request whole;
        assert_int_equal(decode(requests[i], &whole), DECODE_REQUEST);
        for (size_t size = 0; size < requests[i].size; size++) {
            char *copy = malloc(size + 1); /* so that a read beyond the bytes is seen */
            memcpy(copy, requests[i].data, size);
            struct sample_request part;
            enum decode_status status = decode(span_of(copy, size), &part);
            assert_int_equal(status, size < whole.decoded.consumed ? DECODE_PARTIAL : DECODE_REQUEST);
            if (status == DECODE_REQUEST) {
                assert_int_equal(part.decoded.consumed, whole.decoded.consumed);
                assert_int_equal(part.decoded.swallow, whole.decoded.swallow);
                assert_int_equal(part.decoded.request.op, whole.decoded.request.op);
            }
            free(copy);
        }
    }
}

static size_t append_random(char *line, size_t size, const char *from, size_t count)
{
    for (size_t i = 0; i < count; i++) line[size++] = from[(size_t)rand() % strlen(from)];
    return size;
}

/* A line of up to 60 bytes that looks like an mg. */
static size_t make_get(char line[64])
{
    memcpy(line, "mg ", 3);
    size_t size = append_random(line, 3, " kK9 ", 1 + (size_t)rand() % 6), flags = (size_t)rand() % 8;
    for (size_t i = 0; i < flags; i++) {
        line[size++] = ' ';
        size = append_random(line, size, "cfhklqstuvvktfIbOTNzP@9 ", 1);
        if (rand() % 8 == 0) size = append_random(line, size, "1 zA", (size_t)rand() % 4);
    }
    return size;
}

static struct span trim(struct span text)
{
    while (text.size > 0 && text.data[text.size - 1] == ' ') text.size--;
    return text;
}

/* What a line means does not depend on how long it is. */
static void test_short_lines_mean_what_long_ones_mean(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 200000; round++) {
        char line[64], near[66], far[160];
        struct sample_request first = {0}, second = {0};
        size_t size = make_get(line);
        memcpy(near, line, size);
        memcpy(near + size, "\r\n", 2);
        memset(far, ' ', sizeof far);
        memcpy(far, line, size);
        memcpy(far + 130, "\r\n", 2);
        assert_int_equal(decode(span_of(near, size + 2), &first), decode(span_of(far, 132), &second));
        const struct request *one = &first.decoded.request, *other = &second.decoded.request;
        assert_int_equal(one->op, other->op);
        assert_true(span_equal(one->key, other->key));
        assert_true(span_equal(trim(one->text), trim(other->text)));
        assert_int_equal(one->quiet, other->quiet);
        assert_int_equal(one->want_cas, other->want_cas);
        assert_int_equal(one->exptime, other->exptime);
        assert_int_equal(one->flags, other->flags);
        assert_int_equal(one->extras != NULL, other->extras != NULL);
        if (one->extras != NULL) assert_memory_equal(one->extras, other->extras, offsetof(struct extras, key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_a_line),
        cmocka_unit_test(test_refused_flags),
        cmocka_unit_test(test_every_letter),
        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_debug),
        cmocka_unit_test(test_encoded_keys),
        cmocka_unit_test(test_flags_stay_where_they_stand),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_short_lines_mean_what_long_ones_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
