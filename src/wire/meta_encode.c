/* From results to the replies of meta commands: a status of two letters, then the flags that were asked for, in the order
 * in which they stood in the line. */
#include "base/base64.h"
#include "base/check.h"
#include "base/number.h"
#include "wire/ascii.h"
#include "wire/meta.h"
#include "wire/meta_parts.h"
#include "wire/size.h"

#define LINE_END SPAN("\r\n")
#define ENCODED_KEY_SIZE BASE64_SIZE(ITEM_KEY_MAX)

struct reply {
    const struct request *request;
    const struct result *result;
    const struct extras *extras;
    struct buffer *output;
};

static void append_number(struct buffer *output, uint64_t number)
{
    buffer_reserve(output, NUMBER_TEXT_SIZE);
    output->end += number_format_u64(output->data + output->end, number);
}

static void append_letter(struct buffer *output, char letter)
{
    buffer_reserve(output, 2);
    output->data[output->end++] = ' ';
    output->data[output->end++] = letter;
}

static void append_line(struct buffer *output, struct span text)
{
    buffer_append(output, text);
    buffer_append(output, LINE_END);
}

static void append_encoded_key(struct buffer *output, struct span key)
{
    CHECK(key.size <= ITEM_KEY_MAX);
    buffer_reserve(output, ENCODED_KEY_SIZE);
    output->end += base64_encode(key, output->data + output->end);
}

/* k, and b behind it when the key would not be one as it is. */
static void tell_key(const struct reply *reply)
{
    append_letter(reply->output, 'k');
    if (!meta_has_encoded_key(reply->request->op, reply->request->text)) {
        buffer_append(reply->output, reply->request->key);
        return;
    }
    append_encoded_key(reply->output, reply->request->key);
    append_letter(reply->output, META_BASE64);
}

/* 0 when nothing was stored or counted; what E asked for still stands in the extras then. */
static void tell_token(const struct reply *reply)
{
    enum result_status status = reply->result->status;
    bool is_told = status == RESULT_HIT || status == RESULT_STORED || status == RESULT_NUMBER;
    append_letter(reply->output, 'c');
    append_number(reply->output, is_told ? reply->extras->token : 0);
}

static void tell_client_flags(const struct reply *reply)
{
    append_letter(reply->output, 'f');
    append_number(reply->output, reply->result->flags);
}

static void append_seconds(struct buffer *output, int64_t seconds)
{
    if (seconds == -1) {
        buffer_append(output, SPAN("-1"));
    } else {
        append_number(output, seconds > 0 ? (uint64_t)seconds : 0);
    }
}

static void tell_remaining(const struct reply *reply)
{
    append_letter(reply->output, 't');
    append_seconds(reply->output, reply->extras->remaining_seconds);
}

static void tell_idle(const struct reply *reply)
{
    if (reply->extras->told & TELL_IDLE) {
        append_letter(reply->output, 'l');
        append_number(reply->output, reply->extras->idle_seconds > 0 ? (uint64_t)reply->extras->idle_seconds : 0);
    }
}

static void tell_history(const struct reply *reply)
{
    if (reply->extras->told & TELL_HISTORY) {
        append_letter(reply->output, 'h');
        append_number(reply->output, (reply->extras->told & TELL_HIT_BEFORE) != 0);
    }
}

static bool is_concatenation(enum request_op op)
{
    return op == REQUEST_APPEND || op == REQUEST_PREPEND;
}

/* A store tells the size of what it brought, unless that has been added to a value. */
static void tell_size(const struct reply *reply)
{
    bool is_stored_whole = reply->result->status == RESULT_HIT
                           || (is_concatenation(reply->request->op) && reply->result->status == RESULT_STORED);
    append_letter(reply->output, 's');
    append_number(reply->output, is_stored_whole ? reply->extras->size : reply->request->value.size);
}

typedef void teller(const struct reply *reply);

