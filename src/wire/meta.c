/* memcached's meta commands, from a line to a request. The words and the order of the refusals are memcached 1.6.45's:
 * the line's form, the length of ms, the key's size, the number of flags, each flag from left to right, the mode, the
 * opaque. A refused ms swallows its value if its length could be read, and nothing is done of a request that is refused. */
#include "base/base64.h"
#include "base/number.h"
#include "wire/ascii_parts.h"
#include "wire/meta_parts.h"
#include "wire/size.h"

/* memcached adds the value's line end to the length in an int. */
#define VALUE_MAX (INT32_MAX - 2)
#define LINE_END SPAN("\r\n")
#define BAD_TOKEN SPAN("CLIENT_ERROR bad token in command line format")

/* The flags that are told a number. */
enum number { COMPARE, DELTA, TOKEN, FLAGS, INITIAL, VIVIFY, RECACHE, TOUCH, NUMBERS };

/* What is left of a line, word by word; those of a short one are known (wire/ascii_parts.h). */
struct words {
    struct span rest;
    uint64_t starts, ends;
    const char *line;
    bool is_short;
};

struct meta_line {
    struct span key;    /* as the item is called: behind base64 in extras->key */
    struct span length; /* ms */
    struct words flags;
    size_t words;
    uint64_t seen;             /* META_LETTER() of each flag */
    uint64_t numbers[NUMBERS]; /* the signed ones in two's complement */
    char mode;                 /* what M says; a space when it says nothing */
    uint32_t order; /* asks: what stands before what, where it shows */
    bool is_opaque_too_long;
};

enum flag_kind { FLAG_UNKNOWN, FLAG_PLAIN, FLAG_KEY, FLAG_OPAQUE, FLAG_MODE, FLAG_I32, FLAG_U32, FLAG_U64 };

struct flag_rule {
    enum flag_kind kind;
    enum number number;
    struct span error; /* when what it is told cannot be read; empty: the error of a flag before it, or a general one */
};

static const struct flag_rule rules['z' - 'A' + 1] = {
#define RULE(letter) [(letter) - 'A']
    RULE('c') = {.kind = FLAG_PLAIN}, RULE('f') = {.kind = FLAG_PLAIN}, RULE('h') = {.kind = FLAG_PLAIN},
    RULE('k') = {.kind = FLAG_PLAIN}, RULE('l') = {.kind = FLAG_PLAIN}, RULE('q') = {.kind = FLAG_PLAIN},
    RULE('s') = {.kind = FLAG_PLAIN}, RULE('t') = {.kind = FLAG_PLAIN}, RULE('u') = {.kind = FLAG_PLAIN},
    RULE('v') = {.kind = FLAG_PLAIN}, RULE('x') = {.kind = FLAG_PLAIN}, RULE('I') = {.kind = FLAG_PLAIN},
    RULE('L') = {.kind = FLAG_PLAIN}, RULE('P') = {.kind = FLAG_PLAIN}, /* for proxies */
    RULE('b') = {.kind = FLAG_KEY, .error = SPAN("CLIENT_ERROR error decoding key")},
    RULE('O') = {.kind = FLAG_OPAQUE},
    RULE('M') = {.kind = FLAG_MODE},
    RULE('F') = {.kind = FLAG_U32, .number = FLAGS},
    RULE('C') = {.kind = FLAG_U64, .number = COMPARE, .error = BAD_TOKEN},
    RULE('E') = {.kind = FLAG_U64, .number = TOKEN, .error = BAD_TOKEN},
    RULE('J') = {.kind = FLAG_U64, .number = INITIAL, .error = SPAN("CLIENT_ERROR invalid numeric initial value")},
    RULE('D') = {.kind = FLAG_U64, .number = DELTA, .error = SPAN("CLIENT_ERROR invalid numeric delta value")},
    RULE('N') = {.kind = FLAG_I32, .number = VIVIFY, .error = BAD_TOKEN},
    RULE('R') = {.kind = FLAG_I32, .number = RECACHE, .error = BAD_TOKEN},
    RULE('T') = {.kind = FLAG_I32, .number = TOUCH, .error = BAD_TOKEN},
#undef RULE
};

