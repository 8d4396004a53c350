/* What went wrong with single items: each reason with how often it came and the first keys. Any thread. */
#ifndef DIGLOT_CLI_FAILURES_H
#define DIGLOT_CLI_FAILURES_H

#include "base/span.h"

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#define FAILURE_REASONS 16
#define FAILURE_KEYS 5
#define FAILURE_TEXT 160
/* A key as it is shown: what cannot be printed is %XX. */
#define FAILURE_KEY_TEXT (250 * 3 + 1)

struct failure {
    char reason[FAILURE_TEXT];
    uint64_t count;
    char keys[FAILURE_KEYS][FAILURE_KEY_TEXT];
    size_t key_count;
};

struct failures {
    pthread_mutex_t lock;
    struct failure list[FAILURE_REASONS]; /* the last one takes those that there is no room for */
    size_t count;
};

void failures_init(struct failures *failures);
void failures_deinit(struct failures *failures);
void failures_add(struct failures *failures, struct span reason, struct span key);

void failures_print(const struct failures *failures, FILE *stream);
json_t *failures_json(const struct failures *failures);

/* A key as text, terminated. */
void failures_show_key(struct span key, char text[FAILURE_KEY_TEXT]);

#endif