/* What the answer has for each of the flags, by what the request was and came to. */
static teller *teller_of(char flag, enum request_op op, enum result_status status)
{
    bool is_get = op == REQUEST_GET || op == REQUEST_GAT;
    bool is_store = op >= REQUEST_SET && op <= REQUEST_CAS;
    bool is_hit = is_get && status == RESULT_HIT;
    bool is_count = (op == REQUEST_INCR || op == REQUEST_DECR) && status == RESULT_NUMBER;
    switch (flag) {
    case 'k': return tell_key;
    case 'c': return is_hit || is_store || is_count ? tell_token : NULL;
    case 's': return is_hit || is_store ? tell_size : NULL;
    case 't': return is_hit || is_count ? tell_remaining : NULL;
    case 'f': return is_hit ? tell_client_flags : NULL;
    case 'h': return is_hit ? tell_history : NULL;
    case 'l': return is_hit ? tell_idle : NULL;
    default: return NULL;
    }
}

static void append_flags(const struct reply *reply)
{
    struct span flags = reply->request->text;
    struct span flag;
    while (ascii_next_key(&flags, &flag)) {
        if (flag.data[0] == META_OPAQUE) {
            buffer_append(reply->output, SPAN(" "));
            buffer_append(reply->output, flag);
            continue;
        }
        teller *tell = teller_of(flag.data[0], reply->request->op, reply->result->status);
        if (tell != NULL) tell(reply);
    }
}

/* Who is to refresh the item is told unasked, behind what was asked. */
static void append_marks(const struct reply *reply)
{
    uint32_t told = reply->extras->told;
    if (told & TELL_WON_BEFORE) append_letter(reply->output, 'Z');
    if (told & TELL_STALE) append_letter(reply->output, 'X');
    if (told & TELL_WON) append_letter(reply->output, 'W');
}

/* A status line with the value behind it, or without. A value without data is left out. */
static void append_found(const struct reply *reply, bool has_value, struct span value)
{
    if (has_value) {
        buffer_append(reply->output, SPAN("VA "));
        append_number(reply->output, value.size);
    } else {
        buffer_append(reply->output, SPAN("HD"));
    }
    append_flags(reply);
    append_marks(reply);
    buffer_append(reply->output, LINE_END);
    if (has_value) {
        append_line(reply->output, value.data != NULL ? value : SPAN(""));
    }
}

static void append_hit(const struct reply *reply, struct span values)
{
    uint32_t asks = reply->extras->asks;
    bool is_known = (asks & ASK_COMPARE) && reply->extras->token == reply->extras->compare;
    append_found(reply, !(asks & ASK_NO_VALUE) && !is_known, result_value(reply->result, values));
}

static void append_count(const struct reply *reply)
{
    char text[NUMBER_TEXT_SIZE];
    size_t size = number_format_u64(text, reply->result->number);
    append_found(reply, !(reply->extras->asks & ASK_NO_VALUE), span_of(text, size));
}

static void append_field(struct buffer *output, struct span name, uint64_t number)
{
    buffer_append(output, name);
    append_number(output, number);
}

/* cls is a slab class, of which there are none; agents expect one. */
static void append_debug(const struct reply *reply)
{
    struct buffer *output = reply->output;
    const struct request *request = reply->request;
    const struct extras *extras = reply->extras;
    buffer_append(output, SPAN("ME "));
    if (meta_has_encoded_key(REQUEST_DEBUG, request->text)) {
        append_encoded_key(output, request->key);
    } else {
        buffer_append(output, request->key);
    }
    buffer_append(output, SPAN(" exp="));
    append_seconds(output, extras->remaining_seconds);
    if (extras->told & TELL_IDLE) {
        append_field(output, SPAN(" la="), extras->idle_seconds > 0 ? (uint64_t)extras->idle_seconds : 0);
    }
    append_field(output, SPAN(" cas="), extras->token);
    if (extras->told & TELL_HISTORY) {
        buffer_append(output, extras->told & TELL_HIT_BEFORE ? SPAN(" fetch=yes") : SPAN(" fetch=no"));
    }
    append_field(output, SPAN(" cls=1 size="), item_size(request->key.size, reply->result->flags, extras->size));
    buffer_append(output, LINE_END);
}

