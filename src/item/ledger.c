#include "item/ledger.h"

#include <endian.h>

/* Searches longer than this ask whether the table is too full. */
#define SEARCH_LONG 32
#define RECORDS_LEAST 4

static size_t record_count(struct span table)
{
    return table.size / LEDGER_RECORD_SIZE;
}

/* A stored hash is never 0, which marks a record that was never used. */
static uint64_t stored_hash(uint64_t hash)
{
    return hash ? hash : 1;
}

static struct ledger_record record_at(struct span table, size_t index)
{
    struct ledger_record record;
    memcpy(&record, table.data + index * LEDGER_RECORD_SIZE, sizeof record);
    record.hash = le64toh(record.hash);
    record.flags = le32toh(record.flags);
    record.marks = le32toh(record.marks);
    return record;
}

static bool record_is_free(const struct ledger_record *record)
{
    return record->hash == 0 || (record->flags == 0 && record->marks == 0);
}

bool ledger_is_valid(struct span table)
{
    size_t records = record_count(table);
    return records > 0 && table.size % LEDGER_RECORD_SIZE == 0 && (records & (records - 1)) == 0;
}

bool ledger_find(struct span table, uint64_t hash, struct ledger_record *record)
{
    size_t records = record_count(table);
    uint64_t wanted = stored_hash(hash);
    for (size_t step = 0; step < records; step++) {
        *record = record_at(table, (wanted + step) & (records - 1));
        if (record->hash == wanted && !record_is_free(record)) return true;
        if (record->hash == wanted || record->hash == 0) break;
    }
    *record = (struct ledger_record){0};
    return false;
}

bool ledger_is_blank(struct span table)
{
    for (size_t i = 0; i < record_count(table); i++) {
        struct ledger_record record = record_at(table, i);
        if (!record_is_free(&record)) return false;
    }
    return true;
}

/* More than three quarters of the records have been used at some time. */
static bool is_crowded(struct span table)
{
    size_t records = record_count(table);
    size_t used = 0;
    for (size_t i = 0; i < records; i++) used += record_at(table, i).hash != 0;
    return used * 4 > records * 3;
}

bool ledger_place(struct span table, uint64_t hash, size_t *offset)
{
    size_t records = record_count(table);
    uint64_t wanted = stored_hash(hash);
    size_t place = records; /* the first record that may be reused */
    size_t step = 0;
    for (; step < records; step++) {
        size_t index = (wanted + step) & (records - 1);
        struct ledger_record record = record_at(table, index);
        if (record.hash == wanted) {
            *offset = index * LEDGER_RECORD_SIZE;
            return true;
        }
        if (place == records && record_is_free(&record)) place = index;
        if (record.hash == 0) break;
    }
    if (place == records || (step > SEARCH_LONG && is_crowded(table))) return false;
    *offset = place * LEDGER_RECORD_SIZE;
    return true;
}

void ledger_encode(const struct ledger_record *record, char bytes[LEDGER_RECORD_SIZE])
{
    struct ledger_record encoded = {
        .hash = htole64(stored_hash(record->hash)),
        .flags = htole32(record->flags),
        .marks = htole32(record->marks),
    };
    memcpy(bytes, &encoded, sizeof encoded);
}

/* Puts a record into a table that is known to have room. */
static void insert(char *table, size_t records, const struct ledger_record *record)
{
    size_t index = record->hash & (records - 1);
    while (record_at(span_of(table, records * LEDGER_RECORD_SIZE), index).hash != 0) index = (index + 1) & (records - 1);
    ledger_encode(record, table + index * LEDGER_RECORD_SIZE);
}

/* What becomes of a record in a rebuilt table. */
typedef struct ledger_record carry_record(struct ledger_record record);

static struct ledger_record carry_as_it_is(struct ledger_record record)
{
    return record;
}

static struct ledger_record carry_clean(struct ledger_record record)
{
    record.marks &= ~(uint32_t)LEDGER_KNOWN;
    if (record.hash == LEDGER_POISON) record.marks = 0;
    return record;
}

static struct ledger_record carry_lost(struct ledger_record record)
{
    bool says_something = record.flags != 0 || (record.marks & ~(uint32_t)LEDGER_KNOWN) != 0;
    if (says_something) record.marks = LEDGER_LOST;
    record.flags = 0;
    return record;
}

static size_t count_carried(struct span table, carry_record *carry)
{
    size_t count = 0;
    for (size_t i = 0; i < record_count(table); i++) {
        struct ledger_record record = carry(record_at(table, i));
        count += !record_is_free(&record);
    }
    return count;
}

static void rebuild(struct span table, carry_record *carry, struct buffer *output)
{
    if (!ledger_is_valid(table)) table.size = 0;
    size_t wanted = count_carried(table, carry) * 2 + 1;
    size_t records = RECORDS_LEAST;
    while (records < wanted) records *= 2;

    buffer_reserve(output, records * LEDGER_RECORD_SIZE);
    char *rebuilt = output->data + output->end;
    memset(rebuilt, 0, records * LEDGER_RECORD_SIZE);
    for (size_t i = 0; i < record_count(table); i++) {
        struct ledger_record record = carry(record_at(table, i));
        if (!record_is_free(&record)) insert(rebuilt, records, &record);
    }
    output->end += records * LEDGER_RECORD_SIZE;
}

void ledger_rebuild(struct span table, struct buffer *output)
{
    rebuild(table, carry_as_it_is, output);
}

void ledger_rebuild_clean(struct span table, struct buffer *output)
{
    rebuild(table, carry_clean, output);
}

void ledger_rebuild_lost(struct span table, struct buffer *output)
{
    rebuild(table, carry_lost, output);
}
