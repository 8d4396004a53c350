/* The meta commands and base64: spans stay inside the input or the extras, a request is the same however little of it had
 * come before, whatever was decoded can be answered, the answer has the form of one, and base64 comes back as it went. */
#include "base/base64.h"
#include "wire/ascii.h"

#include <stdlib.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

/* Requests up to this size are cut at every place, others at one that depends on their bytes. */
#define EVERY_CUT_MAX 64

static bool lies_in(struct span part, struct span whole)
{
    return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_request(const struct decoded *decoded, struct span input)
{
    const struct request *request = &decoded->request;
    const struct extras *extras = request->extras;
    struct span taken = span_of(input.data, decoded->consumed);
    struct span decoded_key = span_of(extras->key, sizeof extras->key);
    REQUIRE(extras == decoded->extras && decoded->keys.size == 0);
    REQUIRE(request->key.size > 0 && request->key.size <= ITEM_KEY_MAX);
    REQUIRE(lies_in(request->key, taken) || lies_in(request->key, decoded_key));
    REQUIRE(lies_in(request->value, taken) && lies_in(request->text, taken));
    REQUIRE(decoded->swallow == 0 || request->op == REQUEST_SET_TOO_LARGE);
    REQUIRE(extras->told == 0 && extras->size == 0);
    REQUIRE(memchr(request->text.data, '\n', request->text.size) == NULL);
    if (request->op >= REQUEST_SET && request->op <= REQUEST_CAS) {
        REQUIRE(memcmp(request->value.data + request->value.size, "\r\n", 2) == 0);
    }
}

static bool same_request(const struct decoded *a, const struct decoded *b)
{
    const struct request *left = &a->request;
    const struct request *right = &b->request;
    bool same = left->op == right->op && left->quiet == right->quiet && left->want_cas == right->want_cas
                && left->flags == right->flags && left->exptime == right->exptime && left->operand == right->operand
                && span_equal(left->key, right->key) && span_equal(left->value, right->value)
                && span_equal(left->text, right->text) && a->consumed == b->consumed && a->swallow == b->swallow
                && (left->extras == NULL) == (right->extras == NULL);
    return same && (left->extras == NULL || memcmp(left->extras, right->extras, offsetof(struct extras, key)) == 0);
}

/* The first `size` bytes of a request, in memory of their own: more is needed, or it is the same already. */
static void check_cut(struct span input, size_t size, const struct decode_limits *limits, const struct decoded *whole)
{
    char *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, input.data, size);
    struct extras extras;
    struct decoded decoded;
    enum decode_status status = ascii_decode(span_of(copy, size), limits, &extras, &decoded);
    bool may_close = size > ASCII_LINE_MAX && memchr(copy, '\n', size) == NULL;
    REQUIRE(status == DECODE_PARTIAL || (status == DECODE_CLOSE && may_close)
            || (status == DECODE_REQUEST && size >= whole->consumed && same_request(&decoded, whole)));
    free(copy);
}

static uint64_t sum_of(struct span bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        sum = sum * 1099511628211u + (unsigned char)bytes.data[i];
    }
    return sum;
}

static void check_cuts(struct span input, const struct decode_limits *limits, const struct decoded *whole)
{
    if (whole->consumed > EVERY_CUT_MAX) {
        check_cut(input, sum_of(span_of(input.data, whole->consumed)) % (whole->consumed + 1), limits, whole);
        return;
    }
    for (size_t size = 0; size <= whole->consumed; size++) {
        check_cut(input, size, limits, whole);
    }
}

/* A line that begins with one of memcached's words. */
static void check_reply(struct span reply)
{
    static const struct span words[] = {
        SPAN("HD"), SPAN("VA "), SPAN("EN"), SPAN("NF"), SPAN("NS"), SPAN("EX"), SPAN("ME "), SPAN("SERVER_ERROR "),
        SPAN("CLIENT_ERROR "),
    };
    if (reply.size == 0) return;
    bool is_known = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        is_known |= span_starts_with(reply, words[i]);
    }
    REQUIRE(is_known && memcmp(reply.data + reply.size - 2, "\r\n", 2) == 0);
}

