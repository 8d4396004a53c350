#include "upstream/courier.h"

#include "base/clock.h"
#include "net/ring.h"
#include "net/thread.h"
#include "upstream/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
/* The longest sleep. */
#define SLEEP_US 1000000u
#define MICROSECONDS_PER_MS 1000u

struct courier {
    struct link_owner owner;
    struct event_source bell_source;
    struct mailbox inbox;
    struct mailbox *home;
    struct roster *roster; /* NULL until it is configured */
    struct link *links;    /* one for each server of the roster */
    pthread_t thread;
    atomic_bool is_stopping;
};

static void finish(struct link_owner *owner, struct job *job)
{
    struct courier *courier = CONTAINER_OF(owner, struct courier, owner);
    if (atomic_load_explicit(&courier->is_stopping, memory_order_relaxed))
        job_free(&job);
    else
        mailbox_post(courier->home, &job->mail);
}

static size_t link_count(const struct courier *courier)
{
    return courier->roster ? courier->roster->fleet->count : 0;
}

static void drop_links(struct courier *courier)
{
    for (size_t i = 0; i < link_count(courier); i++) link_deinit(&courier->links[i]);
    free(courier->links);
    courier->links = NULL;
    roster_release(&courier->roster);
}

static void take_roster(struct courier *courier, struct roster *roster)
{
    drop_links(courier);
    courier->roster = roster;
    courier->links = check_calloc(roster->fleet->count, sizeof *courier->links);
    for (size_t i = 0; i < roster->fleet->count; i++)
        link_init(&courier->links[i], &courier->owner, &roster->fleet->servers[i], &roster->servers[i], roster->tls);
}

static void take_job(struct courier *courier, struct job *job)
{
    if (job->kind == JOB_CONFIGURE) {
        take_roster(courier, job->roster);
        job_free(&job);
        return;
    }
    CHECK(job->server < link_count(courier));
    link_submit(&courier->links[job->server], job);
}

static void take_mail(struct courier *courier)
{
    for (struct mail *mail = mailbox_poll(&courier->inbox); mail;) {
        struct mail *next = mail->next;
        take_job(courier, CONTAINER_OF(mail, struct job, mail));
        mail = next;
    }
}

static void handle_bell(struct event_source *source, uint32_t events)
{
    (void)events;
    mailbox_silence(&CONTAINER_OF(source, struct courier, bell_source)->inbox);
}

/* Milliseconds until something is due. */
static int sleep_ms(const struct courier *courier)
{
    uint64_t now_us = clock_monotonic_us(), due_us = now_us + SLEEP_US;
    for (size_t i = 0; i < link_count(courier); i++) {
        uint64_t link_due_us = link_next_due(&courier->links[i]);
        if (link_due_us < due_us) due_us = link_due_us;
    }
    if (due_us <= now_us) return 0;
    return (int)((due_us - now_us + MICROSECONDS_PER_MS - 1) / MICROSECONDS_PER_MS);
}

static void take_turn(struct courier *courier)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(courier->owner.epoll, events, EVENTS_PER_TURN, sleep_ms(courier));
    for (int i = 0; i < count; i++) {
        struct event_source *source = events[i].data.ptr;
        source->handle(source, events[i].events);
    }
    take_mail(courier); /* behind the events: it may do away with the links that they are for */
    uint64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < link_count(courier); i++) {
        link_flush(&courier->links[i], now_us);
        link_check_time(&courier->links[i], now_us);
    }
}

static void *run_thread(void *argument)
{
    struct courier *courier = argument;
    while (!atomic_load_explicit(&courier->is_stopping, memory_order_acquire)) take_turn(courier);
    drop_links(courier);
    return NULL;
}

static bool open_courier(struct courier *courier)
{
    courier->inbox.bell = -1;
    courier->owner.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (courier->owner.epoll < 0 || !mailbox_init(&courier->inbox, true)) return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &courier->bell_source};
    return epoll_ctl(courier->owner.epoll, EPOLL_CTL_ADD, courier->inbox.bell, &event) == 0 &&
           thread_start(&courier->thread, "diglot-upstream", run_thread, courier);
}

static void free_mail(struct courier *courier)
{
    for (struct mail *mail = mailbox_poll(&courier->inbox); mail;) {
        struct mail *next = mail->next;
        struct job *job = CONTAINER_OF(mail, struct job, mail);
        if (job->kind == JOB_CONFIGURE) roster_release(&job->roster);
        job_free(&job);
        mail = next;
    }
}

static void free_courier(struct courier *courier)
{
    int reason = errno;
    free_mail(courier);
    mailbox_deinit(&courier->inbox);
    if (courier->owner.epoll >= 0) (void)close(courier->owner.epoll);
    free(courier);
    errno = reason;
}

struct courier *courier_start(struct mailbox *home)
{
    struct courier *courier = check_calloc_aligned(_Alignof(struct courier), sizeof *courier);
    courier->owner.finish = finish;
    courier->bell_source.handle = handle_bell;
    courier->home = home;
    if (open_courier(courier)) return courier;
    free_courier(courier);
    return NULL;
}

void courier_stop(struct courier **courier)
{
    if (!*courier) return;
    atomic_store_explicit(&(*courier)->is_stopping, true, memory_order_release);
    mailbox_ring(&(*courier)->inbox);
    (void)pthread_join((*courier)->thread, NULL);
    free_courier(*courier);
    *courier = NULL;
}

void courier_configure(struct courier *courier, struct roster *roster)
{
    struct job *job = job_new(JOB_CONFIGURE, 0, SPAN(""));
    job->roster = roster_retain(roster);
    mailbox_post(&courier->inbox, &job->mail);
}

void courier_send(struct courier *courier, struct job *job)
{
    mailbox_post(&courier->inbox, &job->mail);
}
