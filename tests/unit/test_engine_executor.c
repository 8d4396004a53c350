/* The executor on the keyspace in memory. What it asks of the rest of the engine's side, the test answers. */
#include "engine/executor.h"

#include "engine/budget.h"
#include "engine/engine.h"
#include "fake/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LARGE_SIZE 100000
#define BATCHES_MAX 4

struct RedisModuleString {
    struct span bytes;
};

static struct scene {
    struct world world;
    struct engine_keyspace keyspace;
    struct executor executor;
    struct cluster cluster;
    struct access access;
    struct login login;
    struct calm calm;
    struct engine_upstream upstream;
    struct bridge_host host;
    atomic_size_t lent;
    struct mailbox home;
    struct batch *batches[BATCHES_MAX];
    struct identity *somebody; /* who may do everything */
    struct identity *guest;    /* who may do nothing */
    struct outlet outlet;
    struct buffer log;   /* "open k\n", "close k\n", "value\n" */
    size_t open_keys;    /* ahead */
    /* What the others answer. */
    bool has_aof;
    bool is_known_open;
    bool may_mark;
    enum gate_verdict mark;
    uint64_t messages_left; /* in a turn */
} scene;

/* ---- The module API ---- */

static RedisModuleString *create_string(RedisModuleCtx *ctx, const char *data, size_t size)
{
    (void)ctx;
    RedisModuleString *string = malloc(sizeof *string);
    assert_non_null(string);
    string->bytes = span_of(data, size);
    return string;
}

static void free_string(RedisModuleCtx *ctx, RedisModuleString *string)
{
    (void)ctx;
    free(string);
}

static void log_line(const char *what, struct span name)
{
    buffer_append(&scene.log, span_of(what, strlen(what)));
    buffer_append(&scene.log, name);
    buffer_append(&scene.log, SPAN("\n"));
}

/* A key is its name here. */
static RedisModuleKey *open_key(RedisModuleCtx *ctx, RedisModuleString *name, int mode)
{
    (void)ctx, (void)mode;
    log_line("open ", name->bytes);
    scene.open_keys++;
    return (RedisModuleKey *)name;
}

static void close_key(RedisModuleKey *key)
{
    log_line("close ", ((RedisModuleString *)key)->bytes);
    scene.open_keys--;
}

static int key_type(RedisModuleKey *key)
{
    (void)key;
    return API_KEY_EMPTY;
}

static int context_flags(RedisModuleCtx *ctx)
{
    (void)ctx;
    return API_CONTEXT_PRIMARY;
}

/* ---- The engine's side ---- */

void gate_init(struct gate *gate) { *gate = (struct gate){0}; }
void gate_deinit(struct gate *gate) { (void)gate; }
void gate_begin_turn(struct gate *gate, struct calm *calm, RedisModuleCtx *ctx, int flags, bool is_alone)
{
    (void)gate, (void)calm, (void)ctx, (void)flags, (void)is_alone;
}
void gate_end_turn(struct gate *gate) { (void)gate; }
enum gate_verdict gate_check(struct gate *gate, const struct request *request, struct result *result)
{
    (void)gate, (void)request, (void)result;
    return GATE_OPEN;
}
enum gate_verdict gate_check_mark(struct gate *gate) { (void)gate; return scene.mark; }
bool gate_is_known_open(const struct gate *gate) { (void)gate; return scene.is_known_open; }
bool gate_is_reclaiming(const struct gate *gate) { (void)gate; return false; }
bool gate_is_near_eviction(const struct gate *gate) { (void)gate; return false; }
bool gate_lets_maintenance_write(const struct gate *gate) { (void)gate; return true; }
bool gate_is_primary(const struct gate *gate) { (void)gate; return true; }
bool gate_has_aof(const struct gate *gate) { (void)gate; return scene.has_aof; }
void reclaimer_note_eviction(struct reclaimer *reclaimer) { (void)reclaimer; }

