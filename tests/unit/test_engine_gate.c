/* The gate, where the engine answers what the test wants. */
#include "engine/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct scene {
    struct gate gate;
    struct calm calm;
    const char *error; /* what the engine says to probes; NULL: nothing is wrong */
    int probes;        /* so far */
    float memory;      /* to maxmemory */
    bool is_paused;
    bool holds_reads;
    int flags;
    enum reclaimer_verdict reclaimer;
    float ceiling;
    int asked; /* how often the engine was made to evict */
} scene;

/* ---- The module API ---- */

static RedisModuleCallReply *call(RedisModuleCtx *ctx, const char *command, const char *format, ...)
{
    (void)ctx, (void)command, (void)format;
    scene.probes++;
    return (RedisModuleCallReply *)&scene;
}

static int reply_type(RedisModuleCallReply *reply)
{
    (void)reply;
    return scene.error ? API_REPLY_ERROR : API_REPLY_ARRAY;
}

static const char *reply_text(RedisModuleCallReply *reply, size_t *size)
{
    (void)reply;
    *size = strlen(scene.error);
    return scene.error;
}

static void free_reply(RedisModuleCallReply *reply) { (void)reply; }
static float memory_ratio(void) { return scene.memory; }
static int avoid_replica_traffic(void) { return scene.is_paused; }

/* ---- The gate's helpers ---- */

void reclaimer_init(struct reclaimer *reclaimer) { *reclaimer = (struct reclaimer){0}; }
void reclaimer_deinit(struct reclaimer *reclaimer) { (void)reclaimer; }
void reclaimer_rest(struct reclaimer *reclaimer) { (void)reclaimer; }
float reclaimer_ceiling(const struct reclaimer *reclaimer, float ratio) { (void)reclaimer, (void)ratio; return scene.ceiling; }
enum reclaimer_verdict reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx, float ratio)
{
    (void)reclaimer, (void)ctx, (void)ratio;
    scene.asked++;
    return scene.reclaimer;
}
bool pauses_hold_reads(struct pauses *pauses) { (void)pauses; return scene.holds_reads; }

/* ---- The scene ---- */

static int begin(void **state)
{
    (void)state;
    scene = (struct scene){.flags = API_CONTEXT_PRIMARY | API_CONTEXT_MAXMEMORY, .memory = 0.5f, .ceiling = 1.0f};
    api = (struct api){.Call = call, .CallReplyType = reply_type, .CallReplyStringPtr = reply_text, .FreeCallReply = free_reply,
                       .GetUsedMemoryRatio = memory_ratio, .AvoidReplicaTraffic = avoid_replica_traffic};
    gate_init(&scene.gate);
    return 0;
}

static void begin_turn(void)
{
    gate_begin_turn(&scene.gate, &scene.calm, NULL, scene.flags, true);
}

static enum gate_verdict check(enum request_op op, struct result *result)
{
    *result = (struct result){0};
    return gate_check(&scene.gate, &(struct request){.op = op}, result);
}

static void expect(enum request_op op, enum gate_verdict verdict)
{
    struct result result;
    assert_int_equal(check(op, &result), verdict);
}

static void expect_refusal(enum request_op op, const char *reason)
{
    struct result result;
    assert_int_equal(check(op, &result), GATE_REFUSE);
    assert_int_equal(result.status, RESULT_REFUSED);
    assert_true(span_starts_with(result.text, span_of(reason, strlen(reason))));
}

static void expect_no_memory(enum request_op op)
{
    struct result result;
    assert_int_equal(check(op, &result), GATE_REFUSE);
    assert_int_equal(result.status, RESULT_OUT_OF_MEMORY);
}

/* ---- What the engine refuses ---- */

static void test_writes_are_refused_as_the_engine_refuses_them(void **state)
{
    (void)state;
    static const char *const errors[] = {"NOREPLICAS", "MISCONF", "LOADING"};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        scene.error = errors[i];
        calm_note_cron(&scene.calm);
        begin_turn();
        expect_refusal(REQUEST_SET, errors[i]);
        expect_refusal(REQUEST_DELETE, errors[i]);
        expect(REQUEST_GET, GATE_OPEN);
        scene.error = NULL;
        begin_turn();
        expect(REQUEST_SET, GATE_OPEN);
    }
}

static void test_an_error_about_the_probe_says_nothing(void **state)
{
    (void)state;
    scene.error = "WRONGTYPE Operation against a key holding the wrong kind of value";
    begin_turn();
    expect(REQUEST_SET, GATE_OPEN);
}

static void test_a_replica_takes_no_writes_and_reads_unless_it_is_stale(void **state)
{
    (void)state;
    scene.flags &= ~API_CONTEXT_PRIMARY;
    begin_turn();
    expect_refusal(REQUEST_SET, "READONLY");
    expect(REQUEST_GET, GATE_OPEN);
    scene.error = "MASTERDOWN";
    begin_turn();
    expect_refusal(REQUEST_GET, "MASTERDOWN");
}

