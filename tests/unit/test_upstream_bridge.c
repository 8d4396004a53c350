/* The bridge against a model: clients of both protocols, an old server whose answers come in any order of events, late or not
 * at all, options that change at any time. There is one truth for each key, as if there were one server; whoever reads finds it,
 * or, where a question has failed, nothing, but never anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/number.h"
#include "fake/world.h"
#include "upstream/bridge.h"

#define KEYS 12
#define VALUE_SIZE 16
#define JOBS_MOST 256
#define BATCHES 4
#define STEPS 30000

/* Text, empty: absent. */
typedef char value[VALUE_SIZE];

struct client {
    struct batch *batch;
    bool is_waiting;
    bool may_miss; /* a question has failed since the request */
};

struct scene {
    struct bridge_host host; /* first */
    struct world world;
    struct bridge bridge;
    struct identity *identity;
    unsigned dice;
    value truth[KEYS];
    value old[KEYS];
    struct job *jobs[JOBS_MOST];
    size_t job_count;
    struct client clients[BATCHES];
    enum bridge_leave leave;
    bool fails; /* questions may */
    unsigned serial;
};

static unsigned roll(struct scene *scene, unsigned sides)
{
    scene->dice = scene->dice * 1103515245 + 12345;
    return (scene->dice >> 16) % sides;
}

/* ---- The host ---- */

static void send_job(struct bridge_host *host, struct job *job)
{
    struct scene *scene = (struct scene *)host;
    assert_true(scene->job_count < JOBS_MOST);
    scene->jobs[scene->job_count++] = job;
}

static bool may_ask(struct bridge_host *host, struct identity *identity, const struct request *request)
{
    (void)host, (void)identity, (void)request;
    return true;
}

static enum bridge_leave may_store(struct bridge_host *host)
{
    return ((struct scene *)host)->leave;
}

static bool configure(struct bridge_host *host, struct roster *roster)
{
    (void)host, (void)roster;
    return true;
}

static void on_event(void *listener, int db, struct span name, const char *event)
{
    struct scene *scene = listener;
    bool is_change = strcmp(event, "expired") != 0 && strcmp(event, "evicted") != 0 && strcmp(event, "new") != 0;
    if (is_change) bridge_note_change(&scene->bridge, db, name);
}

/* ---- The old server ---- */

static size_t number_of(struct span key)
{
    uint32_t number = 0;
    assert_true(number_parse_strict_u32(span_skip(key, 1), &number) && number < KEYS);
    return number;
}

static void copy_value(value to, struct span from)
{
    assert_true(from.size < VALUE_SIZE);
    memcpy(to, from.data, from.size);
    to[from.size] = '\0';
}

static bool count_up(value number)
{
    uint64_t present;
    if (!number_parse_u64(span_of(number, strlen(number)), &present)) return false;
    (void)snprintf(number, VALUE_SIZE, "%u", (unsigned)present + 1);
    return true;
}

static void reply_value(struct job *job, const char *text)
{
    struct client_reply reply = {.kind = CLIENT_REPLY_MISS, .ttl = -1};
    if (*text) reply = (struct client_reply){.kind = CLIENT_REPLY_VALUE, .ttl = -1, .value = span_of(text, strlen(text))};
    job_take_reply(job, &reply);
}

static void reply_kind(struct job *job, enum client_reply_kind kind)
{
    job_take_reply(job, &(struct client_reply){.kind = kind, .ttl = -1});
}

static void answer_passed(struct job *job, value item)
{
    switch (job->request.op) {
    case REQUEST_GET: reply_value(job, item); break;
    case REQUEST_SET:
        copy_value(item, buffer_content(&job->bytes));
        reply_kind(job, CLIENT_REPLY_DONE);
        break;
    case REQUEST_DELETE:
        reply_kind(job, *item ? CLIENT_REPLY_DONE : CLIENT_REPLY_NOT_FOUND);
        *item = '\0';
        break;
    default:
        if (*item && count_up(item))
            reply_value(job, item);
        else
            reply_kind(job, CLIENT_REPLY_NOT_FOUND);
        break;
    }
}

/* What is passed through happens there and then: whatever the key's truth is, the old server knows it. */
static void pass(struct scene *scene, struct job *job, value item)
{
    char *truth = scene->truth[number_of(job_key(job))];
    assert_string_equal(item, truth);
    answer_passed(job, item);
    memcpy(truth, item, VALUE_SIZE);
}

