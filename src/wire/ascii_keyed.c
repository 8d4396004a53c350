/* The text commands on keys. */
#define _GNU_SOURCE 1 /* memrchr */

#include "base/number.h"
#include "base/scan.h"
#include "wire/ascii_parts.h"
#include "wire/size.h"

/* memcached adds the value's line end to BYTES in an int. */
#define BYTES_MAX (INT32_MAX - 2)
#define LINE_END SPAN("\r\n")

/* Nothing of a get is answered but the error when one of its keys is too long, so all are looked at first. There is none as
 * long as one space comes within the longest key and one byte more, so it is enough to look for the last such space: from
 * space to space in long steps, without a look at most of the keys. */
static bool are_keys_valid(struct span keys)
{
    while (keys.size > ASCII_KEY_MAX) {
        const char *space = memrchr(keys.data, ' ', ASCII_KEY_MAX + 1);
        if (space == NULL) {
            return false;
        }
        keys = span_skip(keys, (size_t)(space - keys.data) + 1);
    }
    return true;
}

/* What stays begins with a key, or with spaces before one, unless it is empty. */
static struct span without_spaces_behind(struct span keys)
{
    if (keys.size > 0 && keys.data[keys.size - 1] == ' ') {
        while (keys.size >= SCAN_STEP && scan_16(keys.data + keys.size - SCAN_STEP, ' ') == SCAN_ALL) keys.size -= SCAN_STEP;
        while (keys.size > 0 && keys.data[keys.size - 1] == ' ') keys.size--;
    }
    return keys;
}

/* One key alone needs no walk. `keys` is not empty and has no space behind its last. */
static void take_keys(struct span keys, struct decoded *decoded)
{
    struct span rest = keys, key;
    (void)ascii_next_key(&rest, &key);
    bool is_only = rest.size == 0;
    decoded->keys = is_only ? key : keys;
    if (is_only) decoded->request.key = key;
    decoded->request.ends_reply = is_only;
}

enum decode_status ascii_decode_get(const struct ascii_command *command, const struct ascii_line *line,
                                   const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.op = REQUEST_GET;
    if (ascii_take_only_word(line, &decoded->request.key)) {
        decoded->request.ends_reply = true;
        decoded->keys = decoded->request.key;
        return DECODE_REQUEST; /* no short line holds a key that is too long */
    }
    struct span keys = without_spaces_behind(line->arguments);
    if (!are_keys_valid(keys)) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    if (keys.size == 0) {
        return ascii_reply(decoded, ASCII_ERROR);
    }
    take_keys(keys, decoded);
    return DECODE_REQUEST;
}

enum decode_status ascii_decode_gat(const struct ascii_command *command, const struct ascii_line *line,
                                   const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct span keys = line->arguments;
    struct span exptime_text;
    int32_t exptime;
    if (!ascii_next_key(&keys, &exptime_text)) {
        return ascii_reply(decoded, ASCII_ERROR);
    }
    if (!number_parse_i32(exptime_text, &exptime)) {
        return ascii_reply(decoded, ASCII_BAD_EXPTIME);
    }
    keys = without_spaces_behind(keys);
    if (!are_keys_valid(keys)) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    if (keys.size == 0) {
        return ascii_reply(decoded, SPAN("END"));
    }
    decoded->request.op = REQUEST_GAT;
    decoded->request.exptime = exptime;
    take_keys(keys, decoded);
    return DECODE_REQUEST;
}

/* Takes `noreply` and the key off the line. */
static bool read_key(const struct ascii_line *line, struct request *request)
{
    request->quiet = ascii_says_noreply(line);
    request->key = line->words[1];
    return request->key.size <= ASCII_KEY_MAX;
}

static bool read_storage_line(const struct ascii_line *line, struct request *request, int32_t *bytes)
{
    int32_t exptime;
    if (!read_key(line, request) || !number_parse_u32(line->words[2], &request->flags) ||
        !number_parse_i32(line->words[3], &exptime) || !number_parse_i32(line->words[4], bytes)) {
        return false;
    }
    request->exptime = exptime;
    if (request->op == REQUEST_CAS && !number_parse_u64(line->words[5], &request->operand)) {
        return false;
    }
    return *bytes >= 0 && *bytes <= BYTES_MAX;
}

/* The value is refused before it has come. A set still removes the old one: a stale value is worse than none. */
static enum decode_status refuse_value(struct decoded *decoded, size_t value_size)
{
    decoded->swallow = value_size + LINE_END.size;
    if (decoded->request.op == REQUEST_SET) {
        decoded->request.op = REQUEST_SET_TOO_LARGE;
        return DECODE_REQUEST;
    }
    decoded->is_too_large = true;
    return ascii_reply(decoded, SPAN("SERVER_ERROR object too large for cache"));
}

static enum decode_status read_value(struct span behind, size_t value_size, struct decoded *decoded)
{
    size_t needed = value_size + LINE_END.size;
    if (behind.size < needed) {
        decoded->needed = decoded->consumed + needed;
        return DECODE_PARTIAL;
    }
    decoded->consumed += needed;
    if (memcmp(behind.data + value_size, LINE_END.data, LINE_END.size) != 0) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR bad data chunk"));
    }
    decoded->request.value = span_of(behind.data, value_size);
    return DECODE_REQUEST;
}

enum decode_status ascii_decode_storage(const struct ascii_command *command, const struct ascii_line *line,
                                       const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    struct request *request = &decoded->request;
    int32_t bytes;
    if (!read_storage_line(line, request, &bytes)) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    size_t value_size = (size_t)bytes;
    if (item_size(request->key.size, request->flags, value_size) > limits->max_item_size) {
        return refuse_value(decoded, value_size);
    }
    return read_value(line->behind, value_size, decoded);
}

enum decode_status ascii_decode_arithmetic(const struct ascii_command *command, const struct ascii_line *line,
                                          const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    if (!read_key(line, &decoded->request)) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    if (!number_parse_u64(line->words[2], &decoded->request.operand)) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR invalid numeric delta argument"));
    }
    return DECODE_REQUEST;
}

/* Old clients send a time behind the key; only 0 is let through. */
static bool is_delete_valid(const struct ascii_line *line, bool quiet)
{
    bool has_zero = line->count > 2 && span_equal(line->words[2], SPAN("0"));
    switch (line->count) {
    case 2:
        return true;
    case 3:
        return has_zero || quiet;
    default:
        return has_zero && quiet;
    }
}

enum decode_status ascii_decode_delete(const struct ascii_command *command, const struct ascii_line *line,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct request *request = &decoded->request;
    request->op = REQUEST_DELETE;
    request->key = line->words[1];
    request->quiet = line->count > 2 && ascii_says_noreply(line);
    if (!is_delete_valid(line, request->quiet)) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"));
    }
    return request->key.size <= ASCII_KEY_MAX ? DECODE_REQUEST : ascii_reply(decoded, ASCII_BAD_FORMAT);
}

enum decode_status ascii_decode_touch(const struct ascii_command *command, const struct ascii_line *line,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    int32_t exptime;
    decoded->request.op = REQUEST_TOUCH;
    if (!read_key(line, &decoded->request)) {
        return ascii_reply(decoded, ASCII_BAD_FORMAT);
    }
    if (!number_parse_i32(line->words[2], &exptime)) {
        return ascii_reply(decoded, ASCII_BAD_EXPTIME);
    }
    decoded->request.exptime = exptime;
    return DECODE_REQUEST;
}
