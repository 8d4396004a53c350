/* lg - a load generator for memcached's protocols and RESP: one thread, one epoll set, every reply parsed and counted.
 *
 *   lg -P text|meta|bin|resp -p PORT [-h HOST] [-u SOCKET] [-c CONNECTIONS] [-D DEPTH] [-o get|set|mix|mget]
 *      [-x SETS:GETS] [-m KEYS_PER_MGET] [-k KEYSPACE] [-v VALUE_SIZE] [-t SECONDS] [-w WARMUP_SECONDS]
 *      [-n REQUESTS (instead of -t)] [-r REQUESTS_PER_SECOND (open loop)] [-s SEED] [-S (keys in sequence)]
 *      [-b (spin: never sleep in epoll_wait, so that the server pays no wake-ups; steadiest CPU per operation)]
 *      [-H (RESP: HSET k v <hex of value> f 0 c 1, HMGET k v f c)] [-i SERVER_PID] [-l LABEL]
 *   lg ... -o set -S -n KEYSPACE -c 1 -D 100      fills a key space
 *
 * Prints one line of JSON. With -i it also reads the server's CPU time from /proc, and that of everybody else from
 * /proc/stat: "foreign" says how much of the machine others took during the run.
 *
 * Keys have 16 bytes: "key:" and 12 digits from 100000000000 on. A connection writes DEPTH requests at once, and the next
 * ones after all their answers. With -r it has one request under way, its latency counts from the time when it was meant
 * to be sent (so a stalled server cannot hide its stall), and the client spins. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum protocol { TEXT, META, BINARY, RESP, PROTOCOLS };
enum operation { GET, SET, MIX, MULTIGET, OPERATIONS };

enum { KEY_SIZE = 16, DEPTH_MAX = 4096, INPUT_CAPACITY = 256 * 1024, HISTOGRAM_SIZE = 4096, THREADS_MAX = 64, CPUS_MAX = 64 };

static const char *const protocol_names[PROTOCOLS] = {"text", "meta", "bin", "resp"};
static const char *const operation_names[OPERATIONS] = {"get", "set", "mix", "mget"};

struct settings {
    enum protocol protocol;
    enum operation operation;
    const char *host, *socket_path, *label;
    int port, connections, depth, sets, gets, keys_per_multiget, server_pid;
    long keyspace, value_size, requests;
    double seconds, warmup, rate;
    bool sequential, hash, spin;
};

struct connection {
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

struct generator {
    struct settings settings;
    struct tally tally;
    struct connection *connections;
    int epoll;
    uint64_t random;
    long sequence;
    uint64_t issued;
    char *value, *hex_value;
};

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t random_next(struct generator *lg)
{
    lg->random ^= lg->random << 13;
    lg->random ^= lg->random >> 7;
    lg->random ^= lg->random << 17;
    return lg->random;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- latency: 64 buckets for each power of two of 64 ns --- */

static int histogram_bucket(uint64_t ns)
{
    uint64_t value = ns >> 6;
    if (value < 64)
        return (int)value;
    int exponent = 63 - __builtin_clzll(value);
    int bucket = (exponent - 5) * 64 + (int)((value >> (exponent - 6)) & 63);
    return bucket < HISTOGRAM_SIZE ? bucket : HISTOGRAM_SIZE - 1;
}

static double histogram_value_us(int bucket)
{
    if (bucket < 64)
        return bucket * 64 / 1000.0;
    int exponent = bucket / 64 + 5;
    uint64_t base = (1ULL << exponent) + ((uint64_t)(bucket & 63) << (exponent - 6));
    return (double)(base + (1ULL << (exponent > 7 ? exponent - 7 : 0))) * 64 / 1000;
}

static double percentile_us(const struct tally *tally, double percent)
{
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < HISTOGRAM_SIZE; i++)
        total += tally->histogram[i];
    for (int i = 0; i < HISTOGRAM_SIZE && total; i++) {
        seen += tally->histogram[i];
        if (seen > (uint64_t)((double)total * percent / 100))
            return histogram_value_us(i);
    }
    return 0;
}

/* --- requests --- */

