/* The keyspace interface on the module API. Main thread only. */
#ifndef DIGLOT_ENGINE_KEYSPACE_H
#define DIGLOT_ENGINE_KEYSPACE_H

#include "command/keyspace.h"
#include "engine/api.h"
#include "engine/frequency.h"
#include "engine/audience.h"
#include "engine/read_ahead.h"

struct engine_keyspace {
    struct keyspace keyspace; /* first: what commands see */
    RedisModuleCtx *ctx;      /* of the present turn or command */
    int entered_db;           /* what ctx had selected */
    RedisModuleString *name;  /* of the open key */
    RedisModuleKey *key;      /* NULL: absent, opened for reading */
    int type;
    char *bytes;              /* of the open string, if it was opened ahead for that; else NULL … */
    size_t size;              /* … and how many they are */
    struct read_ahead ahead;  /* open beside it */
    struct audience audience; /* of what is changed */
    RedisModuleScanCursor *cursor;
    struct frequency frequency;
    bool is_changing; /* the events that come now are of our own doing */
    bool is_flushing; /* the same for the event that a database was emptied */
    struct bridge *bridge; /* whom our own changes are told; NULL: nobody */
    bool has_met_modules; /* is_alone is known; false again when modules come or go */
    bool is_alone;        /* no other module may listen to events */
    bool is_heard;    /* somebody may listen to events in this turn */
};

void engine_keyspace_init(struct engine_keyspace *keyspace);
void engine_keyspace_deinit(struct engine_keyspace *keyspace);

/* Keys can be used between these two, with the context of a before-sleep event or of a command. Leaving selects the
 * database that was selected when it was entered: a command's context is the client itself. */
void engine_keyspace_enter(struct engine_keyspace *keyspace, RedisModuleCtx *ctx);
void engine_keyspace_leave(struct engine_keyspace *keyspace);

/* Whether keys may be opened ahead in this turn. */
static inline bool engine_keyspace_may_read_ahead(const struct engine_keyspace *keyspace)
{
    return keyspace->is_alone;
}

/* How many keys a database has. */
size_t engine_keyspace_count(struct engine_keyspace *keyspace, int db);

/* Opens what was added to keyspace->ahead. The next uses of those keys, in their order, are faster then. Whoever adds
 * keys closes them (read_ahead_close) before it leaves. */
void engine_keyspace_open_ahead(struct engine_keyspace *keyspace, int db);

#endif
