/* The module API as far as we use it: our own declarations, bound by name through RedisModule_GetApi, which Redis and Valkey
 * both answer. Only src/engine includes this file. Numbers are the engines' public ABI.
 *
 * The table of functions is the one mutable object of file scope in the program, together with the engine pointer in
 * engine.c: the API has no user pointer in the callbacks that need them. It is written once, by api_bind. */
#ifndef DIGLOT_ENGINE_API_H
#define DIGLOT_ENGINE_API_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RedisModuleCtx RedisModuleCtx;
typedef struct RedisModuleKey RedisModuleKey;
typedef struct RedisModuleString RedisModuleString;
typedef struct RedisModuleCallReply RedisModuleCallReply;
typedef struct RedisModuleScanCursor RedisModuleScanCursor;
typedef struct RedisModuleCommandFilter RedisModuleCommandFilter;
typedef struct RedisModuleCommandFilterCtx RedisModuleCommandFilterCtx;
typedef struct RedisModuleServerInfoData RedisModuleServerInfoData;
typedef struct RedisModuleInfoCtx RedisModuleInfoCtx;
typedef struct RedisModuleUser RedisModuleUser;

struct api_event {
    uint64_t id;
    uint64_t version;
};

enum { API_VERSION = 1 };
enum { API_OK = 0, API_ERR = 1 };
enum { API_READ = 1 << 0, API_WRITE = 1 << 1, API_OPEN_NO_TOUCH = 1 << 16 };
enum { API_NO_EXPIRE = -1 };
enum { API_LFU_MOST = 255 };

enum api_key_type { API_KEY_EMPTY = 0, API_KEY_STRING = 1 };

enum api_reply_type { API_REPLY_ERROR = 1, API_REPLY_ARRAY = 3 };

enum api_key_flag { API_KEY_ACCESS = 1 << 4 }; /* its value is read */

/* Why a user was refused, for ACL LOG. */
enum api_acl_log_reason { API_ACL_LOG_COMMAND = 1, API_ACL_LOG_KEY = 2, API_ACL_LOG_DATABASE = 4 };

/* Classes of keyspace events. */
enum api_notify {
    API_NOTIFY_GENERIC = 1 << 2,
    API_NOTIFY_STRING = 1 << 3,
    API_NOTIFY_LIST = 1 << 4,
    API_NOTIFY_SET = 1 << 5,
    API_NOTIFY_HASH = 1 << 6,
    API_NOTIFY_ZSET = 1 << 7,
    API_NOTIFY_EXPIRED = 1 << 8,
    API_NOTIFY_EVICTED = 1 << 9,
    API_NOTIFY_STREAM = 1 << 10,
    API_NOTIFY_MODULE = 1 << 13,
    API_NOTIFY_NEW = 1 << 14,
};

enum api_context_flag {
    API_CONTEXT_SCRIPT = 1 << 0,
    API_CONTEXT_EXEC = 1 << 1,
    API_CONTEXT_PRIMARY = 1 << 2,
    API_CONTEXT_CLUSTER = 1 << 5,
    API_CONTEXT_AOF = 1 << 6,
    API_CONTEXT_MAXMEMORY = 1 << 8,
    API_CONTEXT_STALE = 1 << 14, /* a replica whose link to its primary is not up */
    API_CONTEXT_EVICTS = 1 << 9, /* maxmemory is set and the policy may evict */
};

enum api_event_id {
    API_EVENT_ROLE = 0,
    API_EVENT_FLUSH = 2,
    API_EVENT_LOADING = 3,
    API_EVENT_SHUTDOWN = 5,
    API_EVENT_CRON = 8, /* as often as the engine's hz says */
    API_EVENT_MODULES = 9,
    API_EVENT_SWAPDB = 11,
    API_EVENT_ASYNC_LOAD = 14,
    API_EVENT_LOOP = 15,
    API_EVENT_CONFIG = 16, /* behind CONFIG SET, whoever sent it */
    API_EVENT_KEY = 17,    /* a key is about to go or to be overwritten; unknown to Redis 7.0 */
};

enum { API_ROLE_NOW_PRIMARY = 0, API_ROLE_NOW_REPLICA = 1 };
enum { API_FLUSH_START = 0, API_FLUSH_END = 1 };
enum { API_LOADING_RDB = 0, API_LOADING_AOF = 1, API_LOADING_REPLICATION = 2, API_LOADING_ENDED = 3, API_LOADING_FAILED = 4 };
enum { API_LOOP_BEFORE_SLEEP = 0, API_LOOP_AFTER_SLEEP = 1 };

