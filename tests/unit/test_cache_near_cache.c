#include "cache/near_cache.h"

#include "base/check.h"
#include "base/hash.h"
#include "item/expiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START UINT64_C(1700000000000000000)
#define NOW_MS INT64_C(1700000000000)
#define SIZE ((size_t)256 * 1024)
#define LIFE_MS 1000
/* As many reads that come alone are judged at a time. */
#define TRIAL_READS (1 << 18)
#define TRIAL_INTERVAL_MS 30000

struct bench {
    struct version_clock versions;
    struct counter_board board;
    struct near_cache *cache;
    uint64_t now_us;
};

static void set_time(struct bench *bench, uint64_t after_ms)
{
    bench->now_us += after_ms * 1000;
    near_cache_set_clocks(bench->cache, bench->now_us, NOW_MS + (int64_t)(bench->now_us / 1000));
}

static int set_up(void **state)
{
    struct bench *bench = check_calloc_aligned(_Alignof(struct bench), sizeof(*bench));
    version_clock_init(&bench->versions, START);
    version_set_open(&bench->versions, true);
    version_set_life(&bench->versions, LIFE_MS);
    counter_board_init(&bench->board, 1);
    bench->cache = near_cache_new(&bench->versions, &bench->board.sets[0]);
    near_cache_set_size(bench->cache, SIZE);
    set_time(bench, 0);
    *state = bench;
    return 0;
}

#define MANY_KEYS 200

static int tear_down(void **state)
{
    struct bench *bench = *state;
    near_cache_free(&bench->cache);
    assert_int_equal(counter_board_read(&bench->board, COUNTER_CACHE_ITEMS), 0);
    assert_int_equal(counter_board_read(&bench->board, COUNTER_CACHE_BYTES), 0);
    counter_board_deinit(&bench->board);
    version_clock_deinit(&bench->versions);
    free(bench);
    return 0;
}

static struct span text(const char *bytes)
{
    return span_of(bytes, strlen(bytes));
}

static void store_until(struct bench *bench, struct span key, struct span value, int64_t expiry)
{
    const struct near_entry item = {
        .stamp = version_stamp(&bench->versions), .token = 42, .flags = 7, .expiry = expiry};
    near_cache_store(bench->cache, key, hash_key(key), value, &item);
}

static void store(struct bench *bench, const char *key, const char *value)
{
    store_until(bench, text(key), text(value), EXPIRY_NEVER);
}

static const struct near_entry *find(struct bench *bench, struct span key)
{
    uint64_t hash = hash_key(key);
    near_cache_prefetch(bench->cache, hash);
    struct near_entry *entry = near_cache_locate(bench->cache, hash);
    return entry && near_cache_answers(bench->cache, entry, key, hash) ? entry : NULL;
}

static void expect(struct bench *bench, const char *key, const char *value)
{
    const struct near_entry *entry = find(bench, text(key));
    assert_non_null(entry);
    assert_true(span_equal(near_entry_value(entry), text(value)));
}

static void expect_none(struct bench *bench, const char *key)
{
    assert_null(find(bench, text(key)));
}

static uint64_t counted(const struct bench *bench, enum counter_id id)
{
    return counter_board_read(&bench->board, id);
}

static void test_answers_what_was_stored(void **state)
{
    struct bench *bench = *state;
    expect_none(bench, "k");
    store(bench, "k", "value");
    store(bench, "other", "");
    expect(bench, "k", "value");
    expect(bench, "other", "");
    const struct near_entry *entry = find(bench, SPAN("k"));
    assert_int_equal(entry->flags, 7);
    assert_int_equal(entry->token, 42);
    assert_int_equal(counted(bench, COUNTER_CACHE_ITEMS), 2);
}

static void test_is_asked_by_key_and_not_by_hash(void **state)
{
    struct bench *bench = *state;
    uint64_t hash = hash_key(SPAN("k"));
    store(bench, "k", "value");
    struct near_entry *entry = near_cache_locate(bench->cache, hash);
    assert_non_null(entry);
    assert_false(near_cache_answers(bench->cache, entry, SPAN("j"), hash));
    assert_false(near_cache_answers(bench->cache, entry, SPAN("kk"), hash));
}

