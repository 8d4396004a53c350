#include "observe/clients.h"

#include "base/check.h"
#include "observe/stats.h"

#include <stdio.h>

void client_list_init(struct client_list *list)
{
    int failure = pthread_mutex_init(&list->lock, NULL);
    CHECK(failure == 0);
    list->first.next = &list->first;
    list->first.previous = &list->first;
    list->count = 0;
}

void client_list_deinit(struct client_list *list)
{
    CHECK(list->count == 0);
    (void)pthread_mutex_destroy(&list->lock);
}

void client_list_add(struct client_list *list, struct client_entry *entry)
{
    (void)pthread_mutex_lock(&list->lock);
    entry->next = &list->first;
    entry->previous = list->first.previous;
    entry->previous->next = entry;
    list->first.previous = entry;
    list->count++;
    (void)pthread_mutex_unlock(&list->lock);
}

void client_list_remove(struct client_list *list, struct client_entry *entry)
{
    (void)pthread_mutex_lock(&list->lock);
    entry->previous->next = entry->next;
    entry->next->previous = entry->previous;
    list->count--;
    (void)pthread_mutex_unlock(&list->lock);
    entry->next = NULL;
    entry->previous = NULL;
}

static void add_field(struct buffer *output, const struct client_entry *entry, const char *field, const char *value)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%d:%s", entry->descriptor, field);
    stats_add_text(output, name, value);
}

static const char *state_name(int state)
{
    switch (state) {
    case CLIENT_EXECUTES: return "conn_parse_cmd";
    case CLIENT_WRITES: return "conn_mwrite";
    case CLIENT_WATCHES: return "conn_watch";
    case CLIENT_LISTENS: return "conn_listening";
    default: return "conn_read";
    }
}

static void render_client(const struct client_entry *entry, int64_t now_ms, struct buffer *output)
{
    int64_t silent_ms = now_ms - atomic_load_explicit(&entry->last_request_ms, memory_order_relaxed);
    char seconds[32];
    (void)snprintf(seconds, sizeof(seconds), "%lld", (long long)(silent_ms > 0 ? silent_ms / 1000 : 0));
    add_field(output, entry, "addr", entry->address);
    if (*entry->listening) add_field(output, entry, "listen_addr", entry->listening);
    add_field(output, entry, "state", state_name(atomic_load_explicit(&entry->state, memory_order_relaxed)));
    add_field(output, entry, "secs_since_last_cmd", seconds);
}

void client_list_render(struct client_list *list, int64_t now_ms, size_t most, struct buffer *output)
{
    (void)pthread_mutex_lock(&list->lock);
    const struct client_entry *entry = list->first.next;
    for (size_t i = 0; i < most && entry != &list->first; i++, entry = entry->next) {
        render_client(entry, now_ms, output);
    }
    (void)pthread_mutex_unlock(&list->lock);
}