struct identity *access_resolve(struct access *access, struct identity *identity)
{
    (void)access;
    return identity ? identity : scene.somebody;
}
bool access_check(struct access *access, struct identity *identity, const struct request *request, struct result *result)
{
    (void)access, (void)request;
    if (identity != scene.guest) return true;
    result->status = RESULT_DENIED;
    return false;
}
bool access_may_mark(struct access *access, struct identity *identity, struct span key)
{
    (void)access, (void)identity, (void)key;
    return scene.may_mark;
}
struct key_reader *access_begin_reading(struct access *access, struct access_reader *reader, const struct identity *identity)
{
    (void)access, (void)reader, (void)identity;
    return NULL;
}
void access_end_reading(struct access_reader *reader) { (void)reader; }
uint64_t login_execute(struct login *login, struct batch *batch, struct message *message, uint64_t now_us)
{
    (void)login, (void)batch, (void)message, (void)now_us;
    return 0;
}

void cluster_begin_turn(struct cluster *cluster) { (void)cluster; }
bool cluster_is_plain(struct cluster *cluster, uint16_t slot) { (void)cluster, (void)slot; return true; }
RedisModuleString *cluster_local_key(struct cluster *cluster) { (void)cluster; return NULL; }
bool cluster_admits_open(struct cluster *cluster, struct span name, uint16_t slot, bool writes, struct result *result,
                         char words[CLUSTER_WORDS_SIZE])
{
    (void)cluster, (void)name, (void)slot, (void)writes, (void)result, (void)words;
    return true;
}

void audience_begin_turn(struct audience *audience, struct calm *calm, RedisModuleCtx *ctx, int flags)
{
    (void)audience, (void)calm, (void)ctx, (void)flags;
}
void engine_hear_evictions(RedisModuleCtx *ctx) { (void)ctx; }
void engine_upstream_collect(struct engine_upstream *upstream) { (void)upstream; }

void engine_keyspace_enter(struct engine_keyspace *keyspace, RedisModuleCtx *ctx) { (void)keyspace, (void)ctx; }
size_t engine_keyspace_count(struct engine_keyspace *keyspace, int db) { (void)keyspace, (void)db; return 0; }
void engine_keyspace_open_ahead(struct engine_keyspace *keyspace, int db)
{
    read_ahead_open(&keyspace->ahead, NULL, db);
}
/* Behind a turn the engine may do with its keys what it wants. */
void engine_keyspace_leave(struct engine_keyspace *keyspace)
{
    assert_true(read_ahead_is_empty(&keyspace->ahead));
    assert_int_equal(scene.open_keys, 0);
}

/* A turn of some messages, whatever they take. */
void budget_init(struct budget *budget) { *budget = (struct budget){.is_spent = scene.messages_left == 0}; }
void budget_lengthen(struct budget *budget) { (void)budget; }
void budget_charge(struct budget *budget, const struct message *message, size_t besides)
{
    budget->bytes += message->request.value.size + message->result.value_size + besides;
    budget->is_spent = --scene.messages_left == 0;
}
bool budget_is_over(const struct budget *budget) { return budget->is_spent; }
void budget_tell(const struct budget *budget, struct counters *counters) { (void)budget, (void)counters; }

/* ---- The scene ---- */

/* Takes every value. */
static bool take_value(struct outlet *outlet, const struct result *result, struct span value)
{
    (void)result;
    log_line("value", SPAN(""));
    outlet->held += value.size;
    return true;
}

static void settle(struct outlet *outlet)
{
    log_line("settle", SPAN(""));
    outlet->held = 0;
}

/* The client takes nothing. */
static void settle_in_vain(struct outlet *outlet)
{
    settle(outlet);
    pieces_add(&scene.batches[0]->apart, 0, SPAN("what is left"));
}

static struct identity *make_identity(bool is_open)
{
    struct identity *identity = identity_new(SPAN("somebody"));
    identity->grant.is_open = is_open;
    return identity;
}

static void put_items(void)
{
    static char large[LARGE_SIZE];
    memset(large, 'x', sizeof large);
    for (char name = 'a'; name <= 'f'; name++)
        fake_resp_set(&scene.world.fake, 0, span_of(&name, 1), span_of(large, sizeof large), KEYSPACE_NO_EXPIRY);
}

