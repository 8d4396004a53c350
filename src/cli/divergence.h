/* Which keys were compared and which differ, by the keys' prefixes. Bounded: keys of prefixes beyond the first thousands are
 * counted together. Any thread. */
#ifndef DIGLOT_CLI_DIVERGENCE_H
#define DIGLOT_CLI_DIVERGENCE_H

#include "cli/failures.h"

#include <stdbool.h>

#define DIVERGENCE_PREFIXES 4096
#define DIVERGENCE_PREFIX_TEXT 64
#define DIVERGENCE_KEYS 3

enum difference {
    DIFFERENCE_NONE,
    DIFFERENCE_MISSING, /* the new side does not have it */
    DIFFERENCE_VALUE,
    DIFFERENCE_FLAGS,
    DIFFERENCE_TTL,
    DIFFERENCES
};

struct divergence_row {
    char prefix[DIVERGENCE_PREFIX_TEXT]; /* as it is shown, the delimiter included */
    bool is_used;
    uint64_t hash;
    uint64_t compared;
    uint64_t differ[DIFFERENCES];
    char keys[DIVERGENCE_KEYS][FAILURE_KEY_TEXT + 16];
    size_t key_count;
};

struct divergence {
    pthread_mutex_t lock;
    char delimiter;
    size_t count;
    struct divergence_row *rows; /* open addressing by the prefix's hash; the last one is for what finds no room */
};

void divergence_init(struct divergence *divergence, char delimiter);
void divergence_deinit(struct divergence *divergence);

/* A key was compared with this result. */
void divergence_add(struct divergence *divergence, struct span key, enum difference difference);

/* All that differ, of one kind; DIFFERENCE_NONE: of all kinds. */
uint64_t divergence_count(const struct divergence *divergence, enum difference kind);

/* The prefixes that differ, those with the most differences first. */
void divergence_print(const struct divergence *divergence, FILE *stream);
json_t *divergence_json(const struct divergence *divergence);

#endif
