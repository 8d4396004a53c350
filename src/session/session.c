/* Decoding cuts the input into requests one by one until the batch is full or the input ends inside a request. A get
 * line may hold more keys than a batch has room for; what is left of it waits in the session, as spans into the input,
 * and opens the next batch. */
#include "session/session.h"

#include "session/answers.h"
#include "session/login.h"
#include "wire/ascii.h"
#include "wire/binary.h"

typedef enum decode_status decoder(struct span input, const struct decode_limits *limits, struct extras *extras,
                                   struct decoded *decoded);

/* A protocol that a connection may speak. */
struct dialect {
    decoder *decode;
    decoder *decode_login; /* for clients that have to log in first */
    void (*encode)(const struct request *request, const struct result *result, struct span values, struct buffer *output);
    size_t (*encode_around)(const struct request *request, const struct result *result, struct buffer *output);
    bool has_lines; /* requests end, or begin, with a line */
};

static const struct dialect ascii = {ascii_decode, ascii_decode_login, ascii_encode, ascii_encode_around, true};
static const struct dialect binary = {binary_decode, binary_decode_before_login, binary_encode, binary_encode_around, false};

/* The first byte of a connection decides what it speaks, unless all have to speak the same. */
static const struct dialect *detect_dialect(const struct options *options, char first)
{
    int protocol = option_get(options, protocol);
    if (protocol == PROTOCOL_AUTO) return (unsigned char)first == BINARY_REQUEST_MAGIC ? &binary : &ascii;
    return protocol == PROTOCOL_BINARY ? &binary : &ascii;
}

void session_init(struct session *session, const struct options *options, struct counters *counters,
                  const struct doorkeeper *doorkeeper)
{
    *session = (struct session){.options = options, .counters = counters, .doorkeeper = doorkeeper};
}

void session_deinit(struct session *session, struct buffer *input)
{
    if (session->has_secret) {
        buffer_consume(input, buffer_size(input));
        login_wipe(session, input);
    }
    identity_release(&session->identity);
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
        message = batch_add_request(batch, &session->get);
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
        if (decoded->keys.size > 0 && decoded->request.key.size == 0) {
            session->get = decoded->request;
            session->get_keys = decoded->keys;
            cut_get(session, batch);
            return;
        }
    }
    if (request_is_on_server(decoded->request.op) && batch->count > 0 && pipeline_refusal(decoded->request.op).size > 0) {
        batch_add(batch)->request = (struct request){.op = REQUEST_REPLY, .text = pipeline_refusal(decoded->request.op)};
        return;
    }
    batch_add_request(batch, &decoded->request);
}

static void accept_request(struct session *session, const struct decoded *decoded, struct batch *batch)
{
    session->swallow = decoded->swallow;
    if (decoded->is_too_large) {
        counter_add(session->counters, COUNTER_STORE_TOO_LARGE, 1);
    }
    session->is_closing = decoded->closes || decoded->request.op == REQUEST_QUIT;
    session->has_secret |= decoded->request.op == REQUEST_AUTH;
    if (decoded->request.op != REQUEST_QUIT) {
        add_request(session, decoded, batch);
    }
    session->is_watching = decoded->request.op == REQUEST_WATCH
                           && batch->messages[batch->count - 1].request.op == REQUEST_WATCH; /* not refused */
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
    session->needed = 0;
    swallow_input(session, input);
    if (session->is_watching) {
        buffer_consume(input, session->watcher != NULL ? buffer_size(input) : 0);
        return false;
    }
    if (session->is_closing || buffer_size(input) == 0 || is_still_lineless(session, buffer_content(input))) {
        return false;
    }
    if (session->dialect == NULL) {
        session->dialect = detect_dialect(session->options, buffer_content(input).data[0]);
    }
    bool is_login = login_is_needed(session);
    session->has_secret |= is_login;
    decoder *decode = is_login ? session->dialect->decode_login : session->dialect->decode;
    struct decoded decoded;
    decoded.needed = 0;
    switch (decode(buffer_content(input), limits, batch_extras(batch), &decoded)) {
    case DECODE_REQUEST:
        buffer_consume(input, decoded.consumed);
        accept_request(session, &decoded, batch);
        return true;
    case DECODE_CLOSE:
        session->is_closing = true;
        return false;
    case DECODE_PARTIAL:
        session->needed = decoded.needed;
        if (session->dialect->has_lines) {
            remember_partial(session, buffer_content(input));
        }
        return false;
    }
    return false;
}

/* What comes behind a login is read when its outcome is known. */
static bool ends_with_login(const struct batch *batch)
{
    return batch->count > 0 && batch->messages[batch->count - 1].request.op == REQUEST_AUTH;
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
    login_wipe(session, input);
    const struct decode_limits limits = {.max_item_size = (size_t)option_get(session->options, max_item_size), .has_login = true};
    if (session->in_get) {
        cut_get(session, batch);
    }
    while (!batch_is_full(batch) && decode_request(session, &limits, input, batch) && !ends_with_login(batch)) {
    }
    batch->identity = session->identity;
    if (batch->count > 0) {
        batch->is_local = is_all_local(batch);
        if (batch->is_local || !answers_prefetch(session, batch)) return SESSION_HAS_BATCH;
        batch->is_fetching = batch->count == 1;
        if (!batch->is_fetching) answers_find(session, batch);
        return SESSION_HAS_BATCH;
    }
    return session->is_closing ? SESSION_CLOSES : SESSION_NEEDS_INPUT;
}

