/* Who may do what: the engine's ACL, asked for every memcached request before anything else is done for it, so that nobody
 * learns of a key what he may not read. docs/access.md tells users. Main thread only, but for the doorkeeper.
 *
 * Most users may do everything, and asking the engine for each request would cost a tenth of it. So what was found out is kept
 * in the identity and holds as long as nothing can have changed. Nothing changes within a turn of the executor. Between turns, a
 * command filter sees the commands that change users when they arrive; they run right then, unless they are queued in MULTI
 * (then the EXEC that runs them is seen, where it may be one of those), or the clients are paused (then what is known is asked
 * anew in every turn until the pause is over). CONFIG SET is told by the engine. Whatever else may change a user, like another
 * module, is noticed within five seconds. Who may read everything may be answered from the near cache by any thread:
 * that is let known, and taken back as soon as it may have changed. */
#ifndef DIGLOT_ENGINE_ACCESS_H
#define DIGLOT_ENGINE_ACCESS_H

#include "command/command.h"
#include "engine/api.h"
#include "engine/permit_words.h"

struct access {
    struct doorkeeper keeper;
    struct permit_words words;
    RedisModuleCtx *ctx;        /* of the present turn */
    struct identity *anonymous; /* diglot.user */
    struct identity **known;    /* of those who have logged in, one for each user */
    size_t known_count;
    size_t known_capacity;
    int db; /* the items' */
    struct span key_prefix;
    uint64_t generation;   /* of what is known of users */
    uint64_t refreshed_us; /* when it was last moved for no other reason than time */
    unsigned unsettled;    /* turns that must ask anew */
    bool may_be_queued;    /* a client may have a command in MULTI that changes users */
    bool has_met_user;     /* diglot.user was looked for once the engine had read its users */
};

/* `user` is diglot.user; `key_prefix` must outlive the struct. */
void access_init(struct access *access, RedisModuleCtx *ctx, const char *user, int db, struct span key_prefix);
/* Identities that sessions still hold stay alive. */
void access_deinit(struct access *access);

/* A turn of the engine's loop begins, whether or not there are requests. Its context holds until access_end_turn. */
void access_begin_turn(struct access *access, RedisModuleCtx *ctx);
void access_end_turn(struct access *access);

/* Users, or what they may do, may have changed, or are about to. */
void access_note_change(struct access *access);

/* Time goes by, monotonic: a few times a second. */
void access_note_time(struct access *access, uint64_t now_us);

/* The command filter: `name` is the command's, in any case; `filter` gives the rest. */
void access_note_command(struct access *access, RedisModuleCommandFilterCtx *filter, struct span name, int count);

/* Who acts for this batch's identity (NULL: the anonymous user), with what he may do known. */
struct identity *access_resolve(struct access *access, struct identity *identity);

/* Whether a request may be executed; fills `result` when not. A user whose grant is open may do anything. */
bool access_check(struct access *access, struct identity *identity, const struct request *request, struct result *result);

/* The same without a word: no result, no entry in ACL LOG. */
bool access_may(struct access *access, struct identity *identity, const struct request *request);

/* Whether a read of this user may write the mark that it has come to (RESULT_NEEDS_WRITE); a refusal is not the user's fault
 * and is told nowhere. */
bool access_may_mark(struct access *access, struct identity *identity, struct span key);

/* Who a dump tells of keys: see command_context.reader. */
struct access_reader {
    struct key_reader reader;
    struct access *access;
    RedisModuleUser *user;
};

/* Binds a reader to the user, if there are keys that he may not read, until access_end_reading; no command that changes users may
 * run in between. NULL: he may read them all. */
struct key_reader *access_begin_reading(struct access *access, struct access_reader *reader, const struct identity *identity);
void access_end_reading(struct access_reader *reader);

/* The identity of a user that has just logged in, with a reference for the caller. */
struct identity *access_admit(struct access *access, struct span name);

#endif
