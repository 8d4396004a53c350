/* A session: one client's conversation, from bytes to batches and back. No sockets here.
 *
 * The connection feeds input bytes to session_decode, which fills a batch; the batch is executed (or not, when every
 * message is local), and session_encode turns the results into output bytes. One thread at a time.
 *
 * A client is anonymous until it logs in. Where the door is locked to anonymous clients, their bytes are read by decoders that
 * know nothing but logins (ascii_decode_login, binary_decode_before_login). A batch ends behind a login, because what comes next
 * is read by its outcome. */
#ifndef DIGLOT_SESSION_SESSION_H
#define DIGLOT_SESSION_SESSION_H

#include "base/buffer.h"
#include "cache/near_cache.h"
#include "command/batch.h"
#include "command/identity.h"
#include "config/options.h"
#include "observe/counters.h"
#include "observe/watch.h"

struct dialect;

/* More of a refusal's words is not kept from one batch to the next. */
#define SESSION_DENIAL_MAX 128

struct session {
    const struct options *options;
    const struct dialect *dialect; /* NULL before the first byte */
    struct counters *counters; /* of the thread that turns this session */
    const struct doorkeeper *doorkeeper;
    struct near_cache *cache; /* of that thread; NULL: none. Set by the connection */
    struct identity *identity; /* NULL: anonymous */
    enum result_status denial; /* as what a key of the text get under way was refused, RESULT_PENDING: none was … */
    uint8_t denial_size;       /* … and why */
    char denial_text[SESSION_DENIAL_MAX];
    bool has_secret;           /* the input may hold a password, or what is left of one */
    size_t swallow;            /* bytes of a refused value still to be skipped */
    size_t needed;             /* bytes that the input must have for its first request to be whole; 0: not known */
    size_t lineless;           /* bytes at the input's beginning that are known to hold no line end */
    struct request get;        /* the multiget that is being cut into messages … */
    struct span get_keys;      /* … and its keys that are not in a batch yet */
    bool in_get;
    bool is_closing; /* nothing more is decoded */
    bool is_watching; /* the client has asked to watch: nothing more that it sends is looked at, unless it is refused */
    struct watch_hub *hub;    /* NULL: nobody can watch … */
    struct mailbox *bell;     /* … where the watcher's mail goes … */
    void *owner;              /* … and whose it is there: set by the connection */
    struct watcher *watcher;  /* NULL: the client does not watch; freed by the connection */
};

enum session_verdict {
    SESSION_NEEDS_INPUT, /* the batch is empty and the input holds no whole request */
    SESSION_HAS_BATCH,   /* the batch holds at least one message */
    SESSION_CLOSES,      /* the batch is empty and nothing more will come */
};

void session_init(struct session *session, const struct options *options, struct counters *counters,
                  const struct doorkeeper *doorkeeper);

/* The session is over; wipes what may be left of a password in its input. */
void session_deinit(struct session *session, struct buffer *input);

/* Consumes requests from `input` until the batch is full, the input holds no whole request more, or the peer is to be
 * dropped behind what is in the batch. `batch` must be empty (batch_reset). Its spans point into `input`, which must not
 * be reserved, appended to or reset until session_encode has seen the whole batch. */
enum session_verdict session_decode(struct session *session, struct buffer *input, struct batch *batch);

/* A lone read waits for memory twice, so that it is looked up in two steps of its own: who has other sessions to turn does so before the
 * first, and between them. Until both are done the batch, which is_fetching, is neither executed nor encoded. No effect on other batches. */
void session_prefetch(const struct session *session, const struct batch *batch);
void session_answer(struct session *session, struct batch *batch);

/* Appends the replies of the messages that are executed and not yet encoded, until `output` and batch->apart together hold
 * `limit` bytes or more; batch->encoded says how far it came. A local message counts as executed once those before it are. Large
 * values are left where they are, and are noted in batch->apart as belonging between the output's bytes; what is in there
 * already must belong to this output. Returns false once the connection must be closed behind the output. */
bool session_encode(struct session *session, struct batch *batch, struct buffer *output, size_t limit);

/* All messages that are executed are encoded, the next one is being executed, and this is its result, a hit, whose value lies
 * elsewhere: encodes that apart. batch->apart must not be full. False when it must be told in another way. */
MUST_USE bool session_encode_ahead(struct session *session, struct batch *batch, const struct result *result, struct span value,
                          struct buffer *output);

#endif
