/* probe PORT SECONDS [get|ping] - asks one thing at a time on one connection, with a pause between, and prints how long the
 * answers took, in microseconds, as JSON.
 *
 * get: memcached's "get probe", of any value; ping: RESP's PING. Run it with a processor that it finds free whenever it wakes
 * (chrt -f 50 taskset -c N), or what it measures is its own waiting. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 400000
#define SAMPLES_MOST 1000000

struct question {
    const char *name, *request, *end; /* the answer ends so */
};

static const struct question questions[] = {
    {"get", "get probe\r\n", "END\r\n"},
    {"ping", "PING\r\n", "+PONG\r\n"},
};

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int dial(unsigned port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) return -1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
}

static bool ask(int descriptor, const struct question *question)
{
    char answer[65536];
    size_t size = 0, end = strlen(question->end), request = strlen(question->request);
    if (write(descriptor, question->request, request) != (ssize_t)request) return false;
    do {
        ssize_t got = read(descriptor, answer + size, sizeof answer - size);
        if (got <= 0) return false;
        size += (size_t)got;
    } while (size < end || memcmp(answer + size - end, question->end, end) != 0);
    return true;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print(double *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f, \"count\": %zu}\n", samples[count / 2],
           samples[count * 99 / 100], samples[count * 999 / 1000], samples[count - 1], count);
}

int main(int count, char **words)
{
    static double samples[SAMPLES_MOST];
    const struct question *question = &questions[count > 3 && strcmp(words[3], "ping") == 0];
    int descriptor = count > 2 ? dial((unsigned)atoi(words[1])) : -1;
    if (descriptor < 0) {
        fprintf(stderr, "usage: probe PORT SECONDS [get|ping], and a server on PORT\n");
        return 2;
    }
    const struct timespec pause = {0, PAUSE_NS};
    double end = now_us() + atof(words[2]) * 1e6;
    size_t taken = 0;
    while (now_us() < end && taken < SAMPLES_MOST) {
        double begin = now_us();
        if (!ask(descriptor, question)) return 1;
        samples[taken++] = now_us() - begin;
        nanosleep(&pause, NULL);
    }
    if (taken > 0) print(samples, taken);
    return 0;
}
