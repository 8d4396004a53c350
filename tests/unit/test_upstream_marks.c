#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "fake/keyspace.h"
#include "upstream/marks.h"

#define MEMORY ((size_t)1024 * 1024)

struct fixture {
    struct fake_keyspace fake;
    struct marks marks;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fake_keyspace_init(&fixture.fake);
    marks_init(&fixture.marks, &fixture.fake.keyspace, 0, MEMORY);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    marks_deinit(&fixture->marks);
    fake_keyspace_deinit(&fixture->fake);
    return 0;
}

static uint64_t hash_of(size_t number)
{
    char key[32];
    return hash_key(span_of(key, (size_t)snprintf(key, sizeof key, "key:%zu", number)));
}

/* Two bytes for each key: hardly any that was not added is taken for one that was. */
static void test_added_keys_are_known(void **state)
{
    struct fixture *fixture = *state;
    const size_t count = MEMORY / 2;
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) marks_add(&fixture->marks, hash_of(i));
    for (size_t i = 0; i < count; i++) assert_true(marks_has(&fixture->marks, hash_of(i)));
    for (size_t i = count; i < 2 * count; i++) wrong += marks_has(&fixture->marks, hash_of(i));
    assert_true(wrong < count / 40);
}

static void test_they_are_read_back(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 1000; i++) marks_add(&fixture->marks, hash_of(i));
    marks_forget(&fixture->marks);
    size_t wrong = 0;
    for (size_t i = 0; i < 1000; i++) assert_true(marks_has(&fixture->marks, hash_of(i)));
    for (size_t i = 1000; i < 2000; i++) wrong += marks_has(&fixture->marks, hash_of(i));
    assert_true(wrong < 10);
}

static void test_what_is_lost_is_written_again(void **state)
{
    struct fixture *fixture = *state;
    marks_add(&fixture->marks, hash_of(1));
    char name[32];
    struct span key = span_of(name, (size_t)snprintf(name, sizeof name, "diglot:upstream:%02u", share_of(hash_of(1))));
    assert_true(fake_resp_del(&fixture->fake, 0, key));
    marks_note_lost(&fixture->marks);
    marks_restore(&fixture->marks);
    marks_forget(&fixture->marks);
    assert_true(marks_has(&fixture->marks, hash_of(1)));

    /* Taken away without a word, it is made anew with the next key. */
    assert_true(fake_resp_del(&fixture->fake, 0, key));
    size_t other = 2;
    while (share_of(hash_of(other)) != share_of(hash_of(1))) other++;
    marks_add(&fixture->marks, hash_of(other));
    marks_forget(&fixture->marks);
    assert_true(marks_has(&fixture->marks, hash_of(1)) && marks_has(&fixture->marks, hash_of(other)));
}

static void test_a_string_that_is_none_of_ours(void **state)
{
    struct fixture *fixture = *state;
    char name[32];
    struct span key = span_of(name, (size_t)snprintf(name, sizeof name, "diglot:upstream:%02u", share_of(hash_of(1))));
    fake_resp_set(&fixture->fake, 0, key, SPAN("whatever"), KEYSPACE_NO_EXPIRY);
    assert_true(marks_has(&fixture->marks, hash_of(1)));
    marks_clear(&fixture->marks);
    assert_false(marks_has(&fixture->marks, hash_of(1)));
    assert_null(fake_find(&fixture->fake, 0, key));
}

static void test_shares(void **state)
{
    struct fixture *fixture = *state;
    marks_add(&fixture->marks, hash_of(1));
    marks_fill_share(&fixture->marks, share_of(hash_of(2)));
    marks_forget(&fixture->marks);
    assert_true(marks_has(&fixture->marks, hash_of(1)) && marks_has(&fixture->marks, hash_of(2)));
    size_t filled = 0;
    for (size_t i = 1000; i < 11000; i++) filled += marks_has(&fixture->marks, hash_of(i));
    assert_in_range(filled, 50, 200); /* a hundredth of them */
    marks_clear_share(&fixture->marks, share_of(hash_of(2)));
    assert_false(marks_has(&fixture->marks, hash_of(2)));
    assert_true(marks_has(&fixture->marks, hash_of(1)));
    marks_clear(&fixture->marks);
    assert_false(marks_has(&fixture->marks, hash_of(1)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_added_keys_are_known),          TEST(test_they_are_read_back), TEST(test_what_is_lost_is_written_again),
        TEST(test_a_string_that_is_none_of_ours), TEST(test_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
