#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "item/ledger.h"

/* A table as its owner keeps it: grown as ledger_place asks for it. */
static void put(struct buffer *table, uint64_t hash, uint32_t flags, uint32_t marks)
{
    size_t offset;
    struct span content = buffer_content(table);
    if (!ledger_is_valid(content) || !ledger_place(content, hash, &offset)) {
        struct buffer rebuilt;
        buffer_init(&rebuilt);
        ledger_rebuild(content, &rebuilt);
        buffer_deinit(table);
        *table = rebuilt;
        assert_true(ledger_place(buffer_content(table), hash, &offset));
    }
    assert_true(offset % LEDGER_RECORD_SIZE == 0 && offset + LEDGER_RECORD_SIZE <= buffer_size(table));
    struct ledger_record record = {hash, flags, marks};
    ledger_encode(&record, table->data + table->begin + offset);
}

static void expect(const struct buffer *table, uint64_t hash, uint32_t flags, uint32_t marks)
{
    struct ledger_record record = {1, 2, 3};
    bool is_found = ledger_find(buffer_content(table), hash, &record);
    assert_int_equal(is_found, flags != 0 || marks != 0);
    assert_int_equal(record.flags, flags);
    assert_int_equal(record.marks, marks);
    if (!is_found) assert_int_equal(record.hash, 0);
}

/* As it lies in databases: this never changes. */
static void test_format(void **state)
{
    (void)state;
    char bytes[LEDGER_RECORD_SIZE];
    ledger_encode(&(struct ledger_record){0x0102030405060708, 0x11121314, 0x21222324}, bytes);
    assert_memory_equal(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01\x14\x13\x12\x11\x24\x23\x22\x21", sizeof bytes);
    ledger_encode(&(struct ledger_record){0, 5, 0}, bytes); /* 0 would say that nothing is here */
    assert_memory_equal(bytes, "\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0", sizeof bytes);
}

static void test_validity(void **state)
{
    (void)state;
    static const char bytes[LEDGER_RECORD_SIZE * 64] = {0};
    for (size_t size = 0; size <= sizeof bytes; size++) {
        size_t records = size / LEDGER_RECORD_SIZE;
        bool is_power = records == 1 || records == 2 || records == 4 || records == 8 || records == 16 || records == 32 ||
                        records == 64;
        assert_int_equal(ledger_is_valid(span_of(bytes, size)), is_power && size % LEDGER_RECORD_SIZE == 0);
    }
}

static void test_rebuild_of_nothing(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    ledger_rebuild(SPAN(""), &table);
    assert_true(ledger_is_valid(buffer_content(&table)));
    expect(&table, 5, 0, 0);
    buffer_reset(&table, 0);
    ledger_rebuild(SPAN("this is no table"
                        "at all"),
                   &table);
    assert_true(ledger_is_valid(buffer_content(&table)));
    for (size_t i = 0; i < buffer_size(&table); i++) assert_int_equal(buffer_content(&table).data[i], 0);
    buffer_deinit(&table);
}

static void test_put_and_clear(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    put(&table, 5, 7, 0);
    put(&table, 6, 0, LEDGER_STALE);
    expect(&table, 5, 7, 0);
    expect(&table, 6, 0, LEDGER_STALE);
    expect(&table, 7, 0, 0);
    put(&table, 5, 8, LEDGER_LOST);
    expect(&table, 5, 8, LEDGER_LOST);
    put(&table, 5, 0, 0);
    expect(&table, 5, 0, 0);
    expect(&table, 6, 0, LEDGER_STALE);
    buffer_deinit(&table);
}

static void test_hash_zero(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    put(&table, 0, 7, 0);
    struct ledger_record record;
    assert_true(ledger_find(buffer_content(&table), 0, &record));
    assert_int_equal(record.flags, 7);
    buffer_deinit(&table);
}

/* A stranger's record without a hash is none. */
static void test_record_without_a_hash(void **state)
{
    (void)state;
    char bytes[LEDGER_RECORD_SIZE] = {0};
    struct span table = span_of(bytes, sizeof bytes);
    struct buffer rebuilt;
    size_t offset;
    bytes[8] = 7;
    buffer_init(&rebuilt);
    assert_true(ledger_place(table, 5, &offset));
    assert_int_equal(offset, 0);
    ledger_rebuild(table, &rebuilt);
    for (size_t i = 0; i < buffer_size(&rebuilt); i++) assert_int_equal(buffer_content(&rebuilt).data[i], 0);
    buffer_deinit(&rebuilt);
}

/* A search goes on behind a record that was freed, and its place is used again. */
static void test_freed_records(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    ledger_rebuild(SPAN(""), &table); /* four records */
    put(&table, 0x10, 1, 0);
    put(&table, 0x20, 2, 0); /* the same place: behind it */
    put(&table, 0x10, 0, 0);
    expect(&table, 0x20, 2, 0);
    size_t offset;
    assert_true(ledger_place(buffer_content(&table), 0x20, &offset));
    assert_int_equal(offset, LEDGER_RECORD_SIZE); /* no second record of one hash */
    assert_true(ledger_place(buffer_content(&table), 0x30, &offset));
    assert_int_equal(offset, 0);
    buffer_deinit(&table);
}

/* Filled to the last record, with what is used and with what was freed. */
static void test_full_table(void **state)
{
    (void)state;
    char bytes[LEDGER_RECORD_SIZE * 4];
    for (uint64_t i = 0; i < 4; i++) ledger_encode(&(struct ledger_record){i + 4, 1, 0}, bytes + i * LEDGER_RECORD_SIZE);
    struct span table = span_of(bytes, sizeof bytes);
    size_t offset = 99;
    struct ledger_record record;
    assert_false(ledger_find(table, 100, &record));
    assert_false(ledger_place(table, 100, &offset));
    assert_int_equal(offset, 99);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(ledger_find(table, i + 4, &record));
        assert_true(ledger_place(table, i + 4, &offset));
        assert_int_equal(offset, i * LEDGER_RECORD_SIZE);
    }
    ledger_encode(&(struct ledger_record){6, 0, 0}, bytes + 2 * LEDGER_RECORD_SIZE);
    assert_false(ledger_find(table, 100, &record));
    assert_true(ledger_place(table, 100, &offset));
    assert_int_equal(offset, 2 * LEDGER_RECORD_SIZE);
}

