/* Each parser takes one line or header off the input and returns its size, 0 while it is not whole. */
#include "lg.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void count_hit(struct generator *lg)
{
    lg->tally.hits += lg->tally.counting;
}

static void count_miss(struct generator *lg)
{
    lg->tally.misses += lg->tally.counting;
}

static void count_error(struct generator *lg, const char *bytes, size_t size)
{
    if (++lg->tally.errors < 4)
        fprintf(stderr, "unexpected: %.*s\n", (int)(size > 60 ? 60 : size), bytes);
}

static void answer_done(struct connection *connection, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    enum operation kind = connection->kinds[connection->answered++];
    if (!lg->tally.counting)
        return;
    lg->tally.requests++;
    lg->tally.operations += kind == MULTIGET ? (uint64_t)lg->settings.keys_per_multiget : 1;
    latency_count(&lg->tally, time_ns - connection->sent_ns);
}

static void expect_value(struct connection *connection, long size, bool completes)
{
    connection->skip = (size_t)size;
    connection->skip_completes = completes;
}

static bool starts_with(const char *line, size_t size, const char *word)
{
    size_t length = strlen(word);
    return size >= length && memcmp(line, word, length) == 0;
}

static void parse_text_line(struct connection *connection, const char *line, size_t size, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    if (starts_with(line, size, "VALUE ")) {
        const char *number = line + size;
        while (number[-1] != ' ')
            number--;
        count_hit(lg);
        expect_value(connection, strtol(number, NULL, 10) + 2, false);
        return;
    }
    if (!starts_with(line, size, "END") && !starts_with(line, size, "STORED"))
        count_error(lg, line, size);
    answer_done(connection, time_ns);
}

static void parse_meta_line(struct connection *connection, const char *line, size_t size, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    if (starts_with(line, size, "VA ")) {
        count_hit(lg);
        expect_value(connection, strtol(line + 3, NULL, 10) + 2, connection->kinds[connection->answered] != MULTIGET);
        return;
    }
    if (starts_with(line, size, "EN"))
        count_miss(lg);
    else if (!starts_with(line, size, "HD") && !starts_with(line, size, "MN"))
        count_error(lg, line, size);
    answer_done(connection, time_ns);
}

static void resp_element_done(struct connection *connection, uint64_t time_ns)
{
    if (--connection->elements == 0)
        answer_done(connection, time_ns);
}

static void parse_resp_line(struct connection *connection, const char *line, size_t size, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    if (*line == '*') {
        connection->elements = strtol(line + 1, NULL, 10);
        return;
    }
    if (connection->elements <= 0)
        connection->elements = 1;
    long length = *line == '$' ? strtol(line + 1, NULL, 10) : -1;
    if (length >= 0) {
        if (!lg->settings.hash || connection->elements == 3)
            count_hit(lg);
        expect_value(connection, length + 2, true);
        return;
    }
    if (*line == '$')
        count_miss(lg);
    else if (*line != '+' && *line != ':')
        count_error(lg, line, size);
    resp_element_done(connection, time_ns);
}

static size_t parse_line(struct connection *connection, const char *input, size_t size, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    const char *end = memchr(input, '\n', size);
    if (!end)
        return 0;
    size_t length = (size_t)(end - input);
    if (length && input[length - 1] == '\r')
        length--;
    if (lg->settings.protocol == TEXT)
        parse_text_line(connection, input, length, time_ns);
    else if (lg->settings.protocol == META)
        parse_meta_line(connection, input, length, time_ns);
    else
        parse_resp_line(connection, input, length, time_ns);
    return (size_t)(end - input) + 1;
}

static size_t parse_binary_header(struct connection *connection, const char *input, size_t size,
                                  uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    const unsigned char *header = (const unsigned char *)input;
    if (size < 24)
        return 0;
    if (header[0] != 0x81) {
        count_error(lg, input, 1);
        return size;
    }
    uint32_t body;
    memcpy(&body, header + 8, sizeof body);
    int opcode = header[1], status = header[6] << 8 | header[7];
    bool is_quiet_get = opcode == 0x0d;
    if (status == 0 && (opcode == 0x00 || is_quiet_get))
        count_hit(lg);
    else if (opcode == 0x00)
        count_miss(lg);
    else if (status != 0 && !is_quiet_get)
        count_error(lg, "status", 6);
    expect_value(connection, ntohl(body), !is_quiet_get);
    if (connection->skip == 0 && connection->skip_completes)
        answer_done(connection, time_ns);
    return 24;
}

static size_t parse_value(struct connection *connection, size_t size, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    size_t taken = size < connection->skip ? size : connection->skip;
    connection->skip -= taken;
    if (connection->skip == 0 && connection->skip_completes) {
        if (lg->settings.protocol == RESP)
            resp_element_done(connection, time_ns);
        else
            answer_done(connection, time_ns);
    }
    return taken;
}

void connection_parse(struct connection *connection, uint64_t time_ns)
{
    struct generator *lg = connection->lg;
    size_t done = 0;
    while (done < connection->input_size) {
        const char *input = connection->input + done;
        size_t size = connection->input_size - done, taken;
        if (connection->skip) {
            taken = parse_value(connection, size, time_ns);
        } else if (connection->answered == connection->asked) {
            count_error(lg, input, size);
            taken = size;
        } else if (lg->settings.protocol == BINARY) {
            taken = parse_binary_header(connection, input, size, time_ns);
        } else {
            taken = parse_line(connection, input, size, time_ns);
        }
        if (taken == 0)
            break;
        done += taken;
    }
    connection->input_size -= done;
    memmove(connection->input, connection->input + done, connection->input_size);
}