/* What API_EVENT_FLUSH brings. */
struct api_flush_info {
    uint64_t version;
    int32_t is_synchronous;
    int32_t db; /* -1: all */
};

/* What API_EVENT_SWAPDB brings. */
struct api_swap_info {
    uint64_t version;
    int32_t first;
    int32_t second;
};

/* What API_EVENT_CONFIG brings: the names of one CONFIG SET that has succeeded, those that kept their value included. */
struct api_config_info {
    uint64_t version;
    uint32_t count;
    const char **names;
};

enum { API_KEY_EVICTED = 2 };

/* What API_EVENT_KEY brings: the key, open for reading. */
struct api_key_info {
    uint64_t version;
    RedisModuleKey *key;
};

enum { API_LOOP_READABLE = 1 };

enum { API_CLIENT_MULTI = 1 << 5 }; /* the client is inside MULTI */

/* What GetClientInfoById fills in; the caller sets the version. */
struct api_client_info {
    uint64_t version; /* 1 */
    uint64_t flags;
    uint64_t id;
    char address[46];
    uint16_t port;
    uint16_t db;
};

enum api_config_flag { API_CONFIG_DEFAULT = 0, API_CONFIG_IMMUTABLE = 1 << 0, API_CONFIG_MEMORY = 1 << 7 };

enum api_module_option {
    API_OPTION_IO_ERRORS = 1 << 0,                 /* diskless loading may be used: we keep nothing in RDB files */
    API_OPTION_NO_IMPLICIT_SIGNAL = 1 << 1,        /* closing a key that was opened for writing signals nothing */
    API_OPTION_REPL_ASYNC_LOAD = 1 << 2,           /* diskless loading beside the live data may be used */
    API_OPTION_ATOMIC_SLOT_MIGRATION = 1 << 5,     /* Valkey 9: CLUSTER MIGRATESLOTS may be used */
};

typedef int api_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
typedef int api_on_keyspace_event(RedisModuleCtx *ctx, int type, const char *event, RedisModuleString *key);
typedef void api_on_server_event(RedisModuleCtx *ctx, struct api_event event, uint64_t subevent, void *data);
typedef void api_on_descriptor(int descriptor, void *user_data, int mask);
typedef void api_on_command(RedisModuleCommandFilterCtx *filter);
typedef void api_on_scan(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, void *user_data);
typedef long long api_get_number(const char *name, void *user_data);
typedef int api_set_number(const char *name, long long value, void *user_data, RedisModuleString **error);
typedef int api_get_boolean(const char *name, void *user_data);
typedef int api_set_boolean(const char *name, int value, void *user_data, RedisModuleString **error);
typedef RedisModuleString *api_get_text(const char *name, void *user_data);
typedef int api_set_text(const char *name, RedisModuleString *value, void *user_data, RedisModuleString **error);
typedef int api_apply(RedisModuleCtx *not_for_calls, void *user_data, RedisModuleString **error);
typedef void api_on_timer(RedisModuleCtx *ctx, void *user_data);
typedef void api_on_job(RedisModuleCtx *ctx, void *user_data);
typedef void api_on_info(RedisModuleInfoCtx *info, int for_crash_report);

