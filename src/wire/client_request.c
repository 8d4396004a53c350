#include "wire/client_request.h"

#include "base/base64.h"
#include "base/number.h"
#include "wire/message.h"

bool client_key_is_plain(struct span key)
{
    for (size_t i = 0; i < key.size; i++) {
        unsigned char byte = (unsigned char)key.data[i];
        if (byte <= ' ' || byte == 0x7f) return false;
    }
    return true;
}

bool client_can_name(enum client_dialect dialect, struct span key)
{
    if (key.size == 0) return false;
    if (client_key_is_plain(key)) return key.size <= ITEM_KEY_MAX;
    return dialect == CLIENT_META && key.size <= ITEM_KEY_MAX && BASE64_SIZE(key.size) <= ITEM_KEY_MAX;
}

static void put_space(struct buffer *output)
{
    buffer_append(output, SPAN(" "));
}

static void put_u64(struct buffer *output, uint64_t value)
{
    char text[NUMBER_TEXT_SIZE];
    buffer_append(output, span_of(text, number_format_u64(text, value)));
}

static void put_i64(struct buffer *output, int64_t value)
{
    if (value < 0) buffer_append(output, SPAN("-"));
    put_u64(output, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_word(struct buffer *output, struct span word)
{
    buffer_append(output, word);
    put_space(output);
}

static void end_line(struct buffer *output)
{
    buffer_append(output, SPAN("\r\n"));
}

static void put_data(struct buffer *output, struct span value)
{
    end_line(output);
    buffer_append(output, value);
    end_line(output);
}

/* A meta request is written at once: room is made for all of it, and `at` moves through that. */

/* What its words, numbers, blanks and line ends take besides key, flags and value. */
#define META_MOST 128

static char *meta_begin(struct buffer *output, struct span key, struct span flags, size_t value_size)
{
    buffer_reserve(output, META_MOST + BASE64_SIZE(key.size) + flags.size + value_size);
    return output->data + output->end;
}

static char *write_text(char *at, struct span text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

static char *write_i64(char *at, int64_t value)
{
    if (value < 0) *at++ = '-';
    return at + number_format_u64(at, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* *is_base64: it had to be. */
static char *write_meta_key(char *at, struct span key, bool *is_base64)
{
    *is_base64 = !client_key_is_plain(key);
    return *is_base64 ? at + base64_encode(key, at) : write_text(at, key);
}

/* The rest of the line. */
static char *write_meta_flags(char *at, bool is_base64, struct span flags)
{
    if (is_base64) at = write_text(at, SPAN(" b"));
    if (flags.size > 0) {
        *at++ = ' ';
        at = write_text(at, flags);
    }
    return write_text(at, SPAN("\r\n"));
}

/* `command`: with the blank behind it. */
static void put_meta(struct buffer *output, struct span command, struct span key, struct span flags)
{
    bool is_base64;
    char *at = write_text(meta_begin(output, key, flags, 0), command);
    at = write_meta_key(at, key, &is_base64);
    at = write_meta_flags(at, is_base64, flags);
    output->end = (size_t)(at - output->data);
}

void client_put_mg(struct buffer *output, struct span key, struct span flags)
{
    put_meta(output, SPAN("mg "), key, flags);
}

void client_put_md(struct buffer *output, struct span key, struct span flags)
{
    put_meta(output, SPAN("md "), key, flags);
}

void client_put_ma(struct buffer *output, struct span key, struct span flags)
{
    put_meta(output, SPAN("ma "), key, flags);
}

void client_put_ms(struct buffer *output, struct span key, uint32_t client_flags, int64_t exptime, struct span flags,
                   struct span value)
{
    bool is_base64;
    char *at = write_text(meta_begin(output, key, flags, value.size), SPAN("ms "));
    at = write_meta_key(at, key, &is_base64);
    *at++ = ' ';
    at += number_format_u64(at, value.size);
    at = write_text(at, SPAN(" F"));
    at += number_format_u64(at, client_flags);
    at = write_i64(write_text(at, SPAN(" T")), exptime);
    at = write_meta_flags(at, is_base64, flags);
    if (value.size > 0) at = write_text(at, value);
    at = write_text(at, SPAN("\r\n"));
    output->end = (size_t)(at - output->data);
}

void client_put_mn(struct buffer *output)
{
    buffer_append(output, SPAN("mn\r\n"));
}

static void put_classic(struct buffer *output, struct span command, struct span key)
{
    put_word(output, command);
    buffer_append(output, key);
    end_line(output);
}

void client_put_get(struct buffer *output, struct span key)
{
    put_classic(output, SPAN("get"), key);
}

void client_put_gets(struct buffer *output, struct span key)
{
    put_classic(output, SPAN("gets"), key);
}

static void put_store_line(struct buffer *output, struct span command, struct span key, uint32_t client_flags,
                           int64_t exptime, size_t size)
{
    put_word(output, command);
    put_word(output, key);
    put_u64(output, client_flags);
    put_space(output);
    put_i64(output, exptime);
    put_space(output);
    put_u64(output, size);
}

void client_put_store(struct buffer *output, struct span command, struct span key, uint32_t client_flags, int64_t exptime,
                      struct span value)
{
    put_store_line(output, command, key, client_flags, exptime, value.size);
    put_data(output, value);
}

void client_put_cas(struct buffer *output, struct span key, uint32_t client_flags, int64_t exptime, uint64_t token,
                    struct span value)
{
    put_store_line(output, SPAN("cas"), key, client_flags, exptime, value.size);
    put_space(output);
    put_u64(output, token);
    put_data(output, value);
}

void client_put_delete(struct buffer *output, struct span key)
{
    put_classic(output, SPAN("delete"), key);
}

void client_put_gats(struct buffer *output, struct span key, int64_t exptime)
{
    put_word(output, SPAN("gats"));
    put_i64(output, exptime);
    put_space(output);
    buffer_append(output, key);
    end_line(output);
}

void client_put_touch(struct buffer *output, struct span key, int64_t exptime)
{
    put_word(output, SPAN("touch"));
    put_word(output, key);
    put_i64(output, exptime);
    end_line(output);
}

void client_put_count(struct buffer *output, struct span command, struct span key, uint64_t delta)
{
    put_word(output, command);
    put_word(output, key);
    put_u64(output, delta);
    end_line(output);
}

void client_put_version(struct buffer *output)
{
    buffer_append(output, SPAN("version\r\n"));
}

void client_put_login(struct buffer *output, struct span user, struct span password)
{
    put_store_line(output, SPAN("set"), SPAN("auth"), 0, 0, user.size + 1 + password.size);
    end_line(output);
    put_word(output, user);
    buffer_append(output, password);
    end_line(output);
}