static int begin(void **state)
{
    (void)state;
    scene = (struct scene){.mark = GATE_OPEN, .may_mark = true, .messages_left = 1000,
                           .outlet = {.offer = take_value, .settle = settle}};
    api = (struct api){.CreateString = create_string, .FreeString = free_string, .OpenKey = open_key, .CloseKey = close_key,
                       .KeyType = key_type, .GetContextFlags = context_flags};
    world_init(&scene.world);
    buffer_init(&scene.log);
    struct command_context *command = &scene.world.context;
    assert_true(executor_init(&scene.executor, &scene.keyspace, command));
    assert_true(mailbox_init(&scene.home, false));
    scene.keyspace.is_alone = true;
    scene.executor.cluster = &scene.cluster;
    scene.executor.access = &scene.access;
    scene.executor.login = &scene.login;
    scene.executor.calm = &scene.calm;
    scene.executor.upstream = &scene.upstream;
    scene.executor.lent = &scene.lent;
    bridge_init(&scene.upstream.bridge, &scene.host, command, &scene.world.options, command->counters);
    scene.somebody = make_identity(true);
    scene.guest = make_identity(false);
    for (size_t i = 0; i < BATCHES_MAX; i++) scene.batches[i] = batch_new();
    put_items();
    executor_release(&scene.executor);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < BATCHES_MAX; i++) batch_free(&scene.batches[i]);
    identity_release(&scene.somebody);
    identity_release(&scene.guest);
    bridge_deinit(&scene.upstream.bridge);
    mailbox_deinit(&scene.home);
    executor_deinit(&scene.executor);
    buffer_deinit(&scene.log);
    world_deinit(&scene.world);
    return 0;
}

static struct message *ask(size_t batch, enum request_op op, const char *key)
{
    const struct request request = {.op = op, .key = span_of(key, strlen(key)), .value = SPAN("new")};
    return batch_add_request(scene.batches[batch], &request);
}

static void submit(size_t number)
{
    struct batch *batch = scene.batches[number];
    batch->home = &scene.home;
    mailbox_post(&scene.executor.inbox, &batch->mail);
}

static void take_turn(void)
{
    executor_turn(&scene.executor, NULL);
}

/* True when exactly these have come home since it was last asked, in their order. */
static bool have_come_home(const char *numbers)
{
    struct mail *mail = mailbox_take(&scene.home);
    for (; mail && *numbers; mail = mail->next, numbers++)
        if (batch_of_mail(mail) != scene.batches[*numbers - '0']) return false;
    return !mail && *numbers == '\0';
}

static bool is_logged(const char *lines)
{
    return span_equal(buffer_content(&scene.log), span_of(lines, strlen(lines)));
}

static enum result_status status_of(size_t batch, size_t message)
{
    return scene.batches[batch]->messages[message].result.status;
}

/* ---- Laws 4 and 6: what leaves when ---- */

static void test_without_a_file_a_write_goes_home_at_once(void **state)
{
    (void)state;
    ask(0, REQUEST_SET, "a");
    submit(0);
    take_turn();
    assert_true(have_come_home("0"));
    assert_int_equal(status_of(0, 0), RESULT_STORED);
}

static void test_a_write_and_who_may_have_seen_it_go_home_behind_the_flush(void **state)
{
    (void)state;
    scene.has_aof = true;
    ask(0, REQUEST_GET, "a");
    ask(1, REQUEST_SET, "a");
    ask(2, REQUEST_GET, "a");
    for (size_t i = 0; i < 3; i++) submit(i);
    take_turn();
    assert_true(have_come_home("0"));
    executor_release(&scene.executor);
    assert_true(have_come_home("12"));
    submit(0);
    scene.batches[0]->executed = 0;
    take_turn();
    assert_true(have_come_home("0"));
}

static void test_who_may_have_seen_a_redis_write_goes_home_behind_the_flush(void **state)
{
    (void)state;
    scene.has_aof = true;
    fake_resp_append(&scene.world.fake, 0, SPAN("a"), SPAN("more"));
    ask(0, REQUEST_GET, "a");
    submit(0);
    take_turn();
    assert_true(have_come_home(""));
    executor_release(&scene.executor);
    assert_true(have_come_home("0"));
}

