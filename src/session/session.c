/* Decoding cuts the input into requests one by one until the batch is full or the input ends inside a request. A get
 * line may hold more keys than a batch has room for; what is left of it waits in the session, as spans into the input,
 * and opens the next batch. */
#include "session/session.h"

#include "wire/ascii.h"
#include "wire/binary.h"

/* A protocol that a connection may speak. */
struct dialect {
    enum decode_status (*decode)(struct span input, const struct decode_limits *limits, struct extras *extras,
                                 struct decoded *decoded);
    void (*encode)(const struct request *request, const struct result *result, struct span values, struct buffer *output);
    bool has_lines; /* requests end, or begin, with a line */
};

static const struct dialect ascii = {ascii_decode, ascii_encode, true};
static const struct dialect binary = {binary_decode, binary_encode, false};

/* The first byte of a connection decides what it speaks. */
static const struct dialect *detect_dialect(char first)
{
    return (unsigned char)first == BINARY_REQUEST_MAGIC ? &binary : &ascii;
}

void session_init(struct session *session, const struct options *options, struct counters *counters)
{
    *session = (struct session){.options = options, .counters = counters};
}

/* Skips what has come of a refused value. */
static void swallow_input(struct session *session, struct buffer *input)
{
    size_t here = buffer_size(input) < session->swallow ? buffer_size(input) : session->swallow;
    if (here > 0) {
        buffer_consume(input, here);
        session->swallow -= here;
    }
}

/* Moves keys of the get line into the batch, one message each, as many as fit. */
static void cut_get(struct session *session, struct batch *batch)
{
    struct message *message = NULL;
    struct span key;
    while (!batch_is_full(batch) && ascii_next_key(&session->get_keys, &key)) {
        message = batch_add(batch);
        message->request = session->get;
        message->request.key = key;
    }
    session->in_get = session->get_keys.size > 0;
    if (!session->in_get && message != NULL) {
        message->request.ends_reply = true;
    }
}

/* memcached lets nothing stand before these in one packet, because their connection leaves the ordinary way of replies. */
static struct span pipeline_refusal(enum request_op op)
{
    switch (op) {
    case REQUEST_METADUMP: return SPAN("ERROR cannot pipeline other commands before metadump");
    case REQUEST_MGDUMP: return SPAN("ERROR cannot pipeline other commands before mgdump");
    case REQUEST_WATCH: return SPAN("ERROR cannot pipeline other commands before watch");
    default: return SPAN("");
    }
}

static void add_request(struct session *session, const struct decoded *decoded, struct batch *batch)
{
    if (decoded->request.op == REQUEST_GET || decoded->request.op == REQUEST_GAT) {
        if (decoded->keys.size > 0) {
            session->get = decoded->request;
            session->get_keys = decoded->keys;
            cut_get(session, batch);
            return;
        }
    }
    struct span refusal = batch->count > 0 ? pipeline_refusal(decoded->request.op) : SPAN("");
    batch_add(batch)->request = refusal.size == 0 ? decoded->request : (struct request){.op = REQUEST_REPLY, .text = refusal};
}

static void accept_request(struct session *session, const struct decoded *decoded, struct batch *batch)
{
    session->swallow = decoded->swallow;
    if (decoded->is_too_large) {
        counter_add(session->counters, COUNTER_STORE_TOO_LARGE, 1);
    }
    session->is_closing = decoded->closes || decoded->request.op == REQUEST_QUIT;
    if (decoded->request.op != REQUEST_QUIT) {
        add_request(session, decoded, batch);
    }
    session->is_watching = batch->count > 0 && batch->messages[batch->count - 1].request.op == REQUEST_WATCH;
}

/* True when the input has only grown by more of a line that did not end before, so that decoding it again could not
 * tell anything new. Without this, a long get line that drips in would be read from its beginning for every drop. */
static bool is_still_lineless(struct session *session, struct span input)
{
    if (session->lineless == 0) {
        return false;
    }
    CHECK(session->lineless <= input.size);
    struct span news = span_skip(input, session->lineless);
    bool crosses_limit = input.size > ASCII_GET_LINE_MAX
                         || (input.size > ASCII_LINE_MAX && session->lineless <= ASCII_LINE_MAX);
    if (crosses_limit || (news.size > 0 && memchr(news.data, '\n', news.size) != NULL)) {
        session->lineless = 0;
        return false;
    }
    session->lineless = input.size;
    return true;
}