void session_prefetch(const struct session *session, const struct batch *batch)
{
    if (batch->is_fetching) answers_prefetch_entry(session, batch);
}

void session_answer(struct session *session, struct batch *batch)
{
    if (batch->is_fetching) answers_find(session, batch);
    batch->is_fetching = false;
}

/* What has come of a reply in parts. If it goes on, the message is to be executed again. */
static void encode_part(struct batch *batch, struct message *message, struct span values, struct buffer *output)
{
    const struct result *result = &message->result;
    buffer_append(output, result_value(result, values));
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

static bool is_refusal(enum result_status status)
{
    return status == RESULT_DENIED || status == RESULT_REFUSED;
}

/* The last one counts. Its words may lie in a batch that is used anew before the get ends. */
static void keep_denial(struct session *session, const struct result *result)
{
    size_t size = result->text.size < SESSION_DENIAL_MAX ? result->text.size : SESSION_DENIAL_MAX;
    session->denial = result->status;
    session->denial_size = (uint8_t)size;
    memcpy(session->denial_text, result->text.data, size);
}

/* A key of a text get was denied, or is another cluster node's: as in the engine's MGET the reply is an error, which stands in
 * END's place. */
static void encode_denied_get(struct session *session, const struct message *message, struct span values,
                              struct buffer *output)
{
    struct request request = message->request;
    if (is_refusal(message->result.status)) {
        keep_denial(session, &message->result);
    }
    request.ends_reply = false;
    session->dialect->encode(&request, &message->result, values, output);
    if (message->request.ends_reply) {
        const struct result denied = {.status = session->denial, .text = span_of(session->denial_text, session->denial_size)};
        session->dialect->encode(&message->request, &denied, values, output);
        session->denial = RESULT_PENDING;
    }
}

/* A client that has lost its user, or speaks a protocol without lines, is told so and dropped. An anonymous one that speaks
 * text may log in. */
static void encode_unauthenticated(struct session *session, struct batch *batch, const struct message *message,
                                   struct buffer *output)
{
    struct request request = message->request;
    bool is_dropped = session->identity != NULL || !session->dialect->has_lines;
    request.ends_reply |= is_dropped;
    session->dialect->encode(&request, &message->result, SPAN(""), output);
    if (is_dropped) {
        session->is_closing = true;
        session->in_get = false;
        batch->encoded = batch->count - 1;
    }
}

static bool is_text_get(const struct session *session, const struct request *request)
{
    return session->dialect->has_lines && request->extras == NULL
           && (request->op == REQUEST_GET || request->op == REQUEST_GAT);
}

/* A value that is worth a part of its own of what is sent. */
static bool goes_apart(const struct session *session, const struct batch *batch, const struct message *message)
{
    return message->result.value_size >= BATCH_APART_LEAST && message->result.status == RESULT_HIT
           && session->denial == RESULT_PENDING && !pieces_are_full(&batch->apart);
}

static void encode_apart(const struct session *session, struct batch *batch, const struct result *result, struct span value,
                         struct buffer *output)
{
    const struct message *message = &batch->messages[batch->encoded];
    size_t behind = session->dialect->encode_around(&message->request, result, output);
    pieces_add(&batch->apart, buffer_size(output) - behind, value);
}

bool session_encode_ahead(struct session *session, struct batch *batch, const struct result *result, struct span value,
                          struct buffer *output)
{
    if (session->denial != RESULT_PENDING) return false;
    encode_apart(session, batch, result, value, output);
    batch->encoded++;
    return true;
}

static void encode_message(struct session *session, struct batch *batch, struct span values, struct buffer *output)
{
    const struct message *message = &batch->messages[batch->encoded];
    enum result_status status = message->result.status;
    bool is_login = message->request.op == REQUEST_AUTH;
    if (goes_apart(session, batch, message)) {
        encode_apart(session, batch, &message->result, result_value(&message->result, values), output);
    } else if (status == RESULT_UNAUTHENTICATED && !is_login) {
        encode_unauthenticated(session, batch, message, output);
    } else if ((is_refusal(status) || session->denial != RESULT_PENDING) && is_text_get(session, &message->request)) {
        encode_denied_get(session, message, values, output);
    } else {
        session->dialect->encode(&message->request, &message->result, values, output);
    }
    if (is_login) {
        login_settle(session, batch);
    }
}

bool session_encode(struct session *session, struct batch *batch, struct buffer *output, size_t limit)
{
    const struct span values = batch->values.data != NULL ? buffer_content(&batch->values) : SPAN("");
    while (batch_is_due(batch) && buffer_size(output) + batch->apart.size < limit) {
        struct message *message = &batch->messages[batch->encoded];
        if (message->result.status == RESULT_PART) {
            encode_part(batch, message, values, output);
            continue;
        }
        if (message->request.op == REQUEST_WATCH) {
            start_watching(session, &message->result);
        }
        answers_keep(session, batch, batch->encoded, values);
        encode_message(session, batch, values, output);
        batch->encoded++;
    }
    return !(session->is_closing && batch->encoded == batch->count);
}
