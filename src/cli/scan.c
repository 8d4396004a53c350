#include "cli/scan.h"

#include "base/clock.h"

#include <stdio.h>

#define COUNT_TEXT "256"

void scan_init(struct scan *scan, struct resp *resp, struct pace *pace, struct span prefix, const char *type)
{
    *scan = (struct scan){.resp = resp, .pace = pace, .type = type, .cursor = "0"};
    size_t at = 0;
    for (size_t i = 0; i < prefix.size && at + 4 < sizeof scan->pattern; i++) {
        if (strchr("*?[]\\^-", prefix.data[i]) && prefix.data[i] != '\0') {
            scan->pattern[at++] = '\\';
        }
        scan->pattern[at++] = prefix.data[i];
    }
    scan->pattern[at++] = '*';
    scan->pattern[at] = '\0';
}

redisReply *scan_next(struct scan *scan, redisReply **keys)
{
    const struct span words[] = {SPAN("SCAN"), span_of(scan->cursor, strlen(scan->cursor)), SPAN("MATCH"),
                                 span_of(scan->pattern, strlen(scan->pattern)), SPAN("COUNT"), SPAN(COUNT_TEXT), SPAN("TYPE"),
                                 span_of(scan->type, scan->type ? strlen(scan->type) : 0)};
    redisReply *reply = resp_ask(scan->resp, words, scan->type ? 8 : 6);
    if (!reply) {
        return NULL;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(reply);
        (void)snprintf(scan->resp->error, sizeof scan->resp->error, "SCAN is answered by something else than keys");
        return NULL;
    }
    struct span cursor = resp_text(reply->element[0]);
    (void)snprintf(scan->cursor, sizeof scan->cursor, "%.*s", (int)cursor.size, cursor.data);
    scan->is_done = strcmp(scan->cursor, "0") == 0;
    *keys = reply->element[1];
    clock_sleep_us(pace_spend(scan->pace, reply->element[1]->elements, 0, clock_monotonic_us()));
    return reply;
}
