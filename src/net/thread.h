/* Threads of ours inside the engine's process. */
#ifndef DIGLOT_NET_THREAD_H
#define DIGLOT_NET_THREAD_H

#include "base/check.h"

#include <pthread.h>
#include <stdbool.h>

/* Runs `run(argument)` in a thread that takes no signals, which are the engine's, under a name of at most 15 bytes. False,
 * with errno set, when it cannot be made. */
MUST_USE bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

/* The calling thread gives way to all others of its machine that have something to do. */
void thread_lower_priority(void);

#endif