static bool has(const struct meta_line *line, char letter)
{
    return (line->seen & META_LETTER(letter)) != 0;
}

bool meta_has_encoded_key(enum request_op op, struct span flags)
{
    struct span flag;
    while (ascii_next_key(&flags, &flag)) {
        if (op == REQUEST_DEBUG) return span_equal(flag, SPAN("b"));
        if (flag.data[0] == META_BASE64) return true;
    }
    return false;
}

static inline bool next_word(struct words *words, struct span *word)
{
    if (!words->is_short) return ascii_next_key(&words->rest, word);
    if (words->starts == 0) return false;
    size_t start = (size_t)__builtin_ctzll(words->starts);
    *word = span_of(words->line + start, (size_t)__builtin_ctzll(words->ends) - start);
    words->starts &= words->starts - 1;
    words->ends &= words->ends - 1;
    return true;
}

/* The words as they stand in the line. */
static struct span text_of(const struct words *words, const struct ascii_line *line)
{
    struct span rest = words->rest, word;
    if (!words->is_short) return ascii_next_key(&rest, &word) ? span_skip(words->rest, (size_t)(word.data - words->rest.data)) : SPAN("");
    return words->starts != 0 ? span_skip(line->whole, (size_t)__builtin_ctzll(words->starts)) : SPAN("");
}

static bool is_flag_letter(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'z');
}

/* Whether each begins as a flag does; looked at before anything else is. */
static bool are_flags_formed(struct words flags, size_t *count)
{
    struct span flag;
    for (*count = 0; next_word(&flags, &flag); ++*count) {
        if (!is_flag_letter(flag.data[0])) return false;
    }
    return true;
}

/* What stands behind the command's name. false: something stands in front of it, or a NUL right behind. */
static bool begin_words(const struct ascii_line *line, struct words *words)
{
    struct span name;
    *words = (struct words){line->whole, line->starts, line->ends, line->whole.data, line->is_short};
    if (line->is_short) return line->words[0].data == line->whole.data;
    return next_word(words, &name) && name.data == line->whole.data && name.size == line->words[0].size;
}

/* Parts the line. false: memcached does not know the command (what stands in front of the name, or a NUL behind it, is a
 * part of it there), or the line has not the right form; the answer is made. */
static bool split_line(const struct ascii_line *text, bool has_length, struct meta_line *line, struct decoded *decoded)
{
    *line = (struct meta_line){.numbers = {[DELTA] = 1}};
    struct words *words = &line->flags;
    if (!begin_words(text, words)) {
        ascii_reply(decoded, ASCII_ERROR);
        return false;
    }
    size_t flags;
    if (!next_word(words, &line->key) || (has_length && !next_word(words, &line->length)) ||
        !are_flags_formed(*words, &flags)) {
        ascii_reply(decoded, ASCII_BAD_FORMAT);
        return false;
    }
    line->words = flags + (has_length ? 3 : 2);
    decoded->request.text = text_of(words, text);
    return true;
}

static bool decode_key(struct meta_line *line, struct extras *extras)
{
    size_t size = base64_decode(line->key, extras->key, sizeof extras->key);
    line->key = span_of(extras->key, size);
    return size > 0;
}

static bool read_i32(struct span text, uint64_t *number)
{
    int32_t value;
    if (!number_parse_strict_i32(text, &value)) return false;
    *number = (uint64_t)(int64_t)value;
    return true;
}

static bool read_u32(struct span text, uint64_t *number)
{
    uint32_t value;
    if (!number_parse_strict_u32(text, &value)) return false;
    *number = value;
    return true;
}