static void encode(const struct request *request, const struct result *result, struct span values)
{
    struct buffer output;
    buffer_init(&output);
    ascii_encode(request, result, values, &output);
    REQUIRE(output.end <= output.capacity);
    check_reply(buffer_content(&output));
    buffer_deinit(&output);
}

/* Results that command/ could come to, more of them than an operation has; but those of me are its own. */
static bool may_come(enum request_op op, enum result_status status)
{
    return op != REQUEST_DEBUG || status == RESULT_HIT || status == RESULT_NOT_FOUND || status == RESULT_REFUSED
           || status == RESULT_DENIED || status == RESULT_UNAUTHENTICATED;
}

static void answer(const struct request *request)
{
    static const enum result_status statuses[] = {
        RESULT_OK,     RESULT_HIT,         RESULT_NUMBER,    RESULT_STORED,        RESULT_NOT_STORED, RESULT_EXISTS,
        RESULT_DENIED, RESULT_NON_NUMERIC, RESULT_TOO_LARGE, RESULT_OUT_OF_MEMORY, RESULT_REFUSED,    RESULT_UNAUTHENTICATED,
        RESULT_NOT_FOUND,
    };
    uint64_t sum = sum_of(request->text) + sum_of(request->key);
    struct extras *extras = request->extras;
    extras->told = (uint32_t)(sum >> 7) & 63;
    extras->token = sum % 3 ? sum : extras->compare;
    extras->remaining_seconds = (int64_t)(sum << 13);
    extras->idle_seconds = (int64_t)sum;
    extras->size = sum >> 3 & 0xffffffff;
    struct span values = request->text.size > 0 ? request->text : SPAN("");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct result result = {.status = statuses[i], .flags = (uint32_t)sum, .number = sum, .text = SPAN("no")};
        result.value_size = result.status == RESULT_HIT ? (uint32_t)values.size : 0;
        if (may_come(request->op, statuses[i])) {
            encode(request, &result, values);
        }
    }
}

/* Works off the input, which lies in memory of its own, request by request. */
static void feed(struct span input, const struct decode_limits *limits)
{
    size_t swallow = 0;
    for (;;) {
        size_t skipped = swallow < input.size ? swallow : input.size;
        input = span_skip(input, skipped);
        struct extras extras;
        struct decoded decoded;
        if (ascii_decode(input, limits, &extras, &decoded) != DECODE_REQUEST) break;
        REQUIRE(decoded.consumed > 0 && decoded.consumed <= input.size);
        if (decoded.request.extras != NULL) {
            check_request(&decoded, input);
            check_cuts(input, limits, &decoded);
            answer(&decoded.request);
        }
        swallow = decoded.swallow;
        input = span_skip(input, decoded.consumed);
    }
}

static void check_base64(struct span bytes)
{
    char *text = malloc(BASE64_SIZE(bytes.size) + 1);
    char *back = malloc(bytes.size + 3);
    REQUIRE(text != NULL && back != NULL);
    size_t size = base64_encode(bytes, text);
    REQUIRE(size == BASE64_SIZE(bytes.size));
    REQUIRE(base64_decode(span_of(text, size), back, bytes.size + 2) == bytes.size);
    REQUIRE(bytes.size == 0 || memcmp(back, bytes.data, bytes.size) == 0);
    free(text);
    free(back);
    /* And as if it were base64. */
    size_t room = bytes.size / 4 * 3;
    char *decoded = malloc(room > 0 ? room : 1);
    REQUIRE(decoded != NULL && base64_decode(bytes, decoded, room) <= room);
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct decode_limits limits = {.max_item_size = size % 2 == 0 ? 1024 * 1024 : 100};
    check_base64(span_of(data, size));
    char *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    feed(span_of(copy, size), &limits);
    free(copy);
    return 0;
}
