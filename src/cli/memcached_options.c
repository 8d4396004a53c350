#include "cli/memcached_options.h"

#include "base/number.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>

/* What an option's value is, and so where it goes. */
enum form {
    FORM_NUMBER,  /* uint64_t */
    FORM_SIZE,    /* uint64_t, with a letter k or m behind it */
    FORM_DECIMAL, /* double */
    FORM_TEXT,    /* char[] of `size` */
    FORM_YES,     /* bool, no value */
    FORM_NO,      /* bool, no value */
    FORM_COUNT,   /* unsigned, no value: how often it stands there */
    FORM_NOTHING, /* no value, and nothing of it is kept */
    FORM_IGNORED, /* a value, and nothing of it is kept */
};

struct option_row {
    const char *name, *remark;
    size_t offset, size;
    enum form form;
    char letter; /* 0: an extended option */
    bool is_harmless;
};

#define FIELD(field) offsetof(struct memcached_options, field), sizeof(((struct memcached_options *)0)->field)
#define NONE 0, 0
#define ROW(letter, name, form, place, remark, is_harmless) {name, remark, place, form, letter, is_harmless}
#define HARMLESS true

/* The options in memcached's own order (memcached -h). */
static const struct option_row rows[] = {
    ROW('p', "port", FORM_NUMBER, FIELD(port), NULL, false),
    ROW('U', "udp-port", FORM_NUMBER, FIELD(udp_port), NULL, false),
    ROW('s', "unix-socket", FORM_TEXT, FIELD(socket), NULL, false),
    ROW('a', "unix-mask", FORM_TEXT, FIELD(socket_mode), NULL, false),
    ROW('A', "enable-shutdown", FORM_YES, FIELD(may_shut_down), NULL, false),
    ROW('l', "listen", FORM_TEXT, FIELD(listen), NULL, false),
    ROW('d', "daemon", FORM_YES, FIELD(is_daemon), NULL, false),
    ROW('r', "enable-coredumps", FORM_NOTHING, NONE, "raise the limit where the engine is started: ulimit -c unlimited, LimitCORE= of systemd", false),
    ROW('u', "user", FORM_IGNORED, NONE, "start the engine as its own user: User= of systemd, as the distribution's package does", false),
    ROW('m', "memory-limit", FORM_NUMBER, FIELD(memory_mb), NULL, false),
    ROW('M', "disable-evictions", FORM_NO, FIELD(evicts), NULL, false),
    ROW('c', "conn-limit", FORM_NUMBER, FIELD(connections), NULL, false),
    ROW('k', "lock-memory", FORM_NOTHING, NONE, "the engine does not lock its memory: leave it enough, and swap off", false),
    ROW('v', "verbose", FORM_COUNT, FIELD(verbosity), NULL, false),
    ROW('h', "help", FORM_NOTHING, NONE, "prints and ends: nothing to translate", HARMLESS),
    ROW('i', "license", FORM_NOTHING, NONE, "prints and ends: nothing to translate", HARMLESS),
    ROW('V', "version", FORM_NOTHING, NONE, "prints and ends: nothing to translate", HARMLESS),
    ROW('P', "pidfile", FORM_TEXT, FIELD(pid_file), NULL, false),
    ROW('f', "slab-growth-factor", FORM_DECIMAL, FIELD(slab_factor), "there are no slabs here; it counts for sizing maxmemory alone", HARMLESS),
    ROW('n', "slab-min-size", FORM_NUMBER, FIELD(slab_min_size), "there are no slabs here; it counts for sizing maxmemory alone", HARMLESS),
    ROW('L', "enable-largepages", FORM_NOTHING, NONE, "do not: huge pages make the engine's snapshots slow and large; switch transparent ones off", false),
    ROW('D', NULL, FORM_IGNORED, NONE, "`stats detail on` switches statistics by prefix on; the delimiter is ':' always", false),
    ROW('t', "threads", FORM_NUMBER, FIELD(threads), NULL, false),
    ROW('R', "max-reqs-per-event", FORM_IGNORED, NONE, "the module bounds each connection's turn by itself", HARMLESS),
    ROW('C', "disable-cas", FORM_NOTHING, NONE, "CAS costs no memory per item here, so it is always on", HARMLESS),
    ROW('b', "listen-backlog", FORM_NUMBER, FIELD(backlog), NULL, false),
    ROW('B', "protocol", FORM_TEXT, FIELD(protocol), NULL, false),
    ROW('I', "max-item-size", FORM_SIZE, FIELD(item_size_max), NULL, false),
    ROW('S', "enable-sasl", FORM_YES, FIELD(has_sasl), NULL, false),
    ROW('F', "disable-flush-all", FORM_NO, FIELD(may_flush), NULL, false),
    ROW('X', "disable-dumping", FORM_NO, FIELD(may_dump), NULL, false),
    ROW('W', "disable-watch", FORM_NO, FIELD(may_watch), NULL, false),
    ROW('Y', "auth-file", FORM_TEXT, FIELD(auth_file), NULL, false),
    ROW('e', "memory-file", FORM_IGNORED, NONE, "to keep data over restarts use the engine's own: the lines save and appendonly below", false),
    ROW('Z', "enable-ssl", FORM_YES, FIELD(uses_tls), NULL, false),
    ROW('N', "napi_ids", FORM_IGNORED, NONE, "threads take connections in turn, whatever queue of the network card they come from", HARMLESS),
    ROW('o', "extended", FORM_IGNORED, NONE, NULL, false),
};

