#include "cli/plan.h"

#include <inttypes.h>
#include <stdio.h>

/* What the engine and the module take before the first item: counters of the version clock, buffers, tables. */
#define BASE_MEMORY (32.0 * 1024 * 1024)

static struct plan_entry *add(struct plan *plan, enum plan_kind kind, const char *comment)
{
    if (plan->count == PLAN_ENTRIES_MAX) {
        plan->count--;
    }
    struct plan_entry *entry = &plan->entries[plan->count++];
    *entry = (struct plan_entry){.kind = kind};
    (void)snprintf(entry->comment, sizeof entry->comment, "%s", comment);
    return entry;
}

/* A line of redis.conf. A macro, so that the compiler sees the format. */
#define PUT(plan, comment, ...)                                                                                           \
    do {                                                                                                                  \
        struct plan_entry *put_entry = add((plan), PLAN_LINE, (comment));                                                 \
        (void)snprintf(put_entry->line, sizeof put_entry->line, __VA_ARGS__);                                             \
    } while (0)

static void warn(struct plan *plan, const char *option, const char *comment)
{
    struct plan_entry *entry = add(plan, PLAN_WARNING, comment);
    (void)snprintf(entry->line, sizeof entry->line, "%s", option);
}

/* ---- The door ---- */

/* One address of -l: [notls:|btls:|mtls:|proto[…]:|tag…:]HOST[:PORT]. What stands in front is skipped. */
static struct span listen_host(struct span word, bool *has_more)
{
    static const struct span heads[] = {SPAN("notls:"), SPAN("btls:"), SPAN("mtls:"), SPAN("proto["), SPAN("proto_"), SPAN("tag["), SPAN("tag_")};
    *has_more = false;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (span_starts_with(word, heads[i])) {
            const char *end = memchr(word.data, ':', word.size);
            word = end ? span_skip(word, (size_t)(end + 1 - word.data)) : SPAN("");
            *has_more = true;
            i = (size_t)-1; /* several may stand there */
        }
    }
    if (word.size > 0 && word.data[0] == '[') {
        const char *end = memchr(word.data, ']', word.size);
        size_t size = end ? (size_t)(end - word.data) : word.size;
        *has_more |= size + 1 < word.size;
        return span_of(word.data + 1, size - 1);
    }
    const char *colon = word.size > 0 ? memchr(word.data, ':', word.size) : NULL;
    bool is_ipv6 = colon && memchr(colon + 1, ':', word.size - (size_t)(colon + 1 - word.data));
    *has_more |= colon && !is_ipv6;
    return colon && !is_ipv6 ? span_of(word.data, (size_t)(colon - word.data)) : word;
}

/* Addresses of -l, parted by commas, as diglot.bind has them. True when some have a port or a protocol of their own. */
static bool bind_list(const char *listen, char *bind, size_t size)
{
    bool any_has_more = false, has_more;
    size_t at = 0;
    bind[0] = '\0';
    while (*listen && at + 1 < size) {
        size_t word = strcspn(listen, ",");
        struct span host = listen_host(span_of(listen, word), &has_more);
        any_has_more |= has_more;
        if (host.size > 0) {
            int added = snprintf(bind + at, size - at, "%s%.*s", at ? " " : "", (int)host.size, host.data);
            at += added > 0 ? (size_t)added : 0;
        }
        listen += word + (listen[word] == ',');
    }
    return any_has_more;
}

static void plan_addresses(const struct memcached_options *options, struct plan *plan)
{
    char bind[MEMCACHED_TEXT_MAX];
    bool is_more = bind_list(options->listen, bind, sizeof bind);
    if (bind[0] == '\0') {
        PUT(plan, "No -l: memcached listens on every address. Name fewer if you can: who reaches this port reads everything.",
            "diglot.bind \"* -::*\"");
        return;
    }
    if (is_more) {
        warn(plan, "-l, --listen", "all addresses of diglot.bind have the same port and protocols (diglot.port, diglot.tls-port, "
                                   "diglot.protocol): ports, tags and protocols of single addresses are left out");
    }
    PUT(plan, "-l", "diglot.bind \"%s\"", bind);
}

