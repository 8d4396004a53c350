/* Any bytes as a ledger table: nothing crashes, finding and placing agree, and a rebuilt table says what the old one said. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "item/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(struct span table, uint64_t hash)
{
    struct ledger_record record, encoded;
    size_t offset;
    char bytes[LEDGER_RECORD_SIZE];
    bool is_found = ledger_find(table, hash, &record);
    CHECK(is_found == (record.flags != 0 || record.marks != 0));
    bool has_place = ledger_place(table, hash, &offset);
    if (!has_place) CHECK(!is_found);
    if (!has_place) return;
    CHECK(offset % LEDGER_RECORD_SIZE == 0 && offset + LEDGER_RECORD_SIZE <= table.size);
    ledger_encode(&(struct ledger_record){hash, record.flags, record.marks}, bytes);
    if (is_found) CHECK(memcmp(table.data + offset, bytes, sizeof bytes) == 0);

    /* What is put there is found there, and clearing it again leaves nothing. */
    char *changed = check_malloc(table.size);
    memcpy(changed, table.data, table.size);
    ledger_encode(&(struct ledger_record){hash, 77, LEDGER_STALE}, changed + offset);
    CHECK(ledger_find(span_of(changed, table.size), hash, &encoded));
    CHECK(encoded.flags == 77 && encoded.marks == LEDGER_STALE);
    ledger_encode(&(struct ledger_record){hash, 0, 0}, changed + offset);
    CHECK(!ledger_find(span_of(changed, table.size), hash, &encoded));
    free(changed);
}

/* A table that no stranger wrote has no hash twice and none that lies behind an unused record. */
static void check_rebuilt(struct span table, const struct buffer *rebuilt, uint64_t hash)
{
    struct ledger_record before = {0}, after;
    size_t offset;
    struct span content = buffer_content(rebuilt);
    CHECK(ledger_is_valid(content));
    CHECK(ledger_place(content, hash, &offset));
    bool was_found = ledger_is_valid(table) && ledger_find(table, hash, &before);
    bool is_found = ledger_find(content, hash, &after);
    if (was_found) CHECK(is_found);
}

/* A table without room for doubt is rebuilt exactly. */
static void check_rebuilt_again(const struct buffer *rebuilt, uint64_t hash)
{
    struct buffer again;
    struct ledger_record first, second;
    buffer_init(&again);
    ledger_rebuild(buffer_content(rebuilt), &again);
    bool in_first = ledger_find(buffer_content(rebuilt), hash, &first);
    bool in_second = ledger_find(buffer_content(&again), hash, &second);
    CHECK(in_first == in_second);
    buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t hash = 0;
    if (size < sizeof hash) return 0;
    memcpy(&hash, data, sizeof hash);
    struct span table = span_of(data + sizeof hash, size - sizeof hash);
    if (ledger_is_valid(table)) check_place(table, hash);

    struct buffer rebuilt, clean;
    buffer_init(&rebuilt);
    buffer_init(&clean);
    ledger_rebuild(table, &rebuilt);
    check_rebuilt(table, &rebuilt, hash);
    check_place(buffer_content(&rebuilt), hash);
    check_rebuilt_again(&rebuilt, hash);
    ledger_rebuild_clean(table, &clean);
    CHECK(ledger_is_valid(buffer_content(&clean)));
    buffer_deinit(&rebuilt);
    buffer_deinit(&clean);
    return 0;
}
