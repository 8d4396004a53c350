#include "cli/divergence.h"

#include "base/check.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>

#define PRINTED_MOST 20

static const char *const names[DIFFERENCES] = {"", "missing", "value", "flags", "ttl"};

void divergence_init(struct divergence *divergence, char delimiter)
{
    (void)pthread_mutex_init(&divergence->lock, NULL);
    divergence->delimiter = delimiter;
    divergence->count = 0;
    divergence->rows = check_calloc(DIVERGENCE_PREFIXES + 1, sizeof *divergence->rows);
}

void divergence_deinit(struct divergence *divergence)
{
    (void)pthread_mutex_destroy(&divergence->lock);
    free(divergence->rows);
    divergence->rows = NULL;
}

/* Up to the first delimiter and with it; empty where there is none. */
static struct span prefix_of(const struct divergence *divergence, struct span key)
{
    const char *end = memchr(key.data, divergence->delimiter, key.size);
    return span_of(key.data, end ? (size_t)(end + 1 - key.data) : 0);
}

static void name_row(struct divergence_row *row, const char *text)
{
    (void)snprintf(row->prefix, sizeof row->prefix, "%.*s", (int)sizeof row->prefix - 1, text);
}

/* Three quarters are filled at most; then the last row is for all others. */
static struct divergence_row *find_row(struct divergence *divergence, struct span prefix)
{
    uint64_t hash = hash_key(prefix);
    for (size_t i = hash % DIVERGENCE_PREFIXES;; i = (i + 1) % DIVERGENCE_PREFIXES) {
        struct divergence_row *row = &divergence->rows[i];
        if (row->is_used && row->hash == hash) {
            return row;
        }
        if (row->is_used) {
            continue;
        }
        if (divergence->count >= DIVERGENCE_PREFIXES / 4 * 3) {
            row = &divergence->rows[DIVERGENCE_PREFIXES];
            name_row(row, "(others)");
            row->is_used = true;
            return row;
        }
        char text[FAILURE_KEY_TEXT];
        failures_show_key(prefix, text);
        name_row(row, prefix.size > 0 ? text : "(no prefix)");
        row->is_used = true;
        row->hash = hash;
        divergence->count++;
        return row;
    }
}

void divergence_add(struct divergence *divergence, struct span key, enum difference difference)
{
    (void)pthread_mutex_lock(&divergence->lock);
    struct divergence_row *row = find_row(divergence, prefix_of(divergence, key));
    row->compared++;
    if (difference != DIFFERENCE_NONE) {
        row->differ[difference]++;
        row->differ[DIFFERENCE_NONE]++; /* the sum */
        if (row->key_count < DIVERGENCE_KEYS) {
            char text[FAILURE_KEY_TEXT];
            failures_show_key(key, text);
            (void)snprintf(row->keys[row->key_count++], sizeof row->keys[0], "%s (%s)", text, names[difference]);
        }
    }
    (void)pthread_mutex_unlock(&divergence->lock);
}

uint64_t divergence_count(const struct divergence *divergence, enum difference kind)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= DIVERGENCE_PREFIXES; i++) {
        sum += divergence->rows[i].differ[kind];
    }
    return sum;
}

static int by_differences(const void *a, const void *b)
{
    const struct divergence_row *const *first = a, *const *second = b;
    uint64_t x = (*first)->differ[DIFFERENCE_NONE], y = (*second)->differ[DIFFERENCE_NONE];
    return x < y ? 1 : x > y ? -1 : strcmp((*first)->prefix, (*second)->prefix);
}

/* The rows that differ, sorted; to be freed. */
static const struct divergence_row **sort_rows(const struct divergence *divergence, size_t *count)
{
    const struct divergence_row **rows = check_calloc(DIVERGENCE_PREFIXES + 1, sizeof *rows);
    *count = 0;
    for (size_t i = 0; i <= DIVERGENCE_PREFIXES; i++) {
        if (divergence->rows[i].differ[DIFFERENCE_NONE] > 0) {
            rows[(*count)++] = &divergence->rows[i];
        }
    }
    qsort(rows, *count, sizeof *rows, by_differences);
    return rows;
}

static void print_row(const struct divergence_row *row, FILE *stream)
{
    (void)fprintf(stream, "  %-20s %9" PRIu64 " of %" PRIu64 " (%.2f%%):", row->prefix, row->differ[DIFFERENCE_NONE], row->compared,
                  100.0 * (double)row->differ[DIFFERENCE_NONE] / (double)row->compared);
    for (int kind = DIFFERENCE_MISSING; kind < DIFFERENCES; kind++) {
        if (row->differ[kind] > 0) {
            (void)fprintf(stream, " %" PRIu64 " %s", row->differ[kind], names[kind]);
        }
    }
    for (size_t k = 0; k < row->key_count; k++) {
        (void)fprintf(stream, "%s%s", k ? ", " : "; e.g. ", row->keys[k]);
    }
    (void)fprintf(stream, "\n");
}

void divergence_print(const struct divergence *divergence, FILE *stream)
{
    size_t count;
    const struct divergence_row **rows = sort_rows(divergence, &count);
    for (size_t i = 0; i < count && i < PRINTED_MOST; i++) {
        print_row(rows[i], stream);
    }
    if (count > PRINTED_MOST) {
        (void)fprintf(stream, "  and %zu prefixes more (--json tells all)\n", count - PRINTED_MOST);
    }
    free(rows);
}

json_t *divergence_json(const struct divergence *divergence)
{
    size_t count;
    const struct divergence_row **rows = sort_rows(divergence, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct divergence_row *row = rows[i];
        json_t *keys = json_array(), *kinds = json_object();
        for (size_t k = 0; k < row->key_count; k++) {
            (void)json_array_append_new(keys, json_string(row->keys[k]));
        }
        for (int kind = DIFFERENCE_MISSING; kind < DIFFERENCES; kind++) {
            (void)json_object_set_new(kinds, names[kind], json_integer((json_int_t)row->differ[kind]));
        }
        (void)json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o, s:o}", "prefix", row->prefix, "compared",
                                                    (json_int_t)row->compared, "differ", (json_int_t)row->differ[DIFFERENCE_NONE],
                                                    "kinds", kinds, "keys", keys));
    }
    free(rows);
    return list;
}
