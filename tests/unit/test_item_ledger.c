#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "item/ledger.h"

#define SIZE LEDGER_RECORD_SIZE
#define SIZE_LEAST (4 * SIZE)
/* A hash whose home is the first, second … of four quarters of a table, and the next ones. */
#define QUARTER(n) ((uint64_t)(n) << 62)
#define NEXT ((uint64_t)16)

static void replace(struct buffer *table, struct buffer *rebuilt)
{
    buffer_deinit(table);
    *table = *rebuilt;
}

/* What is behind the end goes to the beginning. */
static void apply(struct buffer *table, const struct ledger_patch *patch)
{
    size_t size = buffer_size(table);
    if (patch->size == 0) return; /* nor has it an offset */
    assert_true(patch->offset % SIZE == 0 && patch->size % SIZE == 0 && patch->size < size && patch->offset < size);
    for (size_t i = 0; i < patch->size; i++) table->data[table->begin + (patch->offset + i) % size] = patch->bytes[i];
}

/* A table as its owner keeps it: rebuilt as ledger_put asks for it. */
static void put(struct buffer *table, uint64_t hash, uint32_t flags, uint32_t marks)
{
    struct ledger_record record = {hash, flags, marks};
    struct ledger_patch patch;
    struct span content = buffer_content(table);
    if (ledger_is_valid(content) && ledger_put(content, &record, &patch)) {
        apply(table, &patch);
        return;
    }
    struct buffer rebuilt;
    buffer_init(&rebuilt);
    ledger_rebuild(content, &record, &rebuilt);
    replace(table, &rebuilt);
    assert_true(ledger_is_valid(buffer_content(table)));
}

static void expect(const struct buffer *table, uint64_t hash, uint32_t flags, uint32_t marks)
{
    struct ledger_record record = {1, 2, 3};
    bool is_found = ledger_find(buffer_content(table), hash, &record);
    assert_int_equal(is_found, flags != 0 || marks != 0);
    assert_int_equal(record.flags, flags);
    assert_int_equal(record.marks, marks);
    assert_true(record.hash == (is_found ? hash : 0));
}

static void make(struct buffer *table)
{
    buffer_init(table);
    ledger_rebuild(SPAN(""), &(struct ledger_record){0}, table);
}

static uint64_t hash_at(const struct buffer *table, size_t index)
{
    uint64_t hash;
    memcpy(&hash, buffer_content(table).data + index * SIZE, sizeof hash);
    return hash;
}

/* As it lies in databases: this never changes. */
static void test_format(void **state)
{
    (void)state;
    struct buffer table;
    make(&table);
    put(&table, 0x5102030405060708, 0x11121314, LEDGER_STALE | LEDGER_LOST);
    assert_int_equal(buffer_size(&table), SIZE_LEAST);
    assert_memory_equal(buffer_content(&table).data + SIZE, "\x09\x07\x06\x05\x04\x03\x02\x51\x14\x13\x12\x11", SIZE);
    buffer_deinit(&table);
    ledger_build_poisoned(&table);
    assert_int_equal(buffer_size(&table), SIZE_LEAST);
    assert_memory_equal(buffer_content(&table).data + 3 * SIZE, "\xf8\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", SIZE);
    assert_true(ledger_is_poisoned(buffer_content(&table)));
    buffer_deinit(&table);
}

/* With the ten bytes that a string takes besides, they fit what is allocated. */
static void test_validity(void **state)
{
    (void)state;
    static const size_t counts[] = {4, 5, 7, 8, 9, 12, 15, 17, 20, 25, 31, 36, 41, 52, 63, 73, 84, 105};
    static const char bytes[SIZE * 105] = {0};
    size_t next = 0;
    for (size_t size = 0; size <= sizeof bytes; size++) {
        bool is_one = size == counts[next] * SIZE;
        assert_int_equal(ledger_is_valid(span_of(bytes, size)), is_one);
        next += is_one;
    }
}

static void test_rebuild_of_nothing(void **state)
{
    (void)state;
    struct buffer table;
    make(&table);
    assert_int_equal(buffer_size(&table), SIZE_LEAST);
    expect(&table, 5, 0, 0);
    buffer_reset(&table, 0);
    ledger_rebuild(SPAN("this is no table at all, but for its bytes"), &(struct ledger_record){0}, &table);
    assert_int_equal(buffer_size(&table), SIZE_LEAST);
    for (size_t i = 0; i < buffer_size(&table); i++) assert_int_equal(buffer_content(&table).data[i], 0);
    assert_true(ledger_is_blank(buffer_content(&table)));
    assert_false(ledger_is_poisoned(buffer_content(&table)));
    buffer_deinit(&table);
}