static char *put(char *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static char *put_text(char *to, const char *text)
{
    return put(to, text, strlen(text));
}

static char *put_number(char *to, long number)
{
    char text[24];
    return put(to, text, (size_t)snprintf(text, sizeof text, "%ld", number));
}

static char *put_key(struct generator *lg, char *to)
{
    long number = lg->settings.sequential ? lg->sequence++ : (long)(random_next(lg) & INT64_MAX);
    put(to, "key:100000000000", KEY_SIZE);
    number %= lg->settings.keyspace;
    for (int i = KEY_SIZE - 1; number; i--, number /= 10)
        to[i] = (char)(to[i] + number % 10);
    return to + KEY_SIZE;
}

static char *put_value(const struct generator *lg, char *to)
{
    return put_text(put(to, lg->value, (size_t)lg->settings.value_size), "\r\n");
}

static char *put_binary_header(char *to, int opcode, size_t key, size_t extras, size_t body)
{
    uint32_t length = htonl((uint32_t)body);
    memset(to, 0, 24);
    to[0] = (char)0x80;
    to[1] = (char)opcode;
    to[3] = (char)key;
    to[4] = (char)extras;
    memcpy(to + 8, &length, sizeof length);
    return to + 24;
}

static char *put_resp_key(struct generator *lg, char *to)
{
    return put_text(put_key(lg, put_text(to, "$16\r\n")), "\r\n");
}

static char *put_hash_set(struct generator *lg, char *to)
{
    char version[24];
    int digits = snprintf(version, sizeof version, "%ld", lg->sequence);
    to = put_text(put_resp_key(lg, put_text(to, "*8\r\n$4\r\nHSET\r\n")), "$1\r\nv\r\n$");
    to = put_text(put_number(to, 2 * lg->settings.value_size), "\r\n");
    to = put(to, lg->hex_value, 2 * (size_t)lg->settings.value_size);
    to = put_text(put_number(put_text(to, "\r\n$1\r\nf\r\n$1\r\n0\r\n$1\r\nc\r\n$"), digits), "\r\n");
    return put_text(put_text(to, version), "\r\n");
}

static char *put_set(struct generator *lg, char *to)
{
    long size = lg->settings.value_size;
    switch (lg->settings.protocol) {
    case TEXT:
        to = put_text(put_key(lg, put_text(to, "set ")), " 0 0 ");
        return put_value(lg, put_text(put_number(to, size), "\r\n"));
    case META:
        to = put_text(put_key(lg, put_text(to, "ms ")), " ");
        return put_value(lg, put_text(put_number(to, size), "\r\n"));
    case BINARY:
        to = put_binary_header(to, 0x01, KEY_SIZE, 8, 8 + KEY_SIZE + (size_t)size);
        memset(to, 0, 8);
        return put(put_key(lg, to + 8), lg->value, (size_t)size);
    default:
        if (lg->settings.hash)
            return put_hash_set(lg, to);
        to = put_text(put_resp_key(lg, put_text(to, "*3\r\n$3\r\nSET\r\n")), "$");
        return put_value(lg, put_text(put_number(to, size), "\r\n"));
    }
}

static char *put_get(struct generator *lg, char *to)
{
    switch (lg->settings.protocol) {
    case TEXT:
        return put_text(put_key(lg, put_text(to, "get ")), "\r\n");
    case META:
        return put_text(put_key(lg, put_text(to, "mg ")), " v\r\n");
    case BINARY:
        return put_key(lg, put_binary_header(to, 0x00, KEY_SIZE, 0, KEY_SIZE));
    default:
        if (lg->settings.hash)
            return put_text(put_resp_key(lg, put_text(to, "*5\r\n$5\r\nHMGET\r\n")), "$1\r\nv\r\n$1\r\nf\r\n$1\r\nc\r\n");
        return put_resp_key(lg, put_text(to, "*2\r\n$3\r\nGET\r\n"));
    }
}

/* A line or header in front, one piece for each key, and an end. */
static char *put_multiget(struct generator *lg, char *to)
{
    enum protocol protocol = lg->settings.protocol;
    int keys = lg->settings.keys_per_multiget;
    if (protocol == TEXT)
        to = put_text(to, "get");
    else if (protocol == RESP)
        to = put_text(put_number(put_text(to, "*"), keys + 1), "\r\n$4\r\nMGET\r\n");
    for (int i = 0; i < keys; i++) {
        if (protocol == TEXT)
            to = put_key(lg, put_text(to, " "));
        else if (protocol == META)
            to = put_text(put_key(lg, put_text(to, "mg ")), " v k q\r\n");
        else if (protocol == BINARY)
            to = put_key(lg, put_binary_header(to, 0x0d, KEY_SIZE, 0, KEY_SIZE));
        else
            to = put_resp_key(lg, to);
    }
    if (protocol == TEXT)
        return put_text(to, "\r\n");
    if (protocol == META)
        return put_text(to, "mn\r\n");
    return protocol == BINARY ? put_binary_header(to, 0x0a, 0, 0, 0) : to;
}

static enum operation pick_operation(struct generator *lg)
{
    const struct settings *settings = &lg->settings;
    if (settings->operation != MIX)
        return settings->operation;
    return (int)(random_next(lg) % (uint64_t)(settings->sets + settings->gets)) < settings->sets ? SET : GET;
}

static size_t output_capacity(const struct settings *settings)
{
    size_t keys = settings->operation == MULTIGET ? (size_t)settings->keys_per_multiget * 48 : 0;
    size_t value = (size_t)settings->value_size * (settings->hash ? 2 : 1);
    return (size_t)settings->depth * (keys + value + 192) + 256;
}

/* --- connections --- */

static void connection_flush(struct generator *lg, struct connection *connection)
{
    while (connection->output_sent < connection->output_size) {
        ssize_t sent = write(connection->descriptor, connection->output + connection->output_sent,
                             connection->output_size - connection->output_sent);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0 && errno != EINTR)
            die("write");
        connection->output_sent += sent > 0 ? (size_t)sent : 0;
    }
    bool wants_output = connection->output_sent < connection->output_size;
    if (wants_output == connection->wants_output)
        return;
    connection->wants_output = wants_output;
    struct epoll_event event = {.events = EPOLLIN | (wants_output ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(lg->epoll, EPOLL_CTL_MOD, connection->descriptor, &event);
}

static void connection_send_batch(struct generator *lg, struct connection *connection, uint64_t time_ns)
{
    int count = lg->settings.depth;
    uint64_t most = (uint64_t)lg->settings.requests;
    if (most && lg->issued + (uint64_t)count > most)
        count = (int)(most - lg->issued);
    if (count <= 0)
        return;
    char *to = connection->output;
    for (int i = 0; i < count; i++) {
        enum operation operation = pick_operation(lg);
        connection->kinds[i] = (unsigned char)operation;
        to = operation == SET ? put_set(lg, to) : operation == GET ? put_get(lg, to) : put_multiget(lg, to);
    }
    lg->issued += (uint64_t)count;
    connection->asked = count;
    connection->answered = 0;
    connection->output_size = (size_t)(to - connection->output);
    connection->output_sent = 0;
    connection->sent_ns = time_ns;
    connection->busy = true;
    connection_flush(lg, connection);
}

static int socket_connect(const struct settings *settings)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons((uint16_t)settings->port)};
    const struct sockaddr *address = (const struct sockaddr *)&remote;
    socklen_t size = sizeof remote;
    if (settings->socket_path) {
        snprintf(local.sun_path, sizeof local.sun_path, "%s", settings->socket_path);
        address = (const struct sockaddr *)&local;
        size = sizeof local;
    } else {
        inet_pton(AF_INET, settings->host, &remote.sin_addr);
    }
    int descriptor = socket(address->sa_family, SOCK_STREAM, 0);
    if (connect(descriptor, address, size))
        die("connect");
    if (!settings->socket_path)
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    return descriptor;
}