/* What a flag is told. */
static bool read_argument(const struct flag_rule *rule, struct span text, struct meta_line *line, struct extras *extras)
{
    switch (rule->kind) {
    case FLAG_KEY:
        return decode_key(line, extras);
    case FLAG_OPAQUE:
        line->is_opaque_too_long = text.size >= META_OPAQUE_MAX;
        return true;
    case FLAG_MODE:
        if (text.size > 0) line->mode = text.data[0];
        else line->mode = ' ';
        return true;
    case FLAG_I32:
        return read_i32(text, &line->numbers[rule->number]);
    case FLAG_U32:
        return read_u32(text, &line->numbers[rule->number]);
    case FLAG_U64:
        return number_parse_strict_u64(text, &line->numbers[rule->number]);
    default:
        return true;
    }
}

/* memcached works the flags off from left to right, so what t tells and R compares depends on where T and N stand. */
static void note_order(struct meta_line *line, char letter)
{
    if (letter == 'T') {
        line->order |= has(line, 't') ? ASK_TTL_BEFORE_TOUCH : 0;
        line->order |= has(line, 'R') ? ASK_RECACHE_BEFORE_TOUCH : 0;
    } else if (letter == 'N') {
        line->order |= has(line, 't') ? ASK_TTL_BEFORE_VIVIFY : 0;
        line->order |= has(line, 'T') ? ASK_TOUCH_BEFORE_VIVIFY : 0;
    }
}

/* Reads all flags; false with the error. One that cannot be read does not end it: the last error is the one that is told,
 * but for what cannot be a flag at all. */
static bool read_flags(struct meta_line *line, struct extras *extras, struct span *error)
{
    bool is_good = true;
    struct words rest = line->flags;
    struct span flag;
    while (next_word(&rest, &flag)) {
        char letter = flag.data[0];
        const struct flag_rule *rule = letter >= 'A' ? &rules[letter - 'A'] : NULL;
        if (rule == NULL || rule->kind == FLAG_UNKNOWN) {
            *error = SPAN("CLIENT_ERROR invalid flag");
            return false;
        }
        if (has(line, letter)) {
            *error = SPAN("CLIENT_ERROR duplicate flag");
            return false;
        }
        line->seen |= META_LETTER(letter);
        note_order(line, letter);
        if (!read_argument(rule, span_skip(flag, 1), line, extras)) {
            *error = rule->error.size > 0 ? rule->error : *error;
            is_good = false;
        }
    }
    return is_good;
}

/* Key and flags; the answer is made when they cannot be taken. */
static bool read_line(struct meta_line *line, struct decoded *decoded)
{
    struct span error = ASCII_BAD_FORMAT;
    if (line->words > META_WORDS_MAX && line->key.size <= ITEM_KEY_MAX) {
        error = SPAN("CLIENT_ERROR options flags are too long");
    } else if (line->key.size <= ITEM_KEY_MAX && read_flags(line, decoded->extras, &error)) {
        return true;
    }
    ascii_reply(decoded, error);
    return false;
}

/* The part that all commands have in common. false: the answer is made. */
static bool accept_line(const struct meta_line *line, struct decoded *decoded)
{
    if (line->is_opaque_too_long) {
        ascii_reply(decoded, SPAN("CLIENT_ERROR opaque token too long"));
        return false;
    }
    struct extras *extras = decoded->extras;
    uint32_t asks = ASK_META | line->order;
    asks |= has(line, 'v') ? 0 : ASK_NO_VALUE;
    asks |= has(line, 'T') ? ASK_TOUCH : 0;
    asks |= has(line, 'N') ? ASK_VIVIFY : 0;
    /* 0 is no token of an item. */
    asks |= line->numbers[TOKEN] != 0 ? ASK_TOKEN : 0;
    extras->asks = asks;
    extras->compare = line->numbers[COMPARE];
    extras->token = line->numbers[TOKEN];
    extras->initial = line->numbers[INITIAL];
    extras->vivify_exptime = (int64_t)line->numbers[VIVIFY];
    struct request *request = &decoded->request;
    request->extras = extras;
    request->key = line->key;
    request->quiet = has(line, 'q');
    request->want_cas = has(line, 'c');
    request->exptime = (int64_t)line->numbers[TOUCH];
    request->flags = (uint32_t)line->numbers[FLAGS];
    return true;
}

