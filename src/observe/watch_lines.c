#define _GNU_SOURCE 1 /* memrchr */
#include "observe/watch_lines.h"

#include "base/uri.h"

#include <inttypes.h>
#include <stdio.h>

/* Longest name that is told whole, and what a line needs beside its encoding. */
#define NAME_MAX_SIZE 256
#define FIELDS_SIZE 320

struct line {
    size_t size;
    char text[URI_SIZE_MAX(NAME_MAX_SIZE) + FIELDS_SIZE];
};

/* What was printed must have found room. */
static void advance(struct line *line, int size)
{
    CHECK(size >= 0 && (size_t)size < sizeof line->text - line->size);
    line->size += (size_t)size;
}

#define ADD(line, ...) advance(line, snprintf((line)->text + (line)->size, sizeof (line)->text - (line)->size, __VA_ARGS__))

static void add_key(struct line *line, struct span key)
{
    struct span name = span_of(key.data, key.size < NAME_MAX_SIZE ? key.size : NAME_MAX_SIZE);
    line->size = (size_t)(uri_put(line->text + line->size, name) - line->text);
}

static void begin(struct line *line, const char *type, struct span key)
{
    line->size = 0;
    ADD(line, "type=%s key=", type);
    add_key(line, key);
}

static void publish(struct watch_hub *hub, enum watch_stream stream, const struct line *line)
{
    watch_publish(hub, stream, span_of(line->text, line->size));
}

void watch_tell_get(struct watch_hub *hub, struct span key, bool is_found, int descriptor, size_t size)
{
    struct line line;
    begin(&line, "item_get", key);
    ADD(&line, " status=%s clsid=%d cfd=%d size=%zu", is_found ? "found" : "not_found", is_found ? 1 : 0, descriptor,
        is_found ? size : 0);
    publish(hub, WATCH_FETCHERS, &line);
}

void watch_tell_store(struct watch_hub *hub, const struct watch_store *store)
{
    struct line line;
    begin(&line, "item_store", store->key);
    ADD(&line, " status=%s cmd=%s ttl=%" PRId64 " clsid=1 cfd=%d size=%zu", store->status, store->command, store->ttl,
        store->descriptor, store->size);
    publish(hub, WATCH_MUTATIONS, &line);
}

void watch_tell_delete(struct watch_hub *hub, struct span key, const char *command, size_t size)
{
    struct line line;
    begin(&line, "deleted", key);
    ADD(&line, " cmd=%s clsid=1 size=%zu", command, size);
    publish(hub, WATCH_DELETIONS, &line);
}

void watch_tell_eviction(struct watch_hub *hub, struct span key)
{
    struct line line;
    begin(&line, "eviction", key);
    ADD(&line, " fetch=no ttl=-1 la=0 clsid=1 size=0");
    publish(hub, WATCH_EVICTIONS, &line);
}

/* "tcp:127.0.0.1:4711", "tcp6:[::1]:4711" or "unix:/path", in its parts; an address without brackets and port. */
struct address_parts {
    struct span transport, address, port;
};

static struct address_parts split_address(const char *text)
{
    struct span rest = span_of(text, strlen(text));
    const char *colon = memchr(rest.data, ':', rest.size);
    if (colon == NULL) return (struct address_parts){SPAN("tcp"), rest, SPAN("0")};
    struct address_parts parts = {span_of(rest.data, (size_t)(colon - rest.data)), SPAN(""), SPAN("0")};
    rest = span_skip(rest, parts.transport.size + 1);
    const char *last = memrchr(rest.data, ':', rest.size);
    if (span_equal(parts.transport, SPAN("unix")) || last == NULL) {
        parts.address = rest;
        return parts;
    }
    parts.address = span_of(rest.data, (size_t)(last - rest.data));
    parts.port = span_skip(rest, parts.address.size + 1);
    bool has_brackets = parts.address.size >= 2 && parts.address.data[0] == '[';
    if (has_brackets) parts.address = span_of(parts.address.data + 1, parts.address.size - 2);
    return parts;
}

void watch_tell_connection(struct watch_hub *hub, const char *address, const char *reason, int descriptor)
{
    struct line line = {0};
    struct address_parts parts = split_address(address);
    ADD(&line, "type=%s rip=%.*s rport=%.*s transport=%.*s", reason != NULL ? "conn_close" : "conn_new",
        (int)parts.address.size, parts.address.data, (int)parts.port.size, parts.port.data, (int)parts.transport.size,
        parts.transport.data);
    if (reason != NULL) ADD(&line, " reason=%s", reason);
    ADD(&line, " cfd=%d", descriptor);
    publish(hub, WATCH_CONNEVENTS, &line);
}