/* FUNCTION(return type, name, arguments) : what we rely on. Main thread, unless it says otherwise. */
#define API_FUNCTIONS(FUNCTION)                                                                                           \
    /* The module. */                                                                                                     \
    FUNCTION(void, SetModuleAttribs, (RedisModuleCtx *, const char *name, int version, int api_version))                  \
    FUNCTION(int, IsModuleNameBusy, (const char *name))                                                                   \
    FUNCTION(void, SetModuleOptions, (RedisModuleCtx *, int options))                                                     \
    FUNCTION(int, CreateCommand, (RedisModuleCtx *, const char *, api_command *, const char *flags, int, int, int))       \
    /* Any thread; a NULL context is allowed. */                                                                          \
    FUNCTION(void, Log, (RedisModuleCtx *, const char *level, const char *format, ...))                                   \
    FUNCTION(int, GetContextFlags, (RedisModuleCtx *))                                                                    \
    /* A context that lasts; for calls from callbacks that are given one without a module, as api_apply is by Redis 7.0. */ \
    FUNCTION(RedisModuleCtx *, GetDetachedThreadSafeContext, (RedisModuleCtx *))                                          \
    FUNCTION(void, FreeThreadSafeContext, (RedisModuleCtx *))                                                             \
    /* Any thread; the string is freed with FreeString when the context is NULL. */                                       \
    FUNCTION(RedisModuleString *, CreateString, (RedisModuleCtx *, const char *, size_t))                                 \
    FUNCTION(void, FreeString, (RedisModuleCtx *, RedisModuleString *))                                                   \
    FUNCTION(const char *, StringPtrLen, (const RedisModuleString *, size_t *))                                           \
    /* Keys. A key opened for reading may expire on the way; NULL: it is absent. */                                       \
    FUNCTION(RedisModuleKey *, OpenKey, (RedisModuleCtx *, RedisModuleString *, int mode))                                \
    FUNCTION(void, CloseKey, (RedisModuleKey *))                                                                          \
    FUNCTION(const RedisModuleString *, GetKeyNameFromModuleKey, (RedisModuleKey *))                                      \
    FUNCTION(int, KeyType, (RedisModuleKey *))                                                                            \
    /* The bytes of a string, until the key is changed or closed. For writing: after StringTruncate to the wanted size. */ \
    FUNCTION(char *, StringDMA, (RedisModuleKey *, size_t *, int mode))                                                   \
    FUNCTION(size_t, ValueLength, (RedisModuleKey *))                                                                     \
    /* Milliseconds since the key was used, in steps of a second or so; -1 where the policy keeps no clock (LFU). */      \
    FUNCTION(int, GetLRU, (RedisModuleKey *, long long *))                                                                \
    /* How often the key was used, as LFU counts: 0 to 255. An error under other policies. */                             \
    FUNCTION(int, SetLFU, (RedisModuleKey *, long long))                                                                  \
    /* The same; -1 under other policies. */                                                                              \
    FUNCTION(int, GetLFU, (RedisModuleKey *, long long *))                                                                \
    FUNCTION(int, StringTruncate, (RedisModuleKey *, size_t))                                                             \
    /* Delete and add: clears the expiry; replaces any type. */                                                           \
    FUNCTION(int, StringSet, (RedisModuleKey *, RedisModuleString *))                                                     \
    FUNCTION(int, UnlinkKey, (RedisModuleKey *))                                                                          \
    FUNCTION(long long, GetAbsExpire, (RedisModuleKey *))                                                                 \
    FUNCTION(int, SetAbsExpire, (RedisModuleKey *, long long))                                                            \
    FUNCTION(int, SignalModifiedKey, (RedisModuleCtx *, RedisModuleString *))                                             \
    FUNCTION(int, NotifyKeyspaceEvent, (RedisModuleCtx *, int type, const char *event, RedisModuleString *key))           \
    /* The classes that notify-keyspace-events tells clients; 0: none. */                                                 \
    FUNCTION(int, GetNotifyKeyspaceEvents, (void))                                                                        \
    FUNCTION(int, SubscribeToKeyspaceEvents, (RedisModuleCtx *, int types, api_on_keyspace_event *))                      \
    /* Not what is selected where Valkey 9 executes a transaction: use api_selected_db. */                                \
    FUNCTION(int, GetSelectedDb, (RedisModuleCtx *))                                                                      \
    FUNCTION(unsigned long long, GetClientId, (RedisModuleCtx *))                                                         \
    FUNCTION(int, SelectDb, (RedisModuleCtx *, int))                                                                      \
    FUNCTION(unsigned long long, DbSize, (RedisModuleCtx *))                                                              \
    FUNCTION(RedisModuleScanCursor *, ScanCursorCreate, (void))                                                           \
    FUNCTION(void, ScanCursorDestroy, (RedisModuleScanCursor *))                                                          \
    FUNCTION(void, ScanCursorRestart, (RedisModuleScanCursor *))                                                          \
    FUNCTION(int, Scan, (RedisModuleCtx *, RedisModuleScanCursor *, api_on_scan *, void *))                               \
    /* Commands. Propagation is what Replicate says, or RM_Call's "!" flag. */                                            \
    FUNCTION(RedisModuleCallReply *, Call, (RedisModuleCtx *, const char *command, const char *format, ...))              \
    FUNCTION(void, FreeCallReply, (RedisModuleCallReply *))                                                               \
    FUNCTION(int, CallReplyType, (RedisModuleCallReply *))                                                                \
    FUNCTION(const char *, CallReplyStringPtr, (RedisModuleCallReply *, size_t *))                                        \
    FUNCTION(RedisModuleCallReply *, CallReplyArrayElement, (RedisModuleCallReply *, size_t))                             \
    FUNCTION(size_t, CallReplyLength, (RedisModuleCallReply *))                                                           \
    FUNCTION(long long, CallReplyInteger, (RedisModuleCallReply *))                                                       \
    FUNCTION(int, Replicate, (RedisModuleCtx *, const char *command, const char *format, ...))                            \
    /* Counts a change, as Replicate does, and propagates the client's command: in an event there is none, so it is for   \
     * when nothing is propagated anyway (engine/audience.h). */                                                          \
    FUNCTION(int, ReplicateVerbatim, (RedisModuleCtx *))                                                                  \
    /* True during CLIENT PAUSE WRITE and FAILOVER, when Replicate would abort the engine. */                             \
    FUNCTION(int, AvoidReplicaTraffic, (void))                                                                            \
    FUNCTION(float, GetUsedMemoryRatio, (void))                                                                           \
    FUNCTION(int, SubscribeToServerEvent, (RedisModuleCtx *, struct api_event, api_on_server_event *))                    \
    FUNCTION(int, EventLoopAdd, (int descriptor, int mask, api_on_descriptor *, void *))                                  \
    FUNCTION(int, EventLoopDel, (int descriptor, int mask))                                                               \
    FUNCTION(int, GetClientInfoById, (struct api_client_info *, uint64_t id))                                             \
    /* Runs the callback once, in an execution unit of its own. */                                                        \
    FUNCTION(uint64_t, CreateTimer, (RedisModuleCtx *, long long ms, api_on_timer *, void *))                             \
    FUNCTION(int, StopTimer, (RedisModuleCtx *, uint64_t, void **user_data))                                              \
    /* Sees every command that a client or a script sends, before it is queued or executed. */                            \
    FUNCTION(RedisModuleCommandFilter *, RegisterCommandFilter, (RedisModuleCtx *, api_on_command *, int flags))          \
    FUNCTION(int, CommandFilterArgsCount, (RedisModuleCommandFilterCtx *))                                                \
    FUNCTION(const RedisModuleString *, CommandFilterArgGet, (RedisModuleCommandFilterCtx *, int))                        \
    /* Where in a command its keys stand, as an array to be freed with Free; NULL: it has none, or is no command. */          \
    FUNCTION(int *, GetCommandKeysWithFlags, (RedisModuleCtx *, RedisModuleString **argv, int argc, int *count, int **flags)) \
    FUNCTION(void, Free, (void *))                                                                                        \
    /* Takes the string over, which must not be of a context. */                                                          \
    FUNCTION(int, CommandFilterArgReplace, (RedisModuleCommandFilterCtx *, int, RedisModuleString *))                     \
    FUNCTION(int, CommandFilterArgInsert, (RedisModuleCommandFilterCtx *, int, RedisModuleString *))                      \
    FUNCTION(int, CommandFilterArgDelete, (RedisModuleCommandFilterCtx *, int))                                           \
    /* Users of the ACL. The handle holds as long as the user: no longer than until the next command; NULL: no such user. */ \
    FUNCTION(RedisModuleUser *, GetModuleUserFromUserName, (RedisModuleString *))                                         \
    FUNCTION(int, FreeModuleUser, (RedisModuleUser *))                                                                    \
    /* Whether the user may run the command, by its name, its subcommand and its keys. */                                 \
    FUNCTION(int, ACLCheckCommandPermissions, (RedisModuleUser *, RedisModuleString **argv, int argc))                    \
    /* Whether the user may do what the flags say (enum api_key_flag) with the key. */                                    \
    FUNCTION(int, ACLCheckKeyPermissions, (RedisModuleUser *, RedisModuleString *key, int flags))                         \
    FUNCTION(int, ACLAddLogEntry, (RedisModuleCtx *, RedisModuleUser *, RedisModuleString *object, int reason))           \
    /* Replies. */                                                                                                        \
    FUNCTION(int, WrongArity, (RedisModuleCtx *))                                                                         \
    FUNCTION(int, ReplyWithError, (RedisModuleCtx *, const char *))                                                       \
    FUNCTION(int, ReplyWithSimpleString, (RedisModuleCtx *, const char *))                                                \
    FUNCTION(int, ReplyWithNull, (RedisModuleCtx *))                                                                      \
    FUNCTION(int, ReplyWithArray, (RedisModuleCtx *, long))                                                               \
    FUNCTION(int, ReplyWithStringBuffer, (RedisModuleCtx *, const char *, size_t))                                        \
    FUNCTION(int, ReplyWithLongLong, (RedisModuleCtx *, long long))                                                       \
    /* Options: "name" becomes diglot.name. */                                                                            \
    FUNCTION(int, RegisterNumericConfig, (RedisModuleCtx *, const char *, long long, unsigned, long long, long long,      \
                                          api_get_number *, api_set_number *, api_apply *, void *))                       \
    FUNCTION(int, RegisterBoolConfig, (RedisModuleCtx *, const char *, int, unsigned, api_get_boolean *,                  \
                                       api_set_boolean *, api_apply *, void *))                                           \
    /* Copies the names. */                                                                                               \
    FUNCTION(int, RegisterEnumConfig, (RedisModuleCtx *, const char *, int, unsigned, const char **names,                 \
                                       const int *values, int count, api_get_boolean *, api_set_boolean *, api_apply *,   \
                                       void *))                                                                           \
    FUNCTION(int, RegisterStringConfig, (RedisModuleCtx *, const char *, const char *, unsigned, api_get_text *,          \
                                         api_set_text *, api_apply *, void *))                                            \
    FUNCTION(int, LoadConfigs, (RedisModuleCtx *))                                                                        \
    /* INFO. */                                                                                                           \
    FUNCTION(RedisModuleServerInfoData *, GetServerInfo, (RedisModuleCtx *, const char *section))                         \
    FUNCTION(void, FreeServerInfo, (RedisModuleCtx *, RedisModuleServerInfoData *))                                       \
    FUNCTION(unsigned long long, ServerInfoGetFieldUnsigned, (RedisModuleServerInfoData *, const char *, int *error))     \
    /* Holds until the data is freed; NULL: there is no such field. */                                                    \
    FUNCTION(const char *, ServerInfoGetFieldC, (RedisModuleServerInfoData *, const char *))                              \
    FUNCTION(int, RegisterInfoFunc, (RedisModuleCtx *, api_on_info *))                                                    \
    FUNCTION(int, InfoAddSection, (RedisModuleInfoCtx *, const char *))                                                   \
    FUNCTION(int, InfoAddFieldCString, (RedisModuleInfoCtx *, const char *, const char *))                                \
    FUNCTION(int, InfoAddFieldULongLong, (RedisModuleInfoCtx *, const char *, unsigned long long))

