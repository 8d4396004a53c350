/* From a frame's header to its opcode's row in the table, and from there to the decoder of its command.
 *
 * Every frame says how long it is, so what a request is refused for never makes the bytes behind it be misread. In two
 * places that is stricter than memcached, which reads on in the middle of the frame: there the key and the extras of an
 * unknown command are skipped twice, and what follows the key of a Touch, a GAT or a Stat is taken for the next request. */
#include "wire/binary.h"

#include "base/version.h"
#include "wire/binary_parts.h"
#include "wire/size.h"

/* The expiry of an incr or decr that makes no item. */
#define NO_VIVIFY 0xffffffffu

struct binary_command;

typedef enum decode_status binary_decoder(const struct binary_command *command, const struct binary_frame *frame,
                                         const struct decode_limits *limits, struct decoded *decoded);

enum part {
    PART_NONE,
    PART_NEEDED,
    PART_POSSIBLE,
};

struct binary_command {
    binary_decoder *decode; /* NULL: no command */
    enum request_op op;
    bool quiet;
    bool may_lack_extras;
    bool is_before_login;
    uint8_t extras_size;
    uint8_t key, value; /* enum part */
};

static enum decode_status decode_get(const struct binary_command *command, const struct binary_frame *frame,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    (void)limits;
    struct request *request = &decoded->request;
    request->want_cas = true;
    if (command->extras_size > 0) {
        request->exptime = binary_read_u32(frame->extras.data);
    }
    return DECODE_REQUEST;
}

/* Asks for the header's token where there is one. */
static void compare_token(const struct binary_frame *frame, struct decoded *decoded)
{
    if (frame->cas != 0) {
        decoded->request.extras = decoded->extras;
        decoded->extras->asks = ASK_COMPARE;
        decoded->extras->told = 0;
        decoded->extras->token = 0;
        decoded->extras->compare = frame->cas;
    }
}

/* The value is refused before it has come. A set still removes the old one, whatever its token: a stale value is worse
 * than none. */
static enum decode_status refuse_value(const struct binary_command *command, const struct binary_frame *frame,
                                       struct decoded *decoded)
{
    decoded->swallow = frame->value_size;
    if (command->op == REQUEST_SET) {
        decoded->request.op = REQUEST_SET_TOO_LARGE;
        return DECODE_REQUEST;
    }
    decoded->is_too_large = true;
    return binary_refuse(decoded, BINARY_TOO_LARGE);
}

static enum decode_status read_value(const struct binary_command *command, const struct binary_frame *frame,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    struct request *request = &decoded->request;
    if (item_size(request->key.size, request->flags, frame->value_size) > limits->max_item_size) {
        return refuse_value(command, frame, decoded);
    }
    if (frame->behind.size < frame->value_size) {
        decoded->needed = decoded->consumed + frame->value_size;
        return DECODE_PARTIAL;
    }
    decoded->consumed += frame->value_size;
    request->value = span_of(frame->behind.data, frame->value_size);
    return DECODE_REQUEST;
}

/* With a token in the header, set, add and replace are all cas. */
static enum decode_status decode_store(const struct binary_command *command, const struct binary_frame *frame,
                                       const struct decode_limits *limits, struct decoded *decoded)
{
    struct request *request = &decoded->request;
    request->want_cas = true;
    request->flags = binary_read_u32(frame->extras.data);
    request->exptime = binary_read_u32(frame->extras.data + 4);
    if (frame->cas != 0) {
        request->op = REQUEST_CAS;
        request->operand = frame->cas;
    }
    return read_value(command, frame, limits, decoded);
}

static enum decode_status decode_join(const struct binary_command *command, const struct binary_frame *frame,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    decoded->request.want_cas = true;
    compare_token(frame, decoded);
    return read_value(command, frame, limits, decoded);
}

static enum decode_status decode_delete(const struct binary_command *command, const struct binary_frame *frame,
                                        const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    compare_token(frame, decoded);
    return DECODE_REQUEST;
}

/* Has extras in any case, for the token that the answer tells beside the number. */
static enum decode_status decode_arithmetic(const struct binary_command *command, const struct binary_frame *frame,
                                            const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct extras *extras = decoded->extras;
    uint32_t exptime = binary_read_u32(frame->extras.data + 16);
    decoded->request.want_cas = true;
    decoded->request.operand = binary_read_u64(frame->extras.data);
    decoded->request.extras = extras;
    extras->asks = (frame->cas != 0 ? ASK_COMPARE : 0) | (exptime != NO_VIVIFY ? ASK_VIVIFY : 0);
    extras->told = 0;
    extras->token = 0;
    extras->compare = frame->cas;
    extras->initial = binary_read_u64(frame->extras.data + 8);
    extras->vivify_exptime = exptime;
    return DECODE_REQUEST;
}

