/* From results to memcached's words. */
#include "base/check.h"
#include "base/number.h"
#include "wire/ascii.h"
#include "wire/meta.h"

#define LINE_END SPAN("\r\n")
#define END_LINE SPAN("END\r\n")
/* What a hit adds to its key and its value: "VALUE ", three numbers, spaces, line ends, END. */
#define HIT_WORDS_SIZE (6 + 3 * (1 + NUMBER_TEXT_SIZE) + 2 + 2 + 5)

/* Writes behind what was reserved; the caller has counted. */
static char *put(char *at, struct span bytes)
{
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static char *put_number(char *at, uint64_t number)
{
    *at++ = ' ';
    return at + number_format_u64(at, number);
}

static void append_line(struct buffer *output, struct span text)
{
    buffer_reserve(output, text.size + LINE_END.size);
    char *at = output->data + output->end;
    at = put(at, text);
    at = put(at, LINE_END);
    output->end = (size_t)(at - output->data);
}

/* What the engine's state forbids is the server's matter, what the user may not is the client's. */
static void append_refusal(struct buffer *output, const struct result *result)
{
    buffer_append(output, result->status == RESULT_REFUSED ? SPAN("SERVER_ERROR ") : SPAN("CLIENT_ERROR "));
    append_line(output, result->text);
}

static bool is_refusal(enum result_status status)
{
    return status == RESULT_REFUSED || status == RESULT_DENIED;
}

/* A value without data is left out. */
static void append_hit(const struct request *request, const struct result *result, struct span value,
                       struct buffer *output)
{
    struct span bytes = value.data != NULL ? value : SPAN("");
    buffer_reserve(output, HIT_WORDS_SIZE + request->key.size + bytes.size);
    char *at = output->data + output->end;
    at = put(at, SPAN("VALUE "));
    at = put(at, request->key);
    at = put_number(at, result->flags);
    at = put_number(at, value.size);
    if (request->want_cas) {
        at = put_number(at, result->number);
    }
    at = put(at, LINE_END);
    if (bytes.size > 0) {
        at = put(at, bytes);
    }
    at = put(at, LINE_END);
    if (request->ends_reply) {
        at = put(at, END_LINE);
    }
    output->end = (size_t)(at - output->data);
}

static void append_number(struct buffer *output, uint64_t number)
{
    char text[NUMBER_TEXT_SIZE];
    append_line(output, span_of(text, number_format_u64(text, number)));
}

/* By far the busiest of all words. */
static void append_stored(struct buffer *output)
{
    const struct span line = SPAN("STORED\r\n");
    buffer_reserve(output, line.size);
    put(output->data + output->end, line);
    output->end += line.size;
}

/* The words for a result that carries nothing else. */
static struct span status_words(enum result_status status)
{
    static const struct span words[] = {
        [RESULT_OK] = SPAN("OK"),
        [RESULT_NOT_STORED] = SPAN("NOT_STORED"),
        [RESULT_EXISTS] = SPAN("EXISTS"),
        [RESULT_NOT_FOUND] = SPAN("NOT_FOUND"),
        [RESULT_NON_NUMERIC] = SPAN("CLIENT_ERROR cannot increment or decrement non-numeric value"),
        [RESULT_TOO_LARGE] = SPAN("SERVER_ERROR object too large for cache"),
        [RESULT_OUT_OF_MEMORY] = SPAN("SERVER_ERROR out of memory storing object"),
        [RESULT_NOT_ALLOWED] = SPAN("CLIENT_ERROR flush_all not allowed"),
        [RESULT_UNAUTHENTICATED] = SPAN("CLIENT_ERROR unauthenticated"),
    };
    CHECK(status < sizeof words / sizeof *words && words[status].size > 0);
    return words[status];
}

struct own_words {
    enum request_op op;
    struct span words;
};

/* Where operations have their own words for a result; by the result, because the busy ones have none. */
static const struct own_words *own_words(enum result_status status)
{
    static const struct own_words none[] = {{0}};
    static const struct own_words ok[] = {{REQUEST_DELETE, SPAN("DELETED")}, {REQUEST_TOUCH, SPAN("TOUCHED")},
                                          {REQUEST_STATS, SPAN("RESET")}, {REQUEST_AUTH, SPAN("STORED")}, {0}};
    static const struct own_words not_found[] = {{REQUEST_WATCH, SPAN("ERROR")}, {REQUEST_STATS, SPAN("ERROR")},
                                                 {REQUEST_SHUTDOWN, SPAN("CLIENT_ERROR invalid shutdown mode")}, {0}};
    static const struct own_words not_allowed[] = {
        {REQUEST_WATCH, SPAN("WATCHER_TOO_MANY log watcher limit reached")},
        {REQUEST_REFRESH_CERTS, SPAN("Error TLS not enabled")},
        {REQUEST_SHUTDOWN, SPAN("ERROR: shutdown not enabled")}, {0}};
    static const struct own_words unauthenticated[] = {{REQUEST_AUTH, SPAN("CLIENT_ERROR authentication failure")}, {0}};
    /* The sum of both values is too large; an appended value that is so by itself never gets here. */
    static const struct own_words too_large[] = {{REQUEST_APPEND, SPAN("NOT_STORED")}, {REQUEST_PREPEND, SPAN("NOT_STORED")}, {0}};
    static const struct own_words out_of_memory[] = {{REQUEST_INCR, SPAN("SERVER_ERROR out of memory")},
                                                     {REQUEST_DECR, SPAN("SERVER_ERROR out of memory")}, {0}};
    static const struct own_words *const by_status[RESULT_STATUSES] = {
        [RESULT_OK] = ok, [RESULT_NOT_FOUND] = not_found, [RESULT_NOT_ALLOWED] = not_allowed,
        [RESULT_UNAUTHENTICATED] = unauthenticated, [RESULT_TOO_LARGE] = too_large, [RESULT_OUT_OF_MEMORY] = out_of_memory};
    return by_status[status] != NULL ? by_status[status] : none;
}

static struct span words_of(enum request_op op, enum result_status status)
{
    for (const struct own_words *own = own_words(status); own->words.size > 0; own++) {
        if (own->op == op) {
            return own->words;
        }
    }
    return status_words(status);
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

static void append_stats(const struct result *result, struct span values, struct buffer *output)
{
    struct span pairs = result_value(result, values);
    while (pairs.size > 0) {
        buffer_append(output, SPAN("STAT "));
        buffer_append(output, take_text(&pairs));
        buffer_append(output, SPAN(" "));
        append_line(output, take_text(&pairs));
    }
    buffer_append(output, END_LINE);
}

/* An error of a get stands in END's place: one line says it for all keys. */
static void append_fetch(const struct request *request, const struct result *result, struct span values,
                         struct buffer *output)
{
    if (result->status == RESULT_HIT) {
        append_hit(request, result, result_value(result, values), output);
    } else if (!request->ends_reply) {
        return;
    } else if (result->status == RESULT_NOT_FOUND) {
        buffer_append(output, END_LINE);
    } else if (is_refusal(result->status)) {
        append_refusal(output, result);
    } else {
        append_line(output, status_words(result->status));
    }
}

static void append_outcome(const struct request *request, const struct result *result, struct span values,
                           struct buffer *output)
{
    if (is_refusal(result->status)) {
        append_refusal(output, result);
    } else if (request->op == REQUEST_SET_TOO_LARGE) {
        append_line(output, status_words(RESULT_TOO_LARGE));
    } else if (result->status == RESULT_STORED) {
        append_stored(output);
    } else if (result->status == RESULT_NUMBER) {
        append_number(output, result->number);
    } else if (result->status == RESULT_STATS) {
        append_stats(result, values, output);
    } else {
        append_line(output, words_of(request->op, result->status));
    }
}

void ascii_encode(const struct request *request, const struct result *result, struct span values, struct buffer *output)
{
    if (request->extras != NULL) {
        meta_encode(request, result, values, output);
        return;
    }
    /* To a shutdown memcached answers with the end of the connection. */
    bool shuts_down = request->op == REQUEST_SHUTDOWN && result->status == RESULT_OK;
    if (request->quiet || request->op == REQUEST_QUIT || shuts_down) {
        return;
    }
    switch (request->op) {
    case REQUEST_REPLY:
        append_line(output, request->text);
        break;
    case REQUEST_GET:
    case REQUEST_GAT:
        append_fetch(request, result, values, output);
        break;
    default:
        append_outcome(request, result, values, output);
        break;
    }
}

size_t ascii_encode_around(const struct request *request, const struct result *result, struct buffer *output)
{
    if (request->extras != NULL) {
        return meta_encode_around(request, result, output);
    }
    append_hit(request, result, span_of(NULL, result->value_size), output);
    return LINE_END.size + (request->ends_reply ? END_LINE.size : 0);
}
