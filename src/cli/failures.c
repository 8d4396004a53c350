#include "cli/failures.h"

#include <inttypes.h>

void failures_init(struct failures *failures)
{
    memset(failures, 0, sizeof *failures);
    (void)pthread_mutex_init(&failures->lock, NULL);
}

void failures_deinit(struct failures *failures)
{
    (void)pthread_mutex_destroy(&failures->lock);
}

void failures_show_key(struct span key, char text[FAILURE_KEY_TEXT])
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = text;
    for (size_t i = 0; i < key.size && i < 250; i++) {
        unsigned char byte = (unsigned char)key.data[i];
        if (byte > ' ' && byte < 0x7f && byte != '%') {
            *at++ = (char)byte;
        } else {
            *at++ = '%';
            *at++ = digits[byte >> 4];
            *at++ = digits[byte & 15];
        }
    }
    *at = '\0';
}

static struct failure *find(struct failures *failures, struct span reason)
{
    for (size_t i = 0; i < failures->count; i++) {
        if (span_equal(span_of(failures->list[i].reason, strlen(failures->list[i].reason)), reason)) {
            return &failures->list[i];
        }
    }
    bool is_last = failures->count >= FAILURE_REASONS - 1;
    struct failure *failure = &failures->list[is_last ? FAILURE_REASONS - 1 : failures->count];
    failures->count += failures->count < FAILURE_REASONS;
    struct span text = is_last ? SPAN("other reasons") : reason;
    (void)snprintf(failure->reason, sizeof failure->reason, "%.*s", (int)text.size, text.data);
    return failure;
}

void failures_add(struct failures *failures, struct span reason, struct span key)
{
    if (reason.size >= FAILURE_TEXT) {
        reason.size = FAILURE_TEXT - 1;
    }
    (void)pthread_mutex_lock(&failures->lock);
    struct failure *failure = find(failures, reason);
    failure->count++;
    if (failure->key_count < FAILURE_KEYS) {
        failures_show_key(key, failure->keys[failure->key_count++]);
    }
    (void)pthread_mutex_unlock(&failures->lock);
}

void failures_print(const struct failures *failures, FILE *stream)
{
    for (size_t i = 0; i < failures->count; i++) {
        const struct failure *failure = &failures->list[i];
        (void)fprintf(stream, "  %" PRIu64 " x %s:", failure->count, failure->reason);
        for (size_t k = 0; k < failure->key_count; k++) {
            (void)fprintf(stream, " %s", failure->keys[k]);
        }
        (void)fprintf(stream, "%s\n", failure->count > failure->key_count ? " ..." : "");
    }
}

json_t *failures_json(const struct failures *failures)
{
    json_t *list = json_array();
    for (size_t i = 0; i < failures->count; i++) {
        const struct failure *failure = &failures->list[i];
        json_t *keys = json_array();
        for (size_t k = 0; k < failure->key_count; k++) {
            (void)json_array_append_new(keys, json_string(failure->keys[k]));
        }
        (void)json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "reason", failure->reason, "count", (json_int_t)failure->count,
                                                    "keys", keys));
    }
    return list;
}
