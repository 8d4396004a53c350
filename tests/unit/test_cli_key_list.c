#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/key_list.h"
#include "cli/key_set.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Time passes only where somebody sleeps: however slow the machine is, a server has the patience that it is to have. The linker
 * sends all calls here (Makefile). */
static _Atomic uint64_t now_us;

uint64_t __wrap_clock_monotonic_us(void);
void __wrap_clock_sleep_us(uint64_t us);

uint64_t __wrap_clock_monotonic_us(void)
{
    return atomic_load(&now_us);
}

void __wrap_clock_sleep_us(uint64_t us)
{
    atomic_fetch_add(&now_us, us);
}

static struct listed_key parse(const char *line)
{
    struct listed_key key;
    assert_true(key_list_parse_line(span_of(line, strlen(line)), &key));
    return key;
}

static void assert_name(const struct listed_key *key, struct span name)
{
    assert_true(span_equal(span_of(key->name, key->size), name));
}

static void test_lines(void **state)
{
    (void)state;
    struct listed_key key = parse("key=a exp=1795241425 la=1795241325 cas=1 fetch=no cls=1 size=65");
    assert_name(&key, SPAN("a"));
    assert_int_equal(key.expiry, 1795241425);
    assert_int_equal(key.item_size, 65);
    key = parse("key=b%2525 exp=-1 la=1 cas=2 fetch=no cls=1 size=64 flags=7 ");
    assert_name(&key, SPAN("b%25"));
    assert_int_equal(key.expiry, -1);
    key = parse("key=%00%01%20%ff%Fe");
    assert_name(&key, SPAN("\0\x01 \xff\xfe"));
    assert_int_equal(key.item_size, 0);
    key = parse("key=x exp=0 size=");
    assert_int_equal(key.expiry, -1);
    key = parse("key=100%"); /* what is no encoding is itself */
    assert_name(&key, SPAN("100%"));
    key = parse("key=%2 exp=5");
    assert_name(&key, SPAN("%2"));
}

static void test_what_is_no_line(void **state)
{
    (void)state;
    static const struct span lines[] = {SPAN(""), SPAN("END"), SPAN("OK"), SPAN("key="), SPAN("key= exp=1"), SPAN("mg abc"), SPAN("KEY=a")};
    struct listed_key key;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_false(key_list_parse_line(lines[i], &key));
    }
    char text[4 + 251];
    memcpy(text, "key=", 4);
    memset(text + 4, 'k', 251);
    assert_false(key_list_parse_line(span_of(text, sizeof text), &key));
    assert_true(key_list_parse_line(span_of(text, sizeof text - 1), &key));
    assert_int_equal(key.size, 250);
}

static void test_versions(void **state)
{
    (void)state;
    assert_true(key_list_trusts_hash(SPAN("1.6.38")));
    assert_true(key_list_trusts_hash(SPAN("1.6.45")));
    assert_true(key_list_trusts_hash(SPAN("1.7.0")));
    assert_true(key_list_trusts_hash(SPAN("2.0")));
    assert_true(key_list_trusts_hash(SPAN("1.6.40-rc1")));
    assert_false(key_list_trusts_hash(SPAN("1.6.37")));
    assert_false(key_list_trusts_hash(SPAN("1.6.18")));
    assert_false(key_list_trusts_hash(SPAN("1.4.39")));
    assert_false(key_list_trusts_hash(SPAN("1.6")));
    assert_false(key_list_trusts_hash(SPAN("")));
    assert_false(key_list_trusts_hash(SPAN("unknown")));
}

static void test_a_spool_gives_what_it_was_given(void **state)
{
    (void)state;
    struct spool spool;
    assert_true(spool_open(&spool));
    struct listed_key key = parse("key=%00a exp=77 size=9"), got;
    for (int i = 0; i < 1000; i++) {
        key.expiry = i;
        assert_true(spool_put(&spool, &key));
    }
    assert_int_equal(spool.count, 1000);
    assert_true(spool_end(&spool));
    for (int i = 0; i < 1000; i++) {
        assert_false(spool_is_over(&spool));
        assert_true(spool_take(&spool, &got));
        assert_int_equal(got.expiry, i);
        assert_name(&got, SPAN("\0a"));
    }
    assert_true(spool_is_over(&spool));
    assert_false(spool_take(&spool, &got));
    spool_close(&spool);
}

static void *put_many(void *argument)
{
    struct spool *spool = argument;
    struct listed_key key = parse("key=name exp=77 size=9");
    for (int i = 0; i < 20000; i++) {
        key.item_size = (uint32_t)i;
        assert_true(spool_put(spool, &key));
    }
    assert_true(spool_end(spool));
    return NULL;
}