static bool begin(const struct ascii_line *text, bool has_length, struct meta_line *line, struct decoded *decoded)
{
    /* The key is written where there is one. */
    memset(decoded->extras, 0, offsetof(struct extras, key));
    return split_line(text, has_length, line, decoded);
}

enum decode_status meta_decode_get(const struct ascii_command *command, const struct ascii_line *text,
                                  const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct meta_line line;
    if (meta_decode_plain_get(text, decoded)) {
        return DECODE_REQUEST;
    }
    if (!begin(text, false, &line, decoded) || !read_line(&line, decoded) || !accept_line(&line, decoded)) {
        return DECODE_REQUEST;
    }
    struct request *request = &decoded->request;
    struct extras *extras = request->extras;
    request->op = has(&line, 'T') || has(&line, 'N') || has(&line, 'R') ? REQUEST_GAT : REQUEST_GET;
    extras->recache_seconds = (int64_t)line.numbers[RECACHE];
    uint32_t asks = meta_get_asks(line.seen) | (has(&line, 'R') ? ASK_RECACHE : 0);
    asks |= has(&line, 'C') ? ASK_COMPARE : 0;
    asks |= extras->asks & ~(has(&line, 'N') ? UINT32_C(0) : (uint32_t)ASK_TOKEN);
    extras->asks = asks;
    return DECODE_REQUEST;
}

/* The operation that M names, with or without C. false: no mode. */
static bool set_mode(const struct meta_line *line, struct request *request)
{
    static const struct {
        char mode;
        enum request_op op;
    } modes[] = {
        {'\0', REQUEST_SET}, {'S', REQUEST_SET}, {'E', REQUEST_ADD}, {'A', REQUEST_APPEND}, {'P', REQUEST_PREPEND},
        {'R', REQUEST_REPLACE},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (modes[i].mode == line->mode) {
            request->op = modes[i].op;
            return true;
        }
    }
    return false;
}

/* With C, set and replace are both memcached's cas; add does not look at it, and to append and prepend 0 is none. */
static void set_store_asks(const struct meta_line *line, struct request *request)
{
    uint32_t *asks = &request->extras->asks;
    *asks &= ~(uint32_t)ASK_TOUCH;
    if (request->op != REQUEST_APPEND && request->op != REQUEST_PREPEND) {
        *asks &= ~(uint32_t)ASK_VIVIFY;
    } else if (line->numbers[COMPARE] != 0) {
        *asks |= ASK_COMPARE;
    }
    if (has(line, 'C') && (request->op == REQUEST_SET || request->op == REQUEST_REPLACE)) {
        request->op = REQUEST_SET;
        *asks |= ASK_COMPARE | (has(line, 'I') ? ASK_INVALIDATE : 0);
    }
}

/* The value is refused before it has come; the old one goes in every mode. */
static enum decode_status take_value(struct span behind, size_t value_size, const struct decode_limits *limits,
                                    struct decoded *decoded)
{
    struct request *request = &decoded->request;
    size_t needed = value_size + LINE_END.size;
    if (item_size(request->key.size, request->flags, value_size) > limits->max_item_size) {
        decoded->swallow = needed;
        request->op = REQUEST_SET_TOO_LARGE;
        request->extras->asks = ASK_META | ASK_NO_VALUE;
        return DECODE_REQUEST;
    }
    if (behind.size < needed) {
        decoded->needed = decoded->consumed + needed;
        return DECODE_PARTIAL;
    }
    decoded->consumed += needed;
    if (memcmp(behind.data + value_size, LINE_END.data, LINE_END.size) != 0) {
        request->quiet = false;
        return ascii_reply(decoded, SPAN("CLIENT_ERROR bad data chunk"));
    }
    request->value = span_of(behind.data, value_size);
    return DECODE_REQUEST;
}

