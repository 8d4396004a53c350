#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "command/flag_ledger_parts.h"
#include "fake/world.h"

#define KEYS 200

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

/* The i-th key of a slot, "{tag}i". */
static struct span name_of(const char *tag, int i)
{
    static char name[32];
    int size = snprintf(name, sizeof name, "{%s}%d", tag, i);
    return span_of(name, (size_t)size);
}

static void set(struct world *world, struct span name, uint32_t flags)
{
    struct request request = {.op = REQUEST_SET, .key = name, .flags = flags, .value = SPAN("v")};
    assert_int_equal(world_execute(world, &request).status, RESULT_STORED);
}

static void fill(struct world *world, const char *tag)
{
    for (int i = 0; i < KEYS; i++) set(world, name_of(tag, i), (uint32_t)i % 3);
}

static size_t count(struct world *world, int db, const char *tag)
{
    size_t found = 0;
    for (int i = 0; i < KEYS; i++) found += fake_find(&world->fake, db, name_of(tag, i)) != NULL;
    return found;
}

static void lose_ledger(struct world *world, int db, const char *tag)
{
    char text[LEDGER_NAME_SIZE];
    struct span name = flag_ledger_name(world->ledger, hash_slot(name_of(tag, 0)), text);
    assert_true(fake_resp_del(&world->fake, db, name));
}

static int sweep_all(struct world *world)
{
    int turns = 1;
    while (world_turn(world)) assert_true(++turns < 1000);
    return turns;
}

static void test_nothing_to_sweep(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    assert_false(world_turn(world));
    assert_int_equal(count(world, 0, "a"), KEYS);
}

static void test_only_the_lost_slot(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    fill(world, "b");
    lose_ledger(world, 0, "a");
    assert_true(flag_ledger_has_work(world->ledger));
    assert_true(sweep_all(world) > 1); /* a few buckets at a time */
    assert_int_equal(count(world, 0, "a"), 0);
    assert_int_equal(count(world, 0, "b"), KEYS);
    assert_false(flag_ledger_has_work(world->ledger));
}

/* What comes while the sweep is at work is not swept. */
static void test_written_during_the_sweep(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    lose_ledger(world, 0, "a");
    assert_true(world_turn(world));
    for (int i = 0; i < KEYS; i += 2) set(world, name_of("a", i), 7);
    for (int i = 1; i < KEYS; i += 4) fake_resp_set(&world->fake, 0, name_of("a", i), SPAN("r"), KEYSPACE_NO_EXPIRY);
    sweep_all(world);
    for (int i = 0; i < KEYS; i++) {
        bool is_expected = i % 2 == 0 || i % 4 == 1;
        assert_int_equal(fake_find(&world->fake, 0, name_of("a", i)) != NULL, is_expected);
        struct request request = {.op = REQUEST_GET, .key = name_of("a", i)};
        struct result result = world_execute(world, &request);
        assert_int_equal(result.status, is_expected ? RESULT_HIT : RESULT_NOT_FOUND);
        if (is_expected) assert_int_equal(result.flags, i % 2 == 0 ? 7 : 0);
    }
}

/* A ledger lost while the sweep is at work takes another sweep. */
static void test_lost_during_the_sweep(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    fill(world, "b");
    lose_ledger(world, 0, "a");
    assert_true(world_turn(world));
    lose_ledger(world, 0, "b");
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), 0);
    assert_int_equal(count(world, 0, "b"), 0);
}

static void test_several_databases(void **state)
{
    struct world *world = *state;
    for (int db = 0; db < FAKE_DATABASES; db++) {
        world->context.db = db;
        fill(world, "a");
    }
    lose_ledger(world, 2, "a");
    lose_ledger(world, 0, "a");
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), 0);
    assert_int_equal(count(world, 1, "a"), KEYS);
    assert_int_equal(count(world, 2, "a"), 0);
}

static void test_database_goes_during_the_sweep(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    lose_ledger(world, 0, "a");
    assert_true(world_turn(world));
    fake_resp_flushdb(&world->fake, 0);
    assert_false(world_turn(world));
    fill(world, "a");
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), KEYS);
}

static void test_swapped_during_the_sweep(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    world->context.db = 1;
    fill(world, "a");
    lose_ledger(world, 0, "a");
    assert_true(world_turn(world));
    fake_resp_swapdb(&world->fake, 0, 1);
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), KEYS);
    assert_int_equal(count(world, 1, "a"), 0);
}

/* The loss is in the new ledger itself, so a restart in the midst of a sweep forgets nothing. */
static void test_restart_during_the_sweep(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    lose_ledger(world, 0, "a");
    assert_true(world_turn(world));
    set(world, name_of("a", 1), 9);
    flag_ledger_note_loaded(world->ledger);
    for (int i = 0; i < KEYS; i++) {
        struct request request = {.op = REQUEST_GET, .key = name_of("a", i)};
        assert_int_equal(world_execute(world, &request).status, i == 1 ? RESULT_HIT : RESULT_NOT_FOUND);
    }
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), 1);
}

/* Where nothing may be written now nothing is swept, and the slot stays lost. */
static void test_not_writable(void **state)
{
    struct world *world = *state;
    fill(world, "a");
    lose_ledger(world, 0, "a");
    world_set_writable(world, false);
    for (int turn = 0; turn < 20; turn++) assert_false(world_turn(world));
    assert_int_equal(count(world, 0, "a"), KEYS);
    assert_true(flag_ledger_has_work(world->ledger));
    world_set_writable(world, true);
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), 0);
}

/* Keys that expire under the sweep, and the ledger itself. */
static void test_expiry_during_the_sweep(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < KEYS; i++) {
        struct request request = {.op = REQUEST_SET, .key = name_of("a", i), .flags = 5, .exptime = 1 + i % 2};
        world_execute(world, &request);
    }
    lose_ledger(world, 0, "a");
    world_set_clock(world, WORLD_BEGIN_MS + 1000);
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), 0);
    fill(world, "a");
    lose_ledger(world, 0, "a");
    assert_true(world_turn(world));
    set(world, name_of("a", 1), 9);
    struct span name;
    assert_true(world_find_ledger(world, 0, hash_slot(name_of("a", 0)), &name));
    ((struct fake_key *)fake_find(&world->fake, 0, name))->expiry = WORLD_BEGIN_MS;
    sweep_all(world);
    assert_int_equal(count(world, 0, "a"), 0);
    assert_false(flag_ledger_has_work(world->ledger));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_to_sweep),
        TEST(test_only_the_lost_slot),
        TEST(test_written_during_the_sweep),
        TEST(test_lost_during_the_sweep),
        TEST(test_several_databases),
        TEST(test_database_goes_during_the_sweep),
        TEST(test_swapped_during_the_sweep),
        TEST(test_restart_during_the_sweep),
        TEST(test_not_writable),
        TEST(test_expiry_during_the_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
