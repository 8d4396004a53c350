/* A queue between threads: many may post, one takes.
 *
 * Mails are linked through a struct mail inside them, so posting allocates nothing. A mailbox may have a bell, an eventfd
 * that becomes readable when a mail comes into an empty box; the taker puts it into its epoll set. Without a bell the
 * taker looks by itself (the case of one thread).
 *
 * Ringing and silencing are system calls, and waking a thread costs both sides more than most requests. A taker that looks
 * anyway before it sleeps says so (mailbox_collect), and nobody rings until it rests (mailbox_rest): where there is always
 * something to do, the bell is never used. */
#ifndef DIGLOT_BASE_MAILBOX_H
#define DIGLOT_BASE_MAILBOX_H

#include "base/cache_line.h"
#include "base/check.h"

#include <stdatomic.h>
#include <stdbool.h>

struct mail {
    struct mail *next;
};

/* Posters and takers write to it all the time: on a cache line of its own, they disturb nobody else. */
struct mailbox {
    _Alignas(CACHE_LINE) _Atomic(struct mail *) newest; /* NULL: none, and the next post rings; MAILBOX_AWAKE: none */
    int bell;                                           /* eventfd, or -1 */
};

/* In place of the newest mail: there is none, and the taker looks again before it rests. */
#define MAILBOX_AWAKE(box) ((struct mail *)(box))

/* Returns false, with errno, when the bell cannot be made. */
MUST_USE bool mailbox_init(struct mailbox *box, bool with_bell);
/* Mails still inside stay their posters'. */
void mailbox_deinit(struct mailbox *box);

/* Any thread. The mail belongs to the taker from here on. */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* The same for a poster that has more to post: true when it must ring the bell behind that. */
MUST_USE bool mailbox_leave(struct mailbox *box, struct mail *mail);

/* The taker's thread: all mails, oldest first, linked by `next`; NULL when there are none. Silences the bell. */
struct mail *mailbox_take(struct mailbox *box);

/* The same without a system call, for a taker that looks often and silences the bell only when it was woken by it. */
struct mail *mailbox_poll(struct mailbox *box);

/* The same, and from here on nobody rings until mailbox_rest. */
struct mail *mailbox_collect(struct mailbox *box);

/* The taker's thread, before it sleeps: true when there is nothing, and whoever posts from here on rings. False when mail has
 * come that nobody has rung for. Whatever the taker, true once the box rests already. */
MUST_USE bool mailbox_rest(struct mailbox *box);

/* The taker's thread, when it has slept: nobody needs to ring until mailbox_rest. Somebody may have already. */
void mailbox_rise(struct mailbox *box);

/* The taker's thread. Whatever rang is to be looked for afterwards. */
void mailbox_silence(struct mailbox *box);

/* Makes the bell ring without a mail. Any thread. */
void mailbox_ring(struct mailbox *box);

#endif
