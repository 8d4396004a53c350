#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "command/flag_ledger_parts.h"
#include "fake/world.h"

/* Keys of three slots. */
#define A SPAN("{a}1")
#define A2 SPAN("{a}2")
#define B SPAN("{b}1")
#define B2 SPAN("{b}2")
#define C SPAN("{c}1")

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

static void set(struct world *world, struct span name, uint32_t flags)
{
    struct request request = {.op = REQUEST_SET, .key = name, .flags = flags, .value = SPAN("value")};
    assert_int_equal(world_execute(world, &request).status, RESULT_STORED);
}

#define MISS (-1)

/* The flags of an item as a client gets them, or MISS. */
static int64_t flags_in(struct world *world, int db, struct span name)
{
    struct request request = {.op = REQUEST_GET, .key = name};
    world->context.db = db;
    struct result result = world_execute(world, &request);
    world->context.db = 0;
    return result.status == RESULT_HIT ? (int64_t)result.flags : MISS;
}

static int64_t flags_of(struct world *world, struct span name)
{
    return flags_in(world, 0, name);
}

static void resp_set(struct world *world, struct span name)
{
    fake_resp_set(&world->fake, 0, name, SPAN("resp"), KEYSPACE_NO_EXPIRY);
}

static struct span ledger_of(struct world *world, struct span name)
{
    static char text[LEDGER_NAME_SIZE];
    return flag_ledger_name(world->ledger, hash_slot(name), text);
}

static void lose_ledger(struct world *world, struct span name)
{
    assert_true(fake_resp_del(&world->fake, 0, ledger_of(world, name)));
}

static bool has_ledger(struct world *world, struct span name)
{
    return fake_find(&world->fake, 0, ledger_of(world, name)) != NULL;
}

static void sweep_all(struct world *world)
{
    for (int turns = 0; world_turn(world); turns++) assert_true(turns < 100);
}

static void test_names(void **state)
{
    struct world *world = *state;
    for (unsigned slot = 0; slot < HASH_SLOTS; slot++) {
        char text[LEDGER_NAME_SIZE];
        struct span name = flag_ledger_name(world->ledger, (uint16_t)slot, text);
        assert_int_equal(hash_slot(name), slot);
        struct item_key key = item_key_of(name);
        assert_true(flag_ledger_owns(world->ledger, &key));
        assert_true(flag_ledger_reserves(name));
    }
    /* Stored in databases and on other servers: they never change. */
    char text[LEDGER_NAME_SIZE];
    assert_true(span_equal(flag_ledger_name(world->ledger, hash_slot(SPAN("0")), text), SPAN("diglot:flags:{0}")));
    struct item_key other = item_key_of(SPAN("diglot:flags:{zzzzzz}"));
    assert_false(flag_ledger_owns(world->ledger, &other));
    assert_true(flag_ledger_reserves(other.name));
    struct item_key short_name = item_key_of(SPAN("diglot:flags"));
    assert_false(flag_ledger_owns(world->ledger, &short_name));
    assert_false(flag_ledger_reserves(short_name.name));
}

static void test_flags_are_kept(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, A2, 0);
    set(world, B, 0xffffffff);
    assert_int_equal(flags_of(world, A), 5);
    assert_int_equal(flags_of(world, A2), 0);
    assert_int_equal(flags_of(world, B), 0xffffffff);
    set(world, A, 6);
    assert_int_equal(flags_of(world, A), 6);
    set(world, A, 0);
    assert_int_equal(flags_of(world, A), 0);
}

static void test_no_ledger_without_flags(void **state)
{
    struct world *world = *state;
    set(world, A, 0);
    assert_int_equal(flags_of(world, A), 0);
    assert_false(has_ledger(world, A));
    set(world, A, 1);
    assert_true(has_ledger(world, A));
    assert_true(fake_notified(&world->fake, "set {a}1\nset {a}1\nset diglot:flags:{a}\n"));
    set(world, A, 1);
    assert_true(fake_notified(&world->fake, "set {a}1\n")); /* the same flags are not written again */
    set(world, A, 2);
    assert_true(fake_notified(&world->fake, "set {a}1\nsetrange diglot:flags:{a}\n"));
}

