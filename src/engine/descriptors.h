/* File descriptors: the engine's event loop has a place for as many as its clients need (maxclients and a reserve of 128), by
 * number. Connections of the memcached door that took low numbers would push Redis clients beyond that. So they are given
 * numbers behind it. Main thread. */
#ifndef DIGLOT_ENGINE_DESCRIPTORS_H
#define DIGLOT_ENGINE_DESCRIPTORS_H

#include "engine/api.h"

/* Raises the process's limit of open files so that `connections` more fit behind the engine's own, as far as it may be
 * raised, with a log line where it may not. Returns the first number behind the engine's. */
int descriptors_reserve(RedisModuleCtx *ctx, size_t connections);

/* The same for another number of connections, behind the `floor` that descriptors_reserve has told. False when the limit may
 * not be raised so far. */
MUST_USE bool descriptors_raise(int floor, size_t connections);

#endif
