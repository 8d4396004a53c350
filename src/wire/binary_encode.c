/* From results to reply packets. */
#include "base/check.h"
#include "wire/binary_parts.h"

/* What stands behind a header; its parts in this order. A value without data is left out. */
struct body {
    struct span extras, key, value;
};

static char *put(char *at, struct span bytes)
{
    if (bytes.size > 0) {
        memcpy(at, bytes.data, bytes.size);
    }
    return at + bytes.size;
}

static char *put_u16(char *at, uint16_t number)
{
    uint16_t bytes = htobe16(number);
    memcpy(at, &bytes, sizeof bytes);
    return at + sizeof bytes;
}

static char *put_u32(char *at, uint32_t number)
{
    uint32_t bytes = htobe32(number);
    memcpy(at, &bytes, sizeof bytes);
    return at + sizeof bytes;
}

static char *put_u64(char *at, uint64_t number)
{
    uint64_t bytes = htobe64(number);
    memcpy(at, &bytes, sizeof bytes);
    return at + sizeof bytes;
}

/* The opcode comes back as it was asked, quiet or not, and the opaque as its bytes came. */
static void append_packet(const struct request *request, enum binary_status status, uint64_t cas,
                          const struct body *body, struct buffer *output)
{
    size_t body_size = body->extras.size + body->key.size + body->value.size;
    struct span value = body->value.data != NULL ? body->value : SPAN("");
    buffer_reserve(output, BINARY_HEADER_SIZE + body->extras.size + body->key.size + value.size);
    char *at = output->data + output->end;
    *at++ = (char)BINARY_REPLY_MAGIC;
    *at++ = (char)request->opcode;
    at = put_u16(at, (uint16_t)body->key.size);
    *at++ = (char)body->extras.size;
    *at++ = 0; /* data type */
    at = put_u16(at, (uint16_t)status);
    at = put_u32(at, (uint32_t)body_size);
    memcpy(at, &request->opaque, sizeof request->opaque);
    at = put_u64(at + sizeof request->opaque, cas);
    at = put(at, body->extras);
    at = put(at, body->key);
    at = put(at, value);
    output->end = (size_t)(at - output->data);
}

static void append_text(const struct request *request, enum binary_status status, struct span text,
                        struct buffer *output)
{
    append_packet(request, status, 0, &(struct body){.value = text}, output);
}

static bool returns_key(uint8_t opcode)
{
    return opcode == OPCODE_GETK || opcode == OPCODE_GETKQ || opcode == OPCODE_GATK || opcode == OPCODE_GATKQ;
}

static void append_hit(const struct request *request, const struct result *result, struct span value,
                       struct buffer *output)
{
    char flags[4];
    put_u32(flags, result->flags);
    const struct body body = {
        .extras = span_of(flags, sizeof flags),
        .key = returns_key(request->opcode) ? request->key : SPAN(""),
        .value = value,
    };
    append_packet(request, BINARY_OK, result->number, &body, output);
}

/* A quiet get hides that it missed. Where the key is asked for, it stands in the text's place. */
static void append_miss(const struct request *request, struct buffer *output)
{
    if (request->quiet) {
        return;
    }
    if (returns_key(request->opcode)) {
        append_packet(request, BINARY_NOT_FOUND, 0, &(struct body){.key = request->key}, output);
    } else {
        append_text(request, BINARY_NOT_FOUND, binary_error_text(BINARY_NOT_FOUND), output);
    }
}

/* Takes what stands before the next NUL off the pairs. */
static struct span take_text(struct span *pairs)
{
    const char *nul = memchr(pairs->data, '\0', pairs->size);
    CHECK(nul != NULL);
    struct span text = span_of(pairs->data, (size_t)(nul - pairs->data));
    *pairs = span_skip(*pairs, text.size + 1);
    return text;
}

/* A packet for each pair, and one without a name at the end. */
static void append_stats(const struct request *request, struct span pairs, struct buffer *output)
{
    while (pairs.size > 0) {
        struct span name = take_text(&pairs);
        struct span value = take_text(&pairs);
        append_packet(request, BINARY_OK, 0, &(struct body){.key = name, .value = value}, output);
    }
    append_text(request, BINARY_OK, SPAN(""), output);
}

static void append_number(const struct request *request, const struct result *result, struct buffer *output)
{
    char number[8];
    put_u64(number, result->number);
    uint64_t token = request->extras != NULL ? request->extras->token : 0;
    append_packet(request, BINARY_OK, token, &(struct body){.value = span_of(number, sizeof number)}, output);
}

