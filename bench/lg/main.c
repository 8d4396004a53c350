#define _GNU_SOURCE
#include "lg.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { LOADS_MAX = 4 };

static const char *const protocol_names[PROTOCOLS] = {"text", "meta", "bin", "resp"};
static const char *const operation_names[OPERATIONS] = {"get", "set", "mix", "mget"};

/* The loads of one process. The first one says how long. */
struct run {
    struct generator *loads;
    int count, epoll;
    struct cpu_time before, after;
};

uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- what comes of it --- */

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
           latency_percentile_us(tally, 50), latency_percentile_us(tally, 99), latency_percentile_us(tally, 99.9),
           (unsigned long long)tally->input_bytes);
}

static void print_request(struct generator *lg)
{
    char *request = malloc(request_capacity(&lg->settings));
    const char *end = put_request(lg, request, lg->settings.operation);
    fwrite(request, 1, (size_t)(end - request), stdout);
    free(request);
}

/* --- the run --- */

/* Nanoseconds from one batch of a connection to the next one; 0: closed loop. */
static uint64_t gap_of(const struct settings *settings)
{
    return settings->rate > 0 ? (uint64_t)(1e9 * settings->connections * settings->depth / settings->rate) : 0;
}

static void run_count(struct run *run)
{
    for (int i = 0; i < run->count; i++)
        run->loads[i].tally.counting = true;
    cpu_time_read(&run->before, run->loads->settings.server_pid);
}

static void load_start(struct generator *lg, uint64_t start)
{
    uint64_t gap = gap_of(&lg->settings), count = (uint64_t)lg->settings.connections;
    for (uint64_t i = 0; i < count; i++) {
        if (gap)
            lg->connections[i].next_ns = start + gap * i / count;
        else
            connection_send_batch(lg->connections + i, start);
    }
}

/* Open loop: sends what is due. The turn makes every connection the first one in turn. */
static void load_send_due(struct generator *lg, uint64_t time_ns, unsigned turn)
{
    uint64_t gap = gap_of(&lg->settings);
    unsigned count = (unsigned)lg->settings.connections;
    for (unsigned i = 0; gap && i < count; i++) {
        struct connection *connection = lg->connections + (turn + i) % count;
        if (connection->busy || connection->next_ns > time_ns)
            continue;
        uint64_t due_ns = connection->next_ns;
        connection->next_ns += gap;
        connection_send_batch(connection, due_ns);
    }
}

/* What a connection owes that is behind its plan counts as if it were answered now: a stall that lasts until the end shows, too. */
static void load_count_overdue(struct generator *lg, uint64_t time_ns)
{
    uint64_t gap = gap_of(&lg->settings);
    for (int i = 0; gap && i < lg->settings.connections; i++) {
        const struct connection *connection = lg->connections + i;
        if (!connection->busy || connection->next_ns > time_ns)
            continue;
        latency_count(&lg->tally, time_ns - connection->sent_ns);
        for (uint64_t due_ns = connection->next_ns; due_ns <= time_ns; due_ns += gap)
            latency_count(&lg->tally, time_ns - due_ns);
    }
}

static bool handle_events(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (!connection_handle(events[i].data.ptr, events[i].events)) {
            fprintf(stderr, "closed by server\n");
            return false;
        }
    }
    return true;
}

static bool run_is_over(const struct run *run, uint64_t time_ns, uint64_t end_ns)
{
    const struct generator *first = run->loads;
    return time_ns >= end_ns || (first->settings.requests && first->tally.requests >= (uint64_t)first->settings.requests);
}

static bool run_spins(const struct run *run)
{
    bool spins = false;
    for (int i = 0; i < run->count; i++)
        spins |= run->loads[i].settings.spin || run->loads[i].settings.rate > 0;
    return spins;
}

/* False when the server closed a connection. */
static bool run_go(struct run *run)
{
    const struct settings *settings = &run->loads->settings;
    uint64_t start = now_ns(), warm = start + (uint64_t)(settings->warmup * 1e9), time_ns = start;
    uint64_t end = settings->requests ? UINT64_MAX : warm + (uint64_t)(settings->seconds * 1e9);
    int timeout = run_spins(run) ? 0 : 100;
    if (settings->warmup <= 0)
        run_count(run);
    for (int i = 0; i < run->count; i++)
        load_start(run->loads + i, start);
    for (unsigned turn = 0; !run_is_over(run, time_ns, end); turn++) {
        struct epoll_event events[256];
        int count = epoll_wait(run->epoll, events, 256, timeout);
        time_ns = now_ns();
        if (!run->loads->tally.counting && time_ns >= warm)
            run_count(run);
        if (!handle_events(events, count))
            return false;
        for (int i = 0; i < run->count; i++)
            load_send_due(run->loads + i, time_ns, turn);
    }
    for (int i = 0; i < run->count; i++)
        load_count_overdue(run->loads + i, time_ns);
    return true;
}

