#include "base/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NO_BELL (-1)

bool mailbox_init(struct mailbox *box, bool with_bell)
{
    atomic_init(&box->newest, NULL);
    box->bell = NO_BELL;
    if (with_bell) {
        box->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return box->bell >= 0;
    }
    return true;
}

void mailbox_deinit(struct mailbox *box)
{
    if (box->bell != NO_BELL) {
        close(box->bell);
        box->bell = NO_BELL;
    }
}

void mailbox_ring(struct mailbox *box)
{
    if (box->bell == NO_BELL) {
        return;
    }
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so the bell is ringing already. */
    while (write(box->bell, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void mailbox_silence(struct mailbox *box)
{
    uint64_t rings;
    while (read(box->bell, &rings, sizeof rings) < 0 && errno == EINTR) {
    }
}

bool mailbox_leave(struct mailbox *box, struct mail *mail)
{
    struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
    do {
        mail->next = newest == MAILBOX_AWAKE(box) ? NULL : newest;
    } while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, mail, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on the mail may be gone; only `newest`, a copied pointer, is looked at. */
    return newest == NULL && box->bell != NO_BELL;
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    if (mailbox_leave(box, mail)) {
        mailbox_ring(box);
    }
}

static struct mail *oldest_first(struct mail *newest)
{
    struct mail *oldest = NULL;
    while (newest != NULL) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

struct mail *mailbox_take(struct mailbox *box)
{
    /* Silence first: a mail that comes after the exchange finds the box empty and rings again. The other way round, its
     * ring could be silenced while the mail stays inside. */
    if (box->bell != NO_BELL) {
        mailbox_silence(box);
    }
    return mailbox_poll(box);
}

/* What takes the place of the mails says whether the next post rings. */
static struct mail *take_all(struct mailbox *box, struct mail *empty)
{
    struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
    if (newest == empty) return NULL;
    newest = atomic_exchange_explicit(&box->newest, empty, memory_order_acquire);
    return newest == MAILBOX_AWAKE(box) ? NULL : oldest_first(newest);
}

struct mail *mailbox_poll(struct mailbox *box)
{
    return take_all(box, NULL);
}

struct mail *mailbox_collect(struct mailbox *box)
{
    return take_all(box, MAILBOX_AWAKE(box));
}

bool mailbox_rest(struct mailbox *box)
{
    struct mail *newest = MAILBOX_AWAKE(box);
    return atomic_compare_exchange_strong_explicit(&box->newest, &newest, NULL, memory_order_relaxed, memory_order_relaxed)
           || newest == NULL;
}

void mailbox_rise(struct mailbox *box)
{
    struct mail *newest = NULL;
    (void)atomic_compare_exchange_strong_explicit(&box->newest, &newest, MAILBOX_AWAKE(box), memory_order_relaxed,
                                                  memory_order_relaxed);
}
