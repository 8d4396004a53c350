/* SASL PLAIN (RFC 4616) as libsasl reads it for memcached: "authzid NUL user NUL password", where the user may act for
 * nobody else. */
#include "wire/binary_parts.h"

/* Takes what stands before the next NUL off the text; false when there is none. */
static bool take_to_nul(struct span *text, struct span *taken)
{
    const char *nul = text->size > 0 ? memchr(text->data, '\0', text->size) : NULL;
    if (nul == NULL) {
        return false;
    }
    *taken = span_of(text->data, (size_t)(nul - text->data));
    *text = span_skip(*text, taken->size + 1);
    return true;
}

static bool read_plain(struct span text, struct span *user, struct span *password)
{
    struct span acts_for;
    if (!take_to_nul(&text, &acts_for) || !take_to_nul(&text, user)) {
        return false;
    }
    *password = text;
    bool is_for_itself = acts_for.size == 0 || span_equal(acts_for, *user);
    return is_for_itself && user->size > 0 && (text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
}

static enum decode_status read_login(struct span mechanism, struct span text, struct decoded *decoded)
{
    struct request *request = &decoded->request;
    bool is_start = request->opcode == OPCODE_SASL_AUTH;
    if (is_start && !span_equal(mechanism, SPAN("PLAIN"))) {
        return binary_refuse(decoded, BINARY_AUTH_ERROR);
    }
    if (is_start && text.size == 0) {
        return binary_reply(decoded, BINARY_AUTH_CONTINUE, SPAN("")); /* the client sends the rest with Step */
    }
    struct span user, password;
    if (!read_plain(text, &user, &password)) {
        return binary_refuse(decoded, BINARY_AUTH_ERROR);
    }
    request->op = REQUEST_AUTH;
    request->key = user;
    request->value = password;
    return DECODE_REQUEST;
}

enum decode_status binary_decode_login(const struct binary_frame *frame, const struct decode_limits *limits,
                                       struct decoded *decoded)
{
    if (!limits->has_login || frame->key.size > BINARY_MECHANISM_MAX) {
        decoded->swallow = frame->value_size;
        return binary_refuse(decoded, limits->has_login ? BINARY_INVALID : BINARY_UNKNOWN_COMMAND);
    }
    if (frame->value_size > BINARY_LOGIN_MAX) {
        decoded->closes = true;
        return binary_refuse(decoded, BINARY_AUTH_ERROR);
    }
    if (frame->behind.size < frame->value_size) {
        return DECODE_PARTIAL;
    }
    decoded->consumed += frame->value_size;
    return read_login(frame->key, span_of(frame->behind.data, frame->value_size), decoded);
}
