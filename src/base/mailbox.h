/* A queue between threads: many may post, one takes.
 *
 * Mails are linked through a struct mail inside them, so posting allocates nothing. A mailbox may have a bell, an eventfd
 * that becomes readable when a mail comes into an empty box; the taker puts it into its epoll set. Without a bell the
 * taker looks by itself (the case of one thread). */
#ifndef DIGLOT_BASE_MAILBOX_H
#define DIGLOT_BASE_MAILBOX_H

#include "base/check.h"

#include <stdatomic.h>
#include <stdbool.h>

struct mail {
    struct mail *next;
};

struct mailbox {
    _Atomic(struct mail *) newest;
    int bell;   /* eventfd, or -1 */
    bool rings; /* posting rings the bell; a taker in the posters' own thread may switch that off */
};

/* Returns false, with errno, when the bell cannot be made. */
MUST_USE bool mailbox_init(struct mailbox *box, bool with_bell);
/* Mails still inside stay their posters'. */
void mailbox_deinit(struct mailbox *box);

/* Any thread. The mail belongs to the taker from here on. */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* The taker's thread: all mails, oldest first, linked by `next`; NULL when there are none. Silences the bell. */
struct mail *mailbox_take(struct mailbox *box);

/* The same without a system call, for a taker that looks often and silences the bell only when it was woken by it. */
struct mail *mailbox_poll(struct mailbox *box);

/* The taker's thread. Whatever rang is to be looked for afterwards. */
void mailbox_silence(struct mailbox *box);

/* Makes the bell ring without a mail. Any thread. */
void mailbox_ring(struct mailbox *box);

#endif