static void connection_init(struct generator *lg, struct connection *connection)
{
    connection->descriptor = socket_connect(&lg->settings);
    connection->output = malloc(output_capacity(&lg->settings));
    connection->input = malloc(INPUT_CAPACITY);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(lg->epoll, EPOLL_CTL_ADD, connection->descriptor, &event);
}

/* --- answers: each parser takes one line or header off the input and returns its size, 0 while it is not whole --- */

static void count_hit(struct generator *lg)
{
    lg->tally.hits += lg->tally.counting;
}

static void count_miss(struct generator *lg)
{
    lg->tally.misses += lg->tally.counting;
}

static void count_error(struct generator *lg, const char *bytes, size_t size)
{
    if (++lg->tally.errors < 4)
        fprintf(stderr, "unexpected: %.*s\n", (int)(size > 60 ? 60 : size), bytes);
}

static void answer_done(struct generator *lg, struct connection *connection, uint64_t time_ns)
{
    enum operation kind = connection->kinds[connection->answered++];
    if (!lg->tally.counting)
        return;
    lg->tally.requests++;
    lg->tally.operations += kind == MULTIGET ? (uint64_t)lg->settings.keys_per_multiget : 1;
    lg->tally.histogram[histogram_bucket(time_ns - connection->sent_ns)]++;
}

