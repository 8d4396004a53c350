#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observe/stats.h"
#include "observe/usage.h"

/* The value of a pair, or NULL. Pairs are ended by NULs. */
static const char *value_of(const struct usage *usage, int64_t now_ms, const char *wanted)
{
    static char found[64];
    struct buffer output;
    buffer_init(&output);
    usage_render(usage, now_ms, &output);
    struct span pairs = buffer_content(&output), name, value;
    bool is_there = false;
    while (stats_next_pair(&pairs, &name, &value)) {
        if (strcmp(name.data, wanted) != 0) continue;
        (void)snprintf(found, sizeof found, "%s", value.data);
        is_there = true;
    }
    buffer_deinit(&output);
    return is_there ? found : NULL;
}

static void expect(const struct usage *usage, const char *name, const char *value)
{
    const char *found = value_of(usage, 10000, name);
    if (!value) assert_null(found);
    if (!value) return;
    assert_non_null(found);
    assert_string_equal(found, value);
}

static struct usage_request request(const char *client, struct span key)
{
    return (struct usage_request){.client = client, .command = "get", .protocol = USAGE_META, .key = key, .name = key};
}

static void test_off_costs_and_tells_nothing(void **state)
{
    (void)state;
    struct usage usage = {0};
    expect(&usage, "usage", "no");
    expect(&usage, "requests", NULL);
    usage_deinit(&usage);
}

static void test_who_and_what(void **state)
{
    (void)state;
    struct usage usage = {0};
    usage_switch(&usage, true, 4000);
    struct usage_request store = request("tcp:10.0.0.7:4711", SPAN("user:1"));
    store.has_item = true;
    store.flags = 16;
    store.size = 65;
    store.expiry = USAGE_EXPIRY_MISTAKEN;
    usage_note_request(&usage, &store, 5000);
    struct usage_request read = request("tcp6:[::1]:4711", SPAN("plain"));
    usage_note_request(&usage, &read, 6000);
    read.client = "unix:/run/diglot.sock";
    usage_note_request(&usage, &read, 8000);
    static const char *const pairs[][2] = {
        {"usage", "yes"}, {"usage_seconds", "6"}, {"requests", "3"}, {"seconds_since_last_request", "2"}, {"protocol:meta", "3"},
        {"protocol:binary", "0"}, {"client:10.0.0.7", "1"}, {"client:%5B%3A%3A1%5D", "1"}, {"client:unix%3A%2Frun%2Fdiglot.sock", "1"},
        {"command:get", "3"}, {"prefix:user", "1"}, {"prefix:", "2"}, {"flags:16", "1"}, {"flags:0", NULL}, {"size_up_to:128", "1"},
        {"size_up_to:64", NULL}, {"ttl_over_30_days", "1"}, {"ttl_long_past", "1"}, {"shared_touches", "0"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) expect(&usage, pairs[i][0], pairs[i][1]);
    usage_switch(&usage, false, 9000);
    expect(&usage, "usage", "no");
    expect(&usage, "requests", "3"); /* what was counted stays to be read … */
    usage_switch(&usage, true, 9000);
    expect(&usage, "requests", "0"); /* … until it begins anew */
    usage_deinit(&usage);
}

static void test_keys_of_both_sides_are_shared_whoever_comes_first(void **state)
{
    (void)state;
    struct usage usage = {0};
    usage_switch(&usage, true, 0);
    struct usage_request first = request("tcp:10.0.0.7:1", SPAN("a")), second = request("tcp:10.0.0.7:1", SPAN("b"));
    usage_note_request(&usage, &first, 1);
    usage_note_resp(&usage, SPAN("b"));
    usage_note_resp(&usage, SPAN("c"));
    expect(&usage, "shared_touches", "0");
    usage_note_resp(&usage, SPAN("a"));
    usage_note_request(&usage, &second, 2);
    expect(&usage, "shared_touches", "2");
    expect(&usage, "shared:a", "1");
    expect(&usage, "shared:b", "1");
    expect(&usage, "shared:c", NULL);
    usage_deinit(&usage);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *name;
    } sizes[] = {{0, "size_up_to:64"}, {64, "size_up_to:64"}, {65, "size_up_to:128"}, {1 << 20, "size_up_to:1048576"},
                 {(1 << 20) + 1, "size_over:1048576"}, {512 << 20, "size_over:1048576"}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct usage usage = {0};
        usage_switch(&usage, true, 0);
        struct usage_request store = request("", SPAN("k"));
        store.has_item = true;
        store.size = sizes[i].size;
        usage_note_request(&usage, &store, 1);
        expect(&usage, sizes[i].name, "1");
        usage_deinit(&usage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_costs_and_tells_nothing),
        cmocka_unit_test(test_who_and_what),
        cmocka_unit_test(test_keys_of_both_sides_are_shared_whoever_comes_first),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
