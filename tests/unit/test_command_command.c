#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake/world.h"

#define NOW WORLD_BEGIN_MS
#define NEVER KEYSPACE_NO_EXPIRY

static int set_up(void **state)
{
    struct world *world = check_calloc_aligned(_Alignof(struct world), sizeof(*world));
    world_init(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    world_deinit(world);
    free(world);
    return 0;
}

static struct span text(const char *bytes)
{
    return span_of(bytes, strlen(bytes));
}

/* ---- Requests in short ---- */

static enum result_status store(struct world *world, enum request_op op, const char *key, const char *value, uint32_t flags,
                                int64_t exptime)
{
    struct request request = {.op = op, .key = text(key), .value = text(value), .flags = flags, .exptime = exptime};
    return world_execute(world, &request).status;
}

static void set(struct world *world, const char *key, const char *value)
{
    assert_int_equal(store(world, REQUEST_SET, key, value, 0, 0), RESULT_STORED);
}

static enum result_status cas(struct world *world, const char *key, const char *value, uint64_t token)
{
    struct request request = {.op = REQUEST_CAS, .key = text(key), .value = text(value), .operand = token};
    return world_execute(world, &request).status;
}

static struct result keyed(struct world *world, enum request_op op, const char *key, uint64_t operand, int64_t exptime)
{
    struct request request = {.op = op, .key = text(key), .operand = operand, .exptime = exptime, .want_cas = true};
    return world_execute(world, &request);
}

static enum result_status without_value(struct world *world, enum request_op op, const char *key)
{
    return keyed(world, op, key, 0, 0).status;
}

static uint64_t token_of(struct world *world, const char *key)
{
    struct result result = keyed(world, REQUEST_GET, key, 0, 0);
    assert_int_equal(result.status, RESULT_HIT);
    assert_int_not_equal(result.number, 0);
    return result.number;
}

static void expect_item(struct world *world, const char *key, const char *value, uint32_t flags)
{
    struct result result = keyed(world, REQUEST_GET, key, 0, 0);
    assert_int_equal(result.status, RESULT_HIT);
    assert_true(span_equal(world_value(world, &result), text(value)));
    assert_int_equal(result.flags, flags);
    assert_true(fake_holds(&world->fake, 0, text(key), text(value)));
}

static void expect_miss(struct world *world, const char *key)
{
    assert_int_equal(without_value(world, REQUEST_GET, key), RESULT_NOT_FOUND);
}

static int64_t expiry_of(struct world *world, const char *key)
{
    const struct fake_key *found = fake_find(&world->fake, 0, text(key));
    assert_non_null(found);
    return found->expiry;
}

static uint64_t counted(struct world *world, enum counter_id id)
{
    return counter_board_read(&world->board, id);
}

/* What every counter is expected to be since the last look: pairs of id and count, ended by COUNTERS; the others 0. */
static void expect_counts(struct world *world, ...)
{
    uint64_t expected[COUNTERS] = {0};
    va_list list;
    va_start(list, world);
    for (int id = va_arg(list, int); id != COUNTERS; id = va_arg(list, int)) expected[id] = (uint64_t)va_arg(list, int);
    va_end(list);
    for (int id = 0; id < COUNTERS; id++) {
        if (counted(world, (enum counter_id)id) != expected[id]) print_error("counter %d\n", id);
        assert_int_equal(counted(world, (enum counter_id)id), expected[id]);
    }
    counter_board_reset(&world->board);
}

static void forget_counts(struct world *world)
{
    counter_board_reset(&world->board);
}

static void make_list(struct world *world, const char *key)
{
    fake_resp_lpush(&world->fake, 0, text(key));
}

/* ---- Storing ---- */

static void test_set(void **state)
{
    struct world *world = *state;
    set(world, "k", "one");
    expect_item(world, "k", "one", 0);
    assert_int_equal(store(world, REQUEST_SET, "k", "two", 7, 100), RESULT_STORED);
    expect_item(world, "k", "two", 7);
    assert_int_equal(expiry_of(world, "k"), NOW + 100000);
    set(world, "k", "");
    expect_item(world, "k", "", 0);
    assert_int_equal(expiry_of(world, "k"), NEVER);
    expect_counts(world, COUNTER_CMD_SET, 3, COUNTER_TOTAL_ITEMS, 3, COUNTER_CMD_GET, 3, COUNTER_GET_HITS, 3, COUNTERS);
}

static void test_set_notifies_and_propagates(void **state)
{
    struct world *world = *state;
    set(world, "k", "one");
    assert_true(fake_notified(&world->fake, "set k\n"));
    assert_true(fake_propagated(&world->fake, "SET k one\n"));
    store(world, REQUEST_SET, "k", "two", 0, 1);
    assert_true(fake_notified(&world->fake, "set k\n"));
    assert_true(fake_propagated(&world->fake, "SET k two PXAT 1700000001000\n"));
}

static void test_binary_value(void **state)
{
    struct world *world = *state;
    struct request request = {.op = REQUEST_SET, .key = SPAN("k"), .value = SPAN("a\0b\r\nc")};
    world_execute(world, &request);
    assert_true(fake_holds(&world->fake, 0, SPAN("k"), SPAN("a\0b\r\nc")));
}

/* memcached says STORED, and nothing is there. */
static void test_set_that_has_expired(void **state)
{
    struct world *world = *state;
    assert_int_equal(store(world, REQUEST_SET, "k", "v", 5, -1), RESULT_STORED);
    assert_true(fake_notified(&world->fake, ""));
    set(world, "k", "v");
    uint64_t token = token_of(world, "k");
    assert_int_equal(store(world, REQUEST_SET, "k", "w", 5, -1), RESULT_STORED);
    assert_true(fake_notified(&world->fake, "set k\ndel k\n"));
    expect_miss(world, "k");
    set(world, "k", "v");
    assert_int_equal(cas(world, "k", "x", token), RESULT_EXISTS);
}

static void test_set_over_another_type(void **state)
{
    struct world *world = *state;
    make_list(world, "k");
    set(world, "k", "v");
    expect_item(world, "k", "v", 0);
    make_list(world, "k");
    assert_int_equal(store(world, REQUEST_SET, "k", "v", 0, -1), RESULT_STORED);
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
}

static void test_add(void **state)
{
    struct world *world = *state;
    assert_int_equal(store(world, REQUEST_ADD, "k", "one", 3, 0), RESULT_STORED);
    assert_int_equal(store(world, REQUEST_ADD, "k", "two", 4, 0), RESULT_NOT_STORED);
    expect_item(world, "k", "one", 3);
    make_list(world, "list");
    assert_int_equal(store(world, REQUEST_ADD, "list", "v", 0, 0), RESULT_NOT_STORED);
    expect_counts(world, COUNTER_CMD_SET, 3, COUNTER_TOTAL_ITEMS, 1, COUNTER_CMD_GET, 1, COUNTER_GET_HITS, 1, COUNTERS);
}

static void test_add_behind_expiry(void **state)
{
    struct world *world = *state;
    store(world, REQUEST_SET, "k", "one", 3, 1);
    world_set_clock(world, NOW + 1000);
    assert_int_equal(store(world, REQUEST_ADD, "k", "two", 0, 0), RESULT_STORED);
    expect_item(world, "k", "two", 0);
}

static void test_replace(void **state)
{
    struct world *world = *state;
    assert_int_equal(store(world, REQUEST_REPLACE, "k", "one", 3, 0), RESULT_NOT_STORED);
    expect_miss(world, "k");
    set(world, "k", "one");
    assert_int_equal(store(world, REQUEST_REPLACE, "k", "two", 4, 0), RESULT_STORED);
    expect_item(world, "k", "two", 4);
    make_list(world, "list");
    assert_int_equal(store(world, REQUEST_REPLACE, "list", "v", 0, 0), RESULT_NOT_STORED);
}

static void test_append_and_prepend(void **state)
{
    struct world *world = *state;
    assert_int_equal(store(world, REQUEST_APPEND, "k", "x", 0, 0), RESULT_NOT_STORED);
    assert_int_equal(store(world, REQUEST_PREPEND, "k", "x", 0, 0), RESULT_NOT_STORED);
    store(world, REQUEST_SET, "k", "mid", 6, 100);
    assert_true(fake_notified(&world->fake, "set k\nset diglot:flags:{k}\n"));
    world->fake.propagation.end = world->fake.propagation.begin;
    uint64_t token = token_of(world, "k");
    forget_counts(world);
    assert_int_equal(store(world, REQUEST_APPEND, "k", " end", 9, 5), RESULT_STORED);
    assert_int_equal(store(world, REQUEST_PREPEND, "k", "begin ", 9, 5), RESULT_STORED);
    expect_counts(world, COUNTER_CMD_SET, 2, COUNTER_TOTAL_ITEMS, 2, COUNTERS);
    expect_item(world, "k", "begin mid end", 6);
    assert_int_equal(expiry_of(world, "k"), NOW + 100000);
    assert_int_equal(cas(world, "k", "v", token), RESULT_EXISTS);
    assert_true(fake_notified(&world->fake, "append k\nset k\n"));
    assert_true(fake_propagated(&world->fake, "APPEND k  end\nSET k begin mid end PXAT 1700000100000\n"));
    make_list(world, "list");
    assert_int_equal(store(world, REQUEST_APPEND, "list", "x", 0, 0), RESULT_NOT_STORED);
}

static void test_large_joins_are_told_and_leave_no_memory_behind(void **state)
{
    struct world *world = *state;
    static char value[300 * 1000];
    struct request request = {.op = REQUEST_SET, .key = SPAN("k"), .value = span_of(value, sizeof value)};
    assert_int_equal(world_execute(world, &request).status, RESULT_STORED);
    assert_int_equal(world->context.joined, 0);
    assert_int_equal(store(world, REQUEST_APPEND, "k", "x", 0, 0), RESULT_STORED);
    assert_int_equal(world->context.joined, sizeof value + 1);
    assert_int_equal(store(world, REQUEST_PREPEND, "k", "x", 0, 0), RESULT_STORED);
    assert_int_equal(world->context.joined, sizeof value + 2);
    assert_int_equal(buffer_size(&fake_find(&world->fake, 0, SPAN("k"))->value), sizeof value + 2);
    assert_true(world->context.scratch.capacity <= (size_t)64 * 1024);
}

/* Counted as memcached counts an item: about sixty bytes and the key on top. */
static void test_append_too_large(void **state)
{
    struct world *world = *state;
    char value[1024];
    memset(value, 'x', sizeof value);
    atomic_store(&world->options.max_item_size, 1024);
    struct request request = {.op = REQUEST_SET, .key = SPAN("k"), .value = span_of(value, 900)};
    world_execute(world, &request);
    request = (struct request){.op = REQUEST_APPEND, .key = SPAN("k"), .value = span_of(value, 65)};
    assert_int_equal(world_execute(world, &request).status, RESULT_TOO_LARGE);
    assert_int_equal(fake_find(&world->fake, 0, SPAN("k"))->value.end, 900);
    assert_int_equal(counted(world, COUNTER_STORE_TOO_LARGE), 1);
    request.value.size = 60; /* 48 + 8 + 1 + 1 + 960 + 2 = 1020 */
    assert_int_equal(world_execute(world, &request).status, RESULT_STORED);
}

static void test_set_too_large(void **state)
{
    struct world *world = *state;
    assert_int_equal(without_value(world, REQUEST_SET_TOO_LARGE, "k"), RESULT_TOO_LARGE);
    store(world, REQUEST_SET, "k", "v", 5, 0);
    uint64_t token = token_of(world, "k");
    assert_int_equal(without_value(world, REQUEST_SET_TOO_LARGE, "k"), RESULT_TOO_LARGE);
    expect_miss(world, "k");
    fake_resp_append(&world->fake, 0, SPAN("k"), SPAN("v"));
    expect_item(world, "k", "v", 0);
    assert_int_equal(cas(world, "k", "v", token), RESULT_EXISTS);
    make_list(world, "list");
    assert_int_equal(without_value(world, REQUEST_SET_TOO_LARGE, "list"), RESULT_TOO_LARGE);
    assert_non_null(fake_find(&world->fake, 0, SPAN("list")));
    assert_int_equal(counted(world, COUNTER_STORE_TOO_LARGE), 3);
    assert_int_equal(counted(world, COUNTER_CMD_SET), 2);
}

/* ---- cas ---- */

static void test_cas(void **state)
{
    struct world *world = *state;
    assert_int_equal(cas(world, "k", "v", 1), RESULT_NOT_FOUND);
    store(world, REQUEST_SET, "k", "one", 5, 0);
    uint64_t token = token_of(world, "k");
    assert_int_equal(cas(world, "k", "no", token + 1), RESULT_EXISTS);
    assert_int_equal(cas(world, "k", "no", 0), RESULT_EXISTS);
    assert_int_equal(cas(world, "k", "two", token), RESULT_STORED);
    assert_int_equal(cas(world, "k", "no", token), RESULT_EXISTS);
    expect_item(world, "k", "two", 0);
    make_list(world, "list");
    assert_int_equal(cas(world, "list", "v", 1), RESULT_NOT_FOUND);
    expect_counts(world, COUNTER_CMD_SET, 7, COUNTER_TOTAL_ITEMS, 2, COUNTER_CAS_MISSES, 2, COUNTER_CAS_BADVAL, 3,
                  COUNTER_CAS_HITS, 1, COUNTER_CMD_GET, 2, COUNTER_GET_HITS, 2, COUNTERS);
}

static void change_by_set(struct world *world)
{
    set(world, "k", "other");
}

static void change_by_append(struct world *world)
{
    store(world, REQUEST_APPEND, "k", "0", 0, 0);
}

static void change_by_incr(struct world *world)
{
    keyed(world, REQUEST_INCR, "k", 1, 0);
}

static void change_by_delete(struct world *world)
{
    without_value(world, REQUEST_DELETE, "k");
    set(world, "k", "1");
}

static void change_by_touch_into_the_past(struct world *world)
{
    keyed(world, REQUEST_TOUCH, "k", 0, -1);
    set(world, "k", "1");
}

static void change_by_expiry(struct world *world)
{
    keyed(world, REQUEST_TOUCH, "k", 0, 1);
    world_set_clock(world, NOW + 1000);
    set(world, "k", "1");
}

static void change_by_flush(struct world *world)
{
    struct request request = {.op = REQUEST_FLUSH_ALL};
    world_execute(world, &request);
    set(world, "k", "1");
}

static void change_by_resp_set(struct world *world)
{
    fake_resp_set(&world->fake, 0, SPAN("k"), SPAN("1"), NEVER);
}

static void change_by_resp_append(struct world *world)
{
    fake_resp_append(&world->fake, 0, SPAN("k"), SPAN("1"));
}

static void change_by_resp_rename(struct world *world)
{
    fake_resp_set(&world->fake, 0, SPAN("other"), SPAN("1"), NEVER);
    fake_resp_rename(&world->fake, 0, SPAN("other"), SPAN("k"));
}

static void change_by_resp_rename_and_back(struct world *world)
{
    fake_resp_rename(&world->fake, 0, SPAN("k"), SPAN("other"));
    fake_resp_rename(&world->fake, 0, SPAN("other"), SPAN("k"));
}

static void change_by_eviction(struct world *world)
{
    fake_engine_evict(&world->fake, 0, SPAN("k"));
    set(world, "k", "1");
}

static void change_by_swapdb(struct world *world)
{
    fake_resp_set(&world->fake, 1, SPAN("k"), SPAN("1"), NEVER);
    fake_resp_swapdb(&world->fake, 0, 1);
}

/* Law 2: whatever changed the content in between, a token from before does not succeed. */
static void test_token_falls_with_every_change(void **state)
{
    struct world *world = *state;
    static void (*const changes[])(struct world *world) = {
        change_by_set,          change_by_append,      change_by_incr,        change_by_delete,
        change_by_touch_into_the_past, change_by_expiry, change_by_flush,     change_by_resp_set,
        change_by_resp_append,  change_by_resp_rename, change_by_resp_rename_and_back, change_by_eviction,
        change_by_swapdb,
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        world_reset(world);
        set(world, "k", "1");
        uint64_t token = token_of(world, "k");
        changes[i](world);
        assert_int_equal(cas(world, "k", "mine", token), RESULT_EXISTS);
    }
}

static void test_token_stands_without_a_change(void **state)
{
    struct world *world = *state;
    set(world, "k", "1");
    uint64_t token = token_of(world, "k");
    set(world, "another", "1");
    keyed(world, REQUEST_TOUCH, "k", 0, 100);
    keyed(world, REQUEST_GAT, "k", 0, 200);
    store(world, REQUEST_ADD, "k", "2", 0, 0);
    fake_resp_expire(&world->fake, 0, SPAN("k"), NOW + 5);
    assert_int_equal(token_of(world, "k"), token);
    assert_int_equal(cas(world, "k", "mine", token), RESULT_STORED);
}

/* ---- Counting ---- */

static void test_incr_and_decr(void **state)
{
    struct world *world = *state;
    assert_int_equal(keyed(world, REQUEST_INCR, "n", 1, 0).status, RESULT_NOT_FOUND);
    assert_int_equal(keyed(world, REQUEST_DECR, "n", 1, 0).status, RESULT_NOT_FOUND);
    store(world, REQUEST_SET, "n", "10", 6, 100);
    uint64_t token = token_of(world, "n");
    forget_counts(world);
    assert_int_equal(keyed(world, REQUEST_INCR, "n", 5, 0).number, 15);
    assert_int_equal(keyed(world, REQUEST_DECR, "n", 8, 0).number, 7);
    expect_counts(world, COUNTER_INCR_HITS, 1, COUNTER_DECR_HITS, 1, COUNTERS);
    expect_item(world, "n", "7", 6);
    assert_int_equal(expiry_of(world, "n"), NOW + 100000);
    assert_int_equal(cas(world, "n", "v", token), RESULT_EXISTS);
    forget_counts(world);
    keyed(world, REQUEST_INCR, "absent", 1, 0);
    keyed(world, REQUEST_DECR, "absent", 1, 0);
    expect_counts(world, COUNTER_INCR_MISSES, 1, COUNTER_DECR_MISSES, 1, COUNTERS);
}

static void test_counting_bounds(void **state)
{
    struct world *world = *state;
    set(world, "n", "18446744073709551615");
    struct result result = keyed(world, REQUEST_INCR, "n", 2, 0);
    assert_int_equal(result.status, RESULT_NUMBER);
    assert_int_equal(result.number, 1);
    result = keyed(world, REQUEST_DECR, "n", 100, 0);
    assert_int_equal(result.number, 0);
    expect_item(world, "n", "0", 0);
    assert_int_equal(keyed(world, REQUEST_INCR, "n", UINT64_MAX, 0).number, UINT64_MAX);
    expect_item(world, "n", "18446744073709551615", 0);
}

static void test_counting_text(void **state)
{
    struct world *world = *state;
    static const char *const values[] = {"", "x", "1x", "-1", "18446744073709551616", "1.5"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        set(world, "n", values[i]);
        assert_int_equal(keyed(world, REQUEST_INCR, "n", 1, 0).status, RESULT_NON_NUMERIC);
        expect_item(world, "n", values[i], 0);
    }
    set(world, "n", " 9 ");
    assert_int_equal(keyed(world, REQUEST_INCR, "n", 1, 0).number, 10);
    make_list(world, "list");
    assert_int_equal(keyed(world, REQUEST_INCR, "list", 1, 0).status, RESULT_NOT_FOUND);
}

static void test_incr_notifies(void **state)
{
    struct world *world = *state;
    set(world, "n", "1");
    keyed(world, REQUEST_INCR, "n", 1, 0);
    keyed(world, REQUEST_DECR, "n", 1, 0);
    assert_true(fake_notified(&world->fake, "set n\nincrby n\nincrby n\n"));
    assert_true(fake_propagated(&world->fake, "SET n 1\nSET n 2\nSET n 1\n"));
}

/* ---- Deleting and touching ---- */

static void test_delete(void **state)
{
    struct world *world = *state;
    assert_int_equal(without_value(world, REQUEST_DELETE, "k"), RESULT_NOT_FOUND);
    store(world, REQUEST_SET, "k", "v", 5, 0);
    forget_counts(world);
    assert_int_equal(without_value(world, REQUEST_DELETE, "k"), RESULT_OK);
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
    assert_int_equal(without_value(world, REQUEST_DELETE, "k"), RESULT_NOT_FOUND);
    expect_counts(world, COUNTER_DELETE_HITS, 1, COUNTER_DELETE_MISSES, 1, COUNTERS);
    fake_resp_append(&world->fake, 0, SPAN("k"), SPAN("new"));
    expect_item(world, "k", "new", 0);
    make_list(world, "list");
    assert_int_equal(without_value(world, REQUEST_DELETE, "list"), RESULT_NOT_FOUND);
    assert_non_null(fake_find(&world->fake, 0, SPAN("list")));
}

static void test_touch(void **state)
{
    struct world *world = *state;
    assert_int_equal(keyed(world, REQUEST_TOUCH, "k", 0, 10).status, RESULT_NOT_FOUND);
    store(world, REQUEST_SET, "k", "v", 0, 0);
    (void)fake_notified(&world->fake, "set k\n");
    forget_counts(world);
    assert_int_equal(keyed(world, REQUEST_TOUCH, "k", 0, 10).status, RESULT_OK);
    assert_int_equal(expiry_of(world, "k"), NOW + 10000);
    assert_int_equal(keyed(world, REQUEST_TOUCH, "k", 0, 0).status, RESULT_OK);
    assert_int_equal(expiry_of(world, "k"), NEVER);
    assert_true(fake_notified(&world->fake, "expire k\npersist k\n"));
    assert_int_equal(keyed(world, REQUEST_TOUCH, "k", 0, -1).status, RESULT_OK);
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
    assert_true(fake_notified(&world->fake, "del k\n"));
    make_list(world, "list");
    assert_int_equal(keyed(world, REQUEST_TOUCH, "list", 0, 10).status, RESULT_NOT_FOUND);
    expect_counts(world, COUNTER_CMD_TOUCH, 4, COUNTER_TOUCH_HITS, 3, COUNTER_TOUCH_MISSES, 1, COUNTERS);
}

static void test_gat(void **state)
{
    struct world *world = *state;
    assert_int_equal(keyed(world, REQUEST_GAT, "k", 0, 10).status, RESULT_NOT_FOUND);
    store(world, REQUEST_SET, "k", "v", 5, 0);
    uint64_t token = token_of(world, "k");
    forget_counts(world);
    struct result result = keyed(world, REQUEST_GAT, "k", 0, 10);
    assert_int_equal(result.status, RESULT_HIT);
    assert_true(span_equal(world_value(world, &result), SPAN("v")));
    assert_int_equal(result.flags, 5);
    assert_int_equal(result.number, token);
    assert_int_equal(expiry_of(world, "k"), NOW + 10000);
    result = keyed(world, REQUEST_GAT, "k", 0, -1);
    assert_int_equal(result.status, RESULT_HIT);
    assert_true(span_equal(world_value(world, &result), SPAN("v")));
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
    keyed(world, REQUEST_GAT, "k", 0, 10);
    expect_counts(world, COUNTER_CMD_TOUCH, 3, COUNTER_TOUCH_HITS, 2, COUNTER_TOUCH_MISSES, 1, COUNTERS);
}

/* ---- Reading ---- */

static void test_get(void **state)
{
    struct world *world = *state;
    expect_miss(world, "k");
    fake_resp_set(&world->fake, 0, SPAN("k"), SPAN("from resp"), NEVER);
    expect_item(world, "k", "from resp", 0);
    make_list(world, "list");
    expect_miss(world, "list");
    expect_counts(world, COUNTER_CMD_GET, 3, COUNTER_GET_HITS, 1, COUNTER_GET_MISSES, 2, COUNTERS);
}

static void test_get_behind_expiry(void **state)
{
    struct world *world = *state;
    store(world, REQUEST_SET, "k", "v", 5, 1);
    world_set_clock(world, NOW + 999);
    expect_item(world, "k", "v", 5);
    world_set_clock(world, NOW + 1000);
    expect_miss(world, "k");
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
}

/* Several values of one batch lie behind one another. */
static void test_values_are_appended(void **state)
{
    struct world *world = *state;
    set(world, "a", "first");
    set(world, "b", "second");
    struct buffer values;
    buffer_init(&values);
    struct result first = {0}, second = {0};
    struct request request = {.op = REQUEST_GET, .key = SPAN("a")};
    command_execute(&world->context, &request, &first, &values);
    request.key = SPAN("b");
    command_execute(&world->context, &request, &second, &values);
    assert_true(span_equal(buffer_content(&values), SPAN("firstsecond")));
    assert_int_equal(second.value_offset, 5);
    assert_int_equal(second.value_size, 6);
    buffer_deinit(&values);
}

/* ---- Lost flags: an item whose flags nobody knows counts as absent ---- */

static void lose_flags_of(struct world *world, const char *key)
{
    struct span ledger;
    store(world, REQUEST_SET, key, "5", 5, 0);
    assert_true(world_find_ledger(world, 0, hash_slot(text(key)), &ledger));
    char name[64];
    memcpy(name, ledger.data, ledger.size);
    fake_resp_del(&world->fake, 0, span_of(name, ledger.size));
    forget_counts(world);
}

static void test_lost_item_counts_as_absent(void **state)
{
    struct world *world = *state;
    lose_flags_of(world, "k");
    expect_miss(world, "k");
    assert_int_equal(store(world, REQUEST_REPLACE, "k", "v", 0, 0), RESULT_NOT_STORED);
    assert_int_equal(store(world, REQUEST_APPEND, "k", "v", 0, 0), RESULT_NOT_STORED);
    assert_int_equal(cas(world, "k", "v", 1), RESULT_NOT_FOUND);
    assert_int_equal(keyed(world, REQUEST_INCR, "k", 1, 0).status, RESULT_NOT_FOUND);
    assert_int_equal(keyed(world, REQUEST_TOUCH, "k", 0, 1).status, RESULT_NOT_FOUND);
    assert_int_equal(keyed(world, REQUEST_GAT, "k", 0, 1).status, RESULT_NOT_FOUND);
    assert_true(fake_holds(&world->fake, 0, SPAN("k"), SPAN("5")));
    assert_int_equal(without_value(world, REQUEST_DELETE, "k"), RESULT_NOT_FOUND);
    assert_false(fake_holds(&world->fake, 0, SPAN("k"), SPAN("5")));
    assert_int_equal(store(world, REQUEST_ADD, "k", "mine", 3, 0), RESULT_STORED);
    expect_item(world, "k", "mine", 3);
}

static void test_set_over_a_lost_item(void **state)
{
    struct world *world = *state;
    lose_flags_of(world, "k");
    set(world, "k", "v");
    expect_item(world, "k", "v", 0);
}

/* add looks for no flags of what is missing or no item, but what was noted is done as by any command. */
static void test_add_settles_what_is_to_be_done(void **state)
{
    struct world *world = *state;
    assert_int_equal(store(world, REQUEST_SET, "k", "v", 5, 0), RESULT_STORED);
    fake_resp_del(&world->fake, 0, SPAN("k"));
    fake_resp_lpush(&world->fake, 0, SPAN("l"));
    assert_true(flag_ledger_has_notes(world->ledger));
    assert_int_equal(store(world, REQUEST_ADD, "l", "v", 0, 0), RESULT_NOT_STORED);
    assert_false(flag_ledger_has_notes(world->ledger));
}

/* ---- Keys ---- */

static void test_prefix(void **state)
{
    struct world *world = *state;
    world->context.key_prefix = SPAN("app:");
    assert_int_equal(store(world, REQUEST_SET, "k", "v", 5, 0), RESULT_STORED);
    assert_true(fake_holds(&world->fake, 0, SPAN("app:k"), SPAN("v")));
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
    assert_int_equal(keyed(world, REQUEST_GET, "k", 0, 0).flags, 5);
    fake_resp_set(&world->fake, 0, SPAN("k"), SPAN("not ours"), NEVER);
    assert_int_equal(without_value(world, REQUEST_DELETE, "k"), RESULT_OK);
    assert_non_null(fake_find(&world->fake, 0, SPAN("k")));
}

static void test_longest_key(void **state)
{
    struct world *world = *state;
    char prefix[OPTION_KEY_PREFIX_MAX], key[250];
    memset(prefix, 'p', sizeof prefix);
    memset(key, 'k', sizeof key);
    world->context.key_prefix = span_of(prefix, sizeof prefix);
    struct request request = {.op = REQUEST_SET, .key = span_of(key, sizeof key), .value = SPAN("v")};
    assert_int_equal(world_execute(world, &request).status, RESULT_STORED);
    request.op = REQUEST_GET;
    assert_int_equal(world_execute(world, &request).status, RESULT_HIT);
}

static void test_database(void **state)
{
    struct world *world = *state;
    world->context.db = 2;
    set(world, "k", "v");
    assert_true(fake_holds(&world->fake, 2, SPAN("k"), SPAN("v")));
    assert_null(fake_find(&world->fake, 0, SPAN("k")));
}

/* Clients find nothing of the module's own keys and store nothing in their place. */
static void expect_reserved(struct world *world, const char *key)
{
    static const enum request_op storing[] = {REQUEST_SET,    REQUEST_ADD,     REQUEST_REPLACE,
                                              REQUEST_APPEND, REQUEST_PREPEND, REQUEST_CAS};
    static const enum request_op others[] = {REQUEST_GET,  REQUEST_GAT,    REQUEST_INCR,
                                             REQUEST_DECR, REQUEST_DELETE, REQUEST_TOUCH};
    struct span name = span_of(key, strlen(key));
    fake_resp_set(&world->fake, 0, name, SPAN("1"), NEVER);
    for (size_t i = 0; i < sizeof storing / sizeof *storing; i++) {
        struct request request = {.op = storing[i], .key = name, .value = SPAN("v")};
        struct result result = world_execute(world, &request);
        assert_int_equal(result.status, RESULT_REFUSED);
        assert_true(result.text.size > 0);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(without_value(world, others[i], key), RESULT_NOT_FOUND);
    without_value(world, REQUEST_SET_TOO_LARGE, key);
    assert_true(fake_holds(&world->fake, 0, name, SPAN("1")));
}

static void test_reserved_keys(void **state)
{
    struct world *world = *state;
    expect_reserved(world, "diglot:flags:{x}");
    expect_reserved(world, "diglot:upstream:42");
    set(world, "diglot:flag", "ours");
    expect_item(world, "diglot:flag", "ours", 0);
}

/* ---- flush_all ---- */

static enum result_status flush(struct world *world, int64_t delay)
{
    struct request request = {.op = REQUEST_FLUSH_ALL, .exptime = delay};
    return world_execute(world, &request).status;
}

static void test_flush(void **state)
{
    struct world *world = *state;
    store(world, REQUEST_SET, "k", "v", 5, 0);
    fake_resp_set(&world->fake, 1, SPAN("k"), SPAN("v"), NEVER);
    assert_int_equal(flush(world, 0), RESULT_OK);
    expect_miss(world, "k");
    assert_non_null(fake_find(&world->fake, 1, SPAN("k")));
    set(world, "k", "later");
    expect_item(world, "k", "later", 0);
    assert_int_equal(counted(world, COUNTER_CMD_FLUSH), 1);
    assert_int_equal(flush(world, -1), RESULT_OK);
    expect_miss(world, "k");
}

static void test_delayed_flush(void **state)
{
    struct world *world = *state;
    set(world, "k", "v");
    assert_false(command_flush_is_due(&world->context));
    assert_int_equal(flush(world, 10), RESULT_OK);
    command_flush_when_due(&world->context);
    expect_item(world, "k", "v", 0);
    world_set_clock(world, NOW + 9999);
    assert_false(command_flush_is_due(&world->context));
    world_set_clock(world, NOW + 10000);
    assert_true(command_flush_is_due(&world->context));
    command_flush_when_due(&world->context);
    expect_miss(world, "k");
    assert_false(command_flush_is_due(&world->context));
    set(world, "k", "later");
    world_set_clock(world, NOW + 20000);
    command_flush_when_due(&world->context);
    expect_item(world, "k", "later", 0);
}

/* A new flush_all takes the place of one that was to come. */
static void test_delayed_flush_is_replaced(void **state)
{
    struct world *world = *state;
    flush(world, 10);
    flush(world, 20);
    world_set_clock(world, NOW + 10000);
    assert_false(command_flush_is_due(&world->context));
    world_set_clock(world, NOW + 20000);
    assert_true(command_flush_is_due(&world->context));
    flush(world, 0);
    assert_false(command_flush_is_due(&world->context));
}

static void test_flush_is_not_allowed(void **state)
{
    struct world *world = *state;
    set(world, "k", "v");
    atomic_store(&world->options.flush_all, false);
    assert_int_equal(flush(world, 0), RESULT_NOT_ALLOWED);
    assert_int_equal(flush(world, 10), RESULT_NOT_ALLOWED);
    atomic_store(&world->options.flush_all, true);
    world->fake.refuses_flush = true;
    assert_int_equal(flush(world, 0), RESULT_NOT_ALLOWED);
    world->fake.refuses_flush = false;
    world->context.key_prefix = SPAN("app:");
    assert_int_equal(flush(world, 0), RESULT_NOT_ALLOWED);
    world->context.key_prefix = SPAN("");
    world_set_clock(world, NOW + 100000);
    assert_false(command_flush_is_due(&world->context));
    expect_item(world, "k", "v", 0);
}

/* ---- stats ---- */

static void test_stats(void **state)
{
    struct world *world = *state;
    set(world, "k", "v");
    struct request request = {.op = REQUEST_STATS, .text = SPAN("")};
    struct result result = world_execute(world, &request);
    assert_int_equal(result.status, RESULT_STATS);
    assert_true(result.value_size > 0);
    request.text = SPAN("nonsense");
    assert_int_equal(world_execute(world, &request).status, RESULT_NOT_FOUND);
    request.text = SPAN("reset");
    assert_int_equal(world_execute(world, &request).status, RESULT_OK);
    assert_int_equal(counted(world, COUNTER_CMD_SET), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_set),
        TEST(test_set_notifies_and_propagates),
        TEST(test_binary_value),
        TEST(test_set_that_has_expired),
        TEST(test_set_over_another_type),
        TEST(test_add),
        TEST(test_add_behind_expiry),
        TEST(test_replace),
        TEST(test_append_and_prepend),
        TEST(test_large_joins_are_told_and_leave_no_memory_behind),
        TEST(test_append_too_large),
        TEST(test_set_too_large),
        TEST(test_cas),
        TEST(test_token_falls_with_every_change),
        TEST(test_token_stands_without_a_change),
        TEST(test_incr_and_decr),
        TEST(test_counting_bounds),
        TEST(test_counting_text),
        TEST(test_incr_notifies),
        TEST(test_delete),
        TEST(test_touch),
        TEST(test_gat),
        TEST(test_get),
        TEST(test_get_behind_expiry),
        TEST(test_values_are_appended),
        TEST(test_lost_item_counts_as_absent),
        TEST(test_set_over_a_lost_item),
        TEST(test_add_settles_what_is_to_be_done),
        TEST(test_prefix),
        TEST(test_longest_key),
        TEST(test_database),
        TEST(test_reserved_keys),
        TEST(test_flush),
        TEST(test_delayed_flush),
        TEST(test_delayed_flush_is_replaced),
        TEST(test_flush_is_not_allowed),
        TEST(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