/* Functions that not every engine has; NULL there. */
#define API_FUNCTIONS_OPTIONAL(FUNCTION)                                                                                  \
    /* From inside a keyspace event: runs the callback at the end of the execution unit, where it may write. */          \
    FUNCTION(int, AddPostNotificationJob, (RedisModuleCtx *, api_on_job *, void *, void (*free_user_data)(void *)))       \
    FUNCTION(unsigned long long, CommandFilterGetClientId, (RedisModuleCommandFilterCtx *))                               \
    /* Valkey 9.1: the same as ACLCheckCommandPermissions in a database; *reason says what is missing. */                 \
    FUNCTION(int, ACLCheckPermissions, (RedisModuleUser *, RedisModuleString **argv, int argc, int db, int *reason))

struct api {
#define FUNCTION(type, name, arguments) type (*name) arguments;
    API_FUNCTIONS(FUNCTION)
    API_FUNCTIONS_OPTIONAL(FUNCTION)
#undef FUNCTION
    bool is_valkey;
};

/* Law 5 is watched where sanitizers are: there the main thread alone has a table. Any other finds no function in its own, and
 * crashes the test that made it look. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define API_STORAGE _Thread_local
#else
#define API_STORAGE
#endif

extern API_STORAGE struct api api;

/* Binds every function, for the main thread. NULL, or the name of one that this engine does not have. */
MUST_USE const char *api_bind(RedisModuleCtx *ctx);

/* The database that the context works on. */
int api_selected_db(RedisModuleCtx *ctx);

#endif
