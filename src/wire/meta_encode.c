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
/* What a reply holds at the very most beside a key, a value, what the client's flags are told (O), and a refusal's words: a number
 * for each flag, of which there are fewer than meta.c lets through words, or what me tells. */
#define WORDS_SIZE (META_WORDS_MAX * (2 + NUMBER_TEXT_SIZE) + 128)

struct reply {
    const struct request *request;
    const struct result *result;
    const struct extras *extras;
    char *at; /* where the next byte goes; there is room for all of them */
};

static void put(struct reply *reply, struct span bytes)
{
    if (bytes.size > 0) memcpy(reply->at, bytes.data, bytes.size);
    reply->at += bytes.size;
}

static void put_number(struct reply *reply, uint64_t number)
{
    reply->at += number_format_u64(reply->at, number);
}

static void put_letter(struct reply *reply, char letter)
{
    *reply->at++ = ' ';
    *reply->at++ = letter;
}

static void put_line(struct reply *reply, struct span text)
{
    put(reply, text);
    put(reply, LINE_END);
}

static void put_encoded_key(struct reply *reply, struct span key)
{
    CHECK(key.size <= ITEM_KEY_MAX);
    reply->at += base64_encode(key, reply->at);
}

/* k, and b behind it when the key would not be one as it is. */
static void tell_key(struct reply *reply)
{
    put_letter(reply, 'k');
    if (!meta_has_encoded_key(reply->request->op, reply->request->text)) {
        put(reply, reply->request->key);
        return;
    }
    put_encoded_key(reply, reply->request->key);
    put_letter(reply, META_BASE64);
}

/* 0 when nothing was stored or counted; what E asked for still stands in the extras then. */
static void tell_token(struct reply *reply)
{
    enum result_status status = reply->result->status;
    bool is_told = status == RESULT_HIT || status == RESULT_STORED || status == RESULT_NUMBER;
    put_letter(reply, 'c');
    put_number(reply, is_told ? reply->extras->token : 0);
}

static void tell_client_flags(struct reply *reply)
{
    put_letter(reply, 'f');
    put_number(reply, reply->result->flags);
}

static void put_seconds(struct reply *reply, int64_t seconds)
{
    if (seconds == -1) {
        put(reply, SPAN("-1"));
    } else {
        put_number(reply, seconds > 0 ? (uint64_t)seconds : 0);
    }
}

static void tell_remaining(struct reply *reply)
{
    put_letter(reply, 't');
    put_seconds(reply, reply->extras->remaining_seconds);
}

static void tell_idle(struct reply *reply)
{
    if (reply->extras->told & TELL_IDLE) {
        put_letter(reply, 'l');
        put_number(reply, reply->extras->idle_seconds > 0 ? (uint64_t)reply->extras->idle_seconds : 0);
    }
}

static void tell_history(struct reply *reply)
{
    if (reply->extras->told & TELL_HISTORY) {
        put_letter(reply, 'h');
        put_number(reply, (reply->extras->told & TELL_HIT_BEFORE) != 0);
    }
}

static bool is_concatenation(enum request_op op)
{
    return op == REQUEST_APPEND || op == REQUEST_PREPEND;
}

/* A store tells the size of what it brought, unless that has been added to a value. */
static void tell_size(struct reply *reply)
{
    bool is_stored_whole = reply->result->status == RESULT_HIT
                           || (is_concatenation(reply->request->op) && reply->result->status == RESULT_STORED);
    put_letter(reply, 's');
    put_number(reply, is_stored_whole ? reply->extras->size : reply->request->value.size);
}

typedef void teller(struct reply *reply);

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

/* The letters that some answer has something for. */
#define TOLD                                                                                                              \
    (META_LETTER('k') | META_LETTER('c') | META_LETTER('s') | META_LETTER('t') | META_LETTER('f') | META_LETTER('h')      \
     | META_LETTER('l') | META_LETTER(META_OPAQUE))

static void put_flag(struct reply *reply, struct span flag)
{
    char letter = flag.data[0];
    if (letter == META_OPAQUE) {
        *reply->at++ = ' ';
        put(reply, flag);
        return;
    }
    teller *tell = teller_of(letter, reply->request->op, reply->result->status);
    if (tell != NULL) tell(reply);
}

/* Most words are a letter, and most letters are told nothing about. */
static void put_flags(struct reply *reply)
{
    const char *at = reply->request->text.data, *end = at + reply->request->text.size;
    while (at < end) {
        const char *word = at;
        while (at < end && *at != ' ') at++;
        if (at > word && *word >= 'A' && (TOLD & META_LETTER(*word))) put_flag(reply, span_of(word, (size_t)(at - word)));
        at++;
    }
}

/* Who is to refresh the item is told unasked, behind what was asked. */
static void put_marks(struct reply *reply)
{
    uint32_t told = reply->extras->told;
    if (told & TELL_WON_BEFORE) put_letter(reply, 'Z');
    if (told & TELL_STALE) put_letter(reply, 'X');
    if (told & TELL_WON) put_letter(reply, 'W');
}

