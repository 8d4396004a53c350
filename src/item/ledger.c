#include "item/ledger.h"

#include <endian.h>

/* A place further from home than this asks whether the table is too full. */
#define FAR 24

/* The first 8 bytes of a record. */
#define MARKS ((uint64_t)15)
#define HASH_LEAST (MARKS + 1)
/* The record of this hash, marked LOST, says that the slot is poisoned. No key has it. */
#define HASH_POISON (~MARKS)

/* What a string takes beside its bytes: at most 9 in front of them, and one behind. */
#define STRING_OVERHEAD 10
#define ROOM_LEAST 64

static size_t record_count(struct span table)
{
    return table.size / LEDGER_RECORD_SIZE;
}

/* What is kept of a key's hash. */
static uint64_t hash_kept(uint64_t hash)
{
    hash &= ~MARKS;
    if (hash == 0) return HASH_LEAST;
    return hash == HASH_POISON ? HASH_POISON - HASH_LEAST : hash;
}

/* A record's hash and marks in one. */
static uint64_t word_at(struct span table, size_t index)
{
    uint64_t word;
    memcpy(&word, table.data + index * LEDGER_RECORD_SIZE, sizeof word);
    return le64toh(word);
}

static uint32_t flags_at(struct span table, size_t index)
{
    uint32_t flags;
    memcpy(&flags, table.data + index * LEDGER_RECORD_SIZE + sizeof(uint64_t), sizeof flags);
    return le32toh(flags);
}

/* `hash` is what is kept of one. */
static struct ledger_record record_at(struct span table, size_t index)
{
    uint64_t word = word_at(table, index);
    return (struct ledger_record){word & ~MARKS, flags_at(table, index), (uint32_t)(word & MARKS)};
}

static bool word_is_unused(uint64_t word)
{
    return word <= MARKS;
}

static bool record_is_free(const struct ledger_record *record)
{
    return record->hash == 0 || (record->flags == 0 && record->marks == 0);
}

static bool is_free(struct span table, size_t index)
{
    uint64_t word = word_at(table, index);
    return word_is_unused(word) || ((word & MARKS) | flags_at(table, index)) == 0;
}

static void encode(const struct ledger_record *record, char bytes[LEDGER_RECORD_SIZE])
{
    uint64_t word = htole64(record->hash | record->marks);
    uint32_t flags = htole32(record->flags);
    memcpy(bytes, &word, sizeof word);
    memcpy(bytes + sizeof word, &flags, sizeof flags);
}

/* ---- Sizes ---- */

/* The least number of records above `wanted`, or equal to it, that a table can have. */
static size_t size_step(size_t wanted)
{
    size_t least = wanted * LEDGER_RECORD_SIZE + STRING_OVERHEAD;
    if (least < ROOM_LEAST) least = ROOM_LEAST;
    size_t quarter = ((size_t)1 << (63 - __builtin_clzll(least))) / 4;
    size_t room = (least + quarter - 1) & ~(quarter - 1);
    return (room - STRING_OVERHEAD) / LEDGER_RECORD_SIZE;
}

bool ledger_is_valid(struct span table)
{
    return table.size % LEDGER_RECORD_SIZE == 0 && size_step(record_count(table)) == record_count(table);
}

/* How far from home a record may be. */
static size_t distance_most(size_t records)
{
    return records / 2 - 1;
}

/* ---- Searching ---- */

static size_t home_of(uint64_t hash, size_t records)
{
    return (size_t)((hash >> 32) * records >> 32);
}

static size_t next_of(size_t index, size_t records)
{
    return index + 1 < records ? index + 1 : 0;
}

/* Where a record is, or belongs. */
struct place {
    bool is_there;
    size_t index;
    size_t distance; /* from home; as many as there are records: it belongs nowhere */
};

static struct place search(struct span table, uint64_t hash)
{
    size_t records = record_count(table);
    size_t index = home_of(hash, records), distance = 0;
    for (; distance < records; distance++) {
        uint64_t word = word_at(table, index);
        uint64_t ahead = word - hash; /* around the circle */
        if (ahead <= MARKS) return (struct place){true, index, distance};
        if (word_is_unused(word) || (int64_t)ahead > 0) break;
        index = next_of(index, records);
    }
    return (struct place){false, index, distance};
}