static void test_change_of_the_key_ends_it(void **state)
{
    struct bench *bench = *state;
    store(bench, "k", "value");
    version_note_change(&bench->versions, hash_key(SPAN("j")));
    expect(bench, "k", "value");
    version_note_change(&bench->versions, hash_key(SPAN("k")));
    expect_none(bench, "k");
    store(bench, "k", "new");
    expect(bench, "k", "new");
    version_advance(&bench->versions, hash_key(SPAN("k")));
    expect_none(bench, "k");
}

/* What was read before a change and comes late is not taken for what is there. */
static void test_answer_that_comes_late_is_none(void **state)
{
    struct bench *bench = *state;
    const struct near_entry item = {.stamp = version_stamp(&bench->versions), .expiry = EXPIRY_NEVER};
    version_advance(&bench->versions, hash_key(SPAN("k")));
    near_cache_store(bench->cache, SPAN("k"), hash_key(SPAN("k")), SPAN("old"), &item);
    expect_none(bench, "k");
}

static void test_change_of_all_ends_all(void **state)
{
    struct bench *bench = *state;
    store(bench, "k", "value");
    version_advance_all(&bench->versions);
    expect_none(bench, "k");
    store(bench, "k", "value");
    version_note_change_of_all(&bench->versions);
    expect_none(bench, "k");
}

static void test_answers_nothing_while_it_is_closed(void **state)
{
    struct bench *bench = *state;
    assert_true(near_cache_is_open(bench->cache));
    store(bench, "k", "value");
    version_set_open(&bench->versions, false);
    assert_false(near_cache_is_open(bench->cache));
    expect_none(bench, "k");
    store(bench, "k", "value");
    version_note_change_of_all(&bench->versions); /* which opens nothing */
    expect_none(bench, "k");
    version_set_open(&bench->versions, true);
    expect_none(bench, "k");
    store(bench, "k", "value");
    expect(bench, "k", "value");
}

static void test_lives_as_long_as_it_may(void **state)
{
    struct bench *bench = *state;
    store(bench, "k", "value");
    store(bench, "k", "value"); /* renewed */
    set_time(bench, LIFE_MS - 1);
    expect(bench, "k", "value");
    set_time(bench, 1);
    expect_none(bench, "k");
    version_set_life(&bench->versions, 2 * LIFE_MS);
    expect(bench, "k", "value");
    version_set_life(&bench->versions, 0);
    expect_none(bench, "k");
}

static int count_answers(struct bench *bench)
{
    int count = 0;
    for (uint32_t key = 0; key < MANY_KEYS; key++) count += find(bench, span_of((const char *)&key, sizeof key)) != NULL;
    return count;
}

static void store_many(struct bench *bench)
{
    for (uint32_t key = 0; key < MANY_KEYS; key++)
        store_until(bench, span_of((const char *)&key, sizeof key), SPAN("v"), EXPIRY_NEVER);
}

static void test_those_made_together_do_not_end_together(void **state)
{
    struct bench *bench = *state;
    store_many(bench);
    set_time(bench, LIFE_MS - LIFE_MS / NEAR_LIFE_SPREAD);
    assert_int_equal(count_answers(bench), MANY_KEYS);
    set_time(bench, LIFE_MS / NEAR_LIFE_SPREAD / 2);
    assert_in_range(count_answers(bench), MANY_KEYS / 4, MANY_KEYS * 3 / 4);
    set_time(bench, LIFE_MS / NEAR_LIFE_SPREAD / 2);
    assert_int_equal(count_answers(bench), 0);
    store_many(bench);
    set_time(bench, LIFE_MS - 1);
    assert_int_equal(count_answers(bench), MANY_KEYS);
}

static void test_ends_before_the_item_expires(void **state)
{
    struct bench *bench = *state;
    store_until(bench, SPAN("k"), SPAN("value"), NOW_MS + 500);
    set_time(bench, 399);
    expect(bench, "k", "value");
    set_time(bench, 1);
    expect_none(bench, "k");
}

