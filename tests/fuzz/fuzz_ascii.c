/* The text decoder and encoder: spans stay inside the input, a request is the same however the input was split, and
 * whatever was decoded can be answered. */
#include "wire/ascii.h"

#include <stdlib.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

/* Inputs up to this size are split at every place, others at one that depends on their bytes. */
#define EVERY_SPLIT_MAX 48

static bool lies_in(struct span part, struct span whole)
{
    return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_keys(const struct decoded *decoded)
{
    struct span keys = decoded->keys;
    struct span key;
    size_t count = 0;
    while (ascii_next_key(&keys, &key)) {
        REQUIRE(key.size > 0 && key.size <= ASCII_KEY_MAX);
        REQUIRE(memchr(key.data, ' ', key.size) == NULL && memchr(key.data, '\n', key.size) == NULL);
        count++;
    }
    REQUIRE(count > 0);
    /* One key alone stands in the request, too. */
    const struct request *request = &decoded->request;
    REQUIRE(request->ends_reply == (count == 1) && request->key.size == (count == 1 ? key.size : 0));
    REQUIRE(count > 1 || request->key.data == key.data);
}

static bool is_storage(enum request_op op)
{
    return op >= REQUEST_SET && op <= REQUEST_CAS;
}

static void check_request(const struct decoded *decoded, struct span input)
{
    const struct request *request = &decoded->request;
    REQUIRE(decoded->consumed > 0 && decoded->consumed <= input.size);
    struct span taken = span_of(input.data, decoded->consumed);
    REQUIRE((int)request->op >= 0 && request->op < REQUEST_OPS);
    REQUIRE(lies_in(request->key, taken) && lies_in(request->value, taken) && lies_in(decoded->keys, taken));
    bool is_get = request->op == REQUEST_GET || request->op == REQUEST_GAT;
    REQUIRE((is_get || !request->ends_reply) && request->key.size <= ASCII_KEY_MAX);
    REQUIRE(request->value.size == 0 || is_storage(request->op));
    REQUIRE(decoded->swallow == 0 || request->op == REQUEST_REPLY || request->op == REQUEST_SET_TOO_LARGE);
    if (is_get) {
        check_keys(decoded);
    } else if (request->op == REQUEST_REPLY) {
        REQUIRE(request->key.size == 0 && request->text.size > 0);
        REQUIRE(memchr(request->text.data, '\n', request->text.size) == NULL);
    } else if (request_is_on_server(request->op)) {
        REQUIRE(lies_in(request->text, taken));
    } else if (request->op != REQUEST_QUIT && request->op != REQUEST_FLUSH_ALL) {
        REQUIRE(request->key.size > 0);
    }
    if (is_storage(request->op)) {
        REQUIRE(memcmp(request->value.data + request->value.size, "\r\n", 2) == 0);
    }
}

static void encode(const struct request *request, const struct result *result, struct span values, struct buffer *replies)
{
    size_t before = buffer_size(replies);
    ascii_encode(request, result, values, replies);
    size_t after = buffer_size(replies);
    REQUIRE(after >= before && (!request->quiet || after == before));
    REQUIRE(after == before || memcmp(buffer_content(replies).data + after - 2, "\r\n", 2) == 0);
}

static void answer_get(const struct decoded *decoded, struct buffer *replies)
{
    static const enum result_status statuses[] = {RESULT_HIT, RESULT_NOT_FOUND, RESULT_REFUSED, RESULT_OUT_OF_MEMORY};
    struct request request = decoded->request;
    struct span keys = decoded->keys;
    while (ascii_next_key(&keys, &request.key)) {
        struct span rest = keys;
        struct span next;
        unsigned first = (unsigned char)request.key.data[0];
        request.ends_reply = !ascii_next_key(&rest, &next);
        struct result result = {.status = statuses[first % 4], .flags = first, .number = first << 7, .text = SPAN("no")};
        result.value_size = result.status == RESULT_HIT ? request.key.size : 0;
        encode(&request, &result, request.key, replies);
    }
}

/* Any result that command/ could come to, chosen by the request's own bytes, so that it does not depend on the split. */
static void answer(const struct decoded *decoded, struct buffer *replies)
{
    static const enum result_status statuses[] = {
        RESULT_OK,          RESULT_NUMBER,    RESULT_STORED,        RESULT_NOT_STORED,  RESULT_EXISTS,  RESULT_NOT_FOUND,
        RESULT_NON_NUMERIC, RESULT_TOO_LARGE, RESULT_OUT_OF_MEMORY, RESULT_NOT_ALLOWED, RESULT_REFUSED, RESULT_STATS,
    };
    const struct request *request = &decoded->request;
    if (request->op == REQUEST_GET || request->op == REQUEST_GAT) {
        answer_get(decoded, replies);
        return;
    }
    struct result result = {.text = SPAN("no"), .number = request->operand, .value_size = 0};
    result.status = statuses[(request->key.size + request->value.size + (size_t)request->exptime) % 12];
    struct span values = SPAN("name\0value\0");
    result.value_size = result.status == RESULT_STATS ? values.size : 0;
    encode(request, &result, values, replies);
    if (request->op == REQUEST_REPLY && !request->quiet) {
        struct span end = span_skip(buffer_content(replies), buffer_size(replies) - request->text.size - 2);
        REQUIRE(memcmp(end.data, request->text.data, request->text.size) == 0);
    }
}

/* What one connection has come to. */
struct conversation {
    struct buffer replies;
    size_t taken;   /* bytes of the input consumed or swallowed */
    size_t swallow; /* still to come */
    bool is_closed;
};

/* Works off what there is of the input, as a session does. The bytes lie in memory of their own, so that a read beyond
 * them is seen. */
static void feed(struct conversation *conversation, struct span input, const struct decode_limits *limits)
{
    size_t size = input.size - conversation->taken;
    char *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, input.data + conversation->taken, size);
    struct span rest = span_of(copy, size);
    while (!conversation->is_closed) {
        size_t skipped = conversation->swallow < rest.size ? conversation->swallow : rest.size;
        rest = span_skip(rest, skipped);
        conversation->swallow -= skipped;
        struct decoded decoded;
        struct extras extras;
        enum decode_status status = ascii_decode(rest, limits, &extras, &decoded);
        if (status == DECODE_REQUEST && decoded.request.extras != NULL) {
            conversation->is_closed = true; /* a meta command: fuzz_meta.c has those */
            break;
        }
        if (status == DECODE_REQUEST) {
            check_request(&decoded, rest);
            answer(&decoded, &conversation->replies);
            rest = span_skip(rest, decoded.consumed);
            conversation->swallow = decoded.swallow;
        } else if (status == DECODE_PARTIAL) {
            break;
        }
        conversation->is_closed = status == DECODE_CLOSE || decoded.request.op == REQUEST_QUIT;
    }
    conversation->taken = input.size - rest.size;
    free(copy);
}