static void load_init(struct generator *lg)
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
    lg->zipf_bounds = lg->settings.zipf > 0 ? zipf_bounds_new(lg->settings.keyspace, lg->settings.zipf) : NULL;
}

static void load_connect(struct generator *lg, int epoll)
{
    lg->epoll = epoll;
    lg->connections = calloc((size_t)lg->settings.connections, sizeof *lg->connections);
    for (int i = 0; i < lg->settings.connections; i++)
        connection_init(lg, lg->connections + i);
}

static void load_deinit(struct generator *lg)
{
    for (int i = 0; lg->connections && i < lg->settings.connections; i++) {
        close(lg->connections[i].descriptor);
        free(lg->connections[i].output);
        free(lg->connections[i].input);
    }
    free(lg->connections);
    free(lg->zipf_bounds);
    free(lg->value);
    free(lg->hex_value);
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
    case 'f': settings->flags = (unsigned)number_of(text); break;
    case 't': settings->seconds = strtod(text, NULL); break;
    case 'w': settings->warmup = strtod(text, NULL); break;
    case 'n': settings->requests = number_of(text), settings->warmup = 0; break;
    case 'r': settings->rate = strtod(text, NULL); break;
    case 'z': settings->zipf = strtod(text, NULL); break;
    case 's': lg->random ^= strtoull(text, NULL, 10) * 0x9E3779B97F4A7C15ULL; break;
    case 'S': settings->sequential = true; break;
    case 'b': settings->spin = true; break;
    case 'H': settings->hash = true; break;
    case 'X': settings->print_request = true; break;
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

/* argv[0] is the program's name, or the + in front. */
static bool read_options(struct generator *lg, int argc, char **argv)
{
    *lg = (struct generator){
        .settings = {.host = "127.0.0.1", .label = "", .port = 11211, .connections = 50, .depth = 1, .sets = 1, .gets = 10,
                     .keys_per_multiget = 100, .keyspace = 100000, .value_size = 100, .seconds = 5, .warmup = 1},
        .random = 88172645463325252ULL,
    };
    int letter;
    optind = 0; /* GNU: begin anew */
    while ((letter = getopt(argc, argv, "P:p:h:u:c:D:o:x:m:k:v:f:t:w:n:r:z:s:i:l:SHbX")) > 0) {
        if (!read_option(lg, letter, optarg))
            return false;
    }
    return optind == argc && settings_make_sense(&lg->settings);
}

/* The number of loads, 0 when an option is wrong. */
static int read_loads(struct generator *loads, int argc, char **argv)
{
    int count = 0, first = 0;
    while (first < argc && count < LOADS_MAX) {
        int end = first + 1;
        while (end < argc && strcmp(argv[end], "+") != 0)
            end++;
        if (!read_options(loads + count++, end - first, argv + first))
            return 0;
        first = end;
    }
    return first == argc ? count : 0;
}

static uint64_t run_loads(struct run *run)
{
    uint64_t errors = 0;
    for (int i = 0; i < run->count; i++)
        load_connect(run->loads + i, run->epoll);
    if (!run_go(run))
        return 1;
    cpu_time_read(&run->after, run->loads->settings.server_pid);
    for (int i = 0; i < run->count; i++) {
        print_result(run->loads + i, &run->before, &run->after);
        errors += run->loads[i].tally.errors;
    }
    return errors;
}

int main(int argc, char **argv)
{
    struct generator loads[LOADS_MAX];
    struct run run = {.loads = loads, .count = read_loads(loads, argc, argv), .epoll = epoll_create1(0)};
    uint64_t errors = 0;
    for (int i = 0; i < run.count; i++)
        load_init(loads + i);
    if (run.count && loads->settings.print_request)
        print_request(loads);
    else if (run.count)
        errors = run_loads(&run);
    for (int i = 0; i < run.count; i++)
        load_deinit(loads + i);
    close(run.epoll);
    return run.count == 0 ? 2 : errors ? 3 : 0;
}
