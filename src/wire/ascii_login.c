/* The text protocol before a client has logged in, where it has to: memcached -Y. Only `set` is looked at, whatever its key,
 * flags and exptime; its value is "user password". Everything else is answered alike, quit and version among it. */
#include "base/number.h"
#include "wire/ascii_parts.h"

#define WORDS_LEAST 5
#define LINE_END SPAN("\r\n")

/* The user ends at the first space; all behind it is the password, which may hold spaces. */
static enum decode_status read_token(struct span token, struct decoded *decoded)
{
    const char *space = token.size > 0 ? memchr(token.data, ' ', token.size) : NULL;
    if (space == NULL || space == token.data || space == token.data + token.size - 1) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR bad authentication token format"));
    }
    decoded->request.op = REQUEST_AUTH;
    decoded->request.key = span_of(token.data, (size_t)(space - token.data));
    decoded->request.value = span_skip(token, decoded->request.key.size + 1);
    return DECODE_REQUEST;
}

/* The size of the token in a line that offers one; false when it is another line. */
static bool reads_offer(struct span line, uint32_t *size)
{
    struct span words[WORDS_LEAST];
    for (size_t i = 0; i < WORDS_LEAST; i++) {
        if (!ascii_next_key(&line, &words[i])) {
            return false;
        }
    }
    return span_equal(words[0], SPAN("set")) && number_parse_u32(words[4], size);
}

enum decode_status ascii_decode_login(struct span input, const struct decode_limits *limits, struct extras *extras,
                                     struct decoded *decoded)
{
    (void)limits;
    const char *newline = input.size > 0 ? memchr(input.data, '\n', input.size) : NULL;
    if (newline == NULL) {
        return input.size <= ASCII_LINE_MAX ? DECODE_PARTIAL : DECODE_CLOSE;
    }
    size_t line_size = (size_t)(newline - input.data);
    if (line_size >= ASCII_WHOLE_LINE_MAX) {
        return DECODE_CLOSE;
    }
    *decoded = (struct decoded){.extras = extras, .consumed = line_size + 1};
    uint32_t size;
    if (line_size > 0 && input.data[line_size - 1] == '\r') {
        line_size--;
    }
    if (!reads_offer(span_of(input.data, line_size), &size)) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR unauthenticated"));
    }
    if (size > ASCII_TOKEN_MAX) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR auth token too long"));
    }
    struct span behind = span_skip(input, decoded->consumed);
    if (behind.size < size + LINE_END.size) {
        return DECODE_PARTIAL;
    }
    decoded->consumed += size + LINE_END.size;
    if (memcmp(behind.data + size, LINE_END.data, LINE_END.size) != 0) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR bad command line termination"));
    }
    return read_token(span_of(behind.data, size), decoded);
}