static void test_replaces_what_is_of_another_size(void **state)
{
    struct bench *bench = *state;
    store(bench, "k", "a value that is long enough to take more room");
    uint64_t before = counted(bench, COUNTER_CACHE_BYTES);
    store(bench, "k", "short");
    expect(bench, "k", "short");
    assert_int_equal(counted(bench, COUNTER_CACHE_ITEMS), 1);
    assert_true(counted(bench, COUNTER_CACHE_BYTES) < before);
}

static void test_large_values_are_not_kept(void **state)
{
    struct bench *bench = *state;
    static const char bytes[NEAR_VALUE_MAX + 1];
    store_until(bench, SPAN("k"), span_of(bytes, NEAR_VALUE_MAX + 1), EXPIRY_NEVER);
    expect_none(bench, "k");
    store_until(bench, SPAN("k"), span_of(bytes, NEAR_VALUE_MAX), EXPIRY_NEVER);
    assert_non_null(find(bench, SPAN("k")));
}

static void fill_up(struct bench *bench)
{
    for (int i = 0; counted(bench, COUNTER_CACHE_EVICTIONS) == 0; i++) {
        char key[16];
        store_until(bench, span_of(key, (size_t)snprintf(key, sizeof key, "fill%d", i)), SPAN("a value"), EXPIRY_NEVER);
    }
}

static void test_wants_all_while_there_is_room(void **state)
{
    struct bench *bench = *state;
    uint64_t hash = hash_key(SPAN("k")), other = hash_key(SPAN("j"));
    assert_true(near_cache_wants(bench->cache, NULL, hash));
    store(bench, "k", "value");
    assert_true(near_cache_wants(bench->cache, near_cache_locate(bench->cache, hash), hash)); /* even if it was of no use */
    expect(bench, "k", "value");
    fill_up(bench);
    assert_false(near_cache_wants(bench->cache, NULL, other));
    near_cache_set_size(bench->cache, SIZE * 2);
    assert_true(near_cache_wants(bench->cache, NULL, other + 1));
}

static void test_wants_what_is_asked_for_again(void **state)
{
    struct bench *bench = *state;
    fill_up(bench);
    uint64_t hash = hash_key(SPAN("k"));
    assert_false(near_cache_wants(bench->cache, NULL, hash));
    assert_true(near_cache_wants(bench->cache, NULL, hash));
    store(bench, "j", "value");
    hash = hash_key(SPAN("j"));
    struct near_entry *entry = near_cache_locate(bench->cache, hash);
    assert_false(near_cache_wants(bench->cache, entry, hash)); /* it was of no use */
    uint64_t items = counted(bench, COUNTER_CACHE_ITEMS);
    assert_true(near_cache_wants(bench->cache, entry, hash)); /* located before that, for the same key again */
    assert_int_equal(counted(bench, COUNTER_CACHE_ITEMS), items);
    assert_null(near_cache_locate(bench->cache, hash));
    store(bench, "i", "value");
    for (int i = 0; i < 4; i++) expect(bench, "i", "value");
    set_time(bench, LIFE_MS);
    hash = hash_key(SPAN("i"));
    assert_true(near_cache_wants(bench->cache, near_cache_locate(bench->cache, hash), hash));
}

static void test_size_can_change(void **state)
{
    struct bench *bench = *state;
    store(bench, "k", "value");
    near_cache_set_size(bench->cache, SIZE);
    expect(bench, "k", "value");
    near_cache_set_size(bench->cache, 0);
    assert_false(near_cache_is_open(bench->cache));
    assert_int_equal(counted(bench, COUNTER_CACHE_ITEMS), 0);
    store(bench, "k", "value"); /* of a read that was under way */
    near_cache_set_size(bench->cache, SIZE * 2);
    expect_none(bench, "k");
    store(bench, "k", "value");
    expect(bench, "k", "value");
}