static void remember_partial(struct session *session, struct span input)
{
    bool has_line = memchr(input.data, '\n', input.size) != NULL;
    session->lineless = has_line ? 0 : input.size;
}

/* Takes one request off the input; false when there is none. */
static bool decode_request(struct session *session, const struct decode_limits *limits, struct buffer *input,
                           struct batch *batch)
{
    swallow_input(session, input);
    if (session->is_watching) {
        buffer_consume(input, session->watcher != NULL ? buffer_size(input) : 0);
        return false;
    }
    if (session->is_closing || buffer_size(input) == 0 || is_still_lineless(session, buffer_content(input))) {
        return false;
    }
    if (session->dialect == NULL) {
        session->dialect = detect_dialect(buffer_content(input).data[0]);
    }
    struct decoded decoded;
    switch (session->dialect->decode(buffer_content(input), limits, batch_extras(batch), &decoded)) {
    case DECODE_REQUEST:
        buffer_consume(input, decoded.consumed);
        accept_request(session, &decoded, batch);
        return true;
    case DECODE_CLOSE:
        session->is_closing = true;
        return false;
    case DECODE_PARTIAL:
        if (session->dialect->has_lines) {
            remember_partial(session, buffer_content(input));
        }
        return false;
    }
    return false;
}

static bool is_all_local(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!request_is_local(batch->messages[i].request.op)) {
            return false;
        }
    }
    return true;
}

enum session_verdict session_decode(struct session *session, struct buffer *input, struct batch *batch)
{
    CHECK(batch->count == 0);
    const struct decode_limits limits = {.max_item_size = (size_t)option_get(session->options, max_item_size)};
    if (session->in_get) {
        cut_get(session, batch);
    }
    while (!batch_is_full(batch) && decode_request(session, &limits, input, batch)) {
    }
    if (batch->count > 0) {
        batch->is_local = is_all_local(batch);
        return SESSION_HAS_BATCH;
    }
    return session->is_closing ? SESSION_CLOSES : SESSION_NEEDS_INPUT;
}

/* What has come of a reply in parts. If it goes on, the message is to be executed again. */
static void encode_part(struct batch *batch, struct message *message, struct span values, struct buffer *output)
{
    const struct result *result = &message->result;
    CHECK(result->value_offset <= values.size && result->value_size <= values.size - result->value_offset);
    buffer_append(output, span_of(values.data + result->value_offset, result->value_size));
    if (result->number == 0) {
        batch->encoded++;
        return;
    }
    message->request.operand = result->number;
    message->result = (struct result){.status = RESULT_PENDING};
    batch->executed = batch->encoded;
}

/* The connection becomes a watcher behind the OK, or goes on as before. */
static void start_watching(struct session *session, struct result *result)
{
    session->is_watching = result->status == RESULT_OK;
    if (!session->is_watching) {
        return;
    }
    session->watcher = watcher_new(session->hub, (uint32_t)result->number, session->bell, session->owner);
    if (session->watcher == NULL) {
        session->is_watching = false;
        result->status = RESULT_NOT_ALLOWED;
    }
}

bool session_encode(struct session *session, struct batch *batch, struct buffer *output, size_t limit)
{
    const struct span values = batch->values.data != NULL ? buffer_content(&batch->values) : SPAN("");
    while (batch_is_due(batch) && buffer_size(output) < limit) {
        struct message *message = &batch->messages[batch->encoded];
        if (message->result.status == RESULT_PART) {
            encode_part(batch, message, values, output);
            continue;
        }
        if (message->request.op == REQUEST_WATCH) {
            start_watching(session, &message->result);
        }
        session->dialect->encode(&message->request, &message->result, values, output);
        batch->encoded++;
    }
    return !(session->is_closing && batch->encoded == batch->count);
}

bool session_has_more(const struct session *session, const struct buffer *input)
{
    return session->in_get || (!session->is_closing && buffer_size(input) > session->swallow);
}
