/* Where keys live, against libmemcached 1.1.4 and, for rendezvous, pymemcache. tests/upstream compares many more. */
#include "upstream/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define HOSTS "10.0.0.1 10.0.0.2:11212 cache3.example.com"
#define WEIGHTED "10.0.0.1:11211:1,10.0.0.2:11212:2,cache3.example.com:11211:5"

static struct fleet *make(struct span list, enum distribution distribution, enum key_hash hash)
{
    char error[FLEET_ERROR_SIZE];
    struct fleet *fleet = fleet_new(list, distribution, hash, error);
    assert_non_null(fleet);
    return fleet;
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        struct span list;
        enum distribution distribution;
        enum key_hash hash;
        const char *servers; /* of key:0, key:1, … */
    } samples[] = {
        {SPAN(HOSTS), DISTRIBUTION_KETAMA, KEY_HASH_DEFAULT, "2020201202200020011102110222221110110020"},
        {SPAN(HOSTS), DISTRIBUTION_KETAMA, KEY_HASH_MD5, "1222120021111120212012111120102212001022"},
        {SPAN(HOSTS), DISTRIBUTION_KETAMA_WEIGHTED, KEY_HASH_MD5, "1112200111122122220011002212101211002110"},
        {SPAN(WEIGHTED), DISTRIBUTION_KETAMA_WEIGHTED, KEY_HASH_MD5, "1122222111122122222111222212222221002210"},
        {SPAN(WEIGHTED), DISTRIBUTION_KETAMA, KEY_HASH_MD5, "1122222111122122222111222212222221002210"},
        {SPAN(WEIGHTED), DISTRIBUTION_MODULA, KEY_HASH_FNV1A_32, "2110100202200112201221021021021201012020"},
        {SPAN(HOSTS), DISTRIBUTION_RENDEZVOUS, KEY_HASH_DEFAULT, "1221021022002002120210122000111022221000"},
        {SPAN("only"), DISTRIBUTION_KETAMA, KEY_HASH_MD5, "0000000000000000000000000000000000000000"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct fleet *fleet = make(samples[i].list, samples[i].distribution, samples[i].hash);
        char found[64] = "";
        for (int number = 0; number < 40; number++) {
            char key[16];
            int size = snprintf(key, sizeof key, "key:%d", number);
            found[number] = (char)('0' + fleet_server_of(fleet, span_of(key, (size_t)size)));
        }
        assert_string_equal(found, samples[i].servers);
        fleet_free(&fleet);
        assert_null(fleet);
    }
}

static void test_lists(void **state)
{
    (void)state;
    struct fleet *fleet = make(SPAN("  [::1]:1234:7, b:1 ,,[fe80::2]  c "), DISTRIBUTION_MODULA, KEY_HASH_CRC);
    static const struct fleet_server expected[] = {{"::1", 1234, 7}, {"b", 1, 1}, {"fe80::2", 11211, 1}, {"c", 11211, 1}};
    assert_int_equal(fleet->count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(fleet->servers[i].host, expected[i].host);
        assert_int_equal(fleet->servers[i].port, expected[i].port);
        assert_int_equal(fleet->servers[i].weight, expected[i].weight);
    }
    fleet_free(&fleet);
}

static void test_refused_lists(void **state)
{
    (void)state;
    static const struct span lists[] = {
        SPAN(""), SPAN(" , "), SPAN(":11211"), SPAN("a:0"), SPAN("a:65536"), SPAN("a:"), SPAN("a:1:0"), SPAN("a:1:1000001"),
        SPAN("a:1:1:1"), SPAN("[::1"), SPAN("[::1]x"), SPAN("a:x"), SPAN("good:1 a:-1"), SPAN("a:1:"),
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char error[FLEET_ERROR_SIZE] = "";
        assert_null(fleet_new(lists[i], DISTRIBUTION_KETAMA, KEY_HASH_MD5, error));
        assert_true(strncmp(error, "diglot.upstream ", 16) == 0);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    char list[FLEET_SERVERS_MAX * 8 + 16] = "", error[FLEET_ERROR_SIZE];
    size_t size = 0;
    for (size_t i = 0; i < FLEET_SERVERS_MAX; i++) size += (size_t)snprintf(list + size, sizeof list - size, "h%zu ", i);
    struct fleet *fleet = make(span_of(list, size), DISTRIBUTION_KETAMA_WEIGHTED, KEY_HASH_MD5);
    assert_int_equal(fleet->point_count, FLEET_SERVERS_MAX * 160);
    fleet_free(&fleet);
    size += (size_t)snprintf(list + size, sizeof list - size, "more");
    assert_null(fleet_new(span_of(list, size), DISTRIBUTION_MODULA, KEY_HASH_MD5, error));

    char long_host[FLEET_HOST_SIZE + 1];
    memset(long_host, 'h', sizeof long_host);
    fleet = make(span_of(long_host, FLEET_HOST_SIZE - 1), DISTRIBUTION_KETAMA, KEY_HASH_MD5);
    fleet_free(&fleet);
    assert_null(fleet_new(span_of(long_host, FLEET_HOST_SIZE), DISTRIBUTION_KETAMA, KEY_HASH_MD5, error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refused_lists),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
