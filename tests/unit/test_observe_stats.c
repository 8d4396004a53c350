#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/version.h"
#include "observe/stats.h"

#define STARTED INT64_C(1700000000000)

struct fixture {
    struct counter_board board;
    struct client_list clients;
    struct options options;
    struct stats_sources sources;
    struct engine_facts facts;
    int64_t now_ms;
    struct buffer output;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    counter_board_init(&fixture->board, 2);
    client_list_init(&fixture->clients);
    options_init(&fixture->options);
    buffer_init(&fixture->output);
    fixture->sources = (struct stats_sources){
        .board = &fixture->board, .clients = &fixture->clients, .options = &fixture->options, .started_ms = STARTED};
    fixture->now_ms = STARTED + 61999;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    buffer_deinit(&fixture->output);
    client_list_deinit(&fixture->clients);
    counter_board_deinit(&fixture->board);
    free(fixture);
    return 0;
}

static bool render(struct fixture *fixture, const char *group)
{
    buffer_reset(&fixture->output, 0);
    return stats_render(&fixture->sources, &fixture->facts, span_of(group, strlen(group)), fixture->now_ms,
                        &fixture->output);
}

/* The value of a name, or NULL, as a C string: every value is ended by a NUL. */
static const char *value_of(const struct fixture *fixture, const char *wanted)
{
    struct span pairs = buffer_content(&fixture->output), name, value;
    const char *found = NULL;
    while (stats_next_pair(&pairs, &name, &value)) {
        if (!span_equal(name, span_of(wanted, strlen(wanted)))) continue;
        assert_null(found); /* told once */
        found = value.data;
    }
    return found;
}

static void expect(const struct fixture *fixture, const char *name, const char *value)
{
    const char *is = value_of(fixture, name);
    if (!is) print_error("%s is missing\n", name);
    assert_non_null(is);
    assert_string_equal(is, value);
}

static void test_pairs(void **state)
{
    struct fixture *fixture = *state;
    stats_add_text(&fixture->output, "name", "value");
    stats_add_u64(&fixture->output, "zero", 0);
    stats_add_u64(&fixture->output, "most", UINT64_MAX);
    stats_add_text(&fixture->output, "empty", "");
    assert_true(span_equal(buffer_content(&fixture->output),
                           SPAN("name\0value\0zero\0" "0\0most\0" "18446744073709551615\0empty\0\0")));
    struct span pairs = buffer_content(&fixture->output), name, value;
    assert_true(stats_next_pair(&pairs, &name, &value));
    assert_true(span_equal(name, SPAN("name")) && span_equal(value, SPAN("value")));
    for (int i = 0; i < 3; i++) assert_true(stats_next_pair(&pairs, &name, &value));
    assert_true(span_equal(name, SPAN("empty")) && value.size == 0);
    assert_false(stats_next_pair(&pairs, &name, &value));
}

static void test_groups(void **state)
{
    struct fixture *fixture = *state;
    static const char *const known[] = {"", "settings", "items", "slabs", "sizes", "conns"};
    static const char *const unknown[] = {"Settings", "item", "itemss", "reset", "detail", " "};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_true(render(fixture, known[i]));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_false(render(fixture, unknown[i]));
        assert_int_equal(buffer_size(&fixture->output), 0);
    }
}

/* Agents count the words of a line: a name and a value, each one word. */
static void test_words(void **state)
{
    struct fixture *fixture = *state;
    static const char *const groups[] = {"", "settings", "items", "slabs", "sizes", "conns"};
    static const char *const binds[] = {"", "   ", "127.0.0.1 -::1", " a  b -c ", "-", "*"};
    fixture->facts.keys = 1;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (size_t j = 0; j < sizeof binds / sizeof *binds; j++) {
            (void)snprintf(fixture->options.bind, sizeof fixture->options.bind, "%s", binds[j]);
            render(fixture, groups[i]);
            struct span pairs = buffer_content(&fixture->output), name, value;
            while (stats_next_pair(&pairs, &name, &value)) {
                assert_true(name.size > 0 && value.size > 0);
                assert_null(memchr(name.data, ' ', name.size));
                assert_null(memchr(value.data, ' ', value.size));
            }
        }
    }
}

/* What agents read, in memcached's order. */
static void test_general_names(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {
        "pid", "uptime", "time", "version", "pointer_size", "rusage_user", "rusage_system", "max_connections",
        "curr_connections", "total_connections", "rejected_connections", "connection_structures", "cmd_get", "cmd_set",
        "cmd_flush", "cmd_touch", "cmd_meta", "get_hits", "get_misses", "get_expired", "get_flushed", "delete_misses",
        "delete_hits", "incr_misses", "incr_hits", "decr_misses", "decr_hits", "cas_misses", "cas_hits", "cas_badval",
        "touch_hits", "touch_misses", "store_too_large", "store_no_memory", "auth_cmds", "auth_errors", "bytes_read",
        "bytes_written", "limit_maxbytes", "accepting_conns", "listen_disabled_num", "time_in_listen_disabled_us",
        "threads", "conn_yields", "hash_power_level", "hash_bytes", "hash_is_expanding", "malloc_fails", "bytes",
        "curr_items", "total_items", "expired_unfetched", "evicted_unfetched", "evictions", "reclaimed",
    };
    render(fixture, "");
    const char *last = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = value_of(fixture, names[i]);
        if (!value) print_error("%s is missing\n", names[i]);
        assert_non_null(value);
        assert_true(!last || value > last);
        last = value;
    }
}

