/* The keyspace on the module API: what the engine is told of each change, and what is open meanwhile. */
#include "engine/keyspace.h"

#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct RedisModuleString {
    struct span bytes;
};

static struct scene {
    struct engine_keyspace keyspace;
    struct read_ahead *ahead;
    char log[512]; /* what the engine was told, a line each */
    char value[16];
    size_t size; /* of it */
    enum api_key_type type;
    long long expiry;
    int db; /* selected */
    int told_classes; /* of notify-keyspace-events */
    bool has_modules; /* others than ours */
} scene;

/* ---- The module API ---- */

static void log_line(const char *what, struct span name)
{
    size_t used = strlen(scene.log);
    (void)snprintf(scene.log + used, sizeof scene.log - used, "%s %.*s\n", what, (int)name.size, name.data);
}

static RedisModuleString *create_string(RedisModuleCtx *ctx, const char *data, size_t size)
{
    (void)ctx;
    RedisModuleString *string = malloc(sizeof *string);
    assert_non_null(string);
    string->bytes = span_of(data, size);
    return string;
}

static void free_string(RedisModuleCtx *ctx, RedisModuleString *string) { (void)ctx; free(string); }

static const char *string_bytes(const RedisModuleString *string, size_t *size)
{
    *size = string->bytes.size;
    return string->bytes.data;
}

/* A key is its name here. */
static RedisModuleKey *open_key(RedisModuleCtx *ctx, RedisModuleString *name, int mode)
{
    (void)ctx;
    log_line(mode & API_WRITE ? "write" : "read", name->bytes);
    return (RedisModuleKey *)name;
}

static void close_key(RedisModuleKey *key) { log_line("close", ((RedisModuleString *)key)->bytes); }
static int key_type(RedisModuleKey *key) { (void)key; return scene.type; }
static size_t value_length(RedisModuleKey *key) { (void)key; return scene.size; }
static int truncate_string(RedisModuleKey *key, size_t size) { (void)key; scene.size = size; return API_OK; }
static int unlink_key(RedisModuleKey *key) { (void)key; return API_OK; }
static int set_string(RedisModuleKey *key, RedisModuleString *value) { (void)key, (void)value; return API_OK; }
static long long expiry_of(RedisModuleKey *key) { (void)key; return scene.expiry; }

static char *string_dma(RedisModuleKey *key, size_t *size, int mode)
{
    (void)key, (void)mode;
    *size = scene.size;
    return scene.value;
}

static int set_expiry(RedisModuleKey *key, long long expiry)
{
    (void)key;
    log_line(expiry == API_NO_EXPIRE ? "no expiry" : "expiry", SPAN(""));
    return API_OK;
}

static int signal_modified(RedisModuleCtx *ctx, RedisModuleString *name)
{
    (void)ctx;
    log_line("signal", name->bytes);
    return API_OK;
}

static int notify(RedisModuleCtx *ctx, int type, const char *event, RedisModuleString *name)
{
    (void)ctx, (void)type;
    log_line(event, name->bytes);
    return API_OK;
}

static int replicate(RedisModuleCtx *ctx, const char *command, const char *format, ...)
{
    (void)ctx, (void)format;
    log_line(command, SPAN(""));
    return API_OK;
}

static int count_change(RedisModuleCtx *ctx) { (void)ctx; log_line("counted", SPAN("")); return API_OK; }
static int context_flags(RedisModuleCtx *ctx) { (void)ctx; return 0; }
static int selected_db(RedisModuleCtx *ctx) { (void)ctx; return scene.db; }
static int select_db(RedisModuleCtx *ctx, int db) { (void)ctx; scene.db = db; return API_OK; }
static int told_classes(void) { return scene.told_classes; }
static RedisModuleScanCursor *create_cursor(void) { return NULL; }
static void destroy_cursor(RedisModuleScanCursor *cursor) { (void)cursor; }

/* MODULE LIST: a list of as many lists, whose second element is a name. */
static RedisModuleCallReply *call(RedisModuleCtx *ctx, const char *command, const char *format, ...)
{
    (void)ctx, (void)format;
    assert_string_equal(command, "MODULE");
    return (RedisModuleCallReply *)&scene;
}

static size_t reply_length(RedisModuleCallReply *reply) { (void)reply; return scene.has_modules; }
static RedisModuleCallReply *reply_element(RedisModuleCallReply *reply, size_t index) { (void)index; return reply; }
static void free_reply(RedisModuleCallReply *reply) { (void)reply; }

static const char *reply_text(RedisModuleCallReply *reply, size_t *size)
{
    (void)reply;
    *size = strlen("other");
    return "other";
}

/* ---- The engine's side ---- */