static void test_a_value_leaves_at_once_when_nothing_waits_for_the_flush(void **state)
{
    (void)state;
    scene.has_aof = true;
    scene.keyspace.is_alone = false;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_SET, "b");
    ask(0, REQUEST_GET, "a");
    scene.batches[0]->outlet = &scene.outlet;
    submit(0);
    take_turn();
    assert_true(is_logged("value\nsettle\n"));
}

/* It is a write itself, though it has changed nothing yet when its value is found. */
static void test_what_is_touched_does_not_leave_ahead_of_the_touch(void **state)
{
    (void)state;
    ask(0, REQUEST_GAT, "a")->request.exptime = 100;
    scene.batches[0]->outlet = &scene.outlet;
    submit(0);
    take_turn();
    assert_true(is_logged(""));
    assert_int_equal(status_of(0, 0), RESULT_HIT);
}

/* ---- Law 3: a read that comes to a write ---- */

/* Asks for an item that is stale, so that its refresh may be won, and takes a turn. */
static const struct extras *ask_for_stale(struct identity *identity)
{
    struct extras extras = {.asks = ASK_META | ASK_INVALIDATE};
    const struct request request = {.op = REQUEST_DELETE, .key = SPAN("a"), .extras = &extras};
    assert_int_equal(world_execute(&scene.world, &request).status, RESULT_OK);
    struct batch *batch = scene.batches[0];
    struct extras *asked = batch_extras(batch);
    *asked = (struct extras){.asks = ASK_META};
    ask(0, REQUEST_GET, "a")->request.extras = asked;
    batch->identity = identity;
    submit(0);
    take_turn();
    return asked;
}

static void test_a_mark_waits_for_the_gate(void **state)
{
    (void)state;
    scene.mark = GATE_WAIT;
    const struct extras *asked = ask_for_stale(NULL);
    assert_true(have_come_home(""));
    scene.mark = GATE_OPEN;
    take_turn();
    assert_true(have_come_home("0"));
    assert_true(asked->told & TELL_WON);
}

static void test_a_mark_that_the_gate_refuses_is_not_written(void **state)
{
    (void)state;
    scene.mark = GATE_REFUSE;
    const struct extras *asked = ask_for_stale(NULL);
    assert_true(have_come_home("0"));
    assert_true(asked->told & TELL_STALE);
    assert_false(asked->told & TELL_WON);
}

static void test_who_may_not_write_does_not_mark(void **state)
{
    (void)state;
    scene.may_mark = false;
    struct identity *reader = make_identity(false);
    const struct extras *asked = ask_for_stale(reader);
    assert_int_equal(status_of(0, 0), RESULT_HIT);
    assert_false(asked->told & TELL_WON);
    identity_release(&reader);
}

static void test_a_mark_is_a_write_that_waits_for_the_flush(void **state)
{
    (void)state;
    scene.has_aof = true;
    const struct extras *asked = ask_for_stale(NULL);
    assert_true(asked->told & TELL_WON);
    assert_true(have_come_home(""));
    executor_release(&scene.executor);
    assert_true(have_come_home("0"));
}

/* ---- Law 7: what a turn is bounded by ---- */

static void test_a_batch_goes_home_when_it_has_values_enough(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    const uint32_t enough = BATCH_REPLY_LIMIT / LARGE_SIZE + 1;
    for (size_t i = 0; i < 6; i++) ask(0, REQUEST_GET, names[i]);
    ask(1, REQUEST_GET, "absent");
    submit(0);
    submit(1);
    take_turn();
    assert_true(have_come_home("01"));
    assert_int_equal(scene.batches[0]->executed, enough);
    submit(0);
    take_turn();
    assert_true(have_come_home("0"));
    assert_int_equal(scene.batches[0]->executed, 2 * enough);
}