static void expect_value(struct connection *connection, long size, bool completes)
{
    connection->skip = (size_t)size;
    connection->skip_completes = completes;
}

static bool starts_with(const char *line, size_t size, const char *word)
{
    size_t length = strlen(word);
    return size >= length && memcmp(line, word, length) == 0;
}

static void parse_text_line(struct generator *lg, struct connection *connection, const char *line, size_t size, uint64_t time_ns)
{
    if (starts_with(line, size, "VALUE ")) {
        const char *number = line + size;
        while (number[-1] != ' ')
            number--;
        count_hit(lg);
        expect_value(connection, strtol(number, NULL, 10) + 2, false);
        return;
    }
    if (!starts_with(line, size, "END") && !starts_with(line, size, "STORED"))
        count_error(lg, line, size);
    answer_done(lg, connection, time_ns);
}

static void parse_meta_line(struct generator *lg, struct connection *connection, const char *line, size_t size, uint64_t time_ns)
{
    if (starts_with(line, size, "VA ")) {
        count_hit(lg);
        expect_value(connection, strtol(line + 3, NULL, 10) + 2, connection->kinds[connection->answered] != MULTIGET);
        return;
    }
    if (starts_with(line, size, "EN"))
        count_miss(lg);
    else if (!starts_with(line, size, "HD") && !starts_with(line, size, "MN"))
        count_error(lg, line, size);
    answer_done(lg, connection, time_ns);
}

static void resp_element_done(struct generator *lg, struct connection *connection, uint64_t time_ns)
{
    if (--connection->elements == 0)
        answer_done(lg, connection, time_ns);
}

static void parse_resp_line(struct generator *lg, struct connection *connection, const char *line, size_t size, uint64_t time_ns)
{
    if (*line == '*') {
        connection->elements = strtol(line + 1, NULL, 10);
        return;
    }
    if (connection->elements <= 0)
        connection->elements = 1;
    long length = *line == '$' ? strtol(line + 1, NULL, 10) : -1;
    if (length >= 0) {
        if (!lg->settings.hash || connection->elements == 3)
            count_hit(lg);
        expect_value(connection, length + 2, true);
        return;
    }
    if (*line == '$')
        count_miss(lg);
    else if (*line != '+' && *line != ':')
        count_error(lg, line, size);
    resp_element_done(lg, connection, time_ns);
}

static size_t parse_line(struct generator *lg, struct connection *connection, const char *input, size_t size, uint64_t time_ns)
{
    const char *end = memchr(input, '\n', size);
    if (!end)
        return 0;
    size_t length = (size_t)(end - input);
    if (length && input[length - 1] == '\r')
        length--;
    if (lg->settings.protocol == TEXT)
        parse_text_line(lg, connection, input, length, time_ns);
    else if (lg->settings.protocol == META)
        parse_meta_line(lg, connection, input, length, time_ns);
    else
        parse_resp_line(lg, connection, input, length, time_ns);
    return (size_t)(end - input) + 1;
}

static size_t parse_binary_header(struct generator *lg, struct connection *connection, const char *input, size_t size,
                                  uint64_t time_ns)
{
    const unsigned char *header = (const unsigned char *)input;
    if (size < 24)
        return 0;
    if (header[0] != 0x81) {
        count_error(lg, input, 1);
        return size;
    }
    uint32_t body;
    memcpy(&body, header + 8, sizeof body);
    int opcode = header[1], status = header[6] << 8 | header[7];
    bool is_quiet_get = opcode == 0x0d;
    if (status == 0 && (opcode == 0x00 || is_quiet_get))
        count_hit(lg);
    else if (opcode == 0x00)
        count_miss(lg);
    else if (status != 0 && !is_quiet_get)
        count_error(lg, "status", 6);
    expect_value(connection, ntohl(body), !is_quiet_get);
    if (connection->skip == 0 && connection->skip_completes)
        answer_done(lg, connection, time_ns);
    return 24;
}