static void plan_ports(const struct memcached_options *options, struct plan *plan)
{
    if (options->socket[0] != '\0') {
        PUT(plan, "-s: a unix socket alone, no port.", "diglot.unixsocket \"%s\"", options->socket);
        PUT(plan, "-a", "diglot.unixsocketperm %s", options->socket_mode);
        PUT(plan, "-s", "diglot.port 0");
        return;
    }
    if (options->uses_tls) {
        PUT(plan, "-Z: memcached's port speaks TLS …", "diglot.tls-port %" PRIu64, options->port);
        PUT(plan, "… and nothing is open in the clear. The phase of two protocols may want a diglot.port beside it.", "diglot.port 0");
    } else {
        PUT(plan, "-p", "diglot.port %" PRIu64, options->port);
    }
    plan_addresses(options, plan);
}

static void plan_tls(const struct memcached_options *options, struct plan *plan)
{
    if (!options->uses_tls) {
        return;
    }
    if (options->certificate[0] != '\0') {
        PUT(plan, "-o ssl_chain_cert", "diglot.tls-cert-file \"%s\"", options->certificate);
        const char *key = options->key[0] != '\0' ? options->key : options->certificate;
        PUT(plan, "-o ssl_key", "diglot.tls-key-file \"%s\"", key);
    }
    if (options->authority[0] != '\0') {
        PUT(plan, "-o ssl_ca_cert", "diglot.tls-ca-cert-file \"%s\"", options->authority);
    }
    static const char *const verify[] = {"no", "optional", "yes", "optional"};
    PUT(plan, "-o ssl_verify_mode", "diglot.tls-auth-clients %s", verify[options->tls_verify < 4 ? options->tls_verify : 0]);
    PUT(plan, "-o ssl_min_version (TLS 1.2 is the oldest here)", "diglot.tls-min-version %s",
        options->tls_version == 3 ? "1.3" : "1.2");
    if (options->ciphers[0] != '\0') {
        warn(plan, "-o ssl_ciphers", "the door takes OpenSSL's defaults; the machine's openssl.cnf can narrow them");
    }
}

static void plan_clients(const struct memcached_options *options, struct plan *plan)
{
    PUT(plan, "-c. They need file descriptors on top of maxclients: ulimit -n, LimitNOFILE= of systemd.",
        "diglot.maxconns %" PRIu64, options->connections);
    PUT(plan, "-t: threads that read, parse and write; the engine's own thread executes. 0 where the machine has one core to spare.",
        "diglot.io-threads %" PRIu64, options->threads > 64 ? 64 : options->threads > 1 ? options->threads : 0);
    if (strcmp(options->protocol, "ascii") == 0 || strcmp(options->protocol, "binary") == 0) {
        PUT(plan, "-B", "diglot.protocol %s", options->protocol);
    } else if (strncmp(options->protocol, "auto", 4) != 0) {
        struct plan_entry *entry = add(plan, PLAN_UNKNOWN, "memcached 1.6 has no such protocol");
        (void)snprintf(entry->line, sizeof entry->line, "-B %s", options->protocol);
    }
    if (options->idle_timeout > 0) {
        PUT(plan, "-o idle_timeout, in seconds", "diglot.idle-timeout %" PRIu64, options->idle_timeout);
    }
    if (options->backlog != 1024) {
        warn(plan, "-b, --listen-backlog", "the door takes the machine's limit: sysctl net.core.somaxconn");
    }
    if (options->udp_port != 0) {
        warn(plan, "-U, --udp-port", "there is no UDP, on purpose: it served to flood others. Let those clients use TCP");
    }
}

/* ---- Who may do what ---- */

static void plan_permissions(const struct memcached_options *options, struct plan *plan)
{
    if (!options->may_flush) {
        PUT(plan, "-F", "diglot.flush-all no");
    }
    if (options->may_shut_down) {
        PUT(plan, "-A: memcached clients may stop the server. Think about leaving this out.", "diglot.shutdown yes");
    }
    if (!options->may_dump) {
        warn(plan, "-X, --disable-dumping", "dumps need the ACL permission for SCAN: ACL SETUSER default -scan, or the user of diglot.user");
    }
    if (!options->may_watch) {
        warn(plan, "-W, --disable-watch", "watch needs the ACL permission for MONITOR: ACL SETUSER default -monitor, or the user of diglot.user");
    }
    if (options->has_sasl) {
        warn(plan, "-S, --enable-sasl", "users are the engine's: a line `user NAME on >PASSWORD ~* +@all` for each, and "
                                        "`user default off`. SASL's PLAIN works then, over any connection");
    }
    if (options->auth_file[0] != '\0') {
        warn(plan, "-Y, --auth-file", "users are the engine's: for each NAME:PASSWORD of the file a line `user NAME on >PASSWORD ~* +@all`, "
                                      "and `user default off`. Text clients log in as before");
    }
}