static void test_pauses_keep_waiting(void **state)
{
    (void)state;
    scene.is_paused = true;
    begin_turn();
    expect(REQUEST_SET, GATE_WAIT);
    expect(REQUEST_GET, GATE_OPEN);
    assert_int_equal(gate_check_mark(&scene.gate), GATE_WAIT);
    assert_false(gate_lets_maintenance_write(&scene.gate));
    assert_false(gate_is_known_open(&scene.gate));
    scene.holds_reads = true;
    begin_turn();
    expect(REQUEST_GET, GATE_WAIT);
}

/* ---- How long an answer holds ---- */

static void expect_probe(bool is_probed)
{
    int before = scene.probes;
    begin_turn();
    expect(REQUEST_SET, GATE_OPEN);
    expect(REQUEST_SET, GATE_OPEN);
    assert_int_equal(scene.probes - before, is_probed);
}

static void test_the_engine_is_asked_again_when_its_answer_may_have_changed(void **state)
{
    (void)state;
    expect_probe(true);
    expect_probe(false);
    calm_note_cron(&scene.calm); /* a save may have failed */
    expect_probe(true);
    scene.calm.changes++;
    expect_probe(true);
    expect_probe(false);
    scene.calm.uneasy_until = scene.calm.crons + 1;
    expect_probe(true);
    expect_probe(true);
}

/* ---- Memory ---- */

static void test_memory_that_fills_within_a_turn_is_noticed(void **state)
{
    (void)state;
    begin_turn();
    expect(REQUEST_SET, GATE_OPEN);
    assert_true(gate_is_known_open(&scene.gate));
    scene.memory = 1.5f;
    expect_no_memory(REQUEST_SET);
    assert_false(gate_is_known_open(&scene.gate));
    assert_int_equal(gate_check_mark(&scene.gate), GATE_REFUSE);
}

static void test_what_needs_no_memory_goes_on_without(void **state)
{
    (void)state;
    scene.memory = 1.5f;
    begin_turn();
    static const enum request_op need[] = {REQUEST_SET, REQUEST_ADD, REQUEST_REPLACE, REQUEST_APPEND, REQUEST_PREPEND,
                                           REQUEST_CAS, REQUEST_INCR, REQUEST_DECR};
    for (size_t i = 0; i < sizeof need / sizeof *need; i++) expect_no_memory(need[i]);
    static const enum request_op others[] = {REQUEST_GET, REQUEST_GAT, REQUEST_DELETE, REQUEST_TOUCH, REQUEST_SET_TOO_LARGE};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) expect(others[i], GATE_OPEN);
}

static void test_where_the_engine_evicts_writes_wait_for_it(void **state)
{
    (void)state;
    scene.flags |= API_CONTEXT_EVICTS;
    scene.memory = 1.5f;
    scene.reclaimer = RECLAIMER_WORKS;
    begin_turn();
    expect(REQUEST_SET, GATE_WAIT);
    assert_int_equal(scene.asked, 1);
    scene.reclaimer = RECLAIMER_FAILS;
    begin_turn();
    expect_no_memory(REQUEST_SET);
}

/* Above the limit, but below the ceiling: they are evicted for together, behind the turn. */
static void test_up_to_the_ceiling_writes_are_taken_and_evicted_for(void **state)
{
    (void)state;
    scene.flags |= API_CONTEXT_EVICTS;
    scene.ceiling = 1.1f;
    begin_turn();
    expect(REQUEST_SET, GATE_OPEN);
    scene.memory = 1.05f;
    expect(REQUEST_SET, GATE_OPEN);
    assert_int_equal(scene.asked, 0);
    gate_end_turn(&scene.gate);
    assert_int_equal(scene.asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_writes_are_refused_as_the_engine_refuses_them, begin),
        cmocka_unit_test_setup(test_an_error_about_the_probe_says_nothing, begin),
        cmocka_unit_test_setup(test_a_replica_takes_no_writes_and_reads_unless_it_is_stale, begin),
        cmocka_unit_test_setup(test_pauses_keep_waiting, begin),
        cmocka_unit_test_setup(test_the_engine_is_asked_again_when_its_answer_may_have_changed, begin),
        cmocka_unit_test_setup(test_memory_that_fills_within_a_turn_is_noticed, begin),
        cmocka_unit_test_setup(test_what_needs_no_memory_goes_on_without, begin),
        cmocka_unit_test_setup(test_where_the_engine_evicts_writes_wait_for_it, begin),
        cmocka_unit_test_setup(test_up_to_the_ceiling_writes_are_taken_and_evicted_for, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