static void test_many_keys_of_one_slot(void **state)
{
    struct world *world = *state;
    char name[32];
    for (uint32_t i = 0; i < 3000; i++) {
        int size = snprintf(name, sizeof name, "{x}%u", i);
        set(world, span_of(name, (size_t)size), i);
    }
    for (uint32_t i = 0; i < 3000; i += 2) {
        int size = snprintf(name, sizeof name, "{x}%u", i);
        fake_resp_del(&world->fake, 0, span_of(name, (size_t)size));
    }
    for (uint32_t i = 0; i < 3000; i++) {
        int size = snprintf(name, sizeof name, "{x}%u", i);
        assert_int_equal(flags_of(world, span_of(name, (size_t)size)), i % 2 ? (int64_t)i : MISS);
    }
}

static void test_databases_are_apart(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_set(&world->fake, 1, A, SPAN("other"), KEYSPACE_NO_EXPIRY);
    assert_int_equal(flags_in(world, 1, A), 0);
    assert_int_equal(flags_of(world, A), 5);
}

static void test_resp_overwrites(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    resp_set(world, A);
    assert_int_equal(flags_of(world, A), 0);
    set(world, A, 5);
    fake_resp_del(&world->fake, 0, A);
    fake_resp_append(&world->fake, 0, A, SPAN("x"));
    assert_int_equal(flags_of(world, A), 0);
}

static void test_resp_append_keeps_flags(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_append(&world->fake, 0, A, SPAN("x"));
    assert_int_equal(flags_of(world, A), 5);
}

static void test_expiry_clears(void **state)
{
    struct world *world = *state;
    struct request request = {.op = REQUEST_SET, .key = A, .flags = 5, .exptime = 1, .value = SPAN("v")};
    world_execute(world, &request);
    assert_int_equal(flags_of(world, A), 5);
    world_set_clock(world, WORLD_BEGIN_MS + 1000);
    assert_int_equal(flags_of(world, A), MISS);
    fake_resp_append(&world->fake, 0, A, SPAN("x"));
    assert_int_equal(flags_of(world, A), 0);
}

static void test_rename_carries(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    assert_true(fake_resp_rename(&world->fake, 0, A, B));
    assert_int_equal(flags_of(world, B), 5);
    resp_set(world, A);
    assert_int_equal(flags_of(world, A), 0);
    assert_true(fake_resp_rename(&world->fake, 0, A, B));
    assert_int_equal(flags_of(world, B), 0);
}

static void test_rename_in_a_chain(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    fake_resp_rename(&world->fake, 0, A, C);
    fake_resp_rename(&world->fake, 0, B, A);
    fake_resp_rename(&world->fake, 0, C, B);
    assert_int_equal(flags_of(world, A), 7);
    assert_int_equal(flags_of(world, B), 5);
}

static void test_copy_carries(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    assert_true(fake_resp_copy(&world->fake, 0, A, 0, B, FAKE_SOURCE_KNOWN));
    assert_int_equal(flags_of(world, A), 5);
    assert_int_equal(flags_of(world, B), 5);
}

static void test_move_between_databases(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    assert_true(fake_resp_move(&world->fake, 0, A, 1));
    assert_int_equal(flags_in(world, 1, A), 5);
    resp_set(world, A);
    assert_int_equal(flags_of(world, A), 0);
    assert_int_equal(flags_in(world, 1, A), 5);
}

static void test_unknown_source_is_a_miss(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 0, B, FAKE_SOURCE_UNKNOWN);
    assert_int_equal(flags_of(world, B), MISS);
    fake_resp_rename(&world->fake, 0, B, C);
    assert_int_equal(flags_of(world, C), MISS);
    set(world, C, 3);
    assert_int_equal(flags_of(world, C), 3);
}