static void test_the_rest_waits_when_the_turn_is_spent(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "absent");
    ask(0, REQUEST_GET, "absent too");
    submit(0);
    scene.messages_left = 1;
    take_turn();
    assert_true(have_come_home(""));
    assert_int_equal(scene.batches[0]->executed, 1);
    scene.messages_left = 1000;
    take_turn();
    assert_true(have_come_home("0"));
}

static void test_one_costly_request_in_a_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) ask(i, REQUEST_STATS, "");
    for (size_t i = 0; i < 3; i++) submit(i);
    take_turn();
    assert_true(have_come_home("0"));
    take_turn();
    assert_true(have_come_home("1"));
    take_turn();
    assert_true(have_come_home("2"));
}

static void test_nothing_is_executed_while_workers_have_too_much(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    submit(0);
    scene.lent = (size_t)33 * 1024 * 1024;
    take_turn();
    assert_true(have_come_home(""));
    scene.lent = 0;
    take_turn();
    assert_true(have_come_home("0"));
    assert_true(scene.lent >= LARGE_SIZE); /* until its worker has looked at it */
}

/* ---- Keys opened ahead ---- */

static void test_keys_are_open_until_those_behind_them_have_their_turn(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_GET, "b");
    ask(1, REQUEST_GET, "c");
    for (size_t i = 0; i < 2; i++) {
        scene.batches[i]->outlet = &scene.outlet;
        submit(i);
    }
    take_turn();
    assert_true(is_logged("open a\nopen b\nopen c\nvalue\nclose a\nvalue\nsettle\nclose b\nvalue\nsettle\nclose c\n"));
}

/* ---- Values that are sent from where they lie ---- */

static void submit_with_outlet(size_t number)
{
    scene.batches[number]->outlet = &scene.outlet;
    submit(number);
}

/* Nothing but reads of keys that were opened along with theirs comes between their reading and their leaving. */
static void test_values_leave_before_any_other_key_is_opened(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_GET, "b");
    ask(0, REQUEST_GET, "a"); /* may find it expired, and remove it */
    ask(0, REQUEST_GET, "c");
    submit_with_outlet(0);
    take_turn();
    assert_true(is_logged("open a\nopen b\nvalue\nclose a\nvalue\nsettle\nclose b\n"
                          "open a\nopen c\nvalue\nsettle\nclose a\nclose c\n")); /* that is enough for once */
}

/* The gate asks the engine about this key when the next read comes to a mark, and the engine may find it expired. */
static void test_values_of_keys_that_the_engine_is_asked_about_leave_at_once(void **state)
{
    (void)state;
    static char large[LARGE_SIZE];
    fake_resp_set(&scene.world.fake, 0, SPAN("diglot:probe"), span_of(large, sizeof large), KEYSPACE_NO_EXPIRY);
    ask(0, REQUEST_GET, "diglot:probe");
    ask(0, REQUEST_GET, "a");
    submit_with_outlet(0);
    take_turn();
    assert_true(is_logged("value\nsettle\nvalue\nsettle\n"));
}

static void test_values_leave_before_anything_changes(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_SET, "a");
    ask(0, REQUEST_GET, "b");
    ask(0, REQUEST_FLUSH_ALL, "");
    submit_with_outlet(0);
    take_turn();
    assert_true(is_logged("open a\nvalue\nsettle\nclose a\nopen b\nvalue\nsettle\nclose b\n"));
}

/* Be it another key of the same window. */
static void test_values_leave_before_anything_else_changes(void **state)
{
    (void)state;
    scene.is_known_open = true;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_SET, "b");
    ask(0, REQUEST_GET, "c");
    submit_with_outlet(0);
    take_turn();
    assert_true(is_logged("open a\nopen b\nopen c\nvalue\nsettle\nclose a\nclose b\nvalue\nsettle\nclose c\n"));
}

static void test_values_leave_before_the_turn_is_over(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_GET, "b");
    submit_with_outlet(0);
    scene.messages_left = 1;
    take_turn();
    assert_true(is_logged("open a\nopen b\nvalue\nsettle\nclose a\nclose b\n"));
    assert_true(have_come_home(""));
}

