/* handover - what threads on different cores pay for one another, in nanoseconds: prints one line of JSON.
 *
 *   handover CORE CORE [SECONDS for each measurement]
 *
 * ring: an eventfd is written to while nobody sleeps on it. wake: the same while a thread of the other core sleeps in epoll_wait,
 * beyond what ring costs. latency: from that write until the sleeper runs. sleep: CPU of the sleeper, for going to sleep and
 * coming back. look: epoll_wait that finds nothing to wait for. line: one cache line goes from one core to the other. switch: one
 * thread of a core wakes the other and sleeps, write and read included. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* How long the sleeper is left alone, so that it really sleeps. */
#define PAUSE_NS 60000
#define ROUNDS_MOST 200000

struct pair {
    _Alignas(64) atomic_uint turn; /* the cache line that goes to and fro */
    _Alignas(64) _Atomic uint64_t rung_ns;
    _Atomic uint64_t woken_ns;
    atomic_bool is_over;
    int bell, epoll;
    double seconds, sleeper_cpu_ns;
    uint64_t sleeps;
    int cores[2];
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void stay_on(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("sched_setaffinity");
        exit(1);
    }
}

static void spin_ns(uint64_t span)
{
    for (uint64_t end = clock_ns(CLOCK_MONOTONIC) + span; clock_ns(CLOCK_MONOTONIC) < end;) {
    }
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Others use the machine, too: the median is what it takes when they do not. */
static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return count ? values[count / 2] : 0;
}

static void ring(struct pair *pair)
{
    uint64_t one = 1;
    if (write(pair->bell, &one, sizeof one) != sizeof one)
        exit(1);
}

static void open_bell(struct pair *pair)
{
    pair->bell = eventfd(0, EFD_NONBLOCK);
    pair->epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (pair->bell < 0 || epoll_ctl(pair->epoll, EPOLL_CTL_ADD, pair->bell, &event))
        exit(1);
}

/* --- nobody sleeps --- */

static double measure_ring(struct pair *pair)
{
    enum { ROUNDS = 20001, EACH = 10 };
    static double costs[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        for (int j = 0; j < EACH; j++)
            ring(pair);
        costs[i] = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / EACH;
    }
    return median(costs, ROUNDS);
}

static double measure_look(struct pair *pair)
{
    enum { ROUNDS = 20001, EACH = 10 };
    static double costs[ROUNDS];
    struct epoll_event event;
    (void)epoll_wait(pair->epoll, &event, 1, 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        for (int j = 0; j < EACH; j++)
            (void)epoll_wait(pair->epoll, &event, 1, 0);
        costs[i] = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / EACH;
    }
    return median(costs, ROUNDS);
}

/* --- a sleeper --- */

static void *run_sleeper(void *argument)
{
    struct pair *pair = argument;
    struct epoll_event event;
    stay_on(pair->cores[1]);
    uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    while (!atomic_load(&pair->is_over)) {
        if (epoll_wait(pair->epoll, &event, 1, 1000) != 1)
            continue;
        atomic_store(&pair->woken_ns, clock_ns(CLOCK_MONOTONIC));
        pair->sleeps++;
    }
    pair->sleeper_cpu_ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
    return NULL;
}

static void measure_wakes(struct pair *pair, double *wake, double *latency)
{
    static double wakes[ROUNDS_MOST], latencies[ROUNDS_MOST];
    size_t count = 0;
    pthread_t sleeper;
    if (pthread_create(&sleeper, NULL, run_sleeper, pair))
        exit(1);
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(pair->seconds * 1e9);
    while (count < ROUNDS_MOST && clock_ns(CLOCK_MONOTONIC) < end) {
        spin_ns(PAUSE_NS);
        atomic_store(&pair->woken_ns, 0);
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        ring(pair);
        wakes[count] = (double)(clock_ns(CLOCK_MONOTONIC) - begin);
        uint64_t woken = 0;
        while ((woken = atomic_load(&pair->woken_ns)) == 0) {
        }
        latencies[count++] = woken > begin ? (double)(woken - begin) : 0;
    }
    atomic_store(&pair->is_over, true);
    ring(pair);
    pthread_join(sleeper, NULL);
    *wake = median(wakes, count);
    *latency = median(latencies, count);
}

