#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/verify.h"

#include <stdio.h>

static struct parcel_item item(enum item_state state, uint32_t flags, int64_t ttl)
{
    return (struct parcel_item){.state = state, .flags = flags, .ttl = ttl};
}

static void test_judgements(void **state)
{
    (void)state;
    static const struct {
        enum item_state from, to;
        struct span from_value, to_value;
        uint32_t from_flags, to_flags;
        int64_t from_ttl, to_ttl;
        enum difference difference;
    } cases[] = {
        {ITEM_FOUND, ITEM_FOUND, SPAN("a"), SPAN("a"), 1, 1, -1, -1, DIFFERENCE_NONE},
        {ITEM_FOUND, ITEM_FOUND, SPAN(""), SPAN(""), 0, 0, 10, 12, DIFFERENCE_NONE},
        {ITEM_FOUND, ITEM_FOUND, SPAN(""), SPAN(""), 0, 0, 12, 10, DIFFERENCE_NONE},
        {ITEM_FOUND, ITEM_FOUND, SPAN(""), SPAN(""), 0, 0, 10, 13, DIFFERENCE_TTL},
        {ITEM_FOUND, ITEM_FOUND, SPAN(""), SPAN(""), 0, 0, 13, 10, DIFFERENCE_TTL},
        {ITEM_FOUND, ITEM_FOUND, SPAN(""), SPAN(""), 0, 0, -1, 1, DIFFERENCE_TTL},
        {ITEM_FOUND, ITEM_FOUND, SPAN(""), SPAN(""), 0, 0, 0, -1, DIFFERENCE_TTL},
        {ITEM_FOUND, ITEM_FOUND, SPAN("a"), SPAN("b"), 1, 2, -1, 5, DIFFERENCE_VALUE},
        {ITEM_FOUND, ITEM_FOUND, SPAN("a"), SPAN("ab"), 1, 1, -1, -1, DIFFERENCE_VALUE},
        {ITEM_FOUND, ITEM_FOUND, SPAN("a"), SPAN("a"), 1, 2, -1, 5, DIFFERENCE_FLAGS},
        {ITEM_FOUND, ITEM_MISSING, SPAN("a"), SPAN(""), 0, 0, -1, -1, DIFFERENCE_MISSING},
        {ITEM_FOUND, ITEM_STALE, SPAN("a"), SPAN("a"), 0, 0, -1, -1, DIFFERENCE_MISSING},
        {ITEM_MISSING, ITEM_FOUND, SPAN(""), SPAN("a"), 0, 0, -1, -1, DIFFERENCE_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parcel_item from = item(cases[i].from, cases[i].from_flags, cases[i].from_ttl);
        struct parcel_item to = item(cases[i].to, cases[i].to_flags, cases[i].to_ttl);
        assert_int_equal(verify_judge(&from, cases[i].from_value, &to, cases[i].to_value, 2), cases[i].difference);
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    struct divergence divergence;
    divergence_init(&divergence, ':');
    divergence_add(&divergence, SPAN("user:1"), DIFFERENCE_NONE);
    divergence_add(&divergence, SPAN("user:2"), DIFFERENCE_VALUE);
    divergence_add(&divergence, SPAN("user:3:x"), DIFFERENCE_TTL);
    divergence_add(&divergence, SPAN("page\n:"), DIFFERENCE_MISSING);
    divergence_add(&divergence, SPAN("bare"), DIFFERENCE_MISSING);
    assert_int_equal(divergence_count(&divergence, DIFFERENCE_NONE), 4);
    assert_int_equal(divergence_count(&divergence, DIFFERENCE_MISSING), 2);
    json_t *rows = divergence_json(&divergence), *first = json_array_get(rows, 0);
    assert_int_equal(json_array_size(rows), 3);
    assert_string_equal(json_string_value(json_object_get(first, "prefix")), "user:");
    assert_int_equal(json_integer_value(json_object_get(first, "compared")), 3);
    assert_string_equal(json_string_value(json_array_get(json_object_get(first, "keys"), 1)), "user:3:x (ttl)");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "prefix")), "(no prefix)");
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 2), "prefix")), "page%0A:");
    json_decref(rows);
    divergence_deinit(&divergence);
}

static void test_prefixes_without_end_are_counted_together(void **state)
{
    (void)state;
    struct divergence divergence;
    divergence_init(&divergence, ':');
    char key[32];
    for (int i = 0; i < 10000; i++) {
        int size = snprintf(key, sizeof key, "prefix%d:key", i);
        divergence_add(&divergence, span_of(key, (size_t)size), DIFFERENCE_MISSING);
    }
    assert_int_equal(divergence_count(&divergence, DIFFERENCE_NONE), 10000);
    json_t *rows = divergence_json(&divergence);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "prefix")), "(others)");
    assert_int_equal(json_array_size(rows), DIVERGENCE_PREFIXES / 4 * 3 + 1);
    json_decref(rows);
    divergence_deinit(&divergence);
}

static void test_failures(void **state)
{
    (void)state;
    struct failures failures;
    failures_init(&failures);
    for (int i = 0; i < 40; i++) {
        char reason[16], key[16];
        int size = snprintf(reason, sizeof reason, "reason %d", i % 20);
        failures_add(&failures, span_of(reason, (size_t)size), span_of(key, (size_t)snprintf(key, sizeof key, "key %d", i)));
    }
    for (int i = 0; i < 8; i++) {
        failures_add(&failures, SPAN("reason 0"), SPAN("again"));
    }
    assert_int_equal(failures.count, FAILURE_REASONS);
    assert_int_equal(failures.list[0].count, 10);
    assert_int_equal(failures.list[0].key_count, FAILURE_KEYS);
    assert_string_equal(failures.list[0].keys[0], "key%200");
    assert_string_equal(failures.list[FAILURE_REASONS - 1].reason, "other reasons");
    assert_int_equal(failures.list[FAILURE_REASONS - 1].count, 10);
    failures_deinit(&failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_judgements), cmocka_unit_test(test_prefixes),
                                       cmocka_unit_test(test_prefixes_without_end_are_counted_together), cmocka_unit_test(test_failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