static enum decode_status decode_flush(const struct binary_command *command, const struct binary_frame *frame,
                                       const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.exptime = frame->extras.size > 0 ? binary_read_u32(frame->extras.data) : 0;
    return DECODE_REQUEST;
}

/* The detail's subcommand by how it begins; empty: none that memcached knows. */
static struct span detail_group(struct span what)
{
    if (span_starts_with(what, SPAN(" dump"))) {
        return SPAN("detail dump");
    }
    if (span_starts_with(what, SPAN(" on"))) {
        return SPAN("detail on");
    }
    return span_starts_with(what, SPAN(" off")) ? SPAN("detail off") : SPAN("");
}

/* memcached knows three groups by how they begin. */
static enum decode_status decode_stat(const struct binary_command *command, const struct binary_frame *frame,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct span group = frame->key;
    if (span_starts_with(group, SPAN("detail"))) {
        group = detail_group(span_skip(group, 6));
        if (group.size == 0) {
            return binary_refuse(decoded, BINARY_NOT_FOUND);
        }
    } else if (span_starts_with(group, SPAN("reset"))) {
        group = span_of(group.data, 5);
    } else if (span_starts_with(group, SPAN("settings"))) {
        group = span_of(group.data, 8);
    } else if (span_equal(group, SPAN("conns"))) {
        return binary_refuse(decoded, BINARY_NOT_FOUND);
    }
    decoded->request.text = group;
    decoded->request.key = SPAN("");
    return DECODE_REQUEST;
}

static enum decode_status decode_noop(const struct binary_command *command, const struct binary_frame *frame,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)frame;
    (void)limits;
    return binary_reply(decoded, BINARY_OK, SPAN(""));
}

static enum decode_status decode_version(const struct binary_command *command, const struct binary_frame *frame,
                                         const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)frame;
    (void)limits;
    return binary_reply(decoded, BINARY_OK, SPAN(DIGLOT_MEMCACHED_LEVEL));
}

static enum decode_status decode_quit(const struct binary_command *command, const struct binary_frame *frame,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    (void)frame;
    (void)limits;
    decoded->closes = true;
    return command->quiet ? DECODE_REQUEST : binary_reply(decoded, BINARY_OK, SPAN(""));
}

static enum decode_status decode_mechanisms(const struct binary_command *command, const struct binary_frame *frame,
                                            const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)frame;
    return limits->has_login ? binary_reply(decoded, BINARY_OK, SPAN("PLAIN"))
                             : binary_refuse(decoded, BINARY_UNKNOWN_COMMAND);
}

static enum decode_status decode_login(const struct binary_command *command, const struct binary_frame *frame,
                                       const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    return binary_decode_login(frame, limits, decoded);
}

#define GET(is_quiet) { .decode = decode_get, .op = REQUEST_GET, .quiet = (is_quiet), .key = PART_NEEDED }
#define GAT(is_quiet) \
    { .decode = decode_get, .op = REQUEST_GAT, .quiet = (is_quiet), .extras_size = 4, .key = PART_NEEDED }
#define STORE(operation, is_quiet) \
    { .decode = decode_store, .op = (operation), .quiet = (is_quiet), .extras_size = 8, .key = PART_NEEDED, \
      .value = PART_POSSIBLE }
#define JOIN(operation, is_quiet) \
    { .decode = decode_join, .op = (operation), .quiet = (is_quiet), .key = PART_NEEDED, .value = PART_POSSIBLE }
#define DELETE(is_quiet) { .decode = decode_delete, .op = REQUEST_DELETE, .quiet = (is_quiet), .key = PART_NEEDED }
#define ARITHMETIC(operation, is_quiet) \
    { .decode = decode_arithmetic, .op = (operation), .quiet = (is_quiet), .extras_size = 20, .key = PART_NEEDED }
#define FLUSH(is_quiet) \
    { .decode = decode_flush, .op = REQUEST_FLUSH_ALL, .quiet = (is_quiet), .extras_size = 4, .may_lack_extras = true }
#define QUIT(is_quiet) { .decode = decode_quit, .op = REQUEST_QUIT, .quiet = (is_quiet) }
#define LOGIN { .decode = decode_login, .is_before_login = true, .key = PART_NEEDED, .value = PART_POSSIBLE }