/* A status line with the value behind it, or without. A value without data is left out. */
static void put_found(struct reply *reply, bool has_value, struct span value)
{
    if (has_value) {
        put(reply, SPAN("VA "));
        put_number(reply, value.size);
    } else {
        put(reply, SPAN("HD"));
    }
    put_flags(reply);
    put_marks(reply);
    put(reply, LINE_END);
    if (has_value) {
        put_line(reply, value.data != NULL ? value : SPAN(""));
    }
}

static void put_hit(struct reply *reply, struct span values)
{
    uint32_t asks = reply->extras->asks;
    bool is_known = (asks & ASK_COMPARE) && reply->extras->token == reply->extras->compare;
    put_found(reply, !(asks & ASK_NO_VALUE) && !is_known, result_value(reply->result, values));
}

static void put_count(struct reply *reply)
{
    char text[NUMBER_TEXT_SIZE];
    size_t size = number_format_u64(text, reply->result->number);
    put_found(reply, !(reply->extras->asks & ASK_NO_VALUE), span_of(text, size));
}

static void put_field(struct reply *reply, struct span name, uint64_t number)
{
    put(reply, name);
    put_number(reply, number);
}

/* cls is a slab class, of which there are none; agents expect one. */
static void put_debug(struct reply *reply)
{
    const struct request *request = reply->request;
    const struct extras *extras = reply->extras;
    put(reply, SPAN("ME "));
    if (meta_has_encoded_key(REQUEST_DEBUG, request->text)) {
        put_encoded_key(reply, request->key);
    } else {
        put(reply, request->key);
    }
    put(reply, SPAN(" exp="));
    put_seconds(reply, extras->remaining_seconds);
    if (extras->told & TELL_IDLE) {
        put_field(reply, SPAN(" la="), extras->idle_seconds > 0 ? (uint64_t)extras->idle_seconds : 0);
    }
    put_field(reply, SPAN(" cas="), extras->token);
    if (extras->told & TELL_HISTORY) {
        put(reply, extras->told & TELL_HIT_BEFORE ? SPAN(" fetch=yes") : SPAN(" fetch=no"));
    }
    put_field(reply, SPAN(" cls=1 size="), item_size(request->key.size, reply->result->flags, extras->size));
    put(reply, LINE_END);
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

static void put_error(struct reply *reply)
{
    const struct result *result = reply->result;
    switch (result->status) {
    case RESULT_REFUSED:
    case RESULT_DENIED:
        put(reply, result->status == RESULT_REFUSED ? SPAN("SERVER_ERROR ") : SPAN("CLIENT_ERROR "));
        put_line(reply, result->text);
        break;
    case RESULT_UNAUTHENTICATED:
        put_line(reply, SPAN("CLIENT_ERROR unauthenticated"));
        break;
    case RESULT_NON_NUMERIC:
        put_line(reply, SPAN("CLIENT_ERROR cannot increment or decrement non-numeric value"));
        break;
    case RESULT_OUT_OF_MEMORY:
        put_line(reply, is_store(reply->request->op) ? SPAN("SERVER_ERROR out of memory storing object")
                                                                : SPAN("SERVER_ERROR out of memory"));
        break;
    default:
        CHECK(result->status == RESULT_TOO_LARGE || reply->request->op == REQUEST_SET_TOO_LARGE);
        put_line(reply, SPAN("SERVER_ERROR object too large for cache"));
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

static void put_outcome(struct reply *reply)
{
    enum request_op op = reply->request->op;
    struct span code = op != REQUEST_SET_TOO_LARGE ? code_of(op, reply->result->status) : SPAN("");
    if (code.size == 0) {
        put_error(reply);
        return;
    }
    put(reply, code);
    put_flags(reply);
    put(reply, LINE_END);
}

static void put_debug_outcome(struct reply *reply)
{
    switch (reply->result->status) {
    case RESULT_OK:
    case RESULT_HIT:
        put_debug(reply);
        break;
    case RESULT_NOT_FOUND:
        put_line(reply, SPAN("EN"));
        break;
    default:
        put_error(reply);
        break;
    }
}

/* Makes room for all of a reply, with so many bytes of a value. */
static struct reply begin_reply(const struct request *request, const struct result *result, size_t value_size,
                                struct buffer *output)
{
    size_t words_size = WORDS_SIZE + request->text.size + result->text.size;
    buffer_reserve(output, words_size + request->key.size + ENCODED_KEY_SIZE + value_size);
    return (struct reply){request, result, request->extras, output->data + output->end};
}

void meta_encode(const struct request *request, const struct result *result, struct span values, struct buffer *output)
{
    if (is_hidden(request, result->status)) {
        return;
    }
    struct reply reply = begin_reply(request, result, result->value_size, output);
    if (request->op == REQUEST_DEBUG) {
        put_debug_outcome(&reply);
    } else if (result->status == RESULT_HIT) {
        put_hit(&reply, values);
    } else if (result->status == RESULT_NUMBER) {
        put_count(&reply);
    } else {
        put_outcome(&reply);
    }
    output->end = (size_t)(reply.at - output->data);
}

size_t meta_encode_around(const struct request *request, const struct result *result, struct buffer *output)
{
    struct reply reply = begin_reply(request, result, 0, output);
    put_found(&reply, true, span_of(NULL, result->value_size));
    output->end = (size_t)(reply.at - output->data);
    return LINE_END.size;
}
