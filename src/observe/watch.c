#include "observe/watch.h"

#include "base/number.h"

#include <stdlib.h>
#include <time.h>

/* Longest "skipped=N\n" and "ts=N.N gid=N ". */
#define HEAD_SIZE 128
#define MICROSECOND_NS 1000

void watch_hub_init(struct watch_hub *hub)
{
    *hub = (struct watch_hub){0};
    int failure = pthread_mutex_init(&hub->lock, NULL);
    CHECK(failure == 0);
    hub->first.next = &hub->first;
    hub->first.previous = &hub->first;
}

void watch_hub_deinit(struct watch_hub *hub)
{
    CHECK(hub->count == 0);
    (void)pthread_mutex_destroy(&hub->lock);
}

static uint32_t stream_of(struct span name)
{
    static const struct {
        struct span name;
        enum watch_stream stream;
    } streams[] = {
        {SPAN("fetchers"), WATCH_FETCHERS},     {SPAN("mutations"), WATCH_MUTATIONS}, {SPAN("evictions"), WATCH_EVICTIONS},
        {SPAN("connevents"), WATCH_CONNEVENTS}, {SPAN("deletions"), WATCH_DELETIONS}, {SPAN("rawcmds"), WATCH_RAWCMDS},
    };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        if (span_equal(streams[i].name, name)) return streams[i].stream;
    }
    return 0;
}

bool watch_parse_streams(struct span names, uint32_t *streams)
{
    *streams = 0;
    while (names.size > 0) {
        const char *space = memchr(names.data, ' ', names.size);
        struct span name = span_of(names.data, space != NULL ? (size_t)(space - names.data) : names.size);
        names = span_skip(names, space != NULL ? name.size + 1 : name.size);
        if (name.size == 0) continue;
        uint32_t stream = stream_of(name);
        if (stream == 0) return false;
        *streams |= stream;
    }
    if (*streams == 0) *streams = WATCH_FETCHERS;
    return true;
}

static void lock(struct watch_hub *hub)
{
    (void)pthread_mutex_lock(&hub->lock);
}

static void unlock(struct watch_hub *hub)
{
    (void)pthread_mutex_unlock(&hub->lock);
}

static void update_streams(struct watch_hub *hub)
{
    uint32_t streams = 0;
    for (struct watcher *watcher = hub->first.next; watcher != &hub->first; watcher = watcher->next) {
        streams |= watcher->streams;
    }
    atomic_store_explicit(&hub->streams, streams, memory_order_relaxed);
}

static void add_to_ring(struct watch_hub *hub, struct watcher *watcher)
{
    watcher->next = &hub->first;
    watcher->previous = hub->first.previous;
    watcher->previous->next = watcher;
    hub->first.previous = watcher;
    hub->count++;
    update_streams(hub);
}

struct watcher *watcher_new(struct watch_hub *hub, uint32_t streams, struct mailbox *home, void *owner)
{
    struct watcher *watcher = check_calloc(1, sizeof *watcher);
    watcher->home = home;
    watcher->owner = owner;
    watcher->streams = streams;
    buffer_init(&watcher->lines);
    lock(hub);
    bool has_room = hub->count < WATCHERS_MAX;
    if (has_room) add_to_ring(hub, watcher);
    unlock(hub);
    if (has_room) return watcher;
    free(watcher);
    return NULL;
}

static void destroy(struct watcher *watcher)
{
    buffer_deinit(&watcher->lines);
    free(watcher);
}

void watcher_free(struct watch_hub *hub, struct watcher **watcher_at)
{
    struct watcher *watcher = *watcher_at;
    *watcher_at = NULL;
    if (watcher == NULL) return;
    lock(hub);
    watcher->previous->next = watcher->next;
    watcher->next->previous = watcher->previous;
    watcher->owner = NULL;
    hub->count--;
    update_streams(hub);
    bool is_posted = watcher->is_posted;
    unlock(hub);
    if (!is_posted) destroy(watcher);
}

void *watcher_arrive(struct watch_hub *hub, struct mail *mail)
{
    struct watcher *watcher = (struct watcher *)mail; /* the mail is its first member */
    lock(hub);
    watcher->is_posted = false;
    void *owner = watcher->owner;
    unlock(hub);
    if (owner == NULL) destroy(watcher);
    return owner;
}

void watcher_take(struct watch_hub *hub, struct watcher *watcher, struct buffer *output)
{
    lock(hub);
    if (buffer_size(&watcher->lines) > 0) {
        buffer_append(output, buffer_content(&watcher->lines));
        buffer_reset(&watcher->lines, WATCHER_BUFFER_SIZE / 16);
    }
    unlock(hub);
}

static void append_number(struct buffer *output, struct span name, uint64_t number)
{
    char text[NUMBER_TEXT_SIZE];
    buffer_append(output, name);
    buffer_append(output, span_of(text, number_format_u64(text, number)));
}

/* memcached's microseconds are not padded. */
static void append_line(struct watcher *watcher, uint64_t number, struct timespec now, struct span line)
{
    struct buffer *lines = &watcher->lines;
    if (watcher->skipped > 0) {
        append_number(lines, SPAN("skipped="), watcher->skipped);
        buffer_append(lines, SPAN("\n"));
        watcher->skipped = 0;
    }
    append_number(lines, SPAN("ts="), (uint64_t)now.tv_sec);
    append_number(lines, SPAN("."), (uint64_t)now.tv_nsec / MICROSECOND_NS);
    append_number(lines, SPAN(" gid="), number);
    buffer_append(lines, SPAN(" "));
    buffer_append(lines, line);
    buffer_append(lines, SPAN("\n"));
}

static void give(struct watch_hub *hub, struct watcher *watcher, struct timespec now, struct span line)
{
    size_t held = buffer_size(&watcher->lines);
    if (held + line.size + HEAD_SIZE > WATCHER_BUFFER_SIZE) {
        watcher->skipped++;
        hub->skipped++;
        return;
    }
    append_line(watcher, hub->lines, now, line);
    hub->sent++;
    if (held == 0 && !watcher->is_posted) {
        watcher->is_posted = true;
        mailbox_post(watcher->home, &watcher->mail);
    }
}

void watch_publish(struct watch_hub *hub, enum watch_stream stream, struct span line)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    lock(hub);
    hub->lines++;
    for (struct watcher *watcher = hub->first.next; watcher != &hub->first; watcher = watcher->next) {
        if (watcher->streams & stream) give(hub, watcher, now, line);
    }
    unlock(hub);
}

struct watch_counts watch_count(struct watch_hub *hub)
{
    lock(hub);
    struct watch_counts counts = {hub->count, hub->sent, hub->skipped};
    unlock(hub);
    return counts;
}
