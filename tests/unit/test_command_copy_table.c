#include "command/copy_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct item_key key(const char *name)
{
    return item_key_of(span_of(name, strlen(name)));
}

static void note(struct copy_table *table, const char *source, const char *target, bool names_db)
{
    struct item_key from = key(source), to = key(target);
    copy_table_note(table, &from, &to, names_db, -1, -1);
}

static void note_in_db(struct copy_table *table, const char *source, const char *target, int target_db, int client_db)
{
    struct item_key from = key(source), to = key(target);
    copy_table_note(table, &from, &to, true, client_db, target_db);
}

static bool take(struct copy_table *table, const char *target, struct copy_note *found)
{
    struct item_key to = key(target);
    return copy_table_take(table, &to, found);
}

static void test_a_noted_copy_tells_its_source_once(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    note(&table, "a", "b", true);
    assert_true(take(&table, "b", &found));
    assert_int_equal(found.source, key("a").hash);
    assert_int_equal(found.source_slot, key("a").slot);
    assert_true(found.names_db);
    assert_false(take(&table, "b", &found));
}

static void test_a_target_that_was_never_noted_has_no_source(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    note(&table, "a", "b", false);
    assert_false(take(&table, "a", &found));
}

static void test_two_sources_for_one_target_are_no_source(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    note(&table, "a", "x", false);
    note(&table, "b", "x", false);
    assert_false(take(&table, "x", &found));
    note(&table, "c", "x", false);
    assert_true(take(&table, "x", &found)); /* the ambiguous notes are gone */
    assert_int_equal(found.source, key("c").hash);
}

static void test_a_command_sent_again_is_noted_once(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    for (int i = 0; i < COPY_NOTES * 2; i++) note(&table, "a", "x", false);
    assert_int_equal(table.count, 1);
    assert_true(take(&table, "x", &found));
}

static void test_a_target_whose_note_was_dropped_is_not_trusted_again(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    note(&table, "a", "x", false);
    char name[32];
    for (int i = 0; i < COPY_NOTES; i++) {
        snprintf(name, sizeof name, "target-%d", i);
        note(&table, "s", name, false);
    }
    assert_int_equal(table.count, COPY_NOTES);
    note(&table, "stale", "x", false);
    assert_false(take(&table, "x", &found));
}

static void test_when_nothing_is_to_be_executed_all_is_forgotten(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    note(&table, "stale", "x", false);
    assert_false(copy_table_is_crowded(&table));
    for (int i = 0; i < COPY_NOTES; i++) {
        char name[16];
        snprintf(name, sizeof name, "target-%d", i);
        note(&table, "s", name, false);
    }
    assert_true(copy_table_is_crowded(&table));
    copy_table_reset(&table);
    assert_false(copy_table_is_crowded(&table));
    note(&table, "s", "x", false);
    assert_true(take(&table, "x", &found));
}

static void test_the_newest_note_tells_where_the_client_is(void **state)
{
    (void)state;
    struct copy_table table = {0};
    struct copy_note found;
    struct item_key target = key("x");
    note_in_db(&table, "a", "x", 1, 3);
    note_in_db(&table, "a", "x", 1, 5);
    assert_int_equal(table.count, 1);
    assert_int_equal(copy_table_client_db(&table, &target, 1), 5);
    note_in_db(&table, "b", "x", 1, 7);
    note_in_db(&table, "a", "x", 1, 3);
    note_in_db(&table, "c", "x", 2, 8);
    assert_int_equal(copy_table_client_db(&table, &target, 1), 3);
    assert_int_equal(copy_table_client_db(&table, &target, 2), 8);
    assert_int_equal(copy_table_client_db(&table, &target, 0), -1);
    assert_false(take(&table, "x", &found));
    assert_int_equal(copy_table_client_db(&table, &target, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_noted_copy_tells_its_source_once),
        cmocka_unit_test(test_a_target_that_was_never_noted_has_no_source),
        cmocka_unit_test(test_two_sources_for_one_target_are_no_source),
        cmocka_unit_test(test_the_newest_note_tells_where_the_client_is),
        cmocka_unit_test(test_a_command_sent_again_is_noted_once),
        cmocka_unit_test(test_a_target_whose_note_was_dropped_is_not_trusted_again),
        cmocka_unit_test(test_when_nothing_is_to_be_executed_all_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
