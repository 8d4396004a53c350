/* What each memcached request amounts to in RESP commands, and so what a user is asked permission for. docs/access.md shows
 * the table to users. Pure. */
#ifndef DIGLOT_COMMAND_PERMITS_H
#define DIGLOT_COMMAND_PERMITS_H

#include "wire/message.h"

/* PERMIT(id, "the command's name", its words); KEY stands for the item's key, v and 1 for whatever else. */
#define PERMITS_LIST(PERMIT)                          \
    PERMIT(GET, "get", "GET", KEY)                    \
    PERMIT(GETEX, "getex", "GETEX", KEY, "EX", "1")   \
    PERMIT(SET, "set", "SET", KEY, "v")               \
    PERMIT(APPEND, "append", "APPEND", KEY, "v")      \
    PERMIT(INCRBY, "incrby", "INCRBY", KEY, "1")      \
    PERMIT(DECRBY, "decrby", "DECRBY", KEY, "1")      \
    PERMIT(DEL, "del", "DEL", KEY)                    \
    PERMIT(EXPIRE, "expire", "EXPIRE", KEY, "1")      \
    PERMIT(FLUSHDB, "flushdb", "FLUSHDB")             \
    PERMIT(INFO, "info", "INFO")                      \
    PERMIT(RESETSTAT, "config|resetstat", "CONFIG", "RESETSTAT") \
    PERMIT(SCAN, "scan", "SCAN", "0")                 \
    PERMIT(MONITOR, "monitor", "MONITOR")             \
    PERMIT(CONFIG_SET, "config|set", "CONFIG", "SET", "tls-cert-file", "v") \
    PERMIT(SHUTDOWN, "shutdown", "SHUTDOWN")

#define PERMIT_WORDS_MAX 4

enum permit {
#define PERMIT(id, name, ...) PERMIT_##id,
    PERMITS_LIST(PERMIT)
#undef PERMIT
    PERMITS
};

/* The permits that a request needs, a bit for each. None for a request that the session answers by itself. */
uint32_t permits_of(const struct request *request);

/* The engine's own name of the command: "get", "config|set". */
const char *permit_name(enum permit permit);

/* What a client is told who has not the permit. */
struct span permit_denial(enum permit permit);

/* Word `index` of the command, NULL behind the last one. The key's is the empty word. */
const char *permit_word(enum permit permit, size_t index);

#endif