bool ledger_find(struct span table, uint64_t hash, struct ledger_record *record)
{
    struct place place = search(table, hash_kept(hash));
    *record = (struct ledger_record){0};
    if (!place.is_there || is_free(table, place.index)) return false;
    *record = record_at(table, place.index);
    record->hash = hash;
    return true;
}

bool ledger_is_poisoned(struct span table)
{
    struct place place = search(table, HASH_POISON);
    return place.is_there && (word_at(table, place.index) & LEDGER_LOST);
}

bool ledger_is_blank(struct span table)
{
    for (size_t i = 0; i < record_count(table); i++)
        if (!is_free(table, i)) return false;
    return true;
}

/* ---- Changing a record ---- */

/* More than seven eighths of the records have been used at some time. */
static bool is_crowded(struct span table)
{
    size_t records = record_count(table);
    size_t used = 0;
    for (size_t i = 0; i < records; i++) used += !word_is_unused(word_at(table, i));
    return used * 8 > records * 7;
}

static void patch_record(struct ledger_patch *patch, size_t index, const struct ledger_record *record)
{
    patch->offset = index * LEDGER_RECORD_SIZE;
    patch->size = LEDGER_RECORD_SIZE;
    encode(record, patch->bytes);
}

/* A record that is cleared is as if it had never been used where no search goes on behind it. */
static void change_record(struct span table, size_t index, struct ledger_record record, struct ledger_patch *patch)
{
    struct ledger_record present = record_at(table, index);
    if (present.flags == record.flags && present.marks == record.marks) return;
    bool is_last = word_is_unused(word_at(table, next_of(index, record_count(table))));
    if (record_is_free(&record) && is_last) record = (struct ledger_record){0};
    patch_record(patch, index, &record);
}

/* The record before the place, which the search has passed, is free: then nothing need move. */
static bool can_take_last(struct span table, struct place place)
{
    return place.distance > 0 && place.distance - 1 <= distance_most(record_count(table)) && place.index > 0 &&
           is_free(table, place.index - 1);
}

/* How many records there are from a place to the next that is free; more than may move: too many. */
static size_t count_moved(struct span table, size_t index)
{
    size_t records = record_count(table), moved = 0;
    for (; moved <= LEDGER_MOVED_MOST && !is_free(table, index); moved++) index = next_of(index, records);
    return moved;
}

/* Those from the record's place on move by one, as far as one that is free. */
static bool insert_record(struct span table, struct place place, const struct ledger_record *record, struct ledger_patch *patch)
{
    size_t moved = count_moved(table, place.index), distance = place.distance + moved;
    if (moved > LEDGER_MOVED_MOST || distance > distance_most(record_count(table))) return false;
    if (distance > FAR && is_crowded(table)) return false;
    patch_record(patch, place.index, record);
    size_t size = moved * LEDGER_RECORD_SIZE, behind = table.size - patch->offset;
    size_t first = size < behind ? size : behind;
    memcpy(patch->bytes + LEDGER_RECORD_SIZE, table.data + patch->offset, first);
    if (size > first) memcpy(patch->bytes + LEDGER_RECORD_SIZE + first, table.data, size - first);
    patch->size += size;
    return true;
}

bool ledger_put(struct span table, const struct ledger_record *record, struct ledger_patch *patch)
{
    struct ledger_record kept = {hash_kept(record->hash), record->flags, record->marks};
    struct place place = search(table, kept.hash);
    patch->size = 0;
    if (place.is_there)
        change_record(table, place.index, kept, patch);
    else if (!record_is_free(&kept) && can_take_last(table, place))
        patch_record(patch, place.index - 1, &kept);
    else if (!record_is_free(&kept))
        return insert_record(table, place, &kept, patch);
    return true;
}

/* ---- Building tables ---- */

static void set_at(char *table, size_t index, const struct ledger_record *record)
{
    encode(record, table + index * LEDGER_RECORD_SIZE);
}

/* Puts a record into a table that has a place which was never used. False: it would be too far from home. */
static bool insert(char *table, size_t records, struct ledger_record record)
{
    struct span span = span_of(table, records * LEDGER_RECORD_SIZE);
    struct place place = search(span, record.hash);
    size_t index = place.index, distance = place.distance;
    while (!place.is_there && !word_is_unused(word_at(span, index))) {
        struct ledger_record next = record_at(span, index);
        set_at(table, index, &record);
        record = next;
        index = next_of(index, records);
        distance++;
    }
    set_at(table, index, &record);
    return distance <= distance_most(records);
}