static void test_put_and_clear(void **state)
{
    (void)state;
    struct buffer table;
    make(&table);
    put(&table, 0x50, 7, 0);
    put(&table, 0x60, 0, LEDGER_STALE);
    expect(&table, 0x50, 7, 0);
    expect(&table, 0x60, 0, LEDGER_STALE);
    expect(&table, 0x70, 0, 0);
    put(&table, 0x50, 8, LEDGER_LOST);
    expect(&table, 0x50, 8, LEDGER_LOST);
    put(&table, 0x50, 0, 0);
    expect(&table, 0x50, 0, 0);
    expect(&table, 0x60, 0, LEDGER_STALE);
    put(&table, 0x60, 0, 0);
    assert_true(ledger_is_blank(buffer_content(&table)));
    buffer_deinit(&table);
}

/* What is as it should be is not written. */
static void test_no_change(void **state)
{
    (void)state;
    struct buffer table;
    struct ledger_patch patch;
    make(&table);
    put(&table, 0x50, 7, LEDGER_WON);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){0x50, 7, LEDGER_WON}, &patch));
    assert_int_equal(patch.size, 0);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){0x60, 0, 0}, &patch));
    assert_int_equal(patch.size, 0);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){0x50, 7, 0}, &patch));
    assert_int_equal(patch.size, SIZE);
    buffer_deinit(&table);
}

/* The hashes that say that nothing is there, and that the slot is poisoned, are no key's. */
static void test_reserved_hashes(void **state)
{
    (void)state;
    struct buffer table;
    make(&table);
    for (uint64_t low = 0; low < 16; low++) {
        put(&table, low, 7, 0);
        expect(&table, low, 7, 0);
        put(&table, UINT64_MAX - low, 8, LEDGER_LOST);
        expect(&table, UINT64_MAX - low, 8, LEDGER_LOST);
        assert_false(ledger_is_poisoned(buffer_content(&table)));
    }
    buffer_deinit(&table);
    ledger_build_poisoned(&table);
    expect(&table, UINT64_MAX, 0, 0);
    put(&table, UINT64_MAX, 7, 0);
    put(&table, UINT64_MAX, 0, 0);
    assert_true(ledger_is_poisoned(buffer_content(&table)));
    buffer_deinit(&table);
}

/* A stranger's record without a hash is none. */
static void test_record_without_a_hash(void **state)
{
    (void)state;
    char bytes[SIZE_LEAST] = {0};
    struct span table = span_of(bytes, sizeof bytes);
    struct buffer rebuilt;
    struct ledger_patch patch;
    bytes[0] = LEDGER_LOST;
    bytes[8] = 7;
    buffer_init(&rebuilt);
    assert_true(ledger_is_blank(table));
    assert_true(ledger_put(table, &(struct ledger_record){0x50, 1, 0}, &patch));
    assert_true(patch.offset == 0 && patch.size == SIZE);
    ledger_rebuild(table, &(struct ledger_record){0}, &rebuilt);
    for (size_t i = 0; i < buffer_size(&rebuilt); i++) assert_int_equal(buffer_content(&rebuilt).data[i], 0);
    buffer_deinit(&rebuilt);
}

/* Whatever the order in which they came, records lie in that of their hashes. */
static void test_order(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    for (uint64_t i = 1; i <= 20; i++) put(&table, (i * 7 % 20 + 1) << 40, (uint32_t)i, 0);
    size_t used = 0;
    for (size_t i = 0; i < buffer_size(&table) / SIZE; i++) {
        if (hash_at(&table, i) == 0) continue;
        used++;
        assert_true(hash_at(&table, i) == used << 40);
    }
    assert_int_equal(used, 20);
    buffer_deinit(&table);
}

/* A search goes on behind a record that was cleared, and its place is used again. */
static void test_cleared_records(void **state)
{
    (void)state;
    struct buffer table;
    make(&table);
    put(&table, 0x10, 1, 0);
    put(&table, 0x20, 2, 0); /* the same home: behind it */
    put(&table, 0x10, 0, 0);
    expect(&table, 0x20, 2, 0);
    assert_true(hash_at(&table, 0) == 0x10);
    put(&table, 0x18 + 0x3, 3, 0); /* the same hash but for the bits that are not kept */
    expect(&table, 0x10, 3, 0);
    put(&table, 0x10, 0, 0);
    put(&table, 0x40, 4, 0); /* too far from home behind the other: so all are put anew */
    expect(&table, 0x20, 2, 0);
    expect(&table, 0x40, 4, 0);
    expect(&table, 0x10, 0, 0);
    buffer_deinit(&table);
}

