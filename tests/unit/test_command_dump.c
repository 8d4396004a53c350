#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command/batch.h"
#include "fake/world.h"

static int set_up(void **state)
{
    struct world *world = check_calloc_aligned(_Alignof(struct world), sizeof(*world));
    world_init(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_deinit(*state);
    free(*state);
    return 0;
}

static void set(struct world *world, struct span key, struct span value, uint32_t flags, int64_t exptime)
{
    struct request request = {.op = REQUEST_SET, .key = key, .value = value, .flags = flags, .exptime = exptime};
    assert_int_equal(world_execute(world, &request).status, RESULT_STORED);
}

/* All parts, one behind the other, ended by a NUL. */
static char *dump(struct world *world, enum request_op op)
{
    struct buffer all;
    buffer_init(&all);
    struct request request = {.op = op};
    do {
        struct result result = world_execute(world, &request);
        assert_int_equal(result.status, RESULT_PART);
        buffer_append(&all, world_value(world, &result));
        request.operand = result.number;
    } while (request.operand != 0);
    buffer_append(&all, SPAN("\0"));
    char *text = strdup(buffer_content(&all).data);
    buffer_deinit(&all);
    return text;
}

static void expect_dump(struct world *world, enum request_op op, const char *expected)
{
    char *text = dump(world, op);
    assert_string_equal(text, expected);
    free(text);
}

static void test_fields(void **state)
{
    struct world *world = *state;
    world->fake.knows_idle = true;
    set(world, SPAN("a b"), SPAN("value"), 9, 100);
    world_set_clock(world, WORLD_BEGIN_MS + 7000);
    uint64_t token = version_current(&world->versions, hash_key(SPAN("a b")));
    char line[256];
    (void)snprintf(line, sizeof line, "OK\r\nkey=a%%20b exp=1700000100 la=1700000000 cas=%llu fetch=no cls=1 size=71 flags=9 \nEND\r\n",
                   (unsigned long long)token);
    expect_dump(world, REQUEST_METADUMP, line);
    expect_dump(world, REQUEST_MGDUMP, "OK\r\nmg YSBi b\r\nEN\r\n");
}

static void test_unknown_is_zero(void **state)
{
    struct world *world = *state;
    world->fake.knows_idle = false;
    set(world, SPAN("k"), SPAN(""), 0, 0);
    char *text = dump(world, REQUEST_METADUMP);
    assert_non_null(strstr(text, " exp=-1 la=0 cas="));
    free(text);
}

/* Foreign types, ledgers, other databases, expired keys and names that no client can say are not told. */
static void test_only_items(void **state)
{
    struct world *world = *state;
    char name[ITEM_KEY_MAX + 2];
    memset(name, 'n', sizeof name);
    fake_resp_lpush(&world->fake, 0, SPAN("list"));
    fake_resp_set(&world->fake, 1, SPAN("elsewhere"), SPAN("x"), KEYSPACE_NO_EXPIRY);
    fake_resp_set(&world->fake, 0, SPAN(""), SPAN("x"), KEYSPACE_NO_EXPIRY);
    fake_resp_set(&world->fake, 0, span_of(name, ITEM_KEY_MAX + 1), SPAN("x"), KEYSPACE_NO_EXPIRY);
    set(world, SPAN("flagged"), SPAN("x"), 1, 1);
    expect_dump(world, REQUEST_MGDUMP, "OK\r\nmg flagged\r\nEN\r\n");
    world_set_clock(world, WORLD_BEGIN_MS + 2000);
    expect_dump(world, REQUEST_MGDUMP, "OK\r\nEN\r\n");
    expect_dump(world, REQUEST_METADUMP, "OK\r\nEND\r\n");
    fake_resp_set(&world->fake, 0, span_of(name, ITEM_KEY_MAX), SPAN("x"), KEYSPACE_NO_EXPIRY);
    char *text = dump(world, REQUEST_MGDUMP);
    assert_int_equal(strlen(text), strlen("OK\r\nmg \r\nEN\r\n") + ITEM_KEY_MAX);
    free(text);
}

static bool is_not_secret(struct key_reader *reader, struct span key)
{
    (void)reader;
    return !span_starts_with(key, SPAN("secret"));
}

static void test_unreadable_keys_are_not_told(void **state)
{
    struct world *world = *state;
    struct key_reader reader = {is_not_secret};
    set(world, SPAN("secret"), SPAN("x"), 1, 0);
    set(world, SPAN("told"), SPAN("x"), 0, 0);
    world->context.reader = &reader;
    expect_dump(world, REQUEST_MGDUMP, "OK\r\nmg told\r\nEN\r\n");
    world->context.reader = NULL;
    char *text = dump(world, REQUEST_MGDUMP);
    assert_non_null(strstr(text, "mg secret\r\n"));
    free(text);
}

static void test_lost_flags_hide(void **state)
{
    struct world *world = *state;
    struct span ledger;
    set(world, SPAN("flagged"), SPAN("x"), 1, 0);
    assert_true(world_find_ledger(world, 0, hash_slot(SPAN("flagged")), &ledger));
    char name[64];
    memcpy(name, ledger.data, ledger.size);
    assert_true(fake_resp_del(&world->fake, 0, span_of(name, ledger.size)));
    expect_dump(world, REQUEST_MGDUMP, "OK\r\nEN\r\n");
}

static void test_prefix(void **state)
{
    struct world *world = *state;
    world->context.key_prefix = SPAN("p:");
    set(world, SPAN("k"), SPAN("x"), 0, 0);
    fake_resp_set(&world->fake, 0, SPAN("other"), SPAN("x"), KEYSPACE_NO_EXPIRY);
    fake_resp_set(&world->fake, 0, SPAN("p:"), SPAN("x"), KEYSPACE_NO_EXPIRY);
    expect_dump(world, REQUEST_MGDUMP, "OK\r\nmg k\r\nEN\r\n");
}

/* Emptied and swapped in between, the dump comes to its end. */
static void test_changes_in_between(void **state)
{
    struct world *world = *state;
    struct request request = {.op = REQUEST_MGDUMP};
    for (uint64_t cursor = 1; cursor < FAKE_BUCKETS; cursor += 40) {
        set(world, SPAN("k"), SPAN("x"), 0, 0);
        request.operand = cursor;
        if (cursor % 80 == 1) fake_resp_flushall(&world->fake);
        else fake_resp_swapdb(&world->fake, 0, 1);
        int parts = 0;
        do { /* a part ends when its time is up, too */
            struct result result = world_execute(world, &request);
            assert_int_equal(result.status, RESULT_PART);
            request.operand = result.number;
        } while (request.operand != 0 && ++parts < FAKE_BUCKETS);
        assert_int_equal(request.operand, 0);
    }
}

static void test_refusal(void **state)
{
    struct world *world = *state;
    world->fake.refuses_walk = true;
    struct request request = {.op = REQUEST_METADUMP};
    assert_int_equal(world_execute(world, &request).status, RESULT_REFUSED);
}

/* However long the lines are, a part keeps to its bound. */
static void test_parts_are_bounded(void **state)
{
    struct world *world = *state;
    char name[ITEM_KEY_MAX];
    for (int i = 0; i < 4000; i++) {
        memset(name, ':', sizeof name);
        (void)snprintf(name, 10, "%08d", i);
        set(world, span_of(name, sizeof name), SPAN("x"), 0, 0);
    }
    struct request request = {.op = REQUEST_METADUMP};
    size_t parts = 0, lines = 0;
    do {
        struct result result = world_execute(world, &request);
        assert_true(result.value_size < 2 * BATCH_REPLY_LIMIT);
        struct span part = world_value(world, &result);
        for (size_t i = 0; i < part.size; i++) lines += part.data[i] == '\n';
        request.operand = result.number;
        parts++;
    } while (request.operand != 0);
    assert_true(parts >= 10);
    assert_int_equal(lines, 4002);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_fields), TEST(test_unknown_is_zero), TEST(test_only_items), TEST(test_unreadable_keys_are_not_told),
 TEST(test_lost_flags_hide),
        TEST(test_prefix), TEST(test_changes_in_between), TEST(test_refusal), TEST(test_parts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