static size_t make_value(char *value, unsigned key, unsigned version)
{
    size_t size = (key * 37u + version * 101u) % 700u;
    memset(value, (int)('a' + (key + version) % 26), size);
    return size;
}

/* Far more than fits, again and again: what answers is right, and what was stored last is there. */
static void test_oldest_gives_way(void **state)
{
    struct bench *bench = *state;
    static unsigned versions[5000];
    uint64_t random = 88172645463325252u, hits = 0;
    char key[16], value[1024];
    for (int i = 0; i < 200000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        unsigned number = (unsigned)(random >> 20) % 5000;
        struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "key%u", number));
        const struct near_entry *entry = find(bench, name);
        if (entry) {
            size_t size = make_value(value, number, versions[number]);
            assert_true(span_equal(near_entry_value(entry), span_of(value, size)));
            hits++;
        } else {
            versions[number]++;
            store_until(bench, name, span_of(value, make_value(value, number, versions[number])), EXPIRY_NEVER);
            assert_non_null(find(bench, name));
        }
        if (random % 8 == 0) version_advance(&bench->versions, hash_key(name));
        assert_true(counted(bench, COUNTER_CACHE_BYTES) <= SIZE);
    }
    assert_true(hits > 10000);
    assert_true(counted(bench, COUNTER_CACHE_EVICTIONS) > 10000);
    assert_true(counted(bench, COUNTER_CACHE_ITEMS) > 300);
}

/* Many small items: the index is full before the log is. */
static void test_index_gives_way(void **state)
{
    struct bench *bench = *state;
    char key[16];
    for (int i = 0; i < 20000; i++) {
        struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "%d", i));
        store_until(bench, name, name, EXPIRY_NEVER);
        const struct near_entry *entry = find(bench, name);
        assert_non_null(entry);
        assert_true(span_equal(near_entry_value(entry), name));
    }
    assert_true(counted(bench, COUNTER_CACHE_EVICTIONS) > 10000);
    assert_true(counted(bench, COUNTER_CACHE_ITEMS) > 1000);
}

static void note_alone(struct bench *bench, unsigned reads, unsigned answered)
{
    for (unsigned i = 0; i < reads; i++) near_cache_note_alone(bench->cache, i < answered);
}

static void test_looking_up_lone_reads_pays_where_half_are_answered(void **state)
{
    struct bench *bench = *state;
    note_alone(bench, TRIAL_READS, 0); /* they fill it */
    assert_true(near_cache_pays_alone(bench->cache));
    for (int i = 0; i < 3; i++) note_alone(bench, TRIAL_READS, TRIAL_READS / 2);
    note_alone(bench, TRIAL_READS - 1, 0);
    assert_true(near_cache_pays_alone(bench->cache));
    note_alone(bench, 1, 1);
    assert_false(near_cache_pays_alone(bench->cache));
}

static void test_looking_up_lone_reads_is_tried_again(void **state)
{
    struct bench *bench = *state;
    note_alone(bench, TRIAL_READS, 0);
    for (int i = 0; i < 3; i++) {
        note_alone(bench, TRIAL_READS, TRIAL_READS / 2 - 1);
        assert_false(near_cache_pays_alone(bench->cache));
        set_time(bench, TRIAL_INTERVAL_MS - 1);
        assert_false(near_cache_pays_alone(bench->cache));
        set_time(bench, 1);
        assert_true(near_cache_pays_alone(bench->cache));
        note_alone(bench, TRIAL_READS, 0); /* they fill it */
        assert_true(near_cache_pays_alone(bench->cache));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_what_was_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_is_asked_by_key_and_not_by_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_change_of_the_key_ends_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_that_comes_late_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_change_of_all_ends_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_nothing_while_it_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lives_as_long_as_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_those_made_together_do_not_end_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends_before_the_item_expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replaces_what_is_of_another_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_values_are_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wants_all_while_there_is_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wants_what_is_asked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_size_can_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_oldest_gives_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_index_gives_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_looking_up_lone_reads_pays_where_half_are_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_looking_up_lone_reads_is_tried_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