static void test_source_in_any_database(void **state)
{
    struct world *world = *state;
    set(world, A, 0);
    fake_resp_copy(&world->fake, 0, A, 0, B, FAKE_SOURCE_IN_ANY_DB);
    assert_int_equal(flags_of(world, B), 0);
    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 0, B, FAKE_SOURCE_IN_ANY_DB);
    assert_int_equal(flags_of(world, B), MISS);
    lose_ledger(world, A);
    for (int db = 0; db < FAKE_DATABASES; db++) fake_resp_set(&world->fake, db, A, SPAN("v"), KEYSPACE_NO_EXPIRY);
    fake_resp_copy(&world->fake, 0, A, 0, B2, FAKE_SOURCE_IN_ANY_DB);
    assert_int_equal(flags_of(world, B2), 0);
}

/* What comes to a slot without flags is not written yet when the key is written anew. */
static void test_overwrite_behind_a_carry(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 0);
    fake_resp_rename(&world->fake, 0, A, B);
    resp_set(world, B);
    assert_int_equal(flags_of(world, B), 0);

    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 0, C, FAKE_SOURCE_UNKNOWN);
    resp_set(world, C);
    assert_int_equal(flags_of(world, C), 0);
}

static void test_carry_behind_a_carry(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 0);
    set(world, C, 0);
    fake_resp_rename(&world->fake, 0, A, B);
    fake_resp_rename(&world->fake, 0, B, C);
    assert_int_equal(flags_of(world, C), 5);
}

static void test_lost_ledger(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, A2, 0);
    set(world, B, 7);
    lose_ledger(world, A);
    assert_int_equal(flags_of(world, A), MISS);
    assert_int_equal(flags_of(world, A2), MISS);
    assert_int_equal(flags_of(world, B), 7);
    sweep_all(world);
    assert_null(fake_find(&world->fake, 0, A));
    assert_false(has_ledger(world, A)); /* it would say nothing */
}

static void test_rescued_keys_survive_the_sweep(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, A2, 6);
    fake_resp_lpush(&world->fake, 0, SPAN("{a}list"));
    lose_ledger(world, A);
    set(world, A, 8);
    resp_set(world, SPAN("{a}3"));
    fake_resp_append(&world->fake, 0, SPAN("{a}4"), SPAN("x"));
    assert_int_equal(flags_of(world, A), 8);
    assert_int_equal(flags_of(world, SPAN("{a}3")), 0);
    sweep_all(world);
    assert_int_equal(flags_of(world, A), 8);
    assert_int_equal(flags_of(world, SPAN("{a}3")), 0);
    assert_int_equal(flags_of(world, SPAN("{a}4")), 0);
    assert_null(fake_find(&world->fake, 0, A2));
    assert_non_null(fake_find(&world->fake, 0, SPAN("{a}list")));
    assert_false(flag_ledger_has_work(world->ledger));
}

static void test_append_does_not_rescue(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    lose_ledger(world, A);
    fake_resp_append(&world->fake, 0, A, SPAN("x"));
    assert_int_equal(flags_of(world, A), MISS);
}

/* A rescue holds for the loss before it only. */
static void test_lost_again(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    lose_ledger(world, A);
    set(world, A, 6);
    assert_int_equal(flags_of(world, A), 6);
    lose_ledger(world, A);
    assert_int_equal(flags_of(world, A), MISS);
}

static void test_a_stranger_writes_the_ledger(void **state)
{
    struct world *world = *state;
    char text[LEDGER_NAME_SIZE];
    set(world, A, 5);
    struct span name = flag_ledger_name(world->ledger, hash_slot(A), text);
    fake_resp_set(&world->fake, 0, name, SPAN("0123456789abcdef"), KEYSPACE_NO_EXPIRY);
    assert_int_equal(flags_of(world, A), MISS);
    set(world, A, 6);
    assert_int_equal(flags_of(world, A), 6);
    fake_resp_lpush(&world->fake, 0, name);
    assert_int_equal(flags_of(world, A), MISS);
    set(world, A, 7);
    assert_int_equal(flags_of(world, A), 7);
    fake_engine_evict(&world->fake, 0, name); /* the engine is no stranger */
    assert_int_equal(flags_of(world, A), 7);
}

