#include "upstream/marks.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define WORD_SIZE sizeof(uint64_t)
#define NAME_SIZE 32
#define FULL SPAN("1")
#define BITS_PER_KEY 4
#define BITS_OF_PLACE 6 /* 64 places in a word */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the strings are little endian");

static struct span name_of(unsigned share, char name[NAME_SIZE])
{
    return span_of(name, (size_t)snprintf(name, NAME_SIZE, "diglot:upstream:%02u", share));
}

void marks_init(struct marks *marks, struct keyspace *keyspace, int db, size_t memory)
{
    *marks = (struct marks){.keyspace = keyspace, .db = db, .words = memory / SHARES / WORD_SIZE};
    CHECK(marks->words > 0);
}

static void forget_share(struct marks *marks, unsigned share)
{
    free(marks->shares[share]);
    marks->shares[share] = NULL;
    marks->is_full[share] = false;
}

void marks_forget(struct marks *marks)
{
    for (unsigned share = 0; share < SHARES; share++) forget_share(marks, share);
    marks->is_loaded = marks->is_lost = false;
}

void marks_deinit(struct marks *marks)
{
    marks_forget(marks);
}

static struct span bytes_of(const struct marks *marks, unsigned share)
{
    return span_of(marks->shares[share], marks->words * WORD_SIZE);
}

/* A string that is not ours, or of another size, tells nothing: then any key may have been changed. */
static void load_share(struct marks *marks, unsigned share)
{
    const struct keyspace_api *api = marks->keyspace->api;
    char name[NAME_SIZE];
    enum keyspace_kind kind = api->open(marks->keyspace, marks->db, name_of(share, name), KEYSPACE_READ);
    if (kind == KEYSPACE_STRING && api->size(marks->keyspace) == marks->words * WORD_SIZE) {
        marks->shares[share] = check_malloc(marks->words * WORD_SIZE);
        memcpy(marks->shares[share], api->value(marks->keyspace).data, marks->words * WORD_SIZE);
    } else {
        marks->is_full[share] = kind != KEYSPACE_ABSENT;
    }
    api->close(marks->keyspace);
}

static void load(struct marks *marks)
{
    if (marks->is_loaded) return;
    marks->is_loaded = true;
    for (unsigned share = 0; share < SHARES; share++) load_share(marks, share);
}

/* The word that holds a key's bits, by the low half of the hash; the share comes from the high one. */
static size_t word_index(const struct marks *marks, uint64_t key_hash)
{
    return (size_t)(((key_hash & UINT32_MAX) * marks->words) >> 32);
}

/* Which bits those are comes from the whole hash, mixed. */
static uint64_t bits_of(uint64_t key_hash)
{
    uint64_t mixed = (key_hash ^ key_hash >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = 0;
    for (unsigned i = 0; i < BITS_PER_KEY; i++) bits |= UINT64_C(1) << (mixed >> (40 + i * BITS_OF_PLACE) & 63);
    return bits;
}

bool marks_has(struct marks *marks, uint64_t key_hash)
{
    load(marks);
    unsigned share = share_of(key_hash);
    const uint64_t *words = marks->shares[share];
    uint64_t bits = bits_of(key_hash);
    return marks->is_full[share] || (words && (words[word_index(marks, key_hash)] & bits) == bits);
}

static void write_share(struct marks *marks, unsigned share)
{
    const struct keyspace_api *api = marks->keyspace->api;
    char name[NAME_SIZE];
    (void)api->open(marks->keyspace, marks->db, name_of(share, name), KEYSPACE_WRITE);
    api->store(marks->keyspace, marks->is_full[share] ? FULL : bytes_of(marks, share), KEYSPACE_NO_EXPIRY, "set");
    api->close(marks->keyspace);
}

static void write_word(struct marks *marks, unsigned share, size_t word)
{
    const struct keyspace_api *api = marks->keyspace->api;
    char name[NAME_SIZE];
    enum keyspace_kind kind = api->open(marks->keyspace, marks->db, name_of(share, name), KEYSPACE_WRITE);
    bool is_ours = kind == KEYSPACE_STRING && api->size(marks->keyspace) == marks->words * WORD_SIZE;
    if (is_ours) api->patch(marks->keyspace, word * WORD_SIZE, span_of(&marks->shares[share][word], WORD_SIZE));
    api->close(marks->keyspace);
    if (!is_ours) write_share(marks, share);
}

void marks_add(struct marks *marks, uint64_t key_hash)
{
    if (marks_has(marks, key_hash)) return;
    unsigned share = share_of(key_hash);
    size_t word = word_index(marks, key_hash);
    bool is_first = marks->shares[share] == NULL;
    if (is_first) marks->shares[share] = check_calloc(marks->words, WORD_SIZE);
    marks->shares[share][word] |= bits_of(key_hash);
    if (is_first)
        write_share(marks, share);
    else
        write_word(marks, share, word);
}

void marks_fill_share(struct marks *marks, unsigned share)
{
    load(marks);
    forget_share(marks, share);
    marks->is_full[share] = true;
    write_share(marks, share);
}

void marks_clear_share(struct marks *marks, unsigned share)
{
    const struct keyspace_api *api = marks->keyspace->api;
    char name[NAME_SIZE];
    load(marks);
    forget_share(marks, share);
    if (api->open(marks->keyspace, marks->db, name_of(share, name), KEYSPACE_WRITE) != KEYSPACE_ABSENT)
        api->remove(marks->keyspace);
    api->close(marks->keyspace);
}

void marks_clear(struct marks *marks)
{
    for (unsigned share = 0; share < SHARES; share++) marks_clear_share(marks, share);
}

size_t marks_strings(const struct marks *marks)
{
    size_t count = 0;
    for (unsigned share = 0; share < SHARES; share++) count += marks->shares[share] || marks->is_full[share];
    return count;
}

void marks_note_lost(struct marks *marks)
{
    marks->is_lost = marks->is_loaded;
}

void marks_restore(struct marks *marks)
{
    if (!marks->is_lost) return;
    marks->is_lost = false;
    for (unsigned share = 0; share < SHARES; share++)
        if (marks->shares[share] || marks->is_full[share]) write_share(marks, share);
}
