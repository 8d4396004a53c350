#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "item/history.h"

static void expect_known(const struct history *history, uint64_t key_hash, bool was_read, int64_t last_use)
{
    bool found_read = !was_read;
    int64_t found_use = -1;
    assert_true(history_find(history, key_hash, &found_read, &found_use));
    assert_int_equal(found_read, was_read);
    assert_int_equal(found_use, last_use);
}

static void expect_unknown(const struct history *history, uint64_t key_hash)
{
    bool was_read;
    int64_t last_use;
    assert_false(history_find(history, key_hash, &was_read, &last_use));
}

static void test_keeps_nothing_before_it_is_begun(void **state)
{
    (void)state;
    struct history history = {0};
    history_note_stored(&history, 7, 100);
    history_note_read(&history, 7, 100);
    history_forget(&history, 7);
    history_forget_all(&history);
    expect_unknown(&history, 7);
    history_begin(&history);
    expect_unknown(&history, 7);
    history_deinit(&history);
    expect_unknown(&history, 7);
}

static void test_stored_then_read(void **state)
{
    (void)state;
    struct history history = {0};
    history_begin(&history);
    history_note_stored(&history, 7, 1700000000);
    expect_known(&history, 7, false, 1700000000);
    history_note_read(&history, 7, 1700000005);
    expect_known(&history, 7, true, 1700000005);
    history_begin(&history); /* keeps what it has */
    expect_known(&history, 7, true, 1700000005);
    history_note_stored(&history, 7, 1700000009);
    expect_known(&history, 7, false, 1700000009);
    history_deinit(&history);
}

/* That it was read says enough, whenever it was stored. */
static void test_read_of_what_was_stored_before(void **state)
{
    (void)state;
    struct history history = {0};
    history_begin(&history);
    history_note_read(&history, 9, 5);
    expect_known(&history, 9, true, 5);
    history_deinit(&history);
}

static void test_place_is_taken(void **state)
{
    (void)state;
    struct history history = {0};
    history_begin(&history);
    history_note_stored(&history, 7, 1);
    history_note_stored(&history, 7 + HISTORY_ENTRIES, 2);
    expect_unknown(&history, 7);
    expect_known(&history, 7 + HISTORY_ENTRIES, false, 2);
    history_forget(&history, 7); /* not in its place */
    expect_known(&history, 7 + HISTORY_ENTRIES, false, 2);
    history_deinit(&history);
}

static void test_forget(void **state)
{
    (void)state;
    struct history history = {0};
    history_begin(&history);
    for (uint64_t key_hash = 1; key_hash <= 3; key_hash++) history_note_stored(&history, key_hash, 4);
    history_forget(&history, 2);
    expect_known(&history, 1, false, 4);
    expect_unknown(&history, 2);
    history_forget_all(&history);
    expect_unknown(&history, 1);
    expect_unknown(&history, 3);
    history_note_stored(&history, 1, 5);
    expect_known(&history, 1, false, 5);
    history_deinit(&history);
}

/* An empty place looks like that of a key whose hash is 0, which is never known. */
static void test_hash_zero(void **state)
{
    (void)state;
    struct history history = {0};
    history_begin(&history);
    expect_unknown(&history, 0);
    history_note_stored(&history, 0, 5);
    expect_unknown(&history, 0);
    history_deinit(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_nothing_before_it_is_begun), cmocka_unit_test(test_stored_then_read),
        cmocka_unit_test(test_read_of_what_was_stored_before),   cmocka_unit_test(test_place_is_taken),
        cmocka_unit_test(test_forget),                           cmocka_unit_test(test_hash_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
