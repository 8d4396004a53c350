#include "lg.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static char *put(char *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static char *put_text(char *to, const char *text)
{
    return put(to, text, strlen(text));
}

static char *put_number(char *to, long number)
{
    char text[24];
    return put(to, text, (size_t)snprintf(text, sizeof text, "%ld", number));
}

static char *put_key(struct generator *lg, char *to)
{
    long number = key_next(lg);
    put(to, "key:100000000000", KEY_SIZE);
    for (int i = KEY_SIZE - 1; number; i--, number /= 10)
        to[i] = (char)(to[i] + number % 10);
    return to + KEY_SIZE;
}

static char *put_value(const struct generator *lg, char *to)
{
    return put_text(put(to, lg->value, (size_t)lg->settings.value_size), "\r\n");
}

static char *put_binary_header(char *to, int opcode, size_t key, size_t extras, size_t body)
{
    uint32_t length = htonl((uint32_t)body);
    memset(to, 0, 24);
    to[0] = (char)0x80;
    to[1] = (char)opcode;
    to[3] = (char)key;
    to[4] = (char)extras;
    memcpy(to + 8, &length, sizeof length);
    return to + 24;
}

static char *put_resp_key(struct generator *lg, char *to)
{
    return put_text(put_key(lg, put_text(to, "$16\r\n")), "\r\n");
}

static char *put_hash_set(struct generator *lg, char *to)
{
    char version[24];
    int digits = snprintf(version, sizeof version, "%ld", lg->sequence);
    to = put_text(put_resp_key(lg, put_text(to, "*8\r\n$4\r\nHSET\r\n")), "$1\r\nv\r\n$");
    to = put_text(put_number(to, 2 * lg->settings.value_size), "\r\n");
    to = put(to, lg->hex_value, 2 * (size_t)lg->settings.value_size);
    to = put_text(put_number(put_text(to, "\r\n$1\r\nf\r\n$1\r\n0\r\n$1\r\nc\r\n$"), digits), "\r\n");
    return put_text(put_text(to, version), "\r\n");
}

static char *put_set(struct generator *lg, char *to)
{
    long size = lg->settings.value_size;
    unsigned flags = lg->settings.flags;
    switch (lg->settings.protocol) {
    case TEXT:
        to = put_number(put_text(put_key(lg, put_text(to, "set ")), " "), flags);
        return put_value(lg, put_text(put_number(put_text(to, " 0 "), size), "\r\n"));
    case META:
        to = put_number(put_text(put_key(lg, put_text(to, "ms ")), " "), size);
        to = flags ? put_number(put_text(to, " F"), flags) : to;
        return put_value(lg, put_text(to, "\r\n"));
    case BINARY:
        to = put_binary_header(to, 0x01, KEY_SIZE, 8, 8 + KEY_SIZE + (size_t)size);
        memcpy(to, &(uint32_t[2]){htonl(flags)}, 8);
        return put(put_key(lg, to + 8), lg->value, (size_t)size);
    default:
        if (lg->settings.hash)
            return put_hash_set(lg, to);
        to = put_text(put_resp_key(lg, put_text(to, "*3\r\n$3\r\nSET\r\n")), "$");
        return put_value(lg, put_text(put_number(to, size), "\r\n"));
    }
}

static char *put_get(struct generator *lg, char *to)
{
    switch (lg->settings.protocol) {
    case TEXT:
        return put_text(put_key(lg, put_text(to, "get ")), "\r\n");
    case META:
        return put_text(put_key(lg, put_text(to, "mg ")), " v\r\n");
    case BINARY:
        return put_key(lg, put_binary_header(to, 0x00, KEY_SIZE, 0, KEY_SIZE));
    default:
        if (lg->settings.hash)
            return put_text(put_resp_key(lg, put_text(to, "*5\r\n$5\r\nHMGET\r\n")), "$1\r\nv\r\n$1\r\nf\r\n$1\r\nc\r\n");
        return put_resp_key(lg, put_text(to, "*2\r\n$3\r\nGET\r\n"));
    }
}

/* A line or header in front, one piece for each key, and an end. */
static char *put_multiget(struct generator *lg, char *to)
{
    enum protocol protocol = lg->settings.protocol;
    int keys = lg->settings.keys_per_multiget;
    if (protocol == TEXT)
        to = put_text(to, "get");
    else if (protocol == RESP)
        to = put_text(put_number(put_text(to, "*"), keys + 1), "\r\n$4\r\nMGET\r\n");
    for (int i = 0; i < keys; i++) {
        if (protocol == TEXT)
            to = put_key(lg, put_text(to, " "));
        else if (protocol == META)
            to = put_text(put_key(lg, put_text(to, "mg ")), " v k q\r\n");
        else if (protocol == BINARY)
            to = put_key(lg, put_binary_header(to, 0x0d, KEY_SIZE, 0, KEY_SIZE));
        else
            to = put_resp_key(lg, to);
    }
    if (protocol == TEXT)
        return put_text(to, "\r\n");
    if (protocol == META)
        return put_text(to, "mn\r\n");
    return protocol == BINARY ? put_binary_header(to, 0x0a, 0, 0, 0) : to;
}

char *put_request(struct generator *lg, char *to, enum operation operation)
{
    return operation == SET ? put_set(lg, to) : operation == GET ? put_get(lg, to) : put_multiget(lg, to);
}

size_t request_capacity(const struct settings *settings)
{
    size_t keys = settings->operation == MULTIGET ? (size_t)settings->keys_per_multiget * 48 : 0;
    return keys + (size_t)settings->value_size * (settings->hash ? 2 : 1) + 192;
}