/* It can take no more: nothing is read for it until what is left has gone, even where the turn is over just then. */
static void test_who_does_not_take_its_values_gets_its_batch_back(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "a", "c"};
    scene.outlet.settle = settle_in_vain;
    for (size_t i = 0; i < 4; i++) ask(0, REQUEST_GET, names[i]);
    submit_with_outlet(0);
    take_turn();
    assert_true(have_come_home("0"));
    assert_int_equal(scene.batches[0]->executed, 2);
    pieces_init(&scene.batches[0]->apart);
    submit(0);
    scene.messages_left = 1;
    take_turn();
    assert_true(have_come_home("0"));
    assert_int_equal(scene.batches[0]->executed, 3);
}

static void test_keys_are_closed_when_the_turn_ends_before_theirs(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(1, REQUEST_GET, "b");
    submit(0);
    submit(1);
    scene.messages_left = 1;
    take_turn();
    assert_true(is_logged("open a\nopen b\nclose a\nclose b\n"));
    assert_true(have_come_home("0"));
}

static void test_no_key_is_opened_for_a_write_before_writes_are_known_to_be_taken(void **state)
{
    (void)state;
    ask(0, REQUEST_SET, "a");
    ask(0, REQUEST_SET, "b");
    submit(0);
    take_turn();
    assert_true(is_logged(""));
    ask(1, REQUEST_SET, "a");
    ask(1, REQUEST_SET, "b");
    submit(1);
    scene.is_known_open = true;
    take_turn();
    assert_true(is_logged("open a\nopen b\nclose a\nclose b\n"));
}

static void test_no_key_is_opened_for_who_may_not_do_everything(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_GET, "b");
    ask(1, REQUEST_GET, "secret");
    scene.batches[1]->identity = scene.guest;
    submit(0);
    submit(1);
    take_turn();
    assert_true(is_logged("open a\nopen b\nclose a\nclose b\n"));
    assert_int_equal(status_of(1, 0), RESULT_DENIED);
}

static void test_no_key_of_the_modules_own_is_opened(void **state)
{
    (void)state;
    ask(0, REQUEST_GET, "a");
    ask(0, REQUEST_GET, "b");
    ask(0, REQUEST_GET, "diglot:flags:{a}");
    submit(0);
    take_turn();
    assert_true(is_logged("open a\nopen b\nclose a\nclose b\n"));
    assert_int_equal(status_of(0, 2), RESULT_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_file_a_write_goes_home_at_once),
        TEST(test_a_write_and_who_may_have_seen_it_go_home_behind_the_flush),
        TEST(test_who_may_have_seen_a_redis_write_goes_home_behind_the_flush),
        TEST(test_a_value_leaves_at_once_when_nothing_waits_for_the_flush),
        TEST(test_what_is_touched_does_not_leave_ahead_of_the_touch),
        TEST(test_a_mark_waits_for_the_gate),
        TEST(test_a_mark_that_the_gate_refuses_is_not_written),
        TEST(test_who_may_not_write_does_not_mark),
        TEST(test_a_mark_is_a_write_that_waits_for_the_flush),
        TEST(test_a_batch_goes_home_when_it_has_values_enough),
        TEST(test_the_rest_waits_when_the_turn_is_spent),
        TEST(test_one_costly_request_in_a_turn),
        TEST(test_nothing_is_executed_while_workers_have_too_much),
        TEST(test_keys_are_open_until_those_behind_them_have_their_turn),
        TEST(test_values_leave_before_any_other_key_is_opened),
        TEST(test_values_of_keys_that_the_engine_is_asked_about_leave_at_once),
        TEST(test_values_leave_before_anything_changes),
        TEST(test_values_leave_before_anything_else_changes),
        TEST(test_values_leave_before_the_turn_is_over),
        TEST(test_who_does_not_take_its_values_gets_its_batch_back),
        TEST(test_keys_are_closed_when_the_turn_ends_before_theirs),
        TEST(test_no_key_is_opened_for_a_write_before_writes_are_known_to_be_taken),
        TEST(test_no_key_is_opened_for_who_may_not_do_everything),
        TEST(test_no_key_of_the_modules_own_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