static void test_a_spool_can_be_read_while_it_is_written(void **state)
{
    (void)state;
    struct spool spool;
    struct listed_key got;
    pthread_t writer;
    assert_true(spool_open(&spool));
    assert_int_equal(pthread_create(&writer, NULL, put_many, &spool), 0);
    uint32_t taken = 0;
    while (!spool_is_over(&spool)) {
        spool_wait(&spool);
        for (; spool_take(&spool, &got); taken++) {
            assert_int_equal(got.item_size, taken);
        }
    }
    assert_int_equal(taken, 20000);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_false(spool.has_failed);
    spool_close(&spool);
}

static void test_a_set_knows_what_was_added(void **state)
{
    (void)state;
    struct key_set set;
    key_set_init(&set);
    key_set_prefetch(&set, 7);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            uint64_t hash = key_set_hash(span_of(&i, sizeof i));
            assert_int_not_equal(hash, 0);
            key_set_prefetch(&set, hash);
            assert_int_equal(key_set_add(&set, hash), round == 0);
        }
        key_set_reserve(&set, round * 5000 * 4);
    }
    assert_int_equal(set.count, 5000);
    key_set_deinit(&set);
}

/* A server whose first lists miss half of its items, one like the other, as memcached's do while it moves them between its LRUs. */
struct hasty {
    int listener;
    int lists;      /* taken so far */
    int whole_from; /* the first list that has all items */
};

static void answer_hasty(struct hasty *hasty, const char *request, FILE *peer)
{
    if (strstr(request, "version")) {
        (void)fprintf(peer, "VERSION 1.6.18\r\n");
    } else if (strstr(request, "stats")) {
        (void)fprintf(peer, "STAT curr_items 4\r\nSTAT total_items 4\r\nEND\r\n");
    } else {
        (void)fprintf(peer, "key=a\nkey=b\n%sEND\r\n", ++hasty->lists >= hasty->whole_from ? "key=c\nkey=d\n" : "");
    }
    (void)fflush(peer);
}

static void *serve_hasty(void *argument)
{
    struct hasty *hasty = argument;
    FILE *peer = fdopen(accept(hasty->listener, NULL, NULL), "r+");
    char request[256];
    assert_non_null(peer);
    while (fgets(request, sizeof request, peer)) {
        answer_hasty(hasty, request, peer);
    }
    (void)fclose(peer);
    return NULL;
}

static uint64_t list_hasty(struct hasty *hasty)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    hasty->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hasty->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(hasty->listener, 1), 0);
    assert_int_equal(getsockname(hasty->listener, (struct sockaddr *)&address, &size), 0);
    pthread_t server;
    assert_int_equal(pthread_create(&server, NULL, serve_hasty, hasty), 0);
    char name[32], error[CHANNEL_ERROR_SIZE];
    struct endpoint endpoint;
    (void)snprintf(name, sizeof name, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    assert_true(endpoint_parse(name, "", &endpoint));
    struct channel *channel = channel_open(&endpoint, NULL, NULL, 5000, error);
    assert_non_null(channel);
    struct key_list list;
    struct spool spool;
    atomic_bool stops = false;
    _Atomic uint64_t count = 0;
    assert_true(spool_open(&spool));
    key_list_init(&list, channel, &stops);
    assert_int_equal(key_list_spool(&list, &spool, &count), KEY_LIST_END);
    spool_close(&spool);
    channel_close(&channel);
    assert_int_equal(pthread_join(server, NULL), 0);
    (void)close(hasty->listener);
    return count;
}

static void test_a_list_is_not_whole_because_nothing_new_comes(void **state)
{
    (void)state;
    struct hasty late = {.whole_from = 4};
    assert_int_equal(list_hasty(&late), 4);
    struct hasty at_once = {.whole_from = 1};
    assert_int_equal(list_hasty(&at_once), 4);
    assert_int_equal(at_once.lists, 1);
    struct hasty never = {.whole_from = 1000}; /* two of its items have expired */
    assert_int_equal(list_hasty(&never), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_what_is_no_line),
                                       cmocka_unit_test(test_versions), cmocka_unit_test(test_a_spool_gives_what_it_was_given),
                                       cmocka_unit_test(test_a_spool_can_be_read_while_it_is_written),
                                       cmocka_unit_test(test_a_set_knows_what_was_added),
                                       cmocka_unit_test(test_a_list_is_not_whole_because_nothing_new_comes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