/* --- a cache line --- */

static void *run_partner(void *argument)
{
    struct pair *pair = argument;
    stay_on(pair->cores[1]);
    for (unsigned next = 1;; next += 2) {
        unsigned turn;
        while ((turn = atomic_load_explicit(&pair->turn, memory_order_acquire)) != next && turn != UINT32_MAX) {
        }
        if (turn == UINT32_MAX)
            return NULL;
        atomic_store_explicit(&pair->turn, next + 1, memory_order_release);
    }
}

static double measure_line(struct pair *pair)
{
    enum { EACH = 100 };
    static double costs[ROUNDS_MOST];
    size_t count = 0;
    pthread_t partner;
    atomic_store(&pair->turn, 0);
    if (pthread_create(&partner, NULL, run_partner, pair))
        exit(1);
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(pair->seconds * 1e9);
    for (unsigned next = 0; count < ROUNDS_MOST && clock_ns(CLOCK_MONOTONIC) < end; count++) {
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < EACH; i++, next += 2) {
            atomic_store_explicit(&pair->turn, next + 1, memory_order_release);
            while (atomic_load_explicit(&pair->turn, memory_order_acquire) != next + 2) {
            }
        }
        costs[count] = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / EACH / 2;
    }
    atomic_store(&pair->turn, UINT32_MAX);
    pthread_join(partner, NULL);
    return median(costs, count);
}

/* --- two threads of one core --- */

static void pass(int to, int from)
{
    uint64_t one = 1;
    if (write(to, &one, sizeof one) != sizeof one || read(from, &one, sizeof one) != sizeof one)
        exit(1);
}

enum { PASSES = 20000 };

static void *run_neighbour(void *argument)
{
    const int *bells = argument;
    uint64_t one;
    if (read(bells[0], &one, sizeof one) != sizeof one)
        exit(1);
    for (int i = 0; i < PASSES; i++)
        pass(bells[1], bells[0]);
    return NULL;
}

static double measure_switch(void)
{
    static double costs[PASSES];
    int bells[2] = {eventfd(0, 0), eventfd(0, 0)};
    pthread_t neighbour;
    if (bells[0] < 0 || bells[1] < 0 || pthread_create(&neighbour, NULL, run_neighbour, bells))
        exit(1);
    for (int i = 0; i < PASSES; i++) {
        uint64_t begin = clock_ns(CLOCK_MONOTONIC);
        pass(bells[0], bells[1]);
        costs[i] = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 2;
    }
    uint64_t one = 1;
    if (write(bells[0], &one, sizeof one) != sizeof one)
        exit(1);
    pthread_join(neighbour, NULL);
    return median(costs, PASSES);
}

int main(int count, char **words)
{
    static struct pair pair;
    if (count < 3) {
        fprintf(stderr, "usage: handover CORE CORE [SECONDS]\n");
        return 2;
    }
    pair.cores[0] = (int)strtol(words[1], NULL, 10);
    pair.cores[1] = (int)strtol(words[2], NULL, 10);
    pair.seconds = count > 3 ? strtod(words[3], NULL) : 1;
    stay_on(pair.cores[0]);
    open_bell(&pair);
    double ring_ns = measure_ring(&pair), look_ns = measure_look(&pair), wake_ns, latency_ns;
    measure_wakes(&pair, &wake_ns, &latency_ns);
    double sleep_ns = pair.sleeper_cpu_ns / (double)(pair.sleeps ? pair.sleeps : 1);
    double line_ns = measure_line(&pair), switch_ns = measure_switch();
    printf("{\"ring\":%.0f,\"wake\":%.0f,\"latency\":%.0f,\"sleep\":%.0f,\"look\":%.0f,\"line\":%.0f,\"switch\":%.0f}\n",
           ring_ns, wake_ns > ring_ns ? wake_ns - ring_ns : 0, latency_ns, sleep_ns, look_ns, line_ns, switch_ns);
    return 0;
}