/* The server does what it is asked when the test says so, and the answer arrives at once. */
static void answer(struct scene *scene, size_t index, enum job_outcome outcome)
{
    struct job *job = scene->jobs[index];
    memmove(&scene->jobs[index], &scene->jobs[index + 1], (--scene->job_count - index) * sizeof job);
    job->outcome = outcome;
    if (outcome == JOB_DONE && job->kind == JOB_FLUSH) {
        memset(scene->old, 0, sizeof scene->old);
        reply_kind(job, CLIENT_REPLY_OK);
    } else if (outcome == JOB_DONE) {
        char *item = scene->old[number_of(job_key(job))];
        if (job->kind == JOB_FETCH) reply_value(job, item);
        if (job->kind == JOB_STORE) copy_value(item, buffer_content(&job->bytes));
        if (job->kind == JOB_REMOVE) *item = '\0';
        if (job->kind == JOB_STORE || job->kind == JOB_REMOVE) reply_kind(job, CLIENT_REPLY_DONE);
        if (job->kind == JOB_PASS) pass(scene, job, item);
    } else {
        for (size_t i = 0; i < BATCHES; i++) scene->clients[i].may_miss = true;
    }
    bridge_take_job(&scene->bridge, job);
}

/* ---- Clients ---- */

static void check_message(struct scene *scene, const struct client *client, const struct message *message)
{
    char *truth = scene->truth[number_of(message->request.key)];
    const struct result *result = &message->result;
    switch (message->request.op) {
    case REQUEST_GET:
        if (result->status == RESULT_HIT) {
            struct span found = span_of(buffer_content(&client->batch->values).data + result->value_offset, result->value_size);
            assert_true(span_equal(found, span_of(truth, strlen(truth))));
        } else {
            assert_true(*truth == '\0' || client->may_miss);
        }
        break;
    case REQUEST_SET:
        copy_value(truth, message->request.value);
        break;
    case REQUEST_DELETE:
        if (!client->may_miss) assert_int_equal(result->status, *truth ? RESULT_OK : RESULT_NOT_FOUND);
        *truth = '\0';
        break;
    default:
        if (result->status == RESULT_NUMBER)
            assert_true(count_up(truth) && number_parse_u64(span_of(truth, strlen(truth)), &(uint64_t){0}));
        else
            assert_true(*truth == '\0' || client->may_miss);
        break;
    }
}

static void run_batch(struct scene *scene, struct client *client)
{
    struct batch *batch = client->batch;
    client->is_waiting = false;
    for (uint32_t end = bridge_is_on(&scene->bridge) ? batch->prepared : batch->count; batch->executed < end; batch->executed++) {
        struct message *message = &batch->messages[batch->executed];
        if (bridge_answer(batch, batch->executed)) continue;
        command_execute(&scene->world.context, &message->request, &message->result, &batch->values);
        check_message(scene, client, message);
    }
    bridge_release(batch);
}

static void run_ready(struct scene *scene)
{
    for (struct batch *batch = bridge_next_ready(&scene->bridge); batch; batch = bridge_next_ready(&scene->bridge))
        for (size_t i = 0; i < BATCHES; i++)
            if (scene->clients[i].batch == batch) run_batch(scene, &scene->clients[i]);
}

static void add_request(struct scene *scene, struct client *client)
{
    static const enum request_op ops[] = {REQUEST_GET, REQUEST_GET, REQUEST_SET, REQUEST_DELETE, REQUEST_INCR};
    static char values[BATCHES * 4][VALUE_SIZE];
    static const char *const keys[KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k10", "k11"};
    const char *key = keys[roll(scene, KEYS)];
    char *text = values[scene->serial % (BATCHES * 4)];
    size_t size = (size_t)snprintf(text, VALUE_SIZE, "%u", ++scene->serial);
    batch_add(client->batch)->request = (struct request){
        .op = ops[roll(scene, 5)], .key = span_of(key, strlen(key)), .value = span_of(text, size), .operand = 1};
}

static void ask(struct scene *scene)
{
    struct client *client = &scene->clients[roll(scene, BATCHES)];
    if (client->is_waiting) return;
    batch_reset(client->batch);
    client->may_miss = scene->fails;
    unsigned count = 1 + roll(scene, 4);
    for (unsigned i = 0; i < count; i++) add_request(scene, client);
    client->is_waiting = bridge_is_on(&scene->bridge) && bridge_hold(&scene->bridge, client->batch, scene->identity);
    if (!client->is_waiting) run_batch(scene, client);
}

/* Whose key lives there still is the old server's: RESP clients have nothing to do with it. */
static bool is_here(const struct scene *scene, struct span key)
{
    return share_of(hash_key(key)) < scene->bridge.share;
}

static void act_over_resp(struct scene *scene)
{
    char key[8], text[VALUE_SIZE];
    size_t number = roll(scene, KEYS);
    struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "k%zu", number));
    if (!is_here(scene, name)) return;
    if (roll(scene, 2) == 0) {
        struct span new = span_of(text, (size_t)snprintf(text, sizeof text, "%u", ++scene->serial));
        fake_resp_set(&scene->world.fake, 0, name, new, KEYSPACE_NO_EXPIRY);
        copy_value(scene->truth[number], new);
    } else if (fake_resp_del(&scene->world.fake, 0, name)) {
        scene->truth[number][0] = '\0';
    }
}

