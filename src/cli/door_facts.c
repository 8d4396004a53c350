#include "cli/door_facts.h"

#include "base/clock.h"
#include "base/number.h"
#include "cli/parcel.h"

#include <stdio.h>

/* What CONFIG and INFO tell under other names. */
static const struct {
    const char *statistic, *name;
} others[] = {
    {"upstream_read", "diglot.upstream-read"}, {"upstream_mirror", "diglot.upstream-mirror"}, {"upstream_share", "diglot.upstream-share"},
    {"uptime", "info.uptime_in_seconds"},      {"bytes", "info.used_memory"},                 {"limit_maxbytes", "info.maxmemory"},
    {"evictions", "info.evicted_keys"},
};

static void add_by_other_name(struct facts *facts, struct span name, struct span value)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (span_equal(name, span_of(others[i].statistic, strlen(others[i].statistic)))) {
            facts_add(facts, "", span_of(others[i].name, strlen(others[i].name)), value);
        }
    }
}

static void add_statistic(struct facts *facts, struct span name, struct span value)
{
    char text[NUMBER_TEXT_SIZE];
    uint64_t clients;
    if (span_equal(name, SPAN("curr_connections")) && number_parse_strict_u64(value, &clients) && clients > 0) {
        value = span_of(text, number_format_u64(text, clients - 1));
    }
    facts_add(facts, "", name, value);
    add_by_other_name(facts, name, value);
}

/* Takes a group of statistics. */
static bool take_group(struct facts *facts, struct channel *channel, struct span request)
{
    struct client_reply reply;
    channel_queue(channel, request);
    while (parcel_take_reply(channel, &reply)) {
        if (reply.kind == CLIENT_REPLY_END) {
            return true;
        }
        if (reply.kind != CLIENT_REPLY_STAT) {
            (void)snprintf(channel->error, sizeof channel->error, "%s: %.*s", channel->peer, (int)reply.text.size, reply.text.data);
            return false;
        }
        const char *blank = memchr(reply.text.data, ' ', reply.text.size);
        size_t size = blank ? (size_t)(blank - reply.text.data) : reply.text.size;
        add_statistic(facts, span_of(reply.text.data, size), span_skip(reply.text, blank ? size + 1 : size));
    }
    return false;
}

/* The servers' names, as the option has them. */
static void add_upstream(struct facts *facts)
{
    struct buffer names;
    buffer_init(&names);
    for (size_t i = 0; i < facts->count; i++) {
        const struct fact *fact = &facts->list[i];
        if (facts_is_server(fact)) {
            buffer_append(&names, buffer_size(&names) > 0 ? SPAN(" ") : SPAN(""));
            buffer_append(&names, span_of(fact->value, strcspn(fact->value, ",")));
        }
    }
    facts_add(facts, "", SPAN("diglot.upstream"), buffer_content(&names));
    buffer_deinit(&names);
}

bool door_facts_gather(struct facts *facts, struct channel *channel)
{
    if (!take_group(facts, channel, SPAN("stats\r\n"))) {
        return false;
    }
    if (!take_group(facts, channel, SPAN("stats upstream\r\n")) || !facts_text(facts, "upstream")) {
        (void)snprintf(channel->error, sizeof channel->error, "%s: tells no `stats upstream`: is this the door of Diglot?", channel->peer);
        return false;
    }
    add_upstream(facts);
    facts->has_module = true;
    facts->taken_us = clock_monotonic_us();
    return true;
}