static size_t parse_value(struct generator *lg, struct connection *connection, size_t size, uint64_t time_ns)
{
    size_t taken = size < connection->skip ? size : connection->skip;
    connection->skip -= taken;
    if (connection->skip == 0 && connection->skip_completes) {
        if (lg->settings.protocol == RESP)
            resp_element_done(lg, connection, time_ns);
        else
            answer_done(lg, connection, time_ns);
    }
    return taken;
}

static void connection_parse(struct generator *lg, struct connection *connection, uint64_t time_ns)
{
    size_t done = 0;
    while (done < connection->input_size) {
        const char *input = connection->input + done;
        size_t size = connection->input_size - done, taken;
        if (connection->skip) {
            taken = parse_value(lg, connection, size, time_ns);
        } else if (connection->answered == connection->asked) {
            count_error(lg, input, size);
            taken = size;
        } else if (lg->settings.protocol == BINARY) {
            taken = parse_binary_header(lg, connection, input, size, time_ns);
        } else {
            taken = parse_line(lg, connection, input, size, time_ns);
        }
        if (taken == 0)
            break;
        done += taken;
    }
    connection->input_size -= done;
    memmove(connection->input, connection->input + done, connection->input_size);
}

/* False when the peer has closed. */
static bool connection_read(struct generator *lg, struct connection *connection)
{
    ssize_t size = read(connection->descriptor, connection->input + connection->input_size,
                        INPUT_CAPACITY - connection->input_size);
    if (size == 0)
        return false;
    if (size < 0 && errno != EAGAIN)
        die("read");
    if (size < 0)
        return true;
    lg->tally.input_bytes += lg->tally.counting ? (uint64_t)size : 0;
    connection->input_size += (size_t)size;
    uint64_t time_ns = now_ns();
    connection_parse(lg, connection, time_ns);
    if (connection->busy && connection->answered == connection->asked) {
        connection->busy = false;
        if (lg->settings.rate <= 0)
            connection_send_batch(lg, connection, time_ns);
    }
    return true;
}

/* --- CPU time --- */

struct cpu_time {
    double thread_run[THREADS_MAX], thread_wait[THREADS_MAX];
    int threads[THREADS_MAX], thread_count;
    double server, server_user, server_system; /* seconds, as the rest */
    double busy, stolen, client;
    uint64_t time_ns;
};

static void read_server_threads(struct cpu_time *cpu, int pid)
{
    char path[64 + 256];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "r");
        unsigned long long run, wait;
        if (file && fscanf(file, "%llu %llu", &run, &wait) == 2) {
            cpu->server += (double)run / 1e9;
            if (cpu->thread_count < THREADS_MAX) {
                cpu->threads[cpu->thread_count] = (int)strtol(entry->d_name, NULL, 10);
                cpu->thread_run[cpu->thread_count] = (double)run / 1e9;
                cpu->thread_wait[cpu->thread_count++] = (double)wait / 1e9;
            }
        }
        if (file)
            fclose(file);
    }
    if (folder)
        closedir(folder);
}

static void read_server_times(struct cpu_time *cpu, int pid, double ticks)
{
    char path[64], line[1024] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    unsigned long user = 0, system = 0;
    const char *behind_name = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (behind_name)
        sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    cpu->server_user = (double)user / ticks;
    cpu->server_system = (double)system / ticks;
    if (file)
        fclose(file);
}

static void read_machine(struct cpu_time *cpu, double ticks)
{
    FILE *file = fopen("/proc/stat", "r");
    char line[512];
    int id;
    unsigned long long v[8];
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &id, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
                   v + 7) != 9 || id >= CPUS_MAX)
            continue;
        cpu->busy += (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / ticks;
        cpu->stolen += (double)v[7] / ticks;
    }
    if (file)
        fclose(file);
}

static void cpu_time_read(struct cpu_time *cpu, int server_pid)
{
    double ticks = (double)sysconf(_SC_CLK_TCK);
    memset(cpu, 0, sizeof *cpu);
    cpu->time_ns = now_ns();
    if (server_pid) {
        read_server_threads(cpu, server_pid);
        read_server_times(cpu, server_pid, ticks);
    }
    read_machine(cpu, ticks);
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    cpu->client = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
}

