#include "wire/client_reply.h"

#include "base/number.h"

#define LINE_END_SIZE 2

/* Takes the next word off the line; empty at the end. */
static struct span next_word(struct span *line)
{
    while (line->size > 0 && *line->data == ' ') *line = span_skip(*line, 1);
    const char *space = line->size > 0 ? memchr(line->data, ' ', line->size) : NULL;
    struct span word = span_of(line->data, space ? (size_t)(space - line->data) : line->size);
    *line = span_skip(*line, word.size);
    return word;
}

/* The first line without its end. */
static enum client_decode_status cut_line(struct span input, struct span *line, size_t *consumed)
{
    size_t looked = input.size < CLIENT_LINE_MAX ? input.size : CLIENT_LINE_MAX;
    const char *newline = looked > 0 ? memchr(input.data, '\n', looked) : NULL;
    if (!newline) return input.size < CLIENT_LINE_MAX ? CLIENT_PARTIAL : CLIENT_GARBAGE;
    size_t size = (size_t)(newline - input.data);
    *consumed = size + 1;
    *line = span_of(input.data, size > 0 && input.data[size - 1] == '\r' ? size - 1 : size);
    return CLIENT_REPLY;
}

/* ---- The words behind the first ---- */

static bool parse_ttl(struct span token, int64_t *ttl)
{
    int32_t seconds;
    if (!number_parse_strict_i32(token, &seconds)) return false;
    *ttl = seconds;
    return true;
}

/* A flag of a meta reply. False when it cannot be read; those that are not known are passed over. */
static bool take_meta_flag(struct span flag, struct client_reply *reply)
{
    struct span token = span_skip(flag, 1);
    switch (*flag.data) {
    case 'f': reply->fields |= CLIENT_HAS_FLAGS; return number_parse_strict_u32(token, &reply->flags);
    case 't': reply->fields |= CLIENT_HAS_TTL; return parse_ttl(token, &reply->ttl);
    case 'c': reply->fields |= CLIENT_HAS_TOKEN; return number_parse_strict_u64(token, &reply->token);
    case 's': reply->fields |= CLIENT_HAS_SIZE; return number_parse_strict_u64(token, &reply->size);
    case 'l': reply->fields |= CLIENT_HAS_IDLE; return number_parse_strict_u64(token, &reply->idle_seconds);
    case 'k': reply->fields |= CLIENT_HAS_KEY; reply->key = token; return true;
    case 'O': reply->fields |= CLIENT_HAS_OPAQUE; reply->opaque = token; return true;
    case 'b': reply->fields |= CLIENT_IS_BASE64; return true;
    case 'W': reply->fields |= CLIENT_HAS_WON; return true;
    case 'Z': reply->fields |= CLIENT_WON_BEFORE; return true;
    case 'h': reply->fields |= CLIENT_HAS_HISTORY | (span_equal(token, SPAN("1")) ? CLIENT_WAS_READ : 0); return true;
    case 'X': reply->fields |= CLIENT_IS_STALE; return true;
    default: return true;
    }
}

static bool take_meta_flags(struct span line, struct client_reply *reply)
{
    for (struct span flag = next_word(&line); flag.size > 0; flag = next_word(&line))
        if (!take_meta_flag(flag, reply)) return false;
    return true;
}

/* "VA size flag…". `size` is the value's. */
static bool take_meta_value(struct span line, struct client_reply *reply, uint64_t *size)
{
    return number_parse_strict_u64(next_word(&line), size) && take_meta_flags(line, reply);
}

/* "VALUE key flags size [token]" */
static bool take_classic_value(struct span line, struct client_reply *reply, uint64_t *size)
{
    reply->key = next_word(&line);
    reply->fields = CLIENT_HAS_KEY | CLIENT_HAS_FLAGS;
    if (!number_parse_strict_u32(next_word(&line), &reply->flags)) return false;
    if (!number_parse_strict_u64(next_word(&line), size)) return false;
    struct span token = next_word(&line);
    if (token.size == 0) return true;
    reply->fields |= CLIENT_HAS_TOKEN;
    return number_parse_strict_u64(token, &reply->token);
}

/* ---- The first word ---- */

enum shape {
    SHAPE_BARE,       /* nothing behind it is looked at */
    SHAPE_META,       /* flags */
    SHAPE_META_VALUE,
    SHAPE_VALUE,
    SHAPE_TEXT,       /* the rest of the line */
    SHAPE_WHOLE,      /* the whole line */
};