/* The write finds that out, and is known all the same. */
static void test_a_write_finds_a_stranger_in_the_ledgers_place(void **state)
{
    struct world *world = *state;
    fake_resp_set(&world->fake, 0, ledger_of(world, A), SPAN("a stranger"), KEYSPACE_NO_EXPIRY);
    flag_ledger_note_loaded(world->ledger); /* nothing is known of it any more */
    set(world, A, 5);
    assert_int_equal(flags_of(world, A), 5);
    sweep_all(world);
    assert_int_equal(flags_of(world, A), 5);
}

/* Something in the ledger's place, found there when the database has been loaded. */
static void test_loaded(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    flag_ledger_note_loaded(world->ledger);
    assert_int_equal(flags_of(world, A), 5);
    world->fake.ledger = NULL; /* nobody hears of it */
    fake_resp_append(&world->fake, 0, ledger_of(world, B), SPAN("?"));
    world->fake.ledger = world->ledger;
    flag_ledger_note_loaded(world->ledger);
    assert_int_equal(flags_of(world, A), 5);
    assert_int_equal(flags_of(world, B), MISS);
}

/* The ledger goes in the very moment when it is opened to be read. */
static void test_ledger_expires_when_read(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    ((struct fake_key *)fake_find(&world->fake, 0, ledger_of(world, A)))->expiry = WORLD_BEGIN_MS;
    assert_int_equal(flags_of(world, A), MISS);
    assert_int_equal(flags_of(world, A), MISS);
}

/* The ledger from which flags were to be carried is lost before they are. */
static void test_ledger_lost_behind_a_carry(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_rename(&world->fake, 0, A, B);
    lose_ledger(world, A);
    assert_int_equal(flags_of(world, B), MISS);

    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 0, B2, FAKE_SOURCE_IN_ANY_DB);
    lose_ledger(world, A);
    assert_int_equal(flags_of(world, B2), MISS);
}

/* The sweep cleans a slot that has no strings, but what was carried out of it stays lost. */
static void test_swept_behind_a_carry(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    world_set_writable(world, false);
    fake_resp_rename(&world->fake, 0, A, B);
    lose_ledger(world, A);
    for (int turn = 0; turn < 10; turn++) world_turn(world);
    assert_int_equal(flags_of(world, B), MISS);
    world_set_writable(world, true);
    assert_int_equal(flags_of(world, B), MISS);
}

static void test_emptied_behind_a_carry(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 1, B, FAKE_SOURCE_KNOWN);
    fake_resp_flushdb(&world->fake, 0);
    assert_int_equal(flags_in(world, 1, B), MISS);

    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 1, B2, FAKE_SOURCE_IN_ANY_DB);
    fake_resp_flushdb(&world->fake, 0);
    assert_int_equal(flags_in(world, 1, B2), MISS);
}

/* The item is gone with the database that it was moved to; what it left behind goes, too. */
static void test_emptied_behind_a_move_into_it(void **state)
{
    struct world *world = *state;
    struct item_key key = item_key_of(A);
    struct item_flags flags;
    set(world, A, 5);
    assert_true(fake_resp_move(&world->fake, 0, A, 1));
    fake_resp_flushdb(&world->fake, 1);
    assert_true(flag_ledger_read(world->ledger, 0, &key, &flags));
    assert_int_equal(flags.flags, 0);
}

static void test_emptied(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    lose_ledger(world, A);
    fake_resp_flushdb(&world->fake, 0);
    assert_false(flag_ledger_has_work(world->ledger));
    fake_resp_append(&world->fake, 0, A, SPAN("x"));
    assert_int_equal(flags_of(world, A), 0);
}

static void test_swapped(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    fake_resp_rename(&world->fake, 0, B, C);
    fake_resp_swapdb(&world->fake, 0, 1);
    assert_int_equal(flags_of(world, A), MISS);
    assert_int_equal(flags_in(world, 1, A), 5);
    assert_int_equal(flags_in(world, 1, C), 7);
}

static void test_not_writable(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    world_set_writable(world, false);
    resp_set(world, A);
    fake_resp_rename(&world->fake, 0, B, C);
    assert_int_equal(flags_of(world, A), MISS);
    assert_int_equal(flags_of(world, C), MISS);
    assert_true(flag_ledger_has_work(world->ledger));
    world_set_writable(world, true);
    assert_int_equal(flags_of(world, A), 0);
    assert_int_equal(flags_of(world, C), 7);
    assert_false(flag_ledger_has_work(world->ledger));
}

