#define _GNU_SOURCE 1 /* pthread_setname_np, gettid */

#include "net/thread.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* By so much nicer than the server: a tenth of the processor time where there is too little for both. */
#define NICENESS 10
#define NICENESS_MOST 19

bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    /* The thread inherits the mask of the one that makes it. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(thread, NULL, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        errno = failure;
        return false;
    }
    (void)pthread_setname_np(*thread, name);
    return true;
}

void thread_lower_priority(void)
{
    /* On Linux a thread has a niceness of its own. */
    id_t thread = (id_t)gettid();
    int niceness = getpriority(PRIO_PROCESS, thread) + NICENESS;
    (void)setpriority(PRIO_PROCESS, thread, niceness < NICENESS_MOST ? niceness : NICENESS_MOST);
}