/* ---- Memory ---- */

static void compute_memory(const struct memcached_options *options, const struct plan_wishes *wishes, struct plan *plan)
{
    plan->memcached_item = item_memory_memcached(&wishes->shape, options->slab_factor, options->slab_min_size);
    plan->engine_item = item_memory_engine(&wishes->shape, wishes->is_valkey);
    double held = (double)options->memory_mb * 1024 * 1024 / plan->memcached_item;
    plan->items = wishes->items ? wishes->items : (uint64_t)held;
    double need = BASE_MEMORY + (double)plan->items * plan->engine_item;
    plan->maxmemory = (uint64_t)(need / (1024 * 1024)) + 1;
    plan->maxmemory *= 1024 * 1024;
}

static void plan_memory(const struct memcached_options *options, const struct plan_wishes *wishes, struct plan *plan)
{
    compute_memory(options, wishes, plan);
    char why[400];
    (void)snprintf(why, sizeof why,
                   "-m %" PRIu64 ": %s%" PRIu64 " items of %" PRIu64 " + %" PRIu64 " bytes, %.0f bytes each in memcached and %.0f in %s "
                   "(%u%% expire, %u%% have flags), and 32mb. Leave the machine half as much again; as much again if the engine saves snapshots.",
                   options->memory_mb, wishes->items ? "" : "room for ", plan->items, wishes->shape.key_size, wishes->shape.value_size,
                   plan->memcached_item, plan->engine_item, wishes->is_valkey ? "Valkey 9.1" : "Redis 7.0",
                   wishes->shape.expiring_percent, wishes->shape.flagged_percent);
    PUT(plan, why, "maxmemory %" PRIu64 "mb", plan->maxmemory >> 20);
    if (options->evicts) {
        PUT(plan, "As memcached does: any item may go when memory is short, those not used for long first.", "maxmemory-policy allkeys-lru");
    } else {
        PUT(plan, "-M: writes are refused when memory is short.", "maxmemory-policy noeviction");
    }
    uint64_t size = options->item_size_max, most = 512u << 20;
    PUT(plan, size > most ? "-I; 512mb is the most here" : "-I; counted as memcached counts: value, key and about 60 bytes",
        "diglot.max-item-size %" PRIu64, size > most ? most : size < 1024 ? 1024 : size);
}

/* ---- The process ---- */

static void plan_process(const struct memcached_options *options, struct plan *plan)
{
    PUT(plan, "memcached forgets at a restart. Without these two lines the engine keeps what it has (snapshots by default).", "save \"\"");
    PUT(plan, "The same. With `appendonly yes` an acknowledged write survives.", "appendonly no");
    if (options->is_daemon) {
        PUT(plan, "-d. Under systemd leave this out.", "daemonize yes");
    }
    if (options->pid_file[0] != '\0') {
        PUT(plan, "-P", "pidfile \"%s\"", options->pid_file);
    }
    if (options->verbosity > 0) {
        PUT(plan, "-v", "loglevel %s", options->verbosity > 1 ? "debug" : "verbose");
    }
}

static void take_remarks(const struct memcached_options *options, struct plan *plan)
{
    for (size_t i = 0; i < options->remark_count; i++) {
        const struct memcached_remark *remark = &options->remarks[i];
        enum plan_kind kind = remark->is_unknown ? PLAN_UNKNOWN : remark->is_harmless ? PLAN_NOTE : PLAN_WARNING;
        struct plan_entry *entry = add(plan, kind, remark->text);
        (void)snprintf(entry->line, sizeof entry->line, "%s", remark->option);
    }
}

void plan_make(const struct memcached_options *options, const struct plan_wishes *wishes, struct plan *plan)
{
    *plan = (struct plan){.count = 0};
    if (wishes->module_path) {
        PUT(plan, "The memcached door.", "loadmodule %s", wishes->module_path);
    } else {
        warn(plan, "loadmodule", "name the module's file in a line of its own: loadmodule /path/to/diglot.so");
    }
    plan_ports(options, plan);
    plan_tls(options, plan);
    plan_clients(options, plan);
    plan_permissions(options, plan);
    plan_memory(options, wishes, plan);
    plan_process(options, plan);
    take_remarks(options, plan);
}
