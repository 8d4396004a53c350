/* lg - a load generator for memcached's protocols and RESP: one thread, one epoll set, every reply parsed and counted.
 *
 *   lg -P text|meta|bin|resp -p PORT [-h HOST] [-u SOCKET] [-c CONNECTIONS] [-D DEPTH] [-o get|set|mix|mget]
 *      [-x SETS:GETS] [-m KEYS_PER_MGET] [-k KEYSPACE] [-v VALUE_SIZE] [-t SECONDS] [-w WARMUP_SECONDS]
 *      [-n REQUESTS (instead of -t)] [-r REQUESTS_PER_SECOND (open loop)] [-s SEED] [-S (keys in sequence)]
 *      [-z EXPONENT (keys as Zipf has them, the first one most often)] [-f FLAGS (of what is set)]
 *      [-b (spin: never sleep in epoll_wait, so that the server pays no wake-ups; steadiest CPU per operation)]
 *      [-H (RESP: HSET k v <hex of value> f 0 c 1, HMGET k v f c)] [-i SERVER_PID] [-l LABEL]
 *      [+ OPTIONS OF ANOTHER LOAD …]
 *   lg ... -o set -S -n KEYSPACE -c 1 -D 100      fills a key space
 *   lg ... -X                                     writes one request to standard output and connects to nobody
 *
 * Prints one line of JSON for each load. With -i it also reads the server's CPU time from /proc, and that of everybody else
 * from /proc/stat: "foreign" says how much of the machine others took during the run.
 *
 * Keys have 16 bytes: "key:" and 12 digits from 100000000000 on. A connection writes DEPTH requests at once, and the next
 * ones after all their answers. With -r it has DEPTH requests under way at most, its latency counts from the time when they
 * were meant to be sent (so a stalled server cannot hide its stall), and the client spins. Loads behind a + run in the same
 * process at the same time, so that none of them waits for a processor that another one has; -t, -w, -n and -i are the first one's. */
#ifndef LG_H
#define LG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protocol { TEXT, META, BINARY, RESP, PROTOCOLS };
enum operation { GET, SET, MIX, MULTIGET, OPERATIONS };

enum { KEY_SIZE = 16, DEPTH_MAX = 4096, INPUT_CAPACITY = 256 * 1024, HISTOGRAM_SIZE = 4096, THREADS_MAX = 64, CPUS_MAX = 64 };

struct settings {
    enum protocol protocol;
    enum operation operation;
    const char *host, *socket_path, *label;
    int port, connections, depth, sets, gets, keys_per_multiget, server_pid;
    long keyspace, value_size, requests;
    unsigned flags;
    double seconds, warmup, rate, zipf;
    bool sequential, hash, spin, print_request;
};

struct generator;

struct connection {
    struct generator *lg; /* whose it is */
    int descriptor;
    bool wants_output, busy;
    char *output, *input;
    size_t output_size, output_sent, input_size;
    size_t skip;         /* bytes of a value still to come … */
    bool skip_completes; /* … and whether their end is the end of an answer */
    long elements;       /* RESP: elements of the array still to come */
    int asked, answered; /* requests of the batch */
    uint64_t sent_ns, next_ns;
    unsigned char kinds[DEPTH_MAX];
};

/* What has been counted since the warm-up. */
struct tally {
    bool counting;
    uint64_t operations, requests, hits, misses, errors, input_bytes;
    uint64_t histogram[HISTOGRAM_SIZE];
};

/* One load. */
struct generator {
    struct settings settings;
    struct tally tally;
    struct connection *connections;
    int epoll; /* that of the process */
    uint64_t random;
    long sequence;
    uint64_t issued;
    double *zipf_bounds; /* keys.c; NULL: keys are uniform */
    char *value, *hex_value;
};

struct cpu_time {
    double thread_run[THREADS_MAX], thread_wait[THREADS_MAX];
    int threads[THREADS_MAX], thread_count;
    double server, server_user, server_system; /* seconds, as the rest */
    double busy, stolen, client;
    uint64_t time_ns;
};

/* main.c */
uint64_t now_ns(void);
void die(const char *what);

/* keys.c: which key is next, as a number from 0 to the keyspace. */
uint64_t random_next(struct generator *lg);
long key_next(struct generator *lg);
double *zipf_bounds_new(long keyspace, double exponent);

/* latency.c: 64 buckets for each power of two of 64 ns. */
void latency_count(struct tally *tally, uint64_t ns);
double latency_percentile_us(const struct tally *tally, double percent);

/* requests.c: writes one request and returns where it ends; `to` has room for request_capacity. */
char *put_request(struct generator *lg, char *to, enum operation operation);
size_t request_capacity(const struct settings *settings);

/* answers.c: takes whole answers off the connection's input and counts them. */
void connection_parse(struct connection *connection, uint64_t time_ns);

/* connections.c */
void connection_init(struct generator *lg, struct connection *connection);
void connection_send_batch(struct connection *connection, uint64_t time_ns);
/* What epoll reports. False when the peer has closed. */
bool connection_handle(struct connection *connection, uint32_t events);

/* cpu_time.c */
void cpu_time_read(struct cpu_time *cpu, int server_pid);
/* How long the server's busiest thread waited for a CPU, in seconds. */
double busiest_thread_wait(const struct cpu_time *before, const struct cpu_time *after);

#endif
