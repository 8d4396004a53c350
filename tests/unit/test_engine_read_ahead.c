#include "engine/read_ahead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- The engine, as far as it is asked here ---- */

struct RedisModuleString {
    struct span bytes;
};

struct RedisModuleKey {
    struct RedisModuleString *name;
    bool is_open;
};

/* Keys in the order of their opening. */
static struct RedisModuleKey opened[2 * READ_AHEAD_MAX];
static size_t opened_count;
static size_t strings;

static RedisModuleString *create_string(RedisModuleCtx *ctx, const char *data, size_t size)
{
    (void)ctx;
    RedisModuleString *string = malloc(sizeof *string);
    assert_non_null(string);
    string->bytes = span_of(data, size);
    strings++;
    return string;
}

static void free_string(RedisModuleCtx *ctx, RedisModuleString *string)
{
    (void)ctx;
    strings--;
    free(string);
}

static const char *string_bytes(const RedisModuleString *string, size_t *size)
{
    *size = string->bytes.size;
    return string->bytes.data;
}

static RedisModuleKey *open_key(RedisModuleCtx *ctx, RedisModuleString *name, int mode)
{
    (void)ctx, (void)mode;
    opened[opened_count] = (struct RedisModuleKey){.name = name, .is_open = true};
    return &opened[opened_count++];
}

static void close_key(RedisModuleKey *key)
{
    assert_true(key->is_open);
    key->is_open = false;
}

static int key_type(RedisModuleKey *key)
{
    (void)key;
    return API_KEY_EMPTY;
}

static int begin(void **state)
{
    (void)state;
    opened_count = strings = 0;
    api = (struct api){.CreateString = create_string, .FreeString = free_string, .StringPtrLen = string_bytes,
                       .OpenKey = open_key, .CloseKey = close_key, .KeyType = key_type};
    return 0;
}

/* ---- A window ---- */

/* Whom the keys are opened for. */
static const int readers[READ_AHEAD_MAX + 1];

static void add(struct read_ahead *ahead, struct span name, uint64_t hash, enum ahead_use use, size_t reader)
{
    assert_true(read_ahead_add(ahead, name, hash, use, &readers[reader]));
}

/* Three reads of "a", "b" and "c" in database 0. */
static struct read_ahead open_three(void)
{
    struct read_ahead ahead = {0};
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) add(&ahead, span_of(names[i], 1), i + 1, AHEAD_READ, i);
    read_ahead_open(&ahead, NULL, 0);
    assert_int_equal(opened_count, 3);
    return ahead;
}

/* Closes what was taken, and what is left. */
static void end(struct read_ahead *ahead)
{
    read_ahead_close(ahead);
    for (size_t i = 0; i < opened_count; i++) {
        if (!opened[i].is_open) continue;
        close_key(&opened[i]);
        free_string(NULL, opened[i].name);
    }
    assert_int_equal(strings, 0);
}

static void test_each_reader_takes_its_key(void **state)
{
    (void)state;
    struct read_ahead ahead = open_three();
    const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        read_ahead_reach(&ahead, &readers[i]);
        const struct ahead_key *key = read_ahead_take(&ahead, 0, span_of(names[i], 1), false);
        assert_non_null(key);
        assert_ptr_equal(key->key, &opened[i]);
    }
    assert_true(read_ahead_is_empty(&ahead));
    end(&ahead);
}

static void test_nothing_is_taken_before_its_readers_turn(void **state)
{
    (void)state;
    struct read_ahead ahead = open_three();
    assert_null(read_ahead_take(&ahead, 0, SPAN("a"), false));
    read_ahead_reach(&ahead, &readers[0]);
    assert_non_null(read_ahead_take(&ahead, 0, SPAN("a"), false));
    assert_null(read_ahead_take(&ahead, 0, SPAN("b"), false));
    end(&ahead);
}

/* With a prefix all keys are named by the bytes of one place, one behind the other. */
static void test_one_place_for_all_names(void **state)
{
    (void)state;
    struct read_ahead ahead = {0};
    const struct span place = SPAN("name");
    for (size_t i = 0; i < 2; i++) add(&ahead, place, i, AHEAD_WRITE, i);
    read_ahead_open(&ahead, NULL, 0);
    read_ahead_reach(&ahead, &readers[0]);
    assert_non_null(read_ahead_take(&ahead, 0, place, true));
    assert_null(read_ahead_take(&ahead, 0, place, true)); /* an add looks twice */
    read_ahead_reach(&ahead, &readers[1]);
    assert_non_null(read_ahead_take(&ahead, 0, place, true));
    end(&ahead);
}

static void test_a_key_of_another_name_or_database_or_for_another_use_stays(void **state)
{
    (void)state;
    struct read_ahead ahead = open_three();
    read_ahead_reach(&ahead, &readers[0]);
    assert_null(read_ahead_take(&ahead, 0, SPAN("ledger"), false));
    assert_null(read_ahead_take(&ahead, 1, SPAN("a"), false));
    assert_null(read_ahead_take(&ahead, 0, SPAN("a"), true));
    assert_non_null(read_ahead_take(&ahead, 0, SPAN("a"), false));
    end(&ahead);
}

static void test_reaching_a_reader_closes_what_was_for_those_before(void **state)
{
    (void)state;
    struct read_ahead ahead = open_three();
    read_ahead_reach(&ahead, &readers[2]);
    assert_false(opened[0].is_open);
    assert_false(opened[1].is_open);
    assert_true(opened[2].is_open);
    read_ahead_reach(&ahead, &readers[READ_AHEAD_MAX]); /* for whom nothing was opened */
    assert_false(opened[2].is_open);
    end(&ahead);
}

static void test_a_window_ends_at_a_key_that_it_may_hold(void **state)
{
    (void)state;
    struct read_ahead ahead = {0};
    add(&ahead, SPAN("a"), 1, AHEAD_READ, 0);
    assert_false(read_ahead_add(&ahead, SPAN("a"), 1, AHEAD_READ, &readers[1]));
    assert_false(read_ahead_add(&ahead, SPAN("by chance"), 1 + READ_AHEAD_BITS, AHEAD_READ, &readers[1]));
    read_ahead_open(&ahead, NULL, 0);
    read_ahead_close(&ahead);
    add(&ahead, SPAN("a"), 1, AHEAD_READ, 0); /* another window */
    end(&ahead);
}

static void test_a_window_is_bounded(void **state)
{
    (void)state;
    struct read_ahead ahead = {0};
    for (size_t i = 0; i < READ_AHEAD_MAX; i++) add(&ahead, SPAN("a"), i, AHEAD_READ, i);
    assert_false(read_ahead_add(&ahead, SPAN("a"), READ_AHEAD_MAX, AHEAD_READ, &readers[0]));
    read_ahead_open(&ahead, NULL, 0);
    end(&ahead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_reader_takes_its_key, begin),
        cmocka_unit_test_setup(test_nothing_is_taken_before_its_readers_turn, begin),
        cmocka_unit_test_setup(test_one_place_for_all_names, begin),
        cmocka_unit_test_setup(test_a_key_of_another_name_or_database_or_for_another_use_stays, begin),
        cmocka_unit_test_setup(test_reaching_a_reader_closes_what_was_for_those_before, begin),
        cmocka_unit_test_setup(test_a_window_ends_at_a_key_that_it_may_hold, begin),
        cmocka_unit_test_setup(test_a_window_is_bounded, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
