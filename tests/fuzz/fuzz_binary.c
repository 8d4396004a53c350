/* The binary decoder and encoder: spans stay inside the input, a request is the same however the input was split, and
 * whatever was decoded can be answered with whole packets. */
#include "wire/binary.h"

#include <endian.h>
#include <stdlib.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

/* Inputs up to this size are split at every place, others at one that depends on their bytes. */
#define EVERY_SPLIT_MAX 80

static bool lies_in(struct span part, struct span whole)
{
    return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static bool is_storage(enum request_op op)
{
    return op >= REQUEST_SET && op <= REQUEST_CAS;
}

static void check_reply(const struct decoded *decoded)
{
    const struct request *request = &decoded->request;
    REQUIRE(!request->quiet && request->key.size == 0 && request->extras == NULL);
    REQUIRE(request->flags != BINARY_OK || decoded->swallow == 0);
    REQUIRE(request->flags <= BINARY_OUT_OF_MEMORY);
}

static void check_keyed(const struct request *request, const struct extras *extras)
{
    REQUIRE(request->key.size > 0 && request->key.size <= ITEM_KEY_MAX);
    REQUIRE(request->exptime >= 0 && request->exptime <= UINT32_MAX);
    REQUIRE(request->extras == NULL || request->extras == extras);
    if (request->op == REQUEST_INCR || request->op == REQUEST_DECR) {
        REQUIRE(request->extras != NULL);
    }
    if (request->extras != NULL) {
        REQUIRE((extras->asks & ~(uint32_t)(ASK_COMPARE | ASK_VIVIFY)) == 0);
        REQUIRE(extras->told == 0 && extras->token == 0);
        REQUIRE((extras->asks & ASK_COMPARE) == 0 || extras->compare != 0);
    }
}

static void check_request(const struct decoded *decoded, const struct extras *extras, struct span input)
{
    const struct request *request = &decoded->request;
    REQUIRE(decoded->consumed >= BINARY_HEADER_SIZE && decoded->consumed <= input.size);
    REQUIRE(decoded->swallow <= BINARY_BODY_MAX && decoded->keys.size == 0);
    REQUIRE(decoded->swallow == 0 || request->op == REQUEST_REPLY || request->op == REQUEST_SET_TOO_LARGE);
    struct span taken = span_of(input.data, decoded->consumed);
    REQUIRE((int)request->op >= 0 && request->op < REQUEST_OPS && !request->ends_reply);
    REQUIRE(lies_in(request->key, taken) && lies_in(request->value, taken));
    REQUIRE(request->value.size == 0 || is_storage(request->op) || request->op == REQUEST_AUTH);
    if (request->op == REQUEST_REPLY) {
        check_reply(decoded);
    } else if (request->op == REQUEST_AUTH) {
        REQUIRE(request->key.size > 0 && request->key.size + request->value.size <= BINARY_LOGIN_MAX);
    } else if (request_is_on_server(request->op)) {
        bool is_detail = span_starts_with(request->text, SPAN("detail")); /* said in static words */
        REQUIRE((is_detail || lies_in(request->text, taken)) && request->text.size <= ITEM_KEY_MAX);
    } else if (request->op != REQUEST_QUIT && request->op != REQUEST_FLUSH_ALL) {
        check_keyed(request, extras);
    }
}

/* Takes one reply packet off the output. */
static struct span take_packet(struct span replies, const struct request *request)
{
    uint16_t key_size;
    uint32_t body_size;
    REQUIRE(replies.size >= BINARY_HEADER_SIZE);
    memcpy(&key_size, replies.data + 2, sizeof key_size);
    memcpy(&body_size, replies.data + 8, sizeof body_size);
    REQUIRE((uint8_t)replies.data[0] == BINARY_REPLY_MAGIC && (uint8_t)replies.data[1] == request->opcode);
    REQUIRE(memcmp(replies.data + 12, &request->opaque, sizeof request->opaque) == 0);
    REQUIRE(be32toh(body_size) >= (size_t)be16toh(key_size) + (uint8_t)replies.data[4]);
    REQUIRE(be32toh(body_size) <= replies.size - BINARY_HEADER_SIZE);
    return span_skip(replies, BINARY_HEADER_SIZE + be32toh(body_size));
}

static void encode(const struct request *request, const struct result *result, struct span values, struct buffer *replies)
{
    size_t before = buffer_size(replies);
    binary_encode(request, result, values, replies);
    struct span news = span_skip(buffer_content(replies), before);
    bool hides = request->op == REQUEST_QUIT || request->quiet;
    REQUIRE(news.size > 0 || hides);
    while (news.size > 0) {
        news = take_packet(news, request);
    }
}

/* Any result that command/ could come to, chosen by the request's own bytes, so that it does not depend on the split. */
static void answer(const struct request *request, struct buffer *replies)
{
    static const enum result_status gets[] = {RESULT_HIT, RESULT_NOT_FOUND, RESULT_REFUSED, RESULT_DENIED};
    static const enum result_status others[] = {
        RESULT_OK,          RESULT_NUMBER,    RESULT_STORED,        RESULT_NOT_STORED,  RESULT_EXISTS,  RESULT_NOT_FOUND,
        RESULT_NON_NUMERIC, RESULT_TOO_LARGE, RESULT_OUT_OF_MEMORY, RESULT_NOT_ALLOWED, RESULT_REFUSED, RESULT_STATS,
        RESULT_DENIED,      RESULT_UNAUTHENTICATED,
    };
    size_t choice = request->key.size + request->value.size + (size_t)request->exptime + request->opaque;
    struct span values = SPAN("name\0value\0");
    struct result result = {.text = SPAN("no"), .number = request->operand, .flags = request->opaque};
    bool is_get = request->op == REQUEST_GET || request->op == REQUEST_GAT;
    result.status = is_get ? gets[choice % 4] : others[choice % (sizeof others / sizeof *others)];
    if (result.status == RESULT_STATS || result.status == RESULT_HIT) {
        result.value_size = values.size;
    }
    encode(request, &result, values, replies);
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
        enum decode_status status = binary_decode(rest, limits, &extras, &decoded);
        if (status == DECODE_PARTIAL) {
            break;
        }
        if (status == DECODE_REQUEST) {
            check_request(&decoded, &extras, rest);
            answer(&decoded.request, &conversation->replies);
            rest = span_skip(rest, decoded.consumed);
            conversation->swallow = decoded.swallow;
        }
        conversation->is_closed = status == DECODE_CLOSE || decoded.closes;
    }
    conversation->taken = input.size - rest.size;
    free(copy);
}

static void check_split(struct span input, size_t split, const struct decode_limits *limits)
{
    struct conversation whole = {.taken = 0};
    struct conversation parts = {.taken = 0};
    feed(&whole, input, limits);
    feed(&parts, span_of(input.data, split), limits);
    feed(&parts, input, limits);
    REQUIRE(parts.is_closed == whole.is_closed && parts.taken == whole.taken && parts.swallow == whole.swallow);
    REQUIRE(span_equal(buffer_content(&parts.replies), buffer_content(&whole.replies)));
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
    const struct decode_limits limits = {.max_item_size = size % 2 == 0 ? 1024 * 1024 : 100, .has_login = size % 3 != 0};
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