/* How long the server's busiest thread waited for a CPU. */
static double busiest_thread_wait(const struct cpu_time *before, const struct cpu_time *after)
{
    double most = -1, wait = 0;
    for (int i = 0; i < after->thread_count; i++) {
        for (int j = 0; j < before->thread_count; j++) {
            double run = after->thread_run[i] - before->thread_run[j];
            if (after->threads[i] == before->threads[j] && run > most) {
                most = run;
                wait = after->thread_wait[i] - before->thread_wait[j];
            }
        }
    }
    return wait;
}

static void print_result(const struct generator *lg, const struct cpu_time *before, const struct cpu_time *after)
{
    const struct tally *tally = &lg->tally;
    double wall = (double)(after->time_ns - before->time_ns) / 1e9, operations = (double)tally->operations;
    double server = after->server - before->server, client = after->client - before->client;
    printf("{\"label\":\"%s\",\"ops\":%.0f,\"wall\":%.3f,\"ops_s\":%.0f,\"us_op\":%.4f,\"srv_run\":%.3f,\"srv_wait\":%.3f,",
           lg->settings.label, operations, wall, operations / wall, server * 1e6 / (operations > 0 ? operations : 1), server,
           busiest_thread_wait(before, after));
    printf("\"ut\":%.2f,\"st\":%.2f,\"cli\":%.3f,\"foreign\":%.3f,\"steal\":%.2f,", after->server_user - before->server_user,
           after->server_system - before->server_system, client, after->busy - before->busy - server - client,
           after->stolen - before->stolen);
    printf("\"hits\":%llu,\"misses\":%llu,\"errs\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"inbytes\":%llu}\n",
           (unsigned long long)tally->hits, (unsigned long long)tally->misses, (unsigned long long)tally->errors,
           percentile_us(tally, 50), percentile_us(tally, 99), percentile_us(tally, 99.9),
           (unsigned long long)tally->input_bytes);
}

/* --- the run --- */

static void start_counting(struct generator *lg, struct cpu_time *before)
{
    lg->tally.counting = true;
    cpu_time_read(before, lg->settings.server_pid);
}

/* Open loop: sends what is due. The round makes every connection the first one in turn. */
static void send_due(struct generator *lg, uint64_t time_ns, uint64_t gap_ns, int round)
{
    int count = lg->settings.connections;
    for (int i = 0; i < count; i++) {
        struct connection *connection = lg->connections + (round + i) % count;
        if (connection->busy || connection->next_ns > time_ns)
            continue;
        uint64_t due_ns = connection->next_ns;
        connection->next_ns += gap_ns;
        connection_send_batch(lg, connection, due_ns);
    }
}

static bool handle_event(struct generator *lg, const struct epoll_event *event)
{
    if (event->events & EPOLLOUT)
        connection_flush(lg, event->data.ptr);
    return !(event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || connection_read(lg, event->data.ptr);
}

static bool handle_events(struct generator *lg, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (!handle_event(lg, events + i)) {
            fprintf(stderr, "closed by server\n");
            return false;
        }
    }
    return true;
}

/* False when the server closed a connection. */
static bool generator_run(struct generator *lg, struct cpu_time *before)
{
    const struct settings *settings = &lg->settings;
    uint64_t start = now_ns(), warm = start + (uint64_t)(settings->warmup * 1e9);
    uint64_t end = settings->requests ? UINT64_MAX : warm + (uint64_t)(settings->seconds * 1e9);
    uint64_t gap = settings->rate > 0 ? (uint64_t)(1e9 * settings->connections / settings->rate) : 0;
    int timeout = gap || settings->spin ? 0 : 100;
    if (settings->warmup <= 0)
        start_counting(lg, before);
    for (int i = 0; i < settings->connections; i++) {
        if (gap)
            lg->connections[i].next_ns = start + gap * (uint64_t)i / (uint64_t)settings->connections;
        else
            connection_send_batch(lg, lg->connections + i, start);
    }
    for (int round = 0;; round = (round + 1) % settings->connections) {
        struct epoll_event events[256];
        int count = epoll_wait(lg->epoll, events, 256, timeout);
        uint64_t time_ns = now_ns();
        if (!lg->tally.counting && time_ns >= warm)
            start_counting(lg, before);
        if (time_ns >= end)
            return true;
        if (!handle_events(lg, events, count))
            return false;
        if (settings->requests && lg->tally.requests >= (uint64_t)settings->requests)
            return true;
        if (gap)
            send_due(lg, time_ns, gap, round);
    }
}

