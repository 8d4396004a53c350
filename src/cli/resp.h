/* A conversation in RESP with the new server: hiredis makes requests and reads replies, a channel carries them. */
#ifndef DIGLOT_CLI_RESP_H
#define DIGLOT_CLI_RESP_H

#include "cli/sides.h"

#include <hiredis/hiredis.h>

struct resp {
    struct channel *channel;
    redisReader *reader;
    char error[CHANNEL_ERROR_SIZE]; /* a sentence, once anything has failed */
};

/* Connects and logs in. NULL, with a sentence in `error`. */
MUST_USE struct resp *resp_open(const struct sides *sides, char error[CHANNEL_ERROR_SIZE]);
void resp_close(struct resp **resp);

/* Queues a command; as many as one likes before their replies are taken. */
void resp_queue(struct resp *resp, const struct span *words, size_t count);
#define RESP_QUEUE(resp, ...)                                                                                             \
    resp_queue((resp), (const struct span[]){__VA_ARGS__},                                                                \
               sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span))

/* The next reply, to be freed with freeReplyObject; an error reply is a reply. NULL when the connection is over. */
MUST_USE redisReply *resp_take(struct resp *resp);

/* Queues and takes. An error reply gives NULL, too, and is told in resp->error. */
MUST_USE redisReply *resp_ask(struct resp *resp, const struct span *words, size_t count);
#define RESP_ASK(resp, ...)                                                                                               \
    resp_ask((resp), (const struct span[]){__VA_ARGS__},                                                                  \
             sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span))

static inline struct span resp_text(const redisReply *reply)
{
    return reply && reply->str ? span_of(reply->str, reply->len) : SPAN("");
}

static inline bool resp_is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

#endif