/* What becomes of records in a rebuilt table. */
enum carriage { CARRY_AS_IT_IS, CARRY_CLEAN, CARRY_LOST };

static inline struct ledger_record carried(struct ledger_record record, enum carriage carriage)
{
    if (carriage == CARRY_AS_IT_IS) return record;
    record.marks &= ~(uint32_t)LEDGER_KNOWN;
    bool is_dropped = carriage == CARRY_CLEAN && record.hash == HASH_POISON;
    if (is_dropped || record_is_free(&record)) return (struct ledger_record){0};
    return carriage == CARRY_CLEAN ? record : (struct ledger_record){record.hash, 0, LEDGER_LOST};
}

static size_t count_carried(struct span table, enum carriage carriage)
{
    size_t records = record_count(table), count = 0;
    for (size_t i = 0; i < records; i++) {
        struct ledger_record record = carried(record_at(table, i), carriage);
        count += !record_is_free(&record);
    }
    return count;
}

/* A table that is being filled. Records come in the order of their hashes, all but a few. */
struct filling {
    char *table;
    size_t records;
    uint64_t greatest; /* of the hashes so far, */
    size_t after;      /* and the place behind it, if it has not been moved since */
};

/* Behind the greatest so far there is nothing to be searched. */
static bool add(struct filling *filling, struct ledger_record record)
{
    size_t home = home_of(record.hash, filling->records);
    size_t index = home > filling->after ? home : filling->after;
    bool is_in_order = record.hash > filling->greatest && index < filling->records &&
                       word_is_unused(word_at(span_of(filling->table, 0), index));
    if (!is_in_order) return insert(filling->table, filling->records, record);
    set_at(filling->table, index, &record);
    filling->greatest = record.hash;
    filling->after = index + 1;
    return index - home <= distance_most(filling->records);
}

/* The first record that is not one of those with great hashes that have found no room at the end. */
static size_t find_first(struct span table)
{
    size_t records = record_count(table), index = 0;
    while (index < records && home_of(word_at(table, index), records) > index) index++;
    return index;
}

/* False: this many records are too few. */
static bool fill(char *filled, size_t places, struct span table, enum carriage carriage, struct ledger_record added)
{
    size_t records = record_count(table), first = find_first(table);
    struct filling filling = {.table = filled, .records = places};
    memset(filled, 0, places * LEDGER_RECORD_SIZE);
    for (size_t i = 0; i < records; i++) {
        size_t index = first + i < records ? first + i : first + i - records;
        struct ledger_record record = carried(record_at(table, index), carriage);
        if (!record_is_free(&record) && !add(&filling, record)) return false;
    }
    return record_is_free(&added) || insert(filled, places, added);
}

/* A little less than two thirds full, unless hashes lie so close together that they need more room. */
static void rebuild(struct span table, enum carriage carriage, struct ledger_record added, struct buffer *output)
{
    if (!ledger_is_valid(table)) table.size = 0;
    size_t count = count_carried(table, carriage) + 1;
    size_t records = size_step(count + count / 2 + 2);
    buffer_reserve(output, records * LEDGER_RECORD_SIZE);
    while (!fill(output->data + output->end, records, table, carriage, added)) {
        records = size_step(records + 1);
        buffer_reserve(output, records * LEDGER_RECORD_SIZE);
    }
    output->end += records * LEDGER_RECORD_SIZE;
}

void ledger_rebuild(struct span table, const struct ledger_record *record, struct buffer *output)
{
    struct ledger_record kept = {hash_kept(record->hash), record->flags, record->marks};
    rebuild(table, CARRY_AS_IT_IS, kept, output);
}

void ledger_rebuild_clean(struct span table, struct buffer *output)
{
    rebuild(table, CARRY_CLEAN, (struct ledger_record){0}, output);
}

void ledger_rebuild_lost(struct span table, struct buffer *output)
{
    rebuild(table, CARRY_LOST, (struct ledger_record){0}, output);
}

void ledger_build_poisoned(struct buffer *output)
{
    rebuild(SPAN(""), CARRY_AS_IT_IS, (struct ledger_record){HASH_POISON, 0, LEDGER_LOST}, output);
}