static const struct {
    struct span word;
    enum client_reply_kind kind;
    enum shape shape;
} words[] = {
    {SPAN("VA"), CLIENT_REPLY_VALUE, SHAPE_META_VALUE},
    {SPAN("HD"), CLIENT_REPLY_DONE, SHAPE_META},
    {SPAN("EN"), CLIENT_REPLY_MISS, SHAPE_META},
    {SPAN("NS"), CLIENT_REPLY_NOT_STORED, SHAPE_META},
    {SPAN("EX"), CLIENT_REPLY_EXISTS, SHAPE_META},
    {SPAN("NF"), CLIENT_REPLY_NOT_FOUND, SHAPE_META},
    {SPAN("MN"), CLIENT_REPLY_NOOP, SHAPE_BARE},
    {SPAN("VALUE"), CLIENT_REPLY_VALUE, SHAPE_VALUE},
    {SPAN("END"), CLIENT_REPLY_END, SHAPE_BARE},
    {SPAN("STORED"), CLIENT_REPLY_STORED, SHAPE_BARE},
    {SPAN("DELETED"), CLIENT_REPLY_DELETED, SHAPE_BARE},
    {SPAN("TOUCHED"), CLIENT_REPLY_TOUCHED, SHAPE_BARE},
    {SPAN("OK"), CLIENT_REPLY_OK, SHAPE_BARE},
    {SPAN("NOT_STORED"), CLIENT_REPLY_NOT_STORED, SHAPE_BARE},
    {SPAN("EXISTS"), CLIENT_REPLY_EXISTS, SHAPE_BARE},
    {SPAN("NOT_FOUND"), CLIENT_REPLY_NOT_FOUND, SHAPE_BARE},
    {SPAN("VERSION"), CLIENT_REPLY_VERSION, SHAPE_TEXT},
    {SPAN("STAT"), CLIENT_REPLY_STAT, SHAPE_TEXT},
    {SPAN("ERROR"), CLIENT_REPLY_ERROR, SHAPE_WHOLE},
    {SPAN("CLIENT_ERROR"), CLIENT_REPLY_ERROR, SHAPE_WHOLE},
    {SPAN("SERVER_ERROR"), CLIENT_REPLY_ERROR, SHAPE_WHOLE},
};

/* A line that begins with none of the words: a number, or one that whoever asked knows to read. */
static void take_other_line(struct span line, struct client_reply *reply)
{
    struct span rest = line;
    bool is_number = number_parse_strict_u64(next_word(&rest), &reply->number) && next_word(&rest).size == 0;
    reply->kind = is_number ? CLIENT_REPLY_NUMBER : CLIENT_REPLY_LINE;
    reply->text = line;
}

/* Decodes a line; *has_value with its *size where a value follows. */
static bool decode_line(struct span line, struct client_reply *reply, bool *has_value, uint64_t *size)
{
    struct span rest = line;
    struct span first = next_word(&rest);
    *has_value = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!span_equal(words[i].word, first)) continue;
        reply->kind = words[i].kind;
        *has_value = reply->kind == CLIENT_REPLY_VALUE;
        switch (words[i].shape) {
        case SHAPE_BARE: return true;
        case SHAPE_META: return take_meta_flags(rest, reply);
        case SHAPE_META_VALUE: return take_meta_value(rest, reply, size);
        case SHAPE_VALUE: return take_classic_value(rest, reply, size);
        case SHAPE_TEXT: reply->text = rest.size > 0 ? span_skip(rest, 1) : rest; return true;
        case SHAPE_WHOLE: reply->text = line; return true;
        }
    }
    take_other_line(line, reply);
    return true;
}

/* Decodes all but the value's bytes. `consumed` is then what the reply takes with them. */
static enum client_decode_status decode_head(struct span input, size_t value_most, struct client_reply *reply, size_t *head)
{
    *reply = (struct client_reply){.ttl = -1};
    struct span line;
    enum client_decode_status status = cut_line(input, &line, head);
    if (status != CLIENT_REPLY) return status;
    bool has_value;
    uint64_t size = 0;
    if (!decode_line(line, reply, &has_value, &size) || size > value_most) return CLIENT_GARBAGE;
    reply->value.size = (size_t)size;
    reply->consumed = *head + (has_value ? (size_t)size + LINE_END_SIZE : 0);
    return CLIENT_REPLY;
}

enum client_decode_status client_reply_decode(struct span input, size_t value_most, struct client_reply *reply)
{
    size_t head = 0;
    enum client_decode_status status = decode_head(input, value_most, reply, &head);
    if (status != CLIENT_REPLY) return status;
    if (reply->consumed > input.size) return CLIENT_PARTIAL;
    reply->value.data = input.data + head;
    if (reply->kind != CLIENT_REPLY_VALUE) return CLIENT_REPLY;
    struct span end = span_of(reply->value.data + reply->value.size, LINE_END_SIZE);
    return span_equal(end, SPAN("\r\n")) ? CLIENT_REPLY : CLIENT_GARBAGE;
}

size_t client_reply_size(struct span input, size_t value_most)
{
    struct client_reply reply;
    size_t head = 0;
    return decode_head(input, value_most, &reply, &head) == CLIENT_REPLY ? reply.consumed : 0;
}
