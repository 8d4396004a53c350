/* A batch: what one connection asks in one turn. It is the whole boundary between sessions and execution.
 *
 * A connection has at most one batch under way and reads nothing more until it is back, so replies keep the order of the
 * requests, whatever had to wait, and a client that pipelines without reading is throttled by itself. The executor works
 * through the messages in order and gives the batch back when all are done, or earlier when the reply bytes reach
 * BATCH_REPLY_LIMIT; the session encodes what is executed and submits the same batch again for the rest. A message that
 * cannot be executed yet parks its batch: the executor keeps it and tries again at its next turn. */
#ifndef DIGLOT_COMMAND_BATCH_H
#define DIGLOT_COMMAND_BATCH_H

#include "base/buffer.h"
#include "base/mailbox.h"
#include "base/pieces.h"
#include "command/command.h"
#include "command/identity.h"
#include "wire/message.h"

#define BATCH_CAPACITY 128
/* Bytes of values after which a batch is given back before its end; the last value may go beyond. */
#define BATCH_REPLY_LIMIT (256 * 1024)
/* Values from this size on need not be copied once more to be sent: a copy would cost more than another part. Near caches keep
 * smaller ones (cache/near_cache.h), from among the batch's values. */
#define BATCH_APART_LEAST (4 * 1024 + 1)
/* Batches that do not hold more are not counted among the lent. */
#define BATCH_LENT_LEAST (64 * 1024)

struct errand;

struct message {
    struct request request;
    struct result result;
};

struct batch {
    struct mail mail;     /* first: a batch travels by mail */
    struct mailbox *home; /* where it goes when it is executed */
    void *owner;          /* whose it is there; of no concern to the executor */
    int descriptor;       /* of the client, by which watchers know it */
    uint32_t count;       /* messages in it */
    uint32_t executed;    /* how many of them have a result */
    uint32_t encoded;     /* how many results have left for the client */
    bool is_local;        /* no message needs the engine, or all that do are answered */
    /* Reads that were answered before the batch is executed have their result, RESULT_HIT, and the stamp of what they found in
     * their sighting; the executor takes the answer as its own if the stamp still stands when it comes to that message, else
     * executes it. Their values hold for one journey. */
    bool has_answers;
    bool is_fetching;     /* a lone read, which is to be looked up as soon as what that needs has come from memory */
    bool has_sightings;   /* those of the messages are set */
    uint32_t prepared;      /* messages before this one need not ask an old server (upstream/bridge.h), … */
    uint32_t prepared_at;   /* … unless keys have moved since: bridge.share_changes then; … */
    /* … and what came of those that did, for messages that are not executed yet; NULL: nothing. The executor's; but the batch
     * takes it along when it goes home early, and frees it when it is reset. */
    struct errand *errand;
    void (*free_errand)(struct errand **errand);
    size_t errand_bytes; /* at home: that the errand holds */
    struct identity *identity; /* who asks, for the executor; the session's. NULL: an anonymous client */
    const char *peer;          /* the client's address (net/address.h); NULL: not known */
    struct outlet *outlet;     /* takes values while the batch is executed; NULL: nobody does */
    /* A login succeeded: who the client is from here on, with a reference that the session takes over. A login is the last
     * message of its batch. */
    struct identity *granted;
    size_t lent;          /* bytes of values that the executor has sent home and that nobody has looked at yet; 0 if few */
    struct buffer values; /* the bytes of values, referred to by the results' value_offset */
    /* Values that were encoded apart: they are sent from where they lie. Until then nothing more of the batch is executed, and
     * it is not reset. */
    struct pieces apart;
    struct message messages[BATCH_CAPACITY];
    struct sighting sightings[BATCH_CAPACITY];
    struct extras extras[BATCH_CAPACITY]; /* room for those of each message; its pages are untouched by classic requests */
};

/* The batch that travels by this mail; NULL stays NULL. */
static inline struct batch *batch_of_mail(struct mail *mail)
{
    return (struct batch *)mail; /* its first member */
}

/* True when the message has its result from the near cache, if that still stands. */
static inline bool message_is_answered(const struct message *message)
{
    return message->result.status == RESULT_HIT;
}

struct batch *batch_new(void);
void batch_free(struct batch **batch);

/* Makes it empty and ready for use; keeps its memory up to a bound. */
void batch_reset(struct batch *batch);

static inline bool batch_is_full(const struct batch *batch)
{
    return batch->count == BATCH_CAPACITY;
}

/* True when the next reply can be encoded: it is executed, or nobody executes it and it has come to its turn. */
static inline bool batch_is_due(const struct batch *batch)
{
    return batch->encoded < batch->count
           && (batch->encoded < batch->executed || request_is_local(batch->messages[batch->encoded].request.op));
}

/* The message's sighting; NULL where it has none. */
static inline struct sighting *batch_sighting(struct batch *batch, uint32_t index)
{
    return batch->has_sightings ? &batch->sightings[index] : NULL;
}

/* It is about to be executed: values that have been encoded make room, if they took much, and so do answers that have been
 * on a journey. */
void batch_begin_journey(struct batch *batch, size_t keep);

/* Where the extras of the next message belong; the batch must not be full. */
static inline struct extras *batch_extras(struct batch *batch)
{
    return &batch->extras[batch->count];
}

/* Appends a message with result PENDING and everything else zero; the batch must not be full. */
struct message *batch_add(struct batch *batch);

/* The same with this request. */
struct message *batch_add_request(struct batch *batch, const struct request *request);

#endif
