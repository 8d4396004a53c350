/* What an epoll event leads to. Whatever is registered in a worker's epoll set holds a source, and the source knows its
 * handler, so that the worker's turn need not know what there is. */
#ifndef DIGLOT_NET_EVENT_H
#define DIGLOT_NET_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct event_source {
    bool is_patient; /* a worker handles it behind those that are not, and may leave it for another turn: it tells again */
    void (*handle)(struct event_source *source, uint32_t events);
};

#endif
