#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "command/slot_map.h"

static int set_up(void **state)
{
    static struct slot_map map;
    map = (struct slot_map){0};
    *state = &map;
    return 0;
}

static int tear_down(void **state)
{
    slot_map_deinit(*state);
    return 0;
}

static void test_unknown_and_clean(void **state)
{
    struct slot_map *map = *state;
    assert_false(slot_map_is_poisoned(map, 0, 0));
    assert_false(slot_map_is_poisoned(map, 1000, HASH_SLOTS - 1)); /* makes nothing */
    assert_int_equal(map->count, 0);
    assert_int_equal(slot_map_database(map, 5)->ledger[9], SLOT_UNKNOWN);
    assert_int_equal(map->count, 6);
    assert_null(map->databases[4]);
}

static void test_slots_are_counted_by_state(void **state)
{
    struct slot_map *map = *state;
    assert_int_equal(slot_map_count(map, 3, SLOT_PRESENT), 0);
    assert_int_equal(map->count, 0); /* makes nothing */
    struct slot_states *states = slot_map_database(map, 3);
    slot_map_set(states, 7, SLOT_PRESENT);
    slot_map_set(states, 8, SLOT_PRESENT);
    slot_map_set(states, 8, SLOT_PRESENT);
    assert_int_equal(slot_map_count(map, 3, SLOT_PRESENT), 2);
    assert_int_equal(slot_map_count(map, 2, SLOT_PRESENT), 0);
    slot_map_set(states, 7, SLOT_EMPTY);
    assert_int_equal(slot_map_count(map, 3, SLOT_PRESENT), 1);
}

static void test_poison_and_clean(void **state)
{
    struct slot_map *map = *state;
    slot_map_poison(map, 2, 7);
    assert_true(slot_map_is_poisoned(map, 2, 7));
    assert_false(slot_map_is_poisoned(map, 2, 8));
    assert_false(slot_map_is_poisoned(map, 1, 7));
    assert_false(slot_map_is_poisoned(map, 3, 7));
    slot_map_poison(map, 2, 7);
    assert_int_equal(map->poisoned, 1);
    slot_map_clean(map, 2, 8);
    slot_map_clean(map, 9, 7);
    assert_int_equal(map->poisoned, 1);
    slot_map_clean(map, 2, 7);
    slot_map_clean(map, 2, 7);
    assert_false(slot_map_is_poisoned(map, 2, 7));
    assert_int_equal(map->poisoned, 0);
    assert_int_equal(slot_map_database(map, 2)->poisoned, 0);
}

/* What is poisoned while a sweep is under way takes another one. */
static void test_sweep(void **state)
{
    struct slot_map *map = *state;
    slot_map_poison(map, 0, 1);
    slot_map_poison(map, 0, 2);
    slot_map_begin_sweep(map, 0);
    const struct slot_states *states = slot_map_database(map, 0);
    assert_int_equal(states->poison[1], SLOT_SWEPT);
    assert_true(slot_map_is_poisoned(map, 0, 1));
    slot_map_poison(map, 0, 2);
    slot_map_poison(map, 0, 3);
    assert_int_equal(states->poison[1], SLOT_SWEPT);
    assert_int_equal(states->poison[2], SLOT_WAITING);
    assert_int_equal(states->poison[3], SLOT_WAITING);
    assert_int_equal(states->poison[4], SLOT_CLEAN);
    assert_int_equal(map->poisoned, 3);
}

static void test_empty(void **state)
{
    struct slot_map *map = *state;
    slot_map_poison(map, 0, 1);
    slot_map_poison(map, 1, 1);
    slot_map_empty(map, 0);
    assert_false(slot_map_is_poisoned(map, 0, 1));
    assert_true(slot_map_is_poisoned(map, 1, 1));
    assert_int_equal(map->poisoned, 1);
    assert_int_equal(slot_map_database(map, 0)->ledger[1], SLOT_EMPTY);
    assert_int_equal(slot_map_database(map, 1)->ledger[1], SLOT_UNKNOWN);
}