static void test_colliding_hashes(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    for (uint64_t i = 1; i <= 200; i++) put(&table, i << 32, (uint32_t)i, 0);
    for (uint64_t i = 1; i <= 200; i++) expect(&table, i << 32, (uint32_t)i, 0);
    for (uint64_t i = 1; i <= 200; i += 2) put(&table, i << 32, 0, 0);
    for (uint64_t i = 1; i <= 200; i++) expect(&table, i << 32, i % 2 ? 0 : (uint32_t)i, 0);
    buffer_deinit(&table);
}

/* Searches wrap around the end of the table. */
static void test_around_the_end(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    ledger_rebuild(SPAN(""), &table);
    put(&table, 0x13, 1, 0);
    put(&table, 0x23, 2, 0);
    expect(&table, 0x13, 1, 0);
    expect(&table, 0x23, 2, 0);
    size_t offset;
    assert_true(ledger_place(buffer_content(&table), 0x23, &offset));
    assert_int_equal(offset, 0);
    buffer_deinit(&table);
}

/* Keys that come and go do not make the table grow. */
static void test_churn_does_not_grow(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    for (uint64_t i = 1; i < 20000; i++) {
        put(&table, i * 0x9e3779b97f4a7c15u, 1, 0);
        if (i > 10) put(&table, (i - 10) * 0x9e3779b97f4a7c15u, 0, 0);
    }
    assert_true(buffer_size(&table) <= 64 * LEDGER_RECORD_SIZE);
    for (uint64_t i = 19991; i < 20000; i++) expect(&table, i * 0x9e3779b97f4a7c15u, 1, 0);
    buffer_deinit(&table);
}

static void test_clean_rebuild(void **state)
{
    (void)state;
    struct buffer table, clean;
    buffer_init(&table);
    buffer_init(&clean);
    put(&table, LEDGER_POISON, 0, LEDGER_LOST);
    put(&table, 5, 0, LEDGER_KNOWN);
    put(&table, 6, 6, LEDGER_KNOWN | LEDGER_STALE);
    put(&table, 7, 0, LEDGER_LOST);
    put(&table, 8, 8, 0);
    ledger_rebuild_clean(buffer_content(&table), &clean);
    assert_true(ledger_is_valid(buffer_content(&clean)));
    expect(&clean, LEDGER_POISON, 0, 0);
    expect(&clean, 5, 0, 0);
    expect(&clean, 6, 6, LEDGER_STALE);
    expect(&clean, 7, 0, LEDGER_LOST);
    expect(&clean, 8, 8, 0);
    buffer_deinit(&clean);
    buffer_deinit(&table);
}

#define KEYS 500

/* Random changes against a plain array; hashes are few and close, so that they collide. */
static void test_random(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 20; round++) {
        uint32_t flags[KEYS] = {0};
        unsigned shift = (unsigned)rand() % 8;
        struct buffer table;
        buffer_init(&table);
        ledger_rebuild(SPAN(""), &table);
        for (int i = 0; i < 3000; i++) {
            unsigned key = (unsigned)rand() % KEYS;
            flags[key] = rand() % 2 ? 0 : (uint32_t)rand();
            put(&table, (uint64_t)(key + 1) << shift, flags[key], 0);
            key = (unsigned)rand() % KEYS;
            expect(&table, (uint64_t)(key + 1) << shift, flags[key], 0);
        }
        for (unsigned key = 0; key < KEYS; key++) expect(&table, (uint64_t)(key + 1) << shift, flags[key], 0);
        buffer_deinit(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),           cmocka_unit_test(test_validity),
        cmocka_unit_test(test_rebuild_of_nothing), cmocka_unit_test(test_put_and_clear),
        cmocka_unit_test(test_hash_zero),        cmocka_unit_test(test_freed_records),
        cmocka_unit_test(test_full_table),       cmocka_unit_test(test_colliding_hashes),
        cmocka_unit_test(test_around_the_end),   cmocka_unit_test(test_churn_does_not_grow),
        cmocka_unit_test(test_record_without_a_hash),
        cmocka_unit_test(test_clean_rebuild),    cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
