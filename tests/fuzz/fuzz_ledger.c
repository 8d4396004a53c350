/* Any bytes as a ledger table: nothing crashes, finding and putting agree, and a rebuilt table says what the old one said. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "item/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is behind the end goes to the beginning. */
static void apply(char *table, size_t size, const struct ledger_patch *patch)
{
    CHECK(patch->offset % LEDGER_RECORD_SIZE == 0 && patch->size % LEDGER_RECORD_SIZE == 0 && patch->size <= sizeof patch->bytes);
    CHECK(patch->size == 0 || (patch->offset < size && patch->size < size));
    for (size_t i = 0; i < patch->size; i++) table[(patch->offset + i) % size] = patch->bytes[i];
}

/* What is put is found, and clearing it again leaves nothing. */
static void check_put(struct span table, uint64_t hash)
{
    struct ledger_record record;
    struct ledger_patch patch;
    bool is_found = ledger_find(table, hash, &record);
    CHECK(is_found == (record.flags != 0 || record.marks != 0));
    bool has_place = ledger_put(table, &(struct ledger_record){hash, 77, LEDGER_STALE}, &patch);
    if (!has_place) CHECK(!is_found);
    if (!has_place) return;

    char *changed = check_malloc(table.size);
    struct span content = span_of(changed, table.size);
    memcpy(changed, table.data, table.size);
    apply(changed, table.size, &patch);
    CHECK(ledger_find(content, hash, &record));
    CHECK(record.flags == 77 && record.marks == LEDGER_STALE);
    CHECK(ledger_put(content, &(struct ledger_record){hash, 0, 0}, &patch));
    CHECK(patch.size == LEDGER_RECORD_SIZE);
    apply(changed, table.size, &patch);
    CHECK(!ledger_find(content, hash, &record));
    free(changed);
}

/* What is found in a table is found in the rebuilt one, which has room. */
static void check_rebuilt(struct span table, uint64_t hash, struct buffer *rebuilt)
{
    struct ledger_record before = {0}, after;
    ledger_rebuild(table, &(struct ledger_record){0}, rebuilt);
    struct span content = buffer_content(rebuilt);
    CHECK(ledger_is_valid(content));
    bool was_found = ledger_is_valid(table) && ledger_find(table, hash, &before);
    bool is_found = ledger_find(content, hash, &after);
    if (was_found) CHECK(is_found);
}

static uint64_t hash_at(struct span table, size_t offset)
{
    uint64_t hash;
    memcpy(&hash, table.data + offset, sizeof hash);
    return hash;
}

/* In a table that we have made, whatever says something is found, and so it stays when one more is put there. */
static void check_all_found(const struct buffer *made, uint64_t hash)
{
    struct span table = buffer_content(made);
    struct buffer again;
    struct ledger_record record, found;
    buffer_init(&again);
    ledger_rebuild(table, &(struct ledger_record){hash, 78, 0}, &again);
    CHECK(ledger_find(buffer_content(&again), hash, &found) && found.flags == 78);
    for (size_t offset = 0; offset < table.size; offset += LEDGER_RECORD_SIZE) {
        uint64_t other = hash_at(table, offset);
        if (other <= 15 || other >> 4 == UINT64_MAX >> 4 || other >> 4 == hash >> 4) continue;
        CHECK(ledger_find(table, other, &record));
        CHECK(ledger_find(buffer_content(&again), other, &found));
        CHECK(found.flags == record.flags && found.marks == record.marks);
    }
    buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t hash = 0;
    if (size < sizeof hash) return 0;
    memcpy(&hash, data, sizeof hash);
    if (hash >> 4 == 0 || hash >> 4 == UINT64_MAX >> 4) hash ^= 1 << 20; /* those are kept as others */
    struct span table = span_of(data + sizeof hash, size - sizeof hash);
    if (ledger_is_valid(table)) check_put(table, hash);

    struct buffer rebuilt, clean, lost;
    buffer_init(&rebuilt);
    buffer_init(&clean);
    buffer_init(&lost);
    check_rebuilt(table, hash, &rebuilt);
    check_put(buffer_content(&rebuilt), hash);
    check_all_found(&rebuilt, hash);
    ledger_rebuild_clean(table, &clean);
    ledger_rebuild_lost(table, &lost);
    CHECK(ledger_is_valid(buffer_content(&clean)) && ledger_is_valid(buffer_content(&lost)));
    CHECK(!ledger_is_poisoned(buffer_content(&clean)));
    buffer_deinit(&rebuilt);
    buffer_deinit(&clean);
    buffer_deinit(&lost);
    return 0;
}
