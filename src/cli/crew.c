#include "cli/crew.h"

#include "base/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define TICK_NS 200000000
/* How soon the end of the last job is noticed. */
#define LOOK_NS 10000000

struct work {
    const struct crew *crew;
    atomic_size_t next, ended;
};

static void *run_jobs(void *argument)
{
    struct work *work = argument;
    for (;;) {
        size_t job = atomic_fetch_add(&work->next, 1);
        if (job >= work->crew->jobs || atomic_load(work->crew->stops)) {
            break;
        }
        work->crew->run(work->crew->context, job);
    }
    atomic_fetch_add(&work->ended, 1);
    return NULL;
}

static void watch(const struct crew *crew, struct work *work, size_t threads, const sigset_t *signals)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};
    for (long waited = 0; atomic_load(&work->ended) < threads; waited += LOOK_NS) {
        if (sigtimedwait(signals, NULL, &look) > 0) {
            atomic_store(crew->stops, true);
        }
        if (waited % TICK_NS == 0) {
            crew->tick(crew->context);
        }
    }
}

bool crew_run(const struct crew *crew)
{
    sigset_t signals, before;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, &before);
    struct work work = {.crew = crew};
    size_t wanted = crew->parallel < crew->jobs ? crew->parallel : crew->jobs;
    pthread_t *threads = check_calloc(wanted + 1, sizeof *threads);
    size_t started = 0;
    while (started < wanted && pthread_create(&threads[started], NULL, run_jobs, &work) == 0) {
        started++;
    }
    CHECK(started > 0 || wanted == 0);
    watch(crew, &work, started, &signals);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    free(threads);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !atomic_load(crew->stops);
}