/* A cleared record right before a new one's place is taken; nothing need move. */
static void test_cleared_record_is_taken(void **state)
{
    (void)state;
    struct buffer table;
    struct ledger_patch patch;
    buffer_init(&table);
    for (uint64_t i = 1; i <= 12; i++) put(&table, i << 8, 1, 0); /* all of the same home */
    put(&table, 5 << 8, 0, 0);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){(5 << 8) + NEXT, 2, 0}, &patch));
    assert_true(patch.offset == 4 * SIZE && patch.size == SIZE);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){(2 << 8) + NEXT, 2, 0}, &patch));
    assert_true(patch.offset == 2 * SIZE && patch.size == 3 * SIZE); /* two move, as far as the one that was cleared */
    buffer_deinit(&table);
}

/* The last record of a run is as if it had never been there. */
static void test_cleared_at_the_end(void **state)
{
    (void)state;
    struct buffer table;
    make(&table);
    put(&table, 0x10, 1, 0);
    put(&table, 0x20, 2, 0);
    put(&table, 0x20, 0, 0);
    assert_true(hash_at(&table, 1) == 0);
    put(&table, 0x10, 0, 0);
    assert_true(hash_at(&table, 0) == 0);
    buffer_deinit(&table);
}

/* Full to the last record. */
static void test_full_table(void **state)
{
    (void)state;
    struct buffer table;
    struct ledger_patch patch;
    make(&table);
    for (uint64_t i = 0; i < 4; i++) put(&table, QUARTER(i) + NEXT, 1, 0);
    assert_int_equal(buffer_size(&table), SIZE_LEAST);
    expect(&table, QUARTER(1) + 2 * NEXT, 0, 0);
    expect(&table, QUARTER(3) + 2 * NEXT, 0, 0);
    assert_false(ledger_put(buffer_content(&table), &(struct ledger_record){QUARTER(1), 1, 0}, &patch));
    for (uint64_t i = 0; i < 4; i++) {
        expect(&table, QUARTER(i) + NEXT, 1, 0);
        assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){QUARTER(i) + NEXT, 2, 0}, &patch));
        assert_true(patch.offset == i * SIZE && patch.size == SIZE);
    }
    put(&table, QUARTER(2) + NEXT, 0, 0);
    expect(&table, QUARTER(1) + 2 * NEXT, 0, 0);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){QUARTER(1) + 2 * NEXT, 1, 0}, &patch));
    assert_true(patch.offset == 2 * SIZE && patch.size == SIZE);
    buffer_deinit(&table);
}

/* Hashes that share a home get the room that they need. */
static void test_colliding_hashes(void **state)
{
    (void)state;
    struct buffer table;
    buffer_init(&table);
    for (uint64_t i = 1; i <= 200; i++) put(&table, i * NEXT, (uint32_t)i, 0);
    for (uint64_t i = 1; i <= 200; i++) expect(&table, i * NEXT, (uint32_t)i, 0);
    for (uint64_t i = 1; i <= 200; i += 2) put(&table, i * NEXT, 0, 0);
    for (uint64_t i = 1; i <= 200; i++) expect(&table, i * NEXT, i % 2 ? 0 : (uint32_t)i, 0);
    assert_true(buffer_size(&table) <= 600 * SIZE);
    buffer_deinit(&table);
}

/* Searches, and records that make room, go around the end of the table. */
static void test_around_the_end(void **state)
{
    (void)state;
    struct buffer table;
    struct ledger_patch patch;
    static const char none[15 * SIZE] = {0};
    size_t size = sizeof none;
    buffer_init(&table);
    buffer_append(&table, span_of(none, size));
    for (uint64_t i = 1; i <= 3; i++) put(&table, i * NEXT, 1, 0);
    put(&table, UINT64_MAX - 100 * NEXT, 2, 0);
    put(&table, UINT64_MAX - 50 * NEXT, 3, 0);
    assert_int_equal(buffer_size(&table), size);
    assert_true(hash_at(&table, 0) == ((UINT64_MAX - 50 * NEXT) & ~(uint64_t)15) && hash_at(&table, 1) == NEXT);
    assert_true(ledger_put(buffer_content(&table), &(struct ledger_record){UINT64_MAX - 200 * NEXT, 4, 0}, &patch));
    assert_true(patch.offset == size - SIZE && patch.size == 6 * SIZE);
    put(&table, UINT64_MAX - 200 * NEXT, 4, 0);
    for (uint64_t i = 1; i <= 3; i++) expect(&table, i * NEXT, 1, 0);
    expect(&table, UINT64_MAX - 200 * NEXT, 4, 0);
    expect(&table, UINT64_MAX - 100 * NEXT, 2, 0);
    expect(&table, UINT64_MAX - 50 * NEXT, 3, 0);
    expect(&table, UINT64_MAX - 10 * NEXT, 0, 0);
    expect(&table, 4 * NEXT, 0, 0);
    put(&table, UINT64_MAX - 100 * NEXT, 0, 0);
    expect(&table, UINT64_MAX - 50 * NEXT, 3, 0);
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
    assert_true(buffer_size(&table) <= 31 * SIZE);
    for (uint64_t i = 19991; i < 20000; i++) expect(&table, i * 0x9e3779b97f4a7c15u, 1, 0);
    buffer_deinit(&table);
}