/* The status of a result that brings nothing but that; empty when it is an error. */
static struct span code_of(enum request_op op, enum result_status status)
{
    switch (status) {
    case RESULT_OK:
    case RESULT_STORED: return SPAN("HD");
    case RESULT_EXISTS: return SPAN("EX");
    case RESULT_NOT_STORED: return SPAN("NS");
    case RESULT_TOO_LARGE: return is_concatenation(op) ? SPAN("NS") : SPAN("");
    case RESULT_NOT_FOUND: return op == REQUEST_GET || op == REQUEST_GAT ? SPAN("EN") : SPAN("NF");
    default: return SPAN("");
    }
}

static bool is_store(enum request_op op)
{
    return op >= REQUEST_SET && op <= REQUEST_CAS;
}

static void append_error(const struct reply *reply)
{
    const struct result *result = reply->result;
    switch (result->status) {
    case RESULT_REFUSED:
    case RESULT_DENIED:
        buffer_append(reply->output, result->status == RESULT_REFUSED ? SPAN("SERVER_ERROR ") : SPAN("CLIENT_ERROR "));
        append_line(reply->output, result->text);
        break;
    case RESULT_UNAUTHENTICATED:
        append_line(reply->output, SPAN("CLIENT_ERROR unauthenticated"));
        break;
    case RESULT_NON_NUMERIC:
        append_line(reply->output, SPAN("CLIENT_ERROR cannot increment or decrement non-numeric value"));
        break;
    case RESULT_OUT_OF_MEMORY:
        append_line(reply->output, is_store(reply->request->op) ? SPAN("SERVER_ERROR out of memory storing object")
                                                                : SPAN("SERVER_ERROR out of memory"));
        break;
    default:
        CHECK(result->status == RESULT_TOO_LARGE || reply->request->op == REQUEST_SET_TOO_LARGE);
        append_line(reply->output, SPAN("SERVER_ERROR object too large for cache"));
        break;
    }
}

/* What the quiet form does not send. */
static bool is_hidden(const struct request *request, enum result_status status)
{
    if (!request->quiet) return false;
    switch (request->op) {
    case REQUEST_GET:
    case REQUEST_GAT: return status == RESULT_NOT_FOUND;
    case REQUEST_DELETE: return status == RESULT_OK;
    case REQUEST_INCR:
    case REQUEST_DECR: return status == RESULT_NUMBER;
    default: return status == RESULT_STORED;
    }
}

static void append_outcome(const struct reply *reply)
{
    enum request_op op = reply->request->op;
    struct span code = op != REQUEST_SET_TOO_LARGE ? code_of(op, reply->result->status) : SPAN("");
    if (code.size == 0) {
        append_error(reply);
        return;
    }
    buffer_append(reply->output, code);
    append_flags(reply);
    buffer_append(reply->output, LINE_END);
}

static void append_debug_outcome(const struct reply *reply)
{
    switch (reply->result->status) {
    case RESULT_OK:
    case RESULT_HIT:
        append_debug(reply);
        break;
    case RESULT_NOT_FOUND:
        append_line(reply->output, SPAN("EN"));
        break;
    default:
        append_error(reply);
        break;
    }
}

void meta_encode(const struct request *request, const struct result *result, struct span values, struct buffer *output)
{
    const struct reply reply = {request, result, request->extras, output};
    if (is_hidden(request, result->status)) {
        return;
    }
    if (request->op == REQUEST_DEBUG) {
        append_debug_outcome(&reply);
    } else if (result->status == RESULT_HIT) {
        append_hit(&reply, values);
    } else if (result->status == RESULT_NUMBER) {
        append_count(&reply);
    } else {
        append_outcome(&reply);
    }
}

size_t meta_encode_around(const struct request *request, const struct result *result, struct buffer *output)
{
    const struct reply reply = {request, result, request->extras, output};
    append_found(&reply, true, span_of(NULL, result->value_size));
    return LINE_END.size;
}