static void generator_init(struct generator *lg)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = (size_t)lg->settings.value_size;
    lg->value = malloc(size + 1);
    lg->hex_value = malloc(2 * size + 1);
    for (size_t i = 0; i < size; i++) {
        lg->value[i] = (char)('a' + random_next(lg) % 26);
        lg->hex_value[2 * i] = digits[lg->value[i] >> 4];
        lg->hex_value[2 * i + 1] = digits[lg->value[i] & 15];
    }
    lg->epoll = epoll_create1(0);
    lg->connections = calloc((size_t)lg->settings.connections, sizeof *lg->connections);
    for (int i = 0; i < lg->settings.connections; i++)
        connection_init(lg, lg->connections + i);
}

static void generator_deinit(struct generator *lg)
{
    for (int i = 0; i < lg->settings.connections; i++) {
        close(lg->connections[i].descriptor);
        free(lg->connections[i].output);
        free(lg->connections[i].input);
    }
    free(lg->connections);
    free(lg->value);
    free(lg->hex_value);
    close(lg->epoll);
}

/* --- options --- */

static int find_name(const char *name, const char *const *names, int count, int fallback)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return fallback;
}

static long number_of(const char *text)
{
    return strtol(text, NULL, 10);
}

static bool read_option(struct generator *lg, int letter, const char *text)
{
    struct settings *settings = &lg->settings;
    switch (letter) {
    case 'P': settings->protocol = (enum protocol)find_name(text, protocol_names, PROTOCOLS, RESP); break;
    case 'o': settings->operation = (enum operation)find_name(text, operation_names, OPERATIONS, MULTIGET); break;
    case 'p': settings->port = (int)number_of(text); break;
    case 'h': settings->host = text; break;
    case 'u': settings->socket_path = text; break;
    case 'c': settings->connections = (int)number_of(text); break;
    case 'D': settings->depth = (int)number_of(text); break;
    case 'x': return sscanf(text, "%d:%d", &settings->sets, &settings->gets) == 2;
    case 'm': settings->keys_per_multiget = (int)number_of(text); break;
    case 'k': settings->keyspace = number_of(text); break;
    case 'v': settings->value_size = number_of(text); break;
    case 't': settings->seconds = strtod(text, NULL); break;
    case 'w': settings->warmup = strtod(text, NULL); break;
    case 'n': settings->requests = number_of(text), settings->warmup = 0; break;
    case 'r': settings->rate = strtod(text, NULL); break;
    case 's': lg->random ^= strtoull(text, NULL, 10) * 0x9E3779B97F4A7C15ULL; break;
    case 'S': settings->sequential = true; break;
    case 'b': settings->spin = true; break;
    case 'H': settings->hash = true; break;
    case 'i': settings->server_pid = (int)number_of(text); break;
    case 'l': settings->label = text; break;
    default: return false;
    }
    return true;
}

static bool settings_make_sense(const struct settings *settings)
{
    return settings->connections > 0 && settings->depth > 0 && settings->depth <= DEPTH_MAX && settings->keyspace > 0 &&
           settings->value_size >= 0 && settings->keys_per_multiget > 0 && settings->sets + settings->gets > 0;
}

int main(int argc, char **argv)
{
    struct generator lg = {
        .settings = {.host = "127.0.0.1", .label = "", .port = 11211, .connections = 50, .depth = 1, .sets = 1, .gets = 10,
                     .keys_per_multiget = 100, .keyspace = 100000, .value_size = 100, .seconds = 5, .warmup = 1},
        .random = 88172645463325252ULL,
    };
    int letter;
    while ((letter = getopt(argc, argv, "P:p:h:u:c:D:o:x:m:k:v:t:w:n:r:s:i:l:SHb")) > 0) {
        if (!read_option(&lg, letter, optarg))
            return 2;
    }
    if (!settings_make_sense(&lg.settings))
        return 2;
    struct cpu_time before, after;
    generator_init(&lg);
    if (!generator_run(&lg, &before))
        return 1;
    cpu_time_read(&after, lg.settings.server_pid);
    print_result(&lg, &before, &after);
    generator_deinit(&lg);
    return lg.tally.errors ? 3 : 0;
}