static void test_swap(void **state)
{
    struct slot_map *map = *state;
    slot_map_poison(map, 0, 1);
    slot_map_set(slot_map_database(map, 0), 5, SLOT_PRESENT);
    slot_map_swap(map, 0, 3);
    assert_false(slot_map_is_poisoned(map, 0, 1));
    assert_true(slot_map_is_poisoned(map, 3, 1));
    assert_int_equal(slot_map_database(map, 3)->ledger[5], SLOT_PRESENT);
    assert_int_equal(slot_map_database(map, 0)->ledger[5], SLOT_UNKNOWN);
    slot_map_swap(map, 3, 3);
    assert_true(slot_map_is_poisoned(map, 3, 1));
    assert_int_equal(map->poisoned, 1);
}

static void test_forget(void **state)
{
    struct slot_map *map = *state;
    slot_map_poison(map, 0, 1);
    slot_map_set(slot_map_database(map, 0), 1, SLOT_PRESENT);
    slot_map_forget(map);
    assert_false(slot_map_is_poisoned(map, 0, 1));
    assert_int_equal(map->poisoned, 0);
    assert_int_equal(slot_map_database(map, 0)->ledger[1], SLOT_UNKNOWN);
}

/* A database is blank when every slot is known to be empty, and stops being so with the first that is not. */
static void test_blank(void **state)
{
    struct slot_map *map = *state;
    assert_false(slot_map_is_blank(map, 0));
    struct slot_states *states = slot_map_database(map, 0);
    assert_false(slot_map_is_blank(map, 0));
    for (uint16_t slot = 0; slot < HASH_SLOTS; slot++) {
        assert_false(slot_map_is_blank(map, 0));
        slot_map_set(states, slot, SLOT_EMPTY);
    }
    assert_true(slot_map_is_blank(map, 0));
    assert_false(slot_map_is_blank(map, 1));
    slot_map_set(states, 7, SLOT_EMPTY);
    assert_true(slot_map_is_blank(map, 0));
    const enum slot_ledger others[] = {SLOT_UNKNOWN, SLOT_PRESENT, SLOT_LOST};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        slot_map_set(states, 7, others[i]);
        assert_false(slot_map_is_blank(map, 0));
        slot_map_set(states, 7, SLOT_EMPTY);
        assert_true(slot_map_is_blank(map, 0));
    }
    slot_map_poison(map, 0, 3);
    assert_false(slot_map_is_blank(map, 0));
    slot_map_clean(map, 0, 3);
    assert_true(slot_map_is_blank(map, 0));
}

/* What concerns whole databases. */
static void test_blank_databases(void **state)
{
    struct slot_map *map = *state;
    slot_map_set(slot_map_database(map, 0), 1, SLOT_PRESENT);
    slot_map_empty(map, 0);
    assert_true(slot_map_is_blank(map, 0));
    slot_map_swap(map, 0, 2);
    assert_false(slot_map_is_blank(map, 0));
    assert_true(slot_map_is_blank(map, 2));
    slot_map_set(slot_map_database(map, 2), 1, SLOT_LOST);
    slot_map_forget_losses(map);
    assert_int_equal(slot_map_database(map, 2)->ledger[1], SLOT_UNKNOWN);
    assert_false(slot_map_is_blank(map, 2));
    slot_map_set(slot_map_database(map, 2), 1, SLOT_EMPTY);
    assert_true(slot_map_is_blank(map, 2));
    slot_map_forget(map);
    assert_false(slot_map_is_blank(map, 2));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_unknown_and_clean), TEST(test_slots_are_counted_by_state), TEST(test_sweep),
 TEST(test_poison_and_clean), TEST(test_sweep),
        TEST(test_empty),             TEST(test_swap),             TEST(test_forget),
        TEST(test_blank),             TEST(test_blank_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