/* The one thing that may depend on the split: a line that does not come at once may be given up as too long. */
static bool may_give_up(struct span input, size_t taken)
{
    return input.size - taken > ASCII_LINE_MAX;
}

static void check_split(struct span input, size_t split, const struct decode_limits *limits)
{
    struct conversation whole = {.taken = 0};
    struct conversation parts = {.taken = 0};
    feed(&whole, input, limits);
    feed(&parts, span_of(input.data, split), limits);
    bool gave_up = parts.is_closed && may_give_up(span_of(input.data, split), parts.taken);
    if (!gave_up) {
        feed(&parts, input, limits);
        REQUIRE(parts.is_closed == whole.is_closed && parts.taken == whole.taken && parts.swallow == whole.swallow);
        REQUIRE(span_equal(buffer_content(&parts.replies), buffer_content(&whole.replies)));
    }
    buffer_deinit(&whole.replies);
    buffer_deinit(&parts.replies);
}

static size_t some_split(const uint8_t *data, size_t size)
{
    size_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum = sum * 31 + data[i];
    }
    return sum % (size + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct decode_limits limits = {.max_item_size = size % 2 == 0 ? 1024 * 1024 : 100};
    struct span input = span_of(data, size);
    if (size > EVERY_SPLIT_MAX) {
        check_split(input, some_split(data, size), &limits);
        return 0;
    }
    for (size_t split = 0; split <= size; split++) {
        check_split(input, split, &limits);
    }
    return 0;
}