static const struct binary_command commands[OPCODES] = {
    [OPCODE_GET] = GET(false),
    [OPCODE_GETQ] = GET(true),
    [OPCODE_GETK] = GET(false),
    [OPCODE_GETKQ] = GET(true),
    [OPCODE_GAT] = GAT(false),
    [OPCODE_GATQ] = GAT(true),
    [OPCODE_GATK] = GAT(false),
    [OPCODE_GATKQ] = GAT(true),
    [OPCODE_TOUCH] = {.decode = decode_get, .op = REQUEST_TOUCH, .extras_size = 4, .key = PART_NEEDED},
    [OPCODE_SET] = STORE(REQUEST_SET, false),
    [OPCODE_SETQ] = STORE(REQUEST_SET, true),
    [OPCODE_ADD] = STORE(REQUEST_ADD, false),
    [OPCODE_ADDQ] = STORE(REQUEST_ADD, true),
    [OPCODE_REPLACE] = STORE(REQUEST_REPLACE, false),
    [OPCODE_REPLACEQ] = STORE(REQUEST_REPLACE, true),
    [OPCODE_APPEND] = JOIN(REQUEST_APPEND, false),
    [OPCODE_APPENDQ] = JOIN(REQUEST_APPEND, true),
    [OPCODE_PREPEND] = JOIN(REQUEST_PREPEND, false),
    [OPCODE_PREPENDQ] = JOIN(REQUEST_PREPEND, true),
    [OPCODE_DELETE] = DELETE(false),
    [OPCODE_DELETEQ] = DELETE(true),
    [OPCODE_INCR] = ARITHMETIC(REQUEST_INCR, false),
    [OPCODE_INCRQ] = ARITHMETIC(REQUEST_INCR, true),
    [OPCODE_DECR] = ARITHMETIC(REQUEST_DECR, false),
    [OPCODE_DECRQ] = ARITHMETIC(REQUEST_DECR, true),
    [OPCODE_FLUSH] = FLUSH(false),
    [OPCODE_FLUSHQ] = FLUSH(true),
    [OPCODE_QUIT] = QUIT(false),
    [OPCODE_QUITQ] = QUIT(true),
    [OPCODE_STAT] = {.decode = decode_stat, .op = REQUEST_STATS, .key = PART_POSSIBLE},
    [OPCODE_NOOP] = {.decode = decode_noop},
    [OPCODE_VERSION] = {.decode = decode_version, .is_before_login = true},
    [OPCODE_SASL_LIST] = {.decode = decode_mechanisms, .is_before_login = true},
    [OPCODE_SASL_AUTH] = LOGIN,
    [OPCODE_SASL_STEP] = LOGIN,
};

struct span binary_error_text(enum binary_status status)
{
    static const struct span texts[] = {
        [BINARY_NOT_FOUND] = SPAN("Not found"),
        [BINARY_EXISTS] = SPAN("Data exists for key."),
        [BINARY_TOO_LARGE] = SPAN("Too large."),
        [BINARY_INVALID] = SPAN("Invalid arguments"),
        [BINARY_NOT_STORED] = SPAN("Not stored."),
        [BINARY_NON_NUMERIC] = SPAN("Non-numeric server-side value for incr or decr"),
        [BINARY_AUTH_ERROR] = SPAN("Auth failure."),
        [BINARY_UNKNOWN_COMMAND] = SPAN("Unknown command"),
        [BINARY_OUT_OF_MEMORY] = SPAN("Out of memory"),
        [BINARY_TEMPORARY_FAILURE] = SPAN("Temporary failure"),
    };
    return texts[status];
}

/* Errors are told whether the request is quiet or not, and nothing else is answered from here that has a quiet form. */
enum decode_status binary_reply(struct decoded *decoded, enum binary_status status, struct span text)
{
    const struct request *request = &decoded->request;
    decoded->request = (struct request){
        .op = REQUEST_REPLY, .opcode = request->opcode, .opaque = request->opaque, .flags = status, .text = text};
    return DECODE_REQUEST;
}

enum decode_status binary_refuse(struct decoded *decoded, enum binary_status status)
{
    return binary_reply(decoded, status, binary_error_text(status));
}

static enum decode_status refuse_and_close(struct decoded *decoded, enum binary_status status)
{
    decoded->closes = true;
    return binary_refuse(decoded, status);
}

static enum decode_status refuse_unknown(const struct binary_frame *frame, struct decoded *decoded)
{
    decoded->swallow = frame->value_size;
    return binary_refuse(decoded, BINARY_UNKNOWN_COMMAND);
}