/* A replica follows what its primary writes. */
static void test_replica(void **state)
{
    struct world *world = *state;
    char text[LEDGER_NAME_SIZE];
    static const char none[4 * LEDGER_RECORD_SIZE] = {0};
    struct item_key key = item_key_of(A);
    set(world, A, 5);
    flag_ledger_set_role(world->ledger, false, false);
    resp_set(world, A);
    assert_false(flag_ledger_has_work(world->ledger));
    assert_int_equal(flags_of(world, A), 5); /* until the primary has cleared it, in the same transaction */

    world->fake.ledger = NULL;
    fake_resp_set(&world->fake, 0, flag_ledger_name(world->ledger, key.slot, text), span_of(none, sizeof none), KEYSPACE_NO_EXPIRY);
    world->fake.ledger = world->ledger;
    flag_ledger_note_ledger_changed(world->ledger, 0, key.slot);
    assert_int_equal(flags_of(world, A), 0);

    lose_ledger(world, A);
    assert_int_equal(flags_of(world, A), MISS);
    for (int turn = 0; turn < 10; turn++) assert_false(world_turn(world));
    assert_non_null(fake_find(&world->fake, 0, A));
    assert_int_equal(flags_of(world, A), MISS);
    fake_resp_del(&world->fake, 0, A);
    for (int turn = 0; turn < 10; turn++) world_turn(world);
    assert_false(flag_ledger_has_work(world->ledger));
}

/* A key that the sweep removed leaves no mark on the next one of its name. */
static void test_new_key_behind_the_sweep(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_copy(&world->fake, 0, A, 0, B, FAKE_SOURCE_UNKNOWN);
    assert_int_equal(flags_of(world, B), MISS);
    set(world, B2, 1);
    fake_resp_rename(&world->fake, 0, ledger_of(world, B), SPAN("{b}3"));
    sweep_all(world);
    assert_null(fake_find(&world->fake, 0, B));
    fake_resp_append(&world->fake, 0, B, SPAN("x"));
    assert_int_equal(flags_of(world, B), 0);
}

/* Between its loss and the next settling a ledger cannot be lost again. */
static void test_lost_twice_at_once(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    world_set_writable(world, false);
    fake_resp_expire(&world->fake, 0, ledger_of(world, A), WORLD_BEGIN_MS + 1);
    resp_set(world, A2);
    world_set_clock(world, WORLD_BEGIN_MS + 1);
    world_set_writable(world, true);
    assert_int_equal(flags_of(world, A2), 0);
    assert_int_equal(flags_of(world, A), MISS);
    sweep_all(world);
    assert_int_equal(flags_of(world, A2), 0);
}

/* A loss that a primary could not write down any more is the new primary's to write; back in office it looks anew. */
static void test_lost_between_two_roles(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    world_set_writable(world, false);
    fake_resp_expire(&world->fake, 0, ledger_of(world, A), WORLD_BEGIN_MS + 1000);
    flag_ledger_set_role(world->ledger, false, false);
    flag_ledger_set_role(world->ledger, true, true);
    lose_ledger(world, A);
    set(world, A2, 3);
    sweep_all(world);
    assert_int_equal(flags_of(world, A), MISS);
    set(world, A, 7);
    assert_int_equal(flags_of(world, A), 7);
    assert_int_equal(flags_of(world, A2), 3);
}

/* A replica has seen the ledger go, and its primary does no more: what is written behind the promotion is known. */
static void test_lost_ahead_of_a_promotion(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    flag_ledger_set_role(world->ledger, false, false);
    lose_ledger(world, A);
    assert_int_equal(flags_of(world, A), MISS);
    flag_ledger_set_role(world->ledger, true, true);
    assert_int_equal(flags_of(world, A), MISS);
    resp_set(world, A2);
    assert_int_equal(flags_of(world, A2), 0);
    sweep_all(world);
    assert_int_equal(flags_of(world, A2), 0);
    assert_null(fake_find(&world->fake, 0, A));
}

