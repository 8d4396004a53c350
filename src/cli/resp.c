#include "cli/resp.h"

#include <stdio.h>
#include <stdlib.h>

void resp_queue(struct resp *resp, const struct span *words, size_t count)
{
    const char **data = check_malloc(count * sizeof *data);
    size_t *sizes = check_malloc(count * sizeof *sizes);
    for (size_t i = 0; i < count; i++) {
        data[i] = words[i].data;
        sizes[i] = words[i].size;
    }
    char *request = NULL;
    int size = redisFormatCommandArgv(&request, (int)count, data, sizes);
    CHECK(size > 0);
    channel_queue(resp->channel, span_of(request, (size_t)size));
    free(request);
    free(data);
    free(sizes);
}

static redisReply *fail(struct resp *resp, const char *what)
{
    (void)snprintf(resp->error, sizeof resp->error, "%s", what);
    return NULL;
}

redisReply *resp_take(struct resp *resp)
{
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(resp->reader, &reply) != REDIS_OK) {
            (void)snprintf(resp->error, sizeof resp->error, "%s: does not speak RESP", resp->channel->peer);
            return NULL;
        }
        if (reply) {
            return reply;
        }
        if (!channel_fill(resp->channel)) {
            return fail(resp, resp->channel->error);
        }
        struct span content = buffer_content(&resp->channel->input);
        if (redisReaderFeed(resp->reader, content.data, content.size) != REDIS_OK) {
            return fail(resp, "out of memory");
        }
        buffer_consume(&resp->channel->input, content.size);
    }
}

redisReply *resp_ask(struct resp *resp, const struct span *words, size_t count)
{
    resp_queue(resp, words, count);
    redisReply *reply = resp_take(resp);
    if (reply && resp_is_error(reply)) {
        (void)snprintf(resp->error, sizeof resp->error, "%s: %.300s", resp->channel->peer, reply->str);
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

static bool log_in(struct resp *resp, const struct login *login)
{
    redisReply *reply;
    if (login->user) {
        const char *password = login->password ? login->password : "";
        reply = RESP_ASK(resp, SPAN("AUTH"), span_of(login->user, strlen(login->user)), span_of(password, strlen(password)));
    } else {
        reply = RESP_ASK(resp, SPAN("PING"));
    }
    freeReplyObject(reply);
    return reply != NULL;
}

struct resp *resp_open(const struct sides *sides, char error[CHANNEL_ERROR_SIZE])
{
    struct channel *channel = sides_open_redis(sides, error);
    if (!channel) {
        return NULL;
    }
    struct resp *resp = check_calloc(1, sizeof *resp);
    resp->channel = channel;
    resp->reader = redisReaderCreate();
    CHECK(resp->reader != NULL);
    if (!log_in(resp, &sides->redis_login)) {
        memcpy(error, resp->error, CHANNEL_ERROR_SIZE);
        resp_close(&resp);
    }
    return resp;
}

void resp_close(struct resp **resp_at)
{
    struct resp *resp = *resp_at;
    *resp_at = NULL;
    if (resp) {
        redisReaderFree(resp->reader);
        channel_close(&resp->channel);
        free(resp);
    }
}