#define SLABS "there are no slabs here: the allocator (jemalloc) moves memory between sizes by itself"
#define CRAWLER "the engine removes expired items by itself (hz, active-expire-effort)"
#define LRU "the engine has one LRU or LFU, approximated (maxmemory-policy, maxmemory-samples)"
#define TABLE "the engine's table of keys grows and shrinks by itself"
#define FLASH "nothing is kept on flash here: size maxmemory for all that you want to keep, or fewer items stay"
#define PROXY "the module is no proxy: clients or a proxy in front of it spread keys, or a cluster does"
#define BUFFERS "diglot.maxmemory-clients bounds what all connections hold, requests and replies together (512mb unless you set it)"
#define LOGS "watchers have buffers of a fixed size"

/* What -o takes; each with a "no_" in front, too, where memcached has that. */
static const struct option_row extended_rows[] = {
    ROW(0, "maxconns_fast", FORM_NOTHING, NONE, "clients over diglot.maxconns are always told so and closed", HARMLESS),
    ROW(0, "hashpower", FORM_IGNORED, NONE, TABLE, HARMLESS),
    ROW(0, "tail_repair_time", FORM_IGNORED, NONE, "a workaround for memcached's own threads", HARMLESS),
    ROW(0, "hash_algorithm", FORM_IGNORED, NONE, TABLE, HARMLESS),
    ROW(0, "lru_crawler", FORM_NOTHING, NONE, CRAWLER, HARMLESS),
    ROW(0, "lru_crawler_sleep", FORM_IGNORED, NONE, CRAWLER, HARMLESS),
    ROW(0, "lru_crawler_tocrawl", FORM_IGNORED, NONE, CRAWLER, HARMLESS),
    ROW(0, "read_buf_mem_limit", FORM_IGNORED, NONE, BUFFERS, false),
    ROW(0, "resp_obj_mem_limit", FORM_IGNORED, NONE, BUFFERS, false),
    ROW(0, "lru_maintainer", FORM_NOTHING, NONE, LRU, HARMLESS),
    ROW(0, "hot_lru_pct", FORM_IGNORED, NONE, LRU, HARMLESS),
    ROW(0, "warm_lru_pct", FORM_IGNORED, NONE, LRU, HARMLESS),
    ROW(0, "hot_max_factor", FORM_IGNORED, NONE, LRU, HARMLESS),
    ROW(0, "warm_max_factor", FORM_IGNORED, NONE, LRU, HARMLESS),
    ROW(0, "temporary_ttl", FORM_IGNORED, NONE, LRU, HARMLESS),
    ROW(0, "idle_timeout", FORM_NUMBER, FIELD(idle_timeout), NULL, false),
    ROW(0, "slab_chunk_max", FORM_IGNORED, NONE, SLABS, HARMLESS),
    ROW(0, "slab_sizes", FORM_IGNORED, NONE, SLABS, HARMLESS),
    ROW(0, "slab_reassign", FORM_NOTHING, NONE, SLABS, HARMLESS),
    ROW(0, "slab_automove", FORM_IGNORED, NONE, SLABS, HARMLESS),
    ROW(0, "slab_automove_ratio", FORM_IGNORED, NONE, SLABS, HARMLESS),
    ROW(0, "slab_automove_window", FORM_IGNORED, NONE, SLABS, HARMLESS),
    ROW(0, "slab_automove_freeratio", FORM_IGNORED, NONE, SLABS, HARMLESS),
    ROW(0, "watcher_logbuf_size", FORM_IGNORED, NONE, LOGS, HARMLESS),
    ROW(0, "worker_logbuf_size", FORM_IGNORED, NONE, LOGS, HARMLESS),
    ROW(0, "track_sizes", FORM_NOTHING, NONE, "there is no `stats sizes`: redis-cli --memkeys shows sizes", false),
    ROW(0, "hashexpand", FORM_NOTHING, NONE, TABLE, HARMLESS),
    ROW(0, "inline_ascii_response", FORM_NOTHING, NONE, "a format of memcached's own memory", HARMLESS),
    ROW(0, "drop_privileges", FORM_NOTHING, NONE, "use what starts the engine: systemd's sandbox", false),
    ROW(0, "modern", FORM_NOTHING, NONE, "changes nothing in memcached 1.6 either", HARMLESS),
    ROW(0, "relaxed_privileges", FORM_NOTHING, NONE, "use what starts the engine: systemd's sandbox", false),
    ROW(0, "sock_cookie_id", FORM_IGNORED, NONE, "sockets have no identity for packet filters", false),
    ROW(0, "ext_path", FORM_IGNORED, NONE, FLASH, false),
    ROW(0, "ext_page_size", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_wbuf_size", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_threads", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_item_size", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_item_age", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_low_ttl", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_drop_unread", FORM_NOTHING, NONE, FLASH, HARMLESS),
    ROW(0, "ext_recache_rate", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_compact_under", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_drop_under", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_max_frag", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "ext_max_sleep", FORM_IGNORED, NONE, FLASH, HARMLESS),
    ROW(0, "proxy_config", FORM_IGNORED, NONE, PROXY, false),
    ROW(0, "proxy_arg", FORM_IGNORED, NONE, PROXY, HARMLESS),
    ROW(0, "proxy_uring", FORM_NOTHING, NONE, PROXY, HARMLESS),
    ROW(0, "ssl_chain_cert", FORM_TEXT, FIELD(certificate), NULL, false),
    ROW(0, "ssl_key", FORM_TEXT, FIELD(key), NULL, false),
    ROW(0, "ssl_keyformat", FORM_IGNORED, NONE, "keys are PEM files: convert others with openssl pkey", false),
    ROW(0, "ssl_verify_mode", FORM_NUMBER, FIELD(tls_verify), NULL, false),
    ROW(0, "ssl_ciphers", FORM_TEXT, FIELD(ciphers), NULL, false),
    ROW(0, "ssl_ca_cert", FORM_TEXT, FIELD(authority), NULL, false),
    ROW(0, "ssl_wbuf_size", FORM_IGNORED, NONE, "TLS buffers have a fixed size", HARMLESS),
    ROW(0, "ssl_session_cache", FORM_NOTHING, NONE, "sessions are resumed by tickets, which need no cache", HARMLESS),
    ROW(0, "ssl_kernel_tls", FORM_NOTHING, NONE, "TLS is done in the process", HARMLESS),
    ROW(0, "ssl_min_version", FORM_NUMBER, FIELD(tls_version), NULL, false),
};

#define ROWS (sizeof rows / sizeof *rows)
#define EXTENDED_ROWS (sizeof extended_rows / sizeof *extended_rows)

struct memcached_remark *memcached_options_remark(struct memcached_options *options, const char *option, const char *text)
{
    if (options->remark_count == MEMCACHED_REMARKS_MAX) {
        options->remark_count--;
    }
    struct memcached_remark *remark = &options->remarks[options->remark_count++];
    *remark = (struct memcached_remark){.is_unknown = false};
    (void)snprintf(remark->option, sizeof remark->option, "%s", option);
    (void)snprintf(remark->text, sizeof remark->text, "%s", text);
    return remark;
}

static bool takes_value(const struct option_row *row)
{
    return row->form != FORM_YES && row->form != FORM_NO && row->form != FORM_COUNT && row->form != FORM_NOTHING;
}

/* 2m, 512k, 1048576. */
static bool parse_size(const char *text, uint64_t *size)
{
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    unsigned shift = *unit == 'k' || *unit == 'K' ? 10 : *unit == 'm' || *unit == 'M' ? 20 : 0;
    uint64_t number = 0;
    if (!number_parse_strict_u64(span_of(text, digits), &number) || (shift ? unit[1] : unit[0]) != '\0' ||
        number > UINT64_MAX >> 21) {
        return false;
    }
    *size = number << shift;
    return true;
}

static bool keep_text(char *field, size_t size, const char *value)
{
    return (size_t)snprintf(field, size, "%s", value) < size;
}

/* False when the value makes no sense. */
static bool keep(struct memcached_options *options, const struct option_row *row, const char *value)
{
    void *field = (char *)options + row->offset;
    struct span text = span_of(value, value ? strlen(value) : 0);
    switch (row->form) {
    case FORM_NUMBER: return number_parse_strict_u64(text, field);
    case FORM_SIZE: return parse_size(value, field);
    case FORM_DECIMAL: return number_parse_decimal(text, field);
    case FORM_TEXT: return keep_text(field, row->size, value);
    case FORM_YES: *(bool *)field = true; return true;
    case FORM_NO: *(bool *)field = false; return true;
    case FORM_COUNT: ++*(unsigned *)field; return true;
    case FORM_NOTHING:
    case FORM_IGNORED: return true;
    }
    return true;
}

static void name_option(const struct option_row *row, char name[64])
{
    if (row->letter == 0) {
        (void)snprintf(name, 64, "-o %s", row->name);
    } else {
        (void)snprintf(name, 64, "-%c%s%s", row->letter, row->name ? ", --" : "", row->name ? row->name : "");
    }
}

static void take(struct memcached_options *options, const struct option_row *row, const char *value)
{
    char name[64];
    name_option(row, name);
    if (takes_value(row) && (!value || !keep(options, row, value))) {
        char text[160];
        (void)snprintf(text, sizeof text, value ? "its value makes no sense: %.100s" : "it needs a value", value);
        memcached_options_remark(options, name, text)->is_unknown = true;
        return;
    }
    if (!takes_value(row)) {
        (void)keep(options, row, NULL);
    }
    if (row->remark) {
        memcached_options_remark(options, name, row->remark)->is_harmless = row->is_harmless;
    }
}

static const struct option_row *find_extended(const char *name)
{
    for (size_t i = 0; i < EXTENDED_ROWS; i++) {
        if (strcmp(extended_rows[i].name, name) == 0) {
            return &extended_rows[i];
        }
    }
    return strncmp(name, "no_", 3) == 0 ? find_extended(name + 3) : NULL;
}

static void take_extended_word(struct memcached_options *options, char *word)
{
    char *value = strchr(word, '=');
    if (value) {
        *value++ = '\0';
    }
    const struct option_row *row = find_extended(word);
    if (row && strncmp(word, "no_", 3) == 0) {
        value = "0"; /* what is switched off has no value */
    }
    if (row) {
        take(options, row, value);
    } else if (word[0] != '\0') {
        char name[64];
        (void)snprintf(name, sizeof name, "-o %.50s", word);
        memcached_options_remark(options, name, "memcached 1.6 has no such option")->is_unknown = true;
    }
}

/* NAME[=VALUE],NAME… */
static void take_extended(struct memcached_options *options, const char *list)
{
    while (*list) {
        char word[MEMCACHED_TEXT_MAX];
        size_t size = strcspn(list, ",");
        (void)snprintf(word, sizeof word, "%.*s", (int)(size < sizeof word ? size : sizeof word - 1), list);
        take_extended_word(options, word);
        list += size + (list[size] == ',');
    }
}

static void describe_options(char letters[2 * ROWS + 2], struct option longs[ROWS + 1])
{
    char *at = letters;
    *at++ = ':'; /* no value where one is needed is told apart */
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        *at++ = rows[i].letter;
        if (takes_value(&rows[i])) {
            *at++ = ':';
        }
        if (rows[i].name) {
            longs[count++] = (struct option){rows[i].name, takes_value(&rows[i]), NULL, rows[i].letter};
        }
    }
    *at = '\0';
    longs[count] = (struct option){0};
}