/* ---- The scene ---- */

static void begin_turn(struct scene *scene)
{
    (void)world_turn(&scene->world);
    bridge_begin_turn(&scene->bridge, true, true);
}

static void end_turn(struct scene *scene)
{
    run_ready(scene);
    bridge_end_turn(&scene->bridge);
}

static void begin(struct scene *scene, const char *upstream, bool mirrors, unsigned share)
{
    static struct identity *identity;
    *scene = (struct scene){.host = {send_job, may_ask, may_store, configure}, .dice = 1, .leave = BRIDGE_MAY};
    if (!identity) identity = identity_new(SPAN("somebody"));
    scene->identity = identity;
    world_init(&scene->world);
    (void)snprintf(scene->world.options.upstream, OPTION_TEXT_MAX, "%s", upstream);
    atomic_store(&scene->world.options.upstream_mirror, mirrors);
    atomic_store(&scene->world.options.upstream_share, share);
    atomic_store(&scene->world.options.upstream_timeout, 60000);
    atomic_store(&scene->world.options.upstream_memory, 1024 * 1024);
    bridge_init(&scene->bridge, &scene->host, &scene->world.context, &scene->world.options, scene->world.context.counters);
    scene->world.fake.on_event = on_event;
    scene->world.fake.event_listener = scene;
    for (size_t i = 0; i < BATCHES; i++) scene->clients[i].batch = batch_new();
    for (size_t i = 0; i < KEYS; i += 2) {
        (void)snprintf(scene->old[i], VALUE_SIZE, "%zu", i * 1000);
        memcpy(scene->truth[i], scene->old[i], VALUE_SIZE);
    }
    begin_turn(scene);
    end_turn(scene);
}

/* Answers all that is asked, until nothing more comes of it. */
static void drain(struct scene *scene)
{
    do {
        begin_turn(scene);
        while (scene->job_count > 0) answer(scene, 0, JOB_DONE);
        end_turn(scene);
    } while (scene->job_count > 0 || scene->bridge.echoes.count > 0);
}

static void end(struct scene *scene)
{
    while (scene->job_count > 0) answer(scene, 0, JOB_UNREACHABLE);
    run_ready(scene);
    bridge_deinit(&scene->bridge);
    for (size_t i = 0; i < BATCHES; i++) batch_free(&scene->clients[i].batch);
    world_deinit(&scene->world);
}

static void move_share(struct scene *scene)
{
    drain(scene); /* as the operator does */
    atomic_store(&scene->world.options.upstream_share, roll(scene, 5) * 25);
    bridge_note_options(&scene->bridge);
}

static void take_step(struct scene *scene, bool moves)
{
    begin_turn(scene);
    for (unsigned i = roll(scene, 4); i > 0; i--) {
        if (roll(scene, 3) > 0) ask(scene);
        if (roll(scene, 8) == 0) act_over_resp(scene);
        if (scene->job_count == 0 || roll(scene, 2) == 0) continue;
        /* A server answers in order; the answers of several come in any. */
        bool fails = scene->fails && roll(scene, 4) == 0;
        answer(scene, 0, fails ? JOB_LATE : JOB_DONE);
        run_ready(scene);
    }
    end_turn(scene);
    if (moves && roll(scene, 200) == 0) move_share(scene);
}

static void run(struct scene *scene, bool moves)
{
    for (unsigned i = 0; i < STEPS; i++) take_step(scene, moves);
    drain(scene);
}

static void assert_all_here(struct scene *scene)
{
    for (size_t i = 0; i < KEYS; i++) {
        char key[8];
        struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "k%zu", i));
        const struct fake_key *found = fake_find(&scene->world.fake, 0, name);
        if (found) assert_true(fake_holds(&scene->world.fake, 0, name, span_of(scene->truth[i], strlen(scene->truth[i]))));
    }
}

static void test_reading_through(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", false, 100);
    run(&scene, false);
    assert_all_here(&scene);
    for (size_t i = 0; i < KEYS; i += 2) assert_string_not_equal(scene.old[i], ""); /* nothing was written there */
    end(&scene);
}

static void test_reading_through_with_failures(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", false, 100);
    scene.fails = true;
    run(&scene, false);
    assert_all_here(&scene);
    end(&scene);
}