static void explore_all(struct world *world)
{
    for (int turn = 0; turn < HASH_SLOTS; turn++) flag_ledger_explore(world->ledger, 0);
}

static void test_exploring_finds_a_blank_database(void **state)
{
    struct world *world = *state;
    set(world, A, 0);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    explore_all(world);
    assert_true(flag_ledger_is_blank(world->ledger, 0));
    assert_false(flag_ledger_is_blank(world->ledger, 1));
    assert_int_equal(flags_of(world, A), 0);
    set(world, B, 0);
    assert_int_equal(flags_of(world, B), 0);
    assert_true(flag_ledger_is_blank(world->ledger, 0));
    set(world, A, 5);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    assert_int_equal(flags_of(world, A), 5);
    assert_int_equal(flags_of(world, B), 0);
    assert_int_equal(flags_of(world, A2), MISS);
}

static void test_exploring_finds_the_ledgers(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    world->fake.ledger = NULL; /* nobody hears of it */
    fake_resp_append(&world->fake, 0, ledger_of(world, B), SPAN("?"));
    world->fake.ledger = world->ledger;
    flag_ledger_note_loaded(world->ledger);
    explore_all(world);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    assert_int_equal(flags_of(world, A), 5);
    assert_int_equal(flags_of(world, B), MISS);
    sweep_all(world);
    assert_null(fake_find(&world->fake, 0, B));
}

static void test_all_ledgers_are_retained(void **state)
{
    struct world *world = *state;
    flag_ledger_retain(world->ledger, 0);
    assert_int_equal(world->fake.retained, 0);
    set(world, A, 5);
    set(world, A2, 6);
    set(world, B, 7);
    assert_int_equal(world->fake.retained, 2); /* when they were made */
    for (int turn = 0; turn < HASH_SLOTS / 1024; turn++) flag_ledger_retain(world->ledger, 0);
    assert_int_equal(world->fake.retained, 4);
    assert_int_equal(flags_of(world, A), 5);
    set(world, B, 0);
    assert_int_equal(flag_ledger_strings(world->ledger, 0), 2);
    for (int turn = 0; turn < HASH_SLOTS / 1024; turn++) flag_ledger_retain(world->ledger, 0);
    assert_int_equal(world->fake.retained, 5);
    assert_int_equal(flag_ledger_strings(world->ledger, 0), 1); /* one says nothing any more */
    assert_int_equal(flags_of(world, B), 0);
    assert_int_equal(flags_of(world, A2), 6);
    fake_resp_flushdb(&world->fake, 0);
    for (int turn = 0; turn < HASH_SLOTS / 1024; turn++) flag_ledger_retain(world->ledger, 0);
    assert_int_equal(world->fake.retained, 5);
}

/* ---- Ledgers that the engine evicts ---- */

static void evict_ledger(struct world *world, struct span item)
{
    assert_true(fake_engine_evict(&world->fake, 0, ledger_of(world, item)));
}

static void test_an_evicted_ledger_is_put_back(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, A2, 6);
    for (int i = 0; i < 3; i++) {
        evict_ledger(world, A);
        assert_int_equal(flags_of(world, A), 5);
        assert_int_equal(flags_of(world, A2), 6);
    }
    evict_ledger(world, A);
    set(world, A, 7);
    assert_int_equal(flags_of(world, A), 7);
    assert_int_equal(flags_of(world, A2), 6);
    sweep_all(world);
    assert_int_equal(flags_of(world, A2), 6);
}

/* What happened in the same turn, before or behind the eviction, happened to what is put back. */
static void test_notes_hold_for_a_ledger_that_is_put_back(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, A2, 6);
    set(world, SPAN("{a}3"), 7);
    set(world, SPAN("{a}4"), 8);
    world_set_writable(world, false);
    resp_set(world, A);
    assert_true(fake_resp_rename(&world->fake, 0, SPAN("{a}3"), SPAN("{a}5")));
    evict_ledger(world, A);
    resp_set(world, A2);
    assert_true(fake_resp_rename(&world->fake, 0, SPAN("{a}4"), B));
    world_set_writable(world, true);
    assert_int_equal(flags_of(world, A), 0);
    assert_int_equal(flags_of(world, A2), 0);
    assert_int_equal(flags_of(world, SPAN("{a}5")), 7);
    assert_int_equal(flags_of(world, B), 8);
    assert_int_equal(flags_of(world, SPAN("{a}3")), MISS);
}