static const struct option_row *find_row(int letter)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].letter == letter) {
            return &rows[i];
        }
    }
    return NULL;
}

static void take_option(struct memcached_options *options, int letter, const char *word)
{
    const struct option_row *row = find_row(letter);
    if (letter == 'o') {
        take_extended(options, optarg);
    } else if (row) {
        take(options, row, optarg);
    } else {
        const struct option_row *needs = letter == ':' ? find_row(optopt) : NULL;
        memcached_options_remark(options, word, needs ? "it needs a value" : "memcached 1.6 has no such option")->is_unknown = true;
    }
}

static void set_defaults(struct memcached_options *options)
{
    *options = (struct memcached_options){.memory_mb = 64, .item_size_max = 1 << 20, .connections = 1024, .threads = 4,
                                          .port = 11211, .backlog = 1024, .slab_min_size = 48, .slab_factor = 1.25,
                                          .evicts = true, .may_flush = true, .may_dump = true, .may_watch = true,
                                          .socket_mode = "700", .protocol = "auto", .tls_version = 2};
}

void memcached_options_read(int argc, char **argv, struct memcached_options *options)
{
    char letters[2 * ROWS + 2];
    struct option longs[ROWS + 1];
    set_defaults(options);
    describe_options(letters, longs);
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        int letter = getopt_long(argc, argv, letters, longs, NULL);
        if (letter == -1) {
            break;
        }
        take_option(options, letter, at < argc ? argv[at] : "");
    }
    for (int i = optind; i < argc; i++) {
        memcached_options_remark(options, argv[i], "memcached takes options alone")->is_unknown = true;
    }
}