enum decode_status meta_decode_set(const struct ascii_command *command, const struct ascii_line *text,
                                  const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    struct meta_line line;
    int32_t length;
    if (!begin(text, true, &line, decoded)) {
        return DECODE_REQUEST;
    }
    if (!number_parse_strict_i32(line.length, &length) || length < 0 || length > VALUE_MAX) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    size_t value_size = (size_t)length;
    decoded->swallow = value_size + LINE_END.size;
    if (!read_line(&line, decoded)) {
        return DECODE_REQUEST;
    }
    if (!set_mode(&line, &decoded->request)) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR invalid mode for ms M token"));
    }
    if (!accept_line(&line, decoded)) {
        return DECODE_REQUEST;
    }
    decoded->swallow = 0;
    set_store_asks(&line, &decoded->request);
    return take_value(text->behind, value_size, limits, decoded);
}

enum decode_status meta_decode_delete(const struct ascii_command *command, const struct ascii_line *text,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct meta_line line;
    if (!begin(text, false, &line, decoded) || !read_line(&line, decoded) || !accept_line(&line, decoded)) {
        return DECODE_REQUEST;
    }
    decoded->request.op = REQUEST_DELETE;
    uint32_t *asks = &decoded->extras->asks;
    *asks &= ~(uint32_t)ASK_VIVIFY;
    *asks |= has(&line, 'C') ? ASK_COMPARE : 0;
    *asks |= has(&line, 'I') ? ASK_INVALIDATE : 0;
    *asks |= has(&line, 'x') ? ASK_CLEAR : 0;
    if ((*asks & (ASK_INVALIDATE | ASK_CLEAR)) == 0) {
        *asks &= ~(uint32_t)ASK_TOUCH;
    }
    return DECODE_REQUEST;
}

enum decode_status meta_decode_arithmetic(const struct ascii_command *command, const struct ascii_line *text,
                                         const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct meta_line line;
    struct request *request = &decoded->request;
    if (!begin(text, false, &line, decoded)) {
        return DECODE_REQUEST;
    }
    if (!read_line(&line, decoded)) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR invalid or duplicate flag"));
    }
    if (memchr("\0I+D-", line.mode, 5) == NULL) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR invalid mode for ma M token"));
    }
    if (!accept_line(&line, decoded)) {
        return DECODE_REQUEST;
    }
    request->op = line.mode == 'D' || line.mode == '-' ? REQUEST_DECR : REQUEST_INCR;
    request->operand = line.numbers[DELTA];
    request->extras->asks |= line.numbers[COMPARE] != 0 ? ASK_COMPARE : 0;
    return DECODE_REQUEST;
}

enum decode_status meta_decode_debug(const struct ascii_command *command, const struct ascii_line *text,
                                    const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct meta_line line;
    if (!begin(text, false, &line, decoded)) {
        return DECODE_REQUEST;
    }
    struct span flags = decoded->request.text;
    bool is_encoded = meta_has_encoded_key(REQUEST_DEBUG, flags);
    if (line.key.size > ITEM_KEY_MAX || (is_encoded && !decode_key(&line, decoded->extras))) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    decoded->extras->asks = ASK_META | ASK_NO_VALUE | ASK_HISTORY | ASK_NO_BUMP;
    decoded->request = (struct request){.op = REQUEST_DEBUG, .want_cas = true, .key = line.key, .text = flags,
                                        .extras = decoded->extras};
    return DECODE_REQUEST;
}

enum decode_status meta_decode_noop(const struct ascii_command *command, const struct ascii_line *text,
                                   const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct words words;
    return ascii_reply(decoded, begin_words(text, &words) ? SPAN("MN") : ASCII_ERROR);
}