static void test_a_stranger_in_the_place_of_an_evicted_ledger(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    world_set_writable(world, false);
    evict_ledger(world, A);
    fake_resp_set(&world->fake, 0, ledger_of(world, A), SPAN("garbage"), KEYSPACE_NO_EXPIRY);
    world_set_writable(world, true);
    assert_int_equal(flags_of(world, A), MISS);
}

static void test_an_evicted_ledger_that_said_nothing(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, A2, 0);
    set(world, A, 0);
    evict_ledger(world, A);
    assert_int_equal(flags_of(world, A), 0);
    assert_int_equal(flags_of(world, A2), 0);
    assert_int_equal(flag_ledger_strings(world->ledger, 0), 0);
    set(world, A, 9);
    assert_int_equal(flags_of(world, A), 9);
}

static void test_an_evicted_ledger_of_a_poisoned_slot(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    lose_ledger(world, A);
    set(world, A2, 6);
    evict_ledger(world, A);
    assert_int_equal(flags_of(world, A), MISS);
    assert_int_equal(flags_of(world, A2), 6);
    sweep_all(world);
    assert_int_equal(flags_of(world, A2), 6);
    assert_null(fake_find(&world->fake, 0, A));
}

/* A ledger that was leaving and is lost in another way is not put back. */
static void test_a_ledger_that_did_not_leave(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    const struct fake_key *key = fake_find(&world->fake, 0, ledger_of(world, A));
    flag_ledger_note_ledger_leaving(world->ledger, 0, hash_slot(A), buffer_content(&key->value));
    lose_ledger(world, A);
    assert_int_equal(flags_of(world, A), MISS);
}

/* One was about to go and stayed; what it says is nobody else's. */
static void test_another_ledger_goes_than_the_one_that_was_leaving(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    set(world, B, 7);
    const struct fake_key *ledger = fake_find(&world->fake, 0, ledger_of(world, A));
    flag_ledger_note_ledger_leaving(world->ledger, 0, hash_slot(A), buffer_content(&ledger->value));
    world->fake.ledger = NULL; /* nobody hears that it leaves */
    lose_ledger(world, B);
    world->fake.ledger = world->ledger;
    flag_ledger_note_ledger_evicted(world->ledger, 0, hash_slot(B));
    assert_int_equal(flags_of(world, B), MISS);
    assert_int_equal(flags_of(world, A), 5);
}

/* What was loaded is explored anew. */
static void test_loaded_into_a_blank_database(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    fake_resp_swapdb(&world->fake, 0, 1);
    explore_all(world);
    assert_true(flag_ledger_is_blank(world->ledger, 0));
    fake_resp_swapdb(&world->fake, 0, 1);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    assert_int_equal(flags_of(world, A), 5);
    fake_resp_flushdb(&world->fake, 0);
    assert_true(flag_ledger_is_blank(world->ledger, 0));
    flag_ledger_note_loaded(world->ledger);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    explore_all(world);
    assert_true(flag_ledger_is_blank(world->ledger, 0));
}

/* Whatever brings the first flag into a blank database. */
static void test_a_blank_database_gets_flags(void **state)
{
    struct world *world = *state;
    fake_resp_flushdb(&world->fake, 0);
    world->context.db = 1;
    set(world, A, 5);
    set(world, B, 6);
    set(world, C, 7);
    world->context.db = 0;
    assert_true(flag_ledger_is_blank(world->ledger, 0));
    fake_resp_move(&world->fake, 1, A, 0);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    assert_int_equal(flags_of(world, A), 5);

    fake_resp_flushdb(&world->fake, 0);
    fake_resp_copy(&world->fake, 1, B, 0, B, FAKE_SOURCE_IN_ANY_DB);
    assert_int_equal(flags_of(world, B), MISS);

    fake_resp_flushdb(&world->fake, 0);
    set(world, C, 0);
    fake_resp_set(&world->fake, 0, ledger_of(world, C), SPAN("of a stranger"), KEYSPACE_NO_EXPIRY);
    assert_false(flag_ledger_is_blank(world->ledger, 0));
    assert_int_equal(flags_of(world, C), MISS);

    fake_resp_flushdb(&world->fake, 0);
    assert_true(flag_ledger_is_blank(world->ledger, 0));
    flag_ledger_note_ledger_changed(world->ledger, 0, hash_slot(C)); /* it came with its slot */
    assert_false(flag_ledger_is_blank(world->ledger, 0));
}

