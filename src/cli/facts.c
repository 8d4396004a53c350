#include "cli/facts.h"

#include "base/clock.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

void facts_init(struct facts *facts)
{
    *facts = (struct facts){.list = NULL};
}

void facts_deinit(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        free(facts->list[i].name);
        free(facts->list[i].value);
    }
    free(facts->list);
    facts_init(facts);
}

void facts_add(struct facts *facts, const char *prefix, struct span name, struct span value)
{
    if (facts->count == facts->capacity) {
        facts->capacity = facts->capacity ? facts->capacity * 2 : 256;
        facts->list = check_realloc(facts->list, facts->capacity * sizeof *facts->list);
    }
    struct fact *fact = &facts->list[facts->count++];
    size_t head = strlen(prefix);
    fact->name = check_malloc(head + name.size + 1);
    memcpy(fact->name, prefix, head);
    memcpy(fact->name + head, name.data, name.size);
    fact->name[head + name.size] = '\0';
    fact->value = check_malloc(value.size + 1);
    memcpy(fact->value, value.data, value.size);
    fact->value[value.size] = '\0';
}

const char *facts_text(const struct facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->count; i++) {
        if (strcmp(facts->list[i].name, name) == 0) {
            return facts->list[i].value;
        }
    }
    return NULL;
}

uint64_t facts_number(const struct facts *facts, const char *name, uint64_t otherwise)
{
    const char *text = facts_text(facts, name);
    uint64_t number = otherwise;
    if (text && !number_parse_strict_u64(span_of(text, strlen(text)), &number)) {
        number = otherwise;
    }
    return number;
}

bool facts_is_on(const struct facts *facts, const char *name)
{
    const char *text = facts_text(facts, name);
    return text && strcmp(text, "yes") == 0;
}

bool facts_is_server(const struct fact *fact)
{
    static const char head[] = "server_";
    const char *number = fact->name + sizeof head - 1;
    return strncmp(fact->name, head, sizeof head - 1) == 0 && *number >= '0' && *number <= '9';
}

const struct fact *facts_find_down(const struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        if (facts_is_server(&facts->list[i]) && strstr(facts->list[i].value, "state=down")) {
            return &facts->list[i];
        }
    }
    return NULL;
}

double facts_rate(const struct facts *facts, const struct facts *before, const char *name)
{
    uint64_t now = facts_number(facts, name, 0), then = facts_number(before, name, UINT64_MAX);
    double seconds = (double)(facts->taken_us - before->taken_us) / 1e6;
    return seconds > 0 && now > then ? (double)(now - then) / seconds : 0;
}

void facts_add_info(struct facts *facts, struct span text)
{
    while (text.size > 0) {
        const char *end = memchr(text.data, '\n', text.size);
        struct span line = span_of(text.data, end ? (size_t)(end - text.data) : text.size);
        text = span_skip(text, end ? line.size + 1 : line.size);
        if (line.size > 0 && line.data[line.size - 1] == '\r') {
            line.size--;
        }
        const char *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;
        if (colon && line.data[0] != '#') {
            size_t name = (size_t)(colon - line.data);
            facts_add(facts, "info.", span_of(line.data, name), span_skip(line, name + 1));
        }
    }
}

/* An array of names and values, one behind the other. */
static void add_pairs(struct facts *facts, const redisReply *reply)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        facts_add(facts, "", resp_text(reply->element[i]), resp_text(reply->element[i + 1]));
    }
}

/* Takes one reply; what is answered with an error is absent. */
static bool take(struct facts *facts, struct resp *resp)
{
    redisReply *reply = resp_take(resp);
    if (!reply) {
        return false;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        facts_add_info(facts, resp_text(reply));
    } else {
        add_pairs(facts, reply);
    }
    freeReplyObject(reply);
    return true;
}

/* Only an engine that does not know the command has no module: one that refuses it to this user may have. */
static bool meet_module(struct facts *facts, struct resp *resp)
{
    redisReply *reply = RESP_ASK(resp, SPAN("DIGLOT.STATS"));
    facts->has_module = reply != NULL;
    if (reply) {
        add_pairs(facts, reply);
        freeReplyObject(reply);
        return true;
    }
    if (!strstr(resp->error, "unknown command")) {
        return false;
    }
    resp->error[0] = '\0';
    return true;
}

bool facts_gather(struct facts *facts, struct resp *resp)
{
    if (!meet_module(facts, resp)) {
        return false;
    }
    RESP_QUEUE(resp, SPAN("DIGLOT.STATS"), SPAN("upstream"));
    RESP_QUEUE(resp, SPAN("CONFIG"), SPAN("GET"), SPAN("diglot.*"));
    RESP_QUEUE(resp, SPAN("CONFIG"), SPAN("GET"), SPAN("maxmemory-policy"));
    RESP_QUEUE(resp, SPAN("CONFIG"), SPAN("GET"), SPAN("save"));
    RESP_QUEUE(resp, SPAN("INFO"));
    bool is_done = true;
    for (int i = 0; is_done && i < 5; i++) {
        is_done = take(facts, resp);
    }
    facts->taken_us = clock_monotonic_us();
    return is_done;
}