static void test_every_counter_is_told(void **state)
{
    struct fixture *fixture = *state;
    char text[32];
    for (int id = 0; id < COUNTERS; id++) {
        counter_add(&fixture->board.sets[0], (enum counter_id)id, (uint64_t)id * 1000 + 300);
        counter_add(&fixture->board.sets[1], (enum counter_id)id, 7);
    }
    render(fixture, "");
#define COUNTER(id, name, is_gauge, description)                                                                          \
    (void)snprintf(text, sizeof text, "%d", (int)COUNTER_##id * 1000 + 307);                                              \
    if (COUNTER_##id < COUNTER_UPSTREAM_GETS) expect(fixture, name, text);
    COUNTERS_LIST(COUNTER)
#undef COUNTER
}

static void test_general_values(void **state)
{
    struct fixture *fixture = *state;
    char text[32];
    fixture->facts = (struct engine_facts){
        .used_memory = 123456, .maxmemory = 50000000, .keys = 17, .evicted_keys = 3, .expired_keys = 4};
    atomic_store(&fixture->options.maxconns, 99);
    atomic_store(&fixture->options.io_threads, 3);
    counter_add(&fixture->board.sets[0], COUNTER_CURR_CONNECTIONS, 5);
    render(fixture, "");
    (void)snprintf(text, sizeof text, "%ld", (long)getpid());
    expect(fixture, "pid", text);
    expect(fixture, "uptime", "61");
    expect(fixture, "time", "1700000061");
    expect(fixture, "version", DIGLOT_MEMCACHED_LEVEL);
    expect(fixture, "pointer_size", sizeof(void *) == 8 ? "64" : "32");
    expect(fixture, "max_connections", "99");
    expect(fixture, "connection_structures", "5");
    expect(fixture, "threads", "3");
    expect(fixture, "limit_maxbytes", "50000000");
    expect(fixture, "bytes", "123456");
    expect(fixture, "curr_items", "17");
    expect(fixture, "evictions", "3");
    expect(fixture, "reclaimed", "4");
    expect(fixture, "accepting_conns", "1");
}

static void test_clock_set_back(void **state)
{
    struct fixture *fixture = *state;
    fixture->now_ms = STARTED - 5000;
    render(fixture, "");
    expect(fixture, "uptime", "0");
    expect(fixture, "threads", "1");
}

/* "seconds.microseconds", six digits behind the point. */
static void test_rusage(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"rusage_user", "rusage_system"};
    render(fixture, "");
    for (size_t i = 0; i < 2; i++) {
        const char *value = value_of(fixture, names[i]);
        assert_non_null(value);
        size_t whole = strspn(value, "0123456789");
        assert_true(whole > 0 && value[whole] == '.');
        assert_int_equal(strspn(value + whole + 1, "0123456789"), 6);
        assert_int_equal(value[whole + 7], '\0');
    }
}

static void test_settings(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.maxmemory = 1000;
    atomic_store(&fixture->options.flush_all, false);
    atomic_store(&fixture->options.idle_timeout, 60);
    render(fixture, "settings");
    expect(fixture, "maxbytes", "1000");
    expect(fixture, "maxconns", "1024");
    expect(fixture, "tcpport", "11211");
    expect(fixture, "udpport", "0");
    expect(fixture, "inter", "127.0.0.1,::1");
    expect(fixture, "verbosity", "0");
    expect(fixture, "domain_socket", "NULL");
    expect(fixture, "num_threads", "1");
    expect(fixture, "cas_enabled", "yes");
    expect(fixture, "item_size_max", "1048576");
    expect(fixture, "flush_enabled", "no");
    expect(fixture, "idle_timeout", "60");
    expect(fixture, "lru_crawler", "no");
    expect(fixture, "evictions", "off");
    expect(fixture, "shutdown_command", "no");
    expect(fixture, "detail_enabled", "no");
    expect(fixture, "dump_enabled", "yes");
    struct detail_table detail = {.is_on = true};
    fixture->sources.detail = &detail;
    fixture->facts.evicts = true;
    atomic_store(&fixture->options.shutdown, true);
    render(fixture, "settings");
    expect(fixture, "evictions", "on");
    expect(fixture, "shutdown_command", "yes");
    expect(fixture, "detail_enabled", "yes");
}

static void test_tls_settings(void **state)
{
    struct fixture *fixture = *state;
    render(fixture, "settings");
    expect(fixture, "ssl_enabled", "no");
    expect(fixture, "ssl_chain_cert", "(null)"); /* as memcached does */
    expect(fixture, "ssl_verify_mode", "0");
    expect(fixture, "umask", "700");

    struct tls_settings tls = {
        .cert_file = "/a/crt", .key_file = "/a/key", .auth_clients = TLS_AUTH_YES, .min_version = TLS_MIN_1_3};
    fixture->sources.tls = &tls;
    fixture->sources.tls_refreshed_ms = STARTED;
    (void)snprintf(fixture->options.unixsocket, sizeof fixture->options.unixsocket, "/a/door");
    render(fixture, "settings");
    expect(fixture, "ssl_enabled", "yes");
    expect(fixture, "ssl_chain_cert", "/a/crt");
    expect(fixture, "ssl_key", "/a/key");
    expect(fixture, "ssl_verify_mode", "3");
    expect(fixture, "ssl_ca_cert", "NULL");
    expect(fixture, "ssl_min_version", "tlsv1.3");
    expect(fixture, "domain_socket", "/a/door");
    tls.auth_clients = TLS_AUTH_OPTIONAL;
    render(fixture, "settings");
    expect(fixture, "ssl_verify_mode", "1");

    counter_add(&fixture->board.sets[1], COUNTER_TLS_HANDSHAKE_ERRORS, 3);
    render(fixture, "");
    expect(fixture, "ssl_handshake_errors", "3");
    expect(fixture, "time_since_server_cert_refresh", "61");
}

static void test_addresses(void **state)
{
    struct fixture *fixture = *state;
    static const char *const cases[][2] = {
        {"", "NULL"}, {"  ", "NULL"}, {"-", "NULL"}, {"a", "a"}, {" a  -b c-d ", "a,b,c-d"}, {"-a", "a"}, {"- a", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(fixture->options.bind, sizeof fixture->options.bind, "%s", cases[i][0]);
        render(fixture, "settings");
        expect(fixture, "inter", cases[i][1]);
    }
    memset(fixture->options.bind, 'x', sizeof fixture->options.bind - 1);
    render(fixture, "settings");
    assert_int_equal(strlen(value_of(fixture, "inter")), OPTION_TEXT_MAX - 1);
}

/* What the engine counts starts at 0 again, and its own reset behind our back does no harm. */
static void test_reset_of_facts(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts = (struct engine_facts){.keys = 17, .evicted_keys = 30, .expired_keys = 4};
    stats_reset_facts(&fixture->sources, &fixture->facts);
    fixture->facts.evicted_keys = 35;
    fixture->facts.expired_keys = 2;
    render(fixture, "");
    expect(fixture, "evictions", "5");
    expect(fixture, "reclaimed", "2");
    expect(fixture, "curr_items", "17");
}

static void test_items(void **state)
{
    struct fixture *fixture = *state;
    render(fixture, "items");
    assert_int_equal(buffer_size(&fixture->output), 0);
    fixture->facts = (struct engine_facts){.keys = 5, .evicted_keys = 2, .expired_keys = 3};
    counter_add(&fixture->board.sets[0], COUNTER_STORE_NO_MEMORY, 4);
    render(fixture, "items");
    expect(fixture, "items:1:number", "5");
    expect(fixture, "items:1:evicted", "2");
    expect(fixture, "items:1:reclaimed", "3");
    expect(fixture, "items:1:outofmemory", "4");
}

static void test_slabs_and_sizes(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.used_memory = 4096;
    render(fixture, "slabs");
    expect(fixture, "active_slabs", "0");
    expect(fixture, "total_malloced", "4096");
    render(fixture, "sizes");
    assert_true(span_equal(buffer_content(&fixture->output), SPAN("sizes_status\0disabled\0")));
}

static void test_conns(void **state)
{
    struct fixture *fixture = *state;
    struct client_entry entry = {.descriptor = 12, .address = "tcp:127.0.0.1:4711", .listening = "tcp:127.0.0.1:11211"};
    atomic_init(&entry.last_request_ms, fixture->now_ms - 2500);
    client_list_add(&fixture->clients, &entry);
    render(fixture, "conns");
    expect(fixture, "12:addr", "tcp:127.0.0.1:4711");
    expect(fixture, "12:secs_since_last_cmd", "2");
    expect(fixture, "12:state", "conn_read");
    static const char *const states[] = {"conn_read", "conn_parse_cmd", "conn_mwrite", "conn_watch"};
    for (int i = 0; i < 4; i++) {
        atomic_store(&entry.state, i);
        render(fixture, "conns");
        expect(fixture, "12:state", states[i]);
    }
    client_list_remove(&fixture->clients, &entry);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_pairs),          TEST(test_groups),   TEST(test_words),     TEST(test_general_names),
        TEST(test_every_counter_is_told), TEST(test_general_values), TEST(test_clock_set_back), TEST(test_rusage),
        TEST(test_settings),       TEST(test_tls_settings), TEST(test_addresses), TEST(test_reset_of_facts),
        TEST(test_items),          TEST(test_slabs_and_sizes),
        TEST(test_conns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
