/* Runs one job per server in threads, while the main thread watches, shows progress and takes Ctrl-C. */
#ifndef DIGLOT_CLI_CREW_H
#define DIGLOT_CLI_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct crew {
    size_t jobs;     /* jobs 0 … jobs-1 are run, each once */
    size_t parallel; /* at most so many at a time */
    void (*run)(void *context, size_t job);
    void (*tick)(void *context); /* in the main thread, about five times a second */
    void *context;
    atomic_bool *stops; /* set by SIGINT and SIGTERM; the jobs look at it */
};

/* Returns when all jobs have ended; jobs that have not begun when it is stopped are not begun. False when it was stopped. */
bool crew_run(const struct crew *crew);

#endif