struct engine *engine_instance(void) { return NULL; }
void frequency_add(struct frequency *frequency, RedisModuleCtx *ctx, RedisModuleKey *key, uint32_t times)
{
    (void)frequency, (void)ctx, (void)key, (void)times;
}
void audience_ask(struct audience *audience) { (void)audience; }
void audience_end_turn(struct audience *audience) { audience->state = AUDIENCE_ASSUMED; }

/* ---- The scene ---- */

static int begin(void **state)
{
    (void)state;
    scene = (struct scene){.type = API_KEY_STRING, .size = sizeof scene.value, .expiry = API_NO_EXPIRE, .told_classes = API_NOTIFY_STRING, .db = 7};
    api = (struct api){
        .CreateString = create_string, .FreeString = free_string, .StringPtrLen = string_bytes, .OpenKey = open_key,
        .CloseKey = close_key, .KeyType = key_type, .ValueLength = value_length, .StringTruncate = truncate_string,
        .UnlinkKey = unlink_key, .StringSet = set_string, .GetAbsExpire = expiry_of, .SetAbsExpire = set_expiry,
        .StringDMA = string_dma, .SignalModifiedKey = signal_modified, .NotifyKeyspaceEvent = notify, .Replicate = replicate,
        .ReplicateVerbatim = count_change, .GetContextFlags = context_flags, .GetSelectedDb = selected_db, .SelectDb = select_db,
        .GetNotifyKeyspaceEvents = told_classes, .ScanCursorCreate = create_cursor, .ScanCursorDestroy = destroy_cursor,
        .Call = call, .CallReplyLength = reply_length, .CallReplyArrayElement = reply_element, .CallReplyStringPtr = reply_text,
        .FreeCallReply = free_reply};
    engine_keyspace_init(&scene.keyspace);
    scene.ahead = &scene.keyspace.ahead;
    engine_keyspace_enter(&scene.keyspace, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    engine_keyspace_leave(&scene.keyspace);
    assert_int_equal(scene.db, 7); /* a command's context is its client */
    engine_keyspace_deinit(&scene.keyspace);
    return 0;
}

static const struct keyspace_api *open_in(int db, const char *name, enum keyspace_mode mode)
{
    const struct keyspace_api *keyspace = scene.keyspace.keyspace.api;
    (void)keyspace->open(&scene.keyspace.keyspace, db, span_of(name, strlen(name)), mode);
    scene.log[0] = '\0';
    return keyspace;
}

/* What the engine was told since the key was opened. */
static void expect_told(const char *lines)
{
    assert_string_equal(scene.log, lines);
    scene.keyspace.keyspace.api->close(&scene.keyspace.keyspace);
}

/* ---- Law 3: whoever listens hears of every change what the same command over RESP would tell ---- */

static void test_a_store_is_told(void **state)
{
    (void)state;
    open_in(0, "k", KEYSPACE_WRITE)->store(&scene.keyspace.keyspace, SPAN("value"), KEYSPACE_NO_EXPIRY, "set");
    expect_told("SET \nsignal k\nset k\n");
}

static void test_a_store_that_expires_is_told(void **state)
{
    (void)state;
    open_in(0, "k", KEYSPACE_WRITE)->store(&scene.keyspace.keyspace, SPAN("value"), 1000, "set");
    expect_told("expiry \nSET \nsignal k\nset k\nexpire k\n");
}

static void test_a_store_without_an_expiry_ends_the_one_that_was(void **state)
{
    (void)state;
    scene.expiry = 1000;
    open_in(0, "k", KEYSPACE_WRITE)->store(&scene.keyspace.keyspace, SPAN("value"), KEYSPACE_NO_EXPIRY, "set");
    expect_told("no expiry \nSET \nsignal k\nset k\n");
}

static void test_an_append_is_told(void **state)
{
    (void)state;
    scene.size = 3;
    memcpy(scene.value, "old", 3);
    open_in(0, "k", KEYSPACE_WRITE)->append(&scene.keyspace.keyspace, SPAN("new"));
    assert_int_equal(scene.size, 6);
    assert_memory_equal(scene.value, "oldnew", 6);
    expect_told("APPEND \nsignal k\nappend k\n");
    open_in(0, "k", KEYSPACE_WRITE)->append(&scene.keyspace.keyspace, SPAN(""));
    assert_int_equal(scene.size, 6);
    expect_told("APPEND \nsignal k\nappend k\n");
}

static void test_a_patch_is_told(void **state)
{
    (void)state;
    open_in(0, "k", KEYSPACE_WRITE)->patch(&scene.keyspace.keyspace, 3, SPAN("new"));
    assert_memory_equal(scene.value + 3, "new", 3);
    expect_told("SETRANGE \nsignal k\nsetrange k\n");
}

static void test_a_removal_is_told(void **state)
{
    (void)state;
    open_in(0, "k", KEYSPACE_WRITE)->remove(&scene.keyspace.keyspace);
    expect_told("DEL \nsignal k\ndel k\n");
}

static void test_a_new_expiry_and_its_end_are_told(void **state)
{
    (void)state;
    open_in(0, "k", KEYSPACE_WRITE)->expire(&scene.keyspace.keyspace, 1000);
    expect_told("expiry \nPEXPIREAT \nsignal k\nexpire k\n");
    open_in(0, "k", KEYSPACE_WRITE)->expire(&scene.keyspace.keyspace, KEYSPACE_NO_EXPIRY);
    expect_told(""); /* it has none */
    scene.expiry = 1000;
    open_in(0, "k", KEYSPACE_WRITE)->expire(&scene.keyspace.keyspace, KEYSPACE_NO_EXPIRY);
    expect_told("no expiry \nPERSIST \nsignal k\npersist k\n");
}

/* ---- Where nobody listens ---- */

static void enter_again(void)
{
    engine_keyspace_leave(&scene.keyspace);
    scene.keyspace.has_met_modules = false;
    engine_keyspace_enter(&scene.keyspace, NULL);
}

static void test_events_are_told_when_somebody_may_listen(void **state)
{
    (void)state;
    scene.told_classes = 0;
    enter_again();
    open_in(0, "k", KEYSPACE_WRITE)->remove(&scene.keyspace.keyspace);
    expect_told("DEL \nsignal k\n");
    scene.has_modules = true;
    enter_again();
    assert_false(engine_keyspace_may_read_ahead(&scene.keyspace));
    open_in(0, "k", KEYSPACE_WRITE)->remove(&scene.keyspace.keyspace);
    expect_told("DEL \nsignal k\ndel k\n");
}

static void test_what_nobody_hears_is_counted(void **state)
{
    (void)state;
    scene.keyspace.audience.state = AUDIENCE_ABSENT;
    open_in(0, "k", KEYSPACE_WRITE)->remove(&scene.keyspace.keyspace);
    expect_told("counted \nsignal k\ndel k\n");
}

/* ---- Keys opened ahead ---- */

static void open_ahead(void)
{
    static const int readers[2];
    assert_true(read_ahead_add(scene.ahead, SPAN("a"), 1, AHEAD_WRITE, &readers[0]));
    assert_true(read_ahead_add(scene.ahead, SPAN("b"), 2, AHEAD_WRITE, &readers[1]));
    engine_keyspace_open_ahead(&scene.keyspace, 0);
    read_ahead_reach(scene.ahead, &readers[0]);
    assert_string_equal(scene.log, "write a\nwrite b\n");
    scene.log[0] = '\0';
}

static void open_now(const char *name, enum keyspace_mode mode, const char *lines)
{
    const struct keyspace_api *keyspace = scene.keyspace.keyspace.api;
    (void)keyspace->open(&scene.keyspace.keyspace, 0, span_of(name, strlen(name)), mode);
    assert_string_equal(scene.log, lines);
    keyspace->close(&scene.keyspace.keyspace);
    scene.log[0] = '\0';
}

static void test_a_key_that_is_open_is_not_opened_again(void **state)
{
    (void)state;
    open_ahead();
    open_now("a", KEYSPACE_WRITE, "");
    read_ahead_close(scene.ahead);
}

static void test_no_other_key_is_opened_for_a_change_beside_them(void **state)
{
    (void)state;
    open_ahead();
    open_now("another", KEYSPACE_WRITE, "close a\nclose b\nwrite another\n");
    assert_true(read_ahead_is_empty(scene.ahead));
    open_ahead();
    open_now("a", KEYSPACE_WRITE_UNNOTICED, "close a\nclose b\nwrite a\n");
}

static void test_ledgers_and_reads_leave_them_open(void **state)
{
    (void)state;
    open_ahead();
    open_now("diglot:flags:{x}", KEYSPACE_WRITE, "write diglot:flags:{x}\n");
    open_now("another", KEYSPACE_READ, "read another\n");
    assert_false(read_ahead_is_empty(scene.ahead));
    read_ahead_close(scene.ahead);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_store_is_told),
        TEST(test_a_store_that_expires_is_told),
        TEST(test_a_store_without_an_expiry_ends_the_one_that_was),
        TEST(test_an_append_is_told),
        TEST(test_a_patch_is_told),
        TEST(test_a_removal_is_told),
        TEST(test_a_new_expiry_and_its_end_are_told),
        TEST(test_events_are_told_when_somebody_may_listen),
        TEST(test_what_nobody_hears_is_counted),
        TEST(test_a_key_that_is_open_is_not_opened_again),
        TEST(test_no_other_key_is_opened_for_a_change_beside_them),
        TEST(test_ledgers_and_reads_leave_them_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