/* What succeeded and has neither value nor number. */
static void append_success(const struct request *request, const struct result *result, struct buffer *output)
{
    uint64_t token = 0;
    char flags[4];
    struct body body = {.value = SPAN("")};
    if (request->want_cas) {
        token = request->extras != NULL ? request->extras->token : result->number;
    }
    if (request->op == REQUEST_TOUCH) {
        put_u32(flags, result->flags);
        body.extras = span_of(flags, sizeof flags);
    } else if (request->op == REQUEST_AUTH) {
        body.value = SPAN("Authenticated");
    }
    append_packet(request, BINARY_OK, token, &body, output);
}

/* What the engine refuses is a temporary failure: libmemcached makes an error of it that the caller sees, and connects anew.
 * It takes Not Stored for an ordinary answer. */
static enum binary_status general_status(enum result_status status)
{
    static const uint8_t statuses[] = {
        [RESULT_NOT_STORED] = BINARY_NOT_STORED,
        [RESULT_EXISTS] = BINARY_EXISTS,
        [RESULT_NOT_FOUND] = BINARY_NOT_FOUND,
        [RESULT_NON_NUMERIC] = BINARY_NON_NUMERIC,
        [RESULT_TOO_LARGE] = BINARY_TOO_LARGE,
        [RESULT_OUT_OF_MEMORY] = BINARY_OUT_OF_MEMORY,
        [RESULT_NOT_ALLOWED] = BINARY_AUTH_ERROR,
        [RESULT_REFUSED] = BINARY_TEMPORARY_FAILURE,
        [RESULT_DENIED] = BINARY_AUTH_ERROR,
        [RESULT_UNAUTHENTICATED] = BINARY_AUTH_ERROR,
    };
    CHECK(status < sizeof statuses && statuses[status] != BINARY_OK);
    return statuses[status];
}

/* Where an operation has its own status for a failure. */
static enum binary_status status_of(enum request_op op, enum result_status status)
{
    static const struct {
        enum request_op op;
        enum result_status status;
        enum binary_status own;
    } own[] = {
        {REQUEST_ADD, RESULT_NOT_STORED, BINARY_EXISTS},
        {REQUEST_REPLACE, RESULT_NOT_STORED, BINARY_NOT_FOUND},
        /* The sum of both values is too large; an appended value that is so by itself never gets here. */
        {REQUEST_APPEND, RESULT_TOO_LARGE, BINARY_NOT_STORED},
        {REQUEST_PREPEND, RESULT_TOO_LARGE, BINARY_NOT_STORED},
        {REQUEST_AUTH, RESULT_NOT_ALLOWED, BINARY_UNKNOWN_COMMAND},
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (own[i].op == op && own[i].status == status) {
            return own[i].own;
        }
    }
    return general_status(status);
}

static void append_failure(const struct request *request, const struct result *result, struct buffer *output)
{
    enum binary_status status = status_of(request->op, result->status);
    bool has_reason = result->status == RESULT_REFUSED || result->status == RESULT_DENIED;
    struct span text = has_reason && result->text.size > 0 ? result->text : binary_error_text(status);
    append_text(request, status, text, output);
}

static bool is_refused(enum result_status status)
{
    return status == RESULT_REFUSED || status == RESULT_DENIED || status == RESULT_UNAUTHENTICATED;
}

static void append_reply(const struct request *request, struct buffer *output)
{
    if (request->opcode == OPCODE_STAT && request->flags == BINARY_OK) {
        append_stats(request, request->text, output);
    } else {
        append_text(request, request->flags, request->text, output);
    }
}

static void append_outcome(const struct request *request, const struct result *result, struct span values,
                           struct buffer *output)
{
    bool is_get = request->op == REQUEST_GET || request->op == REQUEST_GAT;
    switch (result->status) {
    case RESULT_HIT:
        append_hit(request, result, result_value(result, values), output);
        break;
    case RESULT_STATS:
        append_stats(request, result_value(result, values), output);
        break;
    case RESULT_OK:
    case RESULT_STORED:
        if (!request->quiet) {
            append_success(request, result, output);
        }
        break;
    case RESULT_NUMBER:
        if (!request->quiet) {
            append_number(request, result, output);
        }
        break;
    default:
        if (is_get && result->status == RESULT_NOT_FOUND) {
            append_miss(request, output);
        } else {
            append_failure(request, result, output);
        }
        break;
    }
}

void binary_encode(const struct request *request, const struct result *result, struct span values,
                   struct buffer *output)
{
    if (request->op == REQUEST_REPLY) {
        append_reply(request, output);
    } else if (request->op == REQUEST_SET_TOO_LARGE && !is_refused(result->status)) {
        append_text(request, BINARY_TOO_LARGE, binary_error_text(BINARY_TOO_LARGE), output);
    } else if (request->op != REQUEST_QUIT) {
        append_outcome(request, result, values, output);
    }
}

size_t binary_encode_around(const struct request *request, const struct result *result, struct buffer *output)
{
    append_hit(request, result, span_of(NULL, result->value_size), output);
    return 0;
}