static bool is_part_right(uint8_t part, size_t size)
{
    return part == PART_POSSIBLE || (part == PART_NEEDED) == (size > 0);
}

static bool is_well_formed(const struct binary_command *command, const struct binary_frame *frame)
{
    bool has_extras = frame->extras.size == command->extras_size
                      || (command->may_lack_extras && frame->extras.size == 0);
    return has_extras && is_part_right(command->key, frame->key.size)
           && is_part_right(command->value, frame->value_size);
}

static enum decode_status decode_frame(uint8_t opcode, const struct binary_frame *frame,
                                       const struct decode_limits *limits, struct decoded *decoded)
{
    if (frame->key.size > ITEM_KEY_MAX) {
        return refuse_and_close(decoded, BINARY_INVALID);
    }
    if (opcode >= OPCODES || commands[opcode].decode == NULL) {
        return refuse_unknown(frame, decoded);
    }
    const struct binary_command *command = &commands[opcode];
    decoded->is_before_login = command->is_before_login;
    if (!is_well_formed(command, frame)) {
        return refuse_and_close(decoded, BINARY_INVALID);
    }
    decoded->request.op = command->op;
    decoded->request.quiet = command->quiet;
    decoded->request.key = frame->key;
    return command->decode(command, frame, limits, decoded);
}

/* magic 1, opcode 1, size of the key 2, of the extras 1, data type 1, vbucket 2, size of the body 4, opaque 4, cas 8.
 * memcached looks at neither data type nor vbucket. */
enum decode_status binary_decode(struct span input, const struct decode_limits *limits, struct extras *extras,
                                 struct decoded *decoded)
{
    if (input.size > 0 && (uint8_t)input.data[0] != BINARY_REQUEST_MAGIC) {
        return DECODE_CLOSE;
    }
    if (input.size < BINARY_HEADER_SIZE) {
        return DECODE_PARTIAL;
    }
    uint8_t opcode = (uint8_t)input.data[1];
    size_t key_size = binary_read_u32(input.data) & 0xffff;
    size_t extras_size = (uint8_t)input.data[4];
    size_t body_size = binary_read_u32(input.data + 8);
    size_t head_size = BINARY_HEADER_SIZE + extras_size + key_size;
    if (input.size < head_size) {
        return DECODE_PARTIAL;
    }
    *decoded = (struct decoded){.extras = extras, .consumed = head_size, .request.opcode = opcode};
    memcpy(&decoded->request.opaque, input.data + 12, sizeof decoded->request.opaque);
    if (extras_size + key_size > body_size) {
        decoded->is_before_login = true;
        return refuse_and_close(decoded, BINARY_UNKNOWN_COMMAND);
    }
    if (body_size > BINARY_BODY_MAX) {
        return refuse_and_close(decoded, BINARY_INVALID);
    }
    const struct binary_frame frame = {
        .extras = span_of(input.data + BINARY_HEADER_SIZE, extras_size),
        .key = span_of(input.data + BINARY_HEADER_SIZE + extras_size, key_size),
        .behind = span_skip(input, head_size),
        .value_size = body_size - extras_size - key_size,
        .cas = binary_read_u64(input.data + 16),
    };
    return decode_frame(opcode, &frame, limits, decoded);
}

/* A frame that memcached answers before it looks whether the client has logged in: one whose parts do not fit into it. */
static bool is_incoherent(const char *header)
{
    size_t key_size = binary_read_u32(header) & 0xffff;
    return (uint8_t)header[4] + key_size > binary_read_u32(header + 8);
}

static bool is_let_through(const char *header)
{
    uint8_t opcode = (uint8_t)header[1];
    return (opcode < OPCODES && commands[opcode].is_before_login) || is_incoherent(header);
}

enum decode_status binary_decode_before_login(struct span input, const struct decode_limits *limits,
                                              struct extras *extras, struct decoded *decoded)
{
    bool has_header = input.size >= BINARY_HEADER_SIZE && (uint8_t)input.data[0] == BINARY_REQUEST_MAGIC;
    if (!has_header || is_let_through(input.data)) {
        return binary_decode(input, limits, extras, decoded);
    }
    *decoded = (struct decoded){.extras = extras, .consumed = BINARY_HEADER_SIZE};
    decoded->request.opcode = (uint8_t)input.data[1];
    memcpy(&decoded->request.opaque, input.data + 12, sizeof decoded->request.opaque);
    return refuse_and_close(decoded, BINARY_AUTH_ERROR);
}
