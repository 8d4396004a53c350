#include "base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(struct span bytes, char *text)
{
    char *at = text;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) {
            group = group << 8 | (k < count ? (unsigned char)bytes.data[i + k] : 0);
        }
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = alphabet[group >> 6 & 63];
        *at++ = alphabet[group & 63];
        memset(at - (3 - count), '=', 3 - count);
    }
    return (size_t)(at - text);
}

/* The six bits of a character; -1 for one that is passed over. */
static int bits_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return c == '=' ? 0 : -1;
}

static size_t count_characters(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += bits_of(text.data[i]) >= 0;
    }
    return count;
}

/* Takes four characters off the text, which has them; returns how many of them are padding. */
static size_t take_group(struct span *text, uint32_t *group)
{
    size_t padding = 0;
    *group = 0;
    for (size_t count = 0; count < 4; *text = span_skip(*text, 1)) {
        int bits = bits_of(text->data[0]);
        if (bits >= 0) {
            *group = *group << 6 | (uint32_t)bits;
            padding += text->data[0] == '=';
            count++;
        }
    }
    return padding;
}

size_t base64_decode(struct span text, char *bytes, size_t room)
{
    size_t groups = count_characters(text) / 4;
    if (count_characters(text) % 4 != 0 || groups > room / 3) {
        return 0;
    }
    size_t size = 0;
    size_t padding = 0;
    for (; groups > 0 && padding == 0; groups--) {
        uint32_t group;
        padding = take_group(&text, &group);
        if (padding > 2) {
            return 0;
        }
        for (size_t k = 0; k < 3 - padding; k++) {
            bytes[size++] = (char)(unsigned char)(group >> (16 - 8 * k));
        }
    }
    return size;
}