/* What a flag takes, in a table that grows. */
static void test_memory(void **state)
{
    (void)state;
    struct buffer table;
    size_t flags = 0, bytes = 0;
    buffer_init(&table);
    for (uint64_t i = 1; i <= 3000; i++) {
        put(&table, i * 0x9e3779b97f4a7c15u, 1, 0);
        flags += i;
        bytes += buffer_size(&table);
    }
    assert_true(bytes < flags * 18);
    buffer_deinit(&table);
}

static void put_all_kinds(struct buffer *table)
{
    buffer_init(table);
    ledger_build_poisoned(table);
    put(table, 0x50, 0, LEDGER_KNOWN);
    put(table, 0x60, 6, LEDGER_KNOWN | LEDGER_STALE);
    put(table, 0x70, 0, LEDGER_LOST);
    put(table, 0x80, 8, 0);
    put(table, 0x90, 9, 0);
    put(table, 0x90, 0, 0);
    assert_true(ledger_is_poisoned(buffer_content(table)));
}

static void test_clean_rebuild(void **state)
{
    (void)state;
    struct buffer table, clean;
    put_all_kinds(&table);
    buffer_init(&clean);
    ledger_rebuild_clean(buffer_content(&table), &clean);
    assert_true(ledger_is_valid(buffer_content(&clean)));
    assert_false(ledger_is_poisoned(buffer_content(&clean)));
    expect(&clean, 0x50, 0, 0);
    expect(&clean, 0x60, 6, LEDGER_STALE);
    expect(&clean, 0x70, 0, LEDGER_LOST);
    expect(&clean, 0x80, 8, 0);
    expect(&clean, 0x90, 0, 0);
    buffer_deinit(&clean);
    buffer_deinit(&table);
}

static void test_lost_rebuild(void **state)
{
    (void)state;
    struct buffer table, lost;
    put_all_kinds(&table);
    buffer_init(&lost);
    ledger_rebuild_lost(buffer_content(&table), &lost);
    assert_true(ledger_is_valid(buffer_content(&lost)));
    assert_true(ledger_is_poisoned(buffer_content(&lost)));
    expect(&lost, 0x50, 0, 0);
    for (uint64_t hash = 0x60; hash <= 0x80; hash += NEXT) expect(&lost, hash, 0, LEDGER_LOST);
    expect(&lost, 0x90, 0, 0);
    buffer_deinit(&lost);
    buffer_deinit(&table);
}

#define KEYS 500

static uint64_t random_hash(unsigned key, unsigned shift)
{
    return shift < 60 ? (uint64_t)(key + 1) << shift : (key + 1) * 0x9e3779b97f4a7c15u;
}

/* Random changes against a plain array; hashes are few and close, so that they collide, or spread over all. */
static void test_random(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 40; round++) {
        uint32_t flags[KEYS] = {0};
        unsigned shift = 4 + (unsigned)rand() % 64, keys = 1 + (unsigned)rand() % KEYS, clears = 2 + (unsigned)rand() % 4;
        if (shift > 54) shift = 60;
        struct buffer table;
        buffer_init(&table);
        for (int i = 0; i < 3000; i++) {
            unsigned key = (unsigned)rand() % keys;
            flags[key] = (unsigned)rand() % clears == 0 ? 0 : (uint32_t)rand();
            put(&table, random_hash(key, shift), flags[key], 0);
            key = (unsigned)rand() % keys;
            expect(&table, random_hash(key, shift), flags[key], 0);
        }
        for (unsigned key = 0; key < keys; key++) expect(&table, random_hash(key, shift), flags[key], 0);
        buffer_deinit(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_rebuild_of_nothing),
        cmocka_unit_test(test_put_and_clear),
        cmocka_unit_test(test_no_change),
        cmocka_unit_test(test_reserved_hashes),
        cmocka_unit_test(test_record_without_a_hash),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_cleared_records),
        cmocka_unit_test(test_cleared_record_is_taken),
        cmocka_unit_test(test_cleared_at_the_end),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_colliding_hashes),
        cmocka_unit_test(test_around_the_end),
        cmocka_unit_test(test_churn_does_not_grow),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_clean_rebuild),
        cmocka_unit_test(test_lost_rebuild),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
