#include "cli/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* So much is written, or read, at once: some hundred keys. */
#define CHUNK ((size_t)16 * 1024)
#define WAIT_NS 100000000

struct record {
    int64_t expiry;
    uint32_t item_size;
    uint32_t size; /* of the key, which follows */
};

bool spool_open(struct spool *spool)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    *spool = (struct spool){.descriptor = -1};
    if (snprintf(path, sizeof path, "%s/diglot-keys-XXXXXX", folder && folder[0] ? folder : "/tmp") >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return false;
    }
    spool->descriptor = mkstemp(path);
    if (spool->descriptor < 0) {
        return false;
    }
    (void)unlink(path);
    buffer_init(&spool->put);
    buffer_init(&spool->taken);
    (void)pthread_mutex_init(&spool->lock, NULL);
    (void)pthread_cond_init(&spool->news, NULL);
    return true;
}

void spool_close(struct spool *spool)
{
    if (spool->descriptor <= 0) {
        return;
    }
    (void)close(spool->descriptor);
    buffer_deinit(&spool->put);
    buffer_deinit(&spool->taken);
    (void)pthread_cond_destroy(&spool->news);
    (void)pthread_mutex_destroy(&spool->lock);
    *spool = (struct spool){.descriptor = -1};
}

static void tell(struct spool *spool)
{
    (void)pthread_mutex_lock(&spool->lock);
    (void)pthread_cond_signal(&spool->news);
    (void)pthread_mutex_unlock(&spool->lock);
}

static bool flush(struct spool *spool)
{
    uint64_t end = atomic_load_explicit(&spool->filled, memory_order_relaxed);
    while (buffer_size(&spool->put) > 0) {
        struct span rest = buffer_content(&spool->put);
        ssize_t written = pwrite(spool->descriptor, rest.data, rest.size, (off_t)end);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            buffer_consume(&spool->put, (size_t)written);
            end += (uint64_t)written;
        }
    }
    buffer_reset(&spool->put, 2 * CHUNK);
    atomic_store_explicit(&spool->filled, end, memory_order_release);
    tell(spool);
    return true;
}

bool spool_put(struct spool *spool, const struct listed_key *key)
{
    const struct record record = {key->expiry, key->item_size, key->size};
    buffer_append(&spool->put, span_of(&record, sizeof record));
    buffer_append(&spool->put, span_of(key->name, key->size));
    spool->count++;
    return buffer_size(&spool->put) < CHUNK || flush(spool);
}

bool spool_end(struct spool *spool)
{
    bool is_flushed = flush(spool);
    atomic_store_explicit(&spool->has_ended, true, memory_order_release);
    tell(spool);
    return is_flushed;
}

static uint64_t bytes_left(const struct spool *spool)
{
    return atomic_load_explicit(&spool->filled, memory_order_acquire) - spool->position;
}

/* Reads on until `size` bytes are there; false when the file has no more. */
static bool fetch(struct spool *spool, size_t size)
{
    while (buffer_size(&spool->taken) < size) {
        uint64_t left = bytes_left(spool);
        if (left == 0) {
            return false;
        }
        buffer_reserve(&spool->taken, CHUNK);
        ssize_t got = pread(spool->descriptor, spool->taken.data + spool->taken.end, left < CHUNK ? left : CHUNK, (off_t)spool->position);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            spool->has_failed = true;
            return false;
        }
        if (got > 0) {
            spool->taken.end += (size_t)got;
            spool->position += (uint64_t)got;
        }
    }
    return true;
}

bool spool_take(struct spool *spool, struct listed_key *key)
{
    struct record record;
    if (!fetch(spool, sizeof record)) {
        return false;
    }
    memcpy(&record, buffer_content(&spool->taken).data, sizeof record);
    CHECK(record.size <= sizeof key->name);
    if (!fetch(spool, sizeof record + record.size)) {
        return false;
    }
    key->expiry = record.expiry;
    key->item_size = record.item_size;
    key->size = record.size;
    memcpy(key->name, buffer_content(&spool->taken).data + sizeof record, record.size);
    buffer_consume(&spool->taken, sizeof record + record.size);
    return true;
}

/* The end is looked at first: behind it nothing more comes. */
bool spool_is_over(const struct spool *spool)
{
    bool has_ended = atomic_load_explicit(&spool->has_ended, memory_order_acquire);
    return spool->has_failed || (has_ended && buffer_size(&spool->taken) == 0 && bytes_left(spool) == 0);
}

void spool_wait(struct spool *spool)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += WAIT_NS;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&spool->lock);
    if (!atomic_load(&spool->has_ended) && buffer_size(&spool->taken) == 0 && bytes_left(spool) == 0) {
        (void)pthread_cond_timedwait(&spool->news, &spool->lock, &end);
    }
    (void)pthread_mutex_unlock(&spool->lock);
}