static void test_the_mirror_is_level_in_the_end(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", true, 100);
    run(&scene, false);
    for (size_t i = 0; i < KEYS; i++) assert_string_equal(scene.old[i], scene.truth[i]);
    end(&scene);
}

static void test_the_mirror_with_failures(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1 other:2 third:3", true, 100);
    scene.fails = true;
    run(&scene, false);
    scene.fails = false;
    drain(&scene);
    assert_all_here(&scene);
    end(&scene);
}

static void test_the_share_goes_up_and_down(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", true, 0);
    run(&scene, true);
    for (size_t i = 0; i < KEYS; i++) assert_string_equal(scene.old[i], scene.truth[i]);
    end(&scene);
}

/* ---- Single points ---- */

static void ask_one(struct scene *scene, enum request_op op, struct span key)
{
    struct client *client = &scene->clients[0];
    batch_reset(client->batch);
    batch_add(client->batch)->request = (struct request){.op = op, .key = key, .value = SPAN("v"), .operand = 1};
    begin_turn(scene);
    client->is_waiting = bridge_hold(&scene->bridge, client->batch, scene->identity);
    if (!client->is_waiting) run_batch(scene, client);
    end_turn(scene);
}

static void test_an_answer_waits_for_leave_to_store(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", false, 100);
    scene.leave = BRIDGE_WAITS;
    ask_one(&scene, REQUEST_GET, SPAN("k0"));
    assert_int_equal(scene.job_count, 1);
    begin_turn(&scene);
    answer(&scene, 0, JOB_DONE);
    end_turn(&scene);
    assert_true(scene.clients[0].is_waiting);
    scene.leave = BRIDGE_MAY;
    scene.clients[0].may_miss = false;
    begin_turn(&scene);
    end_turn(&scene);
    assert_false(scene.clients[0].is_waiting);
    assert_int_equal(scene.clients[0].batch->messages[0].result.status, RESULT_HIT);

    scene.leave = BRIDGE_MAY_NOT;
    scene.clients[0].may_miss = true;
    ask_one(&scene, REQUEST_DELETE, SPAN("k2"));
    begin_turn(&scene);
    answer(&scene, 0, JOB_DONE);
    end_turn(&scene);
    assert_false(scene.clients[0].is_waiting);
    ask_one(&scene, REQUEST_GET, SPAN("k2")); /* deleted, though it could not be stored to be deleted */
    assert_int_equal(scene.job_count, 0);
    end(&scene);
}

static void test_a_stuck_thread_holds_nobody(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", false, 50);
    atomic_store(&scene.world.options.upstream_timeout, 1);
    for (size_t i = 0; i < 8; i++) {
        static const char *const keys[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};
        scene.clients[0].may_miss = true;
        ask_one(&scene, REQUEST_GET, span_of(keys[i], 2));
        while (scene.clients[0].is_waiting) {
            begin_turn(&scene);
            end_turn(&scene);
        }
    }
    assert_int_equal(scene.job_count, 8);
    scene.fails = true;
    while (scene.job_count > 0) answer(&scene, 0, JOB_DONE); /* late, and good all the same */
    assert_all_here(&scene);
    end(&scene);
}

/* A late copy ends the connection, and with it what clients have asked there. */
static void test_copies_may_take_as_long_as_clients_wait(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", true, 100); /* clients wait for a minute */
    uint64_t before_us = clock_monotonic_us();
    ask_one(&scene, REQUEST_SET, SPAN("k0"));
    assert_int_equal(scene.job_count, 1);
    assert_int_equal(scene.jobs[0]->kind, JOB_STORE);
    assert_true(scene.jobs[0]->deadline_us >= before_us + 60 * UINT64_C(1000000));
    end(&scene);
}

static void test_emptied(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1 other:2", true, 100);
    ask_one(&scene, REQUEST_SET, SPAN("k0"));
    fake_resp_flushdb(&scene.world.fake, 0);
    bridge_note_emptied(&scene.bridge, 0, true);
    memset(scene.truth, 0, sizeof scene.truth);
    drain(&scene);
    for (size_t i = 0; i < KEYS; i++) assert_string_equal(scene.old[i], "");
    ask_one(&scene, REQUEST_GET, SPAN("k2"));
    assert_int_equal(scene.job_count, 0);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_through),
        cmocka_unit_test(test_reading_through_with_failures),
        cmocka_unit_test(test_the_mirror_is_level_in_the_end),
        cmocka_unit_test(test_the_mirror_with_failures),
        cmocka_unit_test(test_the_share_goes_up_and_down),
        cmocka_unit_test(test_an_answer_waits_for_leave_to_store),
        cmocka_unit_test(test_a_stuck_thread_holds_nobody),
        cmocka_unit_test(test_copies_may_take_as_long_as_clients_wait),
        cmocka_unit_test(test_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