/* More than is kept for being put back is lost. */
static void test_a_burst_of_evicted_ledgers(void **state)
{
    struct world *world = *state;
    static const char table[87380 * 12]; /* about a mebibyte */
    world_set_writable(world, false);
    for (uint16_t slot = 0; slot < 20; slot++) {
        flag_ledger_note_ledger_leaving(world->ledger, 0, slot, span_of(table, sizeof table));
        flag_ledger_note_ledger_evicted(world->ledger, 0, slot);
    }
    assert_int_equal(buffer_size(&world->ledger->rescued), 16 * sizeof table);
    world_set_writable(world, true);
    flag_ledger_settle(world->ledger);
    assert_true(world->ledger->rescued.capacity <= 64 * 1024);
}

/* A burst of events takes no memory for good. */
static void test_burst(void **state)
{
    struct world *world = *state;
    set(world, A, 5);
    for (int i = 0; i < 100000; i++) resp_set(world, i % 2 ? A : A2);
    assert_true(world->ledger->note_capacity > 4096);
    assert_int_equal(flags_of(world, A), 0);
    assert_true(world->ledger->note_capacity <= 4096);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_flags_are_kept),
        TEST(test_no_ledger_without_flags),
        TEST(test_many_keys_of_one_slot),
        TEST(test_databases_are_apart),
        TEST(test_resp_overwrites),
        TEST(test_resp_append_keeps_flags),
        TEST(test_expiry_clears),
        TEST(test_rename_carries),
        TEST(test_rename_in_a_chain),
        TEST(test_copy_carries),
        TEST(test_move_between_databases),
        TEST(test_unknown_source_is_a_miss),
        TEST(test_source_in_any_database),
        TEST(test_overwrite_behind_a_carry),
        TEST(test_carry_behind_a_carry),
        TEST(test_lost_ledger),
        TEST(test_rescued_keys_survive_the_sweep),
        TEST(test_append_does_not_rescue),
        TEST(test_lost_again),
        TEST(test_a_stranger_writes_the_ledger),
        TEST(test_a_write_finds_a_stranger_in_the_ledgers_place),
        TEST(test_loaded),
        TEST(test_ledger_expires_when_read),
        TEST(test_ledger_lost_behind_a_carry),
        TEST(test_swept_behind_a_carry),
        TEST(test_emptied_behind_a_carry),
        TEST(test_emptied_behind_a_move_into_it),
        TEST(test_emptied),
        TEST(test_swapped),
        TEST(test_not_writable),
        TEST(test_replica),
        TEST(test_new_key_behind_the_sweep),
        TEST(test_lost_twice_at_once),
        TEST(test_lost_between_two_roles),
        TEST(test_lost_ahead_of_a_promotion),
        TEST(test_exploring_finds_a_blank_database),
        TEST(test_exploring_finds_the_ledgers),
        TEST(test_all_ledgers_are_retained),
        TEST(test_an_evicted_ledger_is_put_back),
        TEST(test_notes_hold_for_a_ledger_that_is_put_back),
        TEST(test_a_stranger_in_the_place_of_an_evicted_ledger),
        TEST(test_an_evicted_ledger_that_said_nothing),
        TEST(test_an_evicted_ledger_of_a_poisoned_slot),
        TEST(test_a_ledger_that_did_not_leave),
        TEST(test_another_ledger_goes_than_the_one_that_was_leaving),
        TEST(test_loaded_into_a_blank_database),
        TEST(test_a_blank_database_gets_flags),
        TEST(test_a_burst_of_evicted_ledgers),
        TEST(test_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
