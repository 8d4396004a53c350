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
#include "item/ledger.h"
#include "upstream/bridge.h"
#include "upstream/bridge_parts.h"

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
    bool may_not_ask;
    bool fails; /* questions may */
    bool cuts;  /* batches go home before their end, now and then */
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
    (void)identity, (void)request;
    return !((struct scene *)host)->may_not_ask;
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

/* It goes home before its end where the scene wants that, as where its values are large; the rest comes again. */
static void run_batch(struct scene *scene, struct client *client)
{
    struct batch *batch = client->batch;
    client->is_waiting = false;
    for (uint32_t end = bridge_is_on(&scene->bridge) ? batch->prepared : batch->count; batch->executed < end; batch->executed++) {
        if (scene->cuts && roll(scene, 4) == 0) break;
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

static void add_requests(struct scene *scene, struct client *client)
{
    client->may_miss = scene->fails;
    unsigned count = 1 + roll(scene, 4);
    for (unsigned i = 0; i < count; i++) add_request(scene, client);
}

static void ask(struct scene *scene)
{
    struct client *client = &scene->clients[roll(scene, BATCHES)];
    if (client->is_waiting) return;
    bool has_rest = scene->cuts && client->batch->executed < client->batch->count;
    if (!has_rest || roll(scene, 8) == 0) batch_reset(client->batch); /* where there is a rest, the client has gone */
    client->may_miss |= scene->fails;
    if (client->batch->count == 0) add_requests(scene, client);
    bool is_prepared = !bridge_is_on(&scene->bridge) || bridge_is_prepared(&scene->bridge, client->batch);
    client->is_waiting = !is_prepared && bridge_hold(&scene->bridge, client->batch, scene->identity);
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
    for (size_t i = 0; i < KEYS; i++) assert_string_equal(scene.old[i], scene.truth[i]);
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

static void test_batches_take_answers_along_when_they_go_home_early(void **state)
{
    (void)state;
    static struct scene scene;
    begin(&scene, "old:1", true, 0);
    scene.cuts = true;
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

/* ---- What was changed here stays changed ---- */

static struct scene *begin_points(bool mirrors, unsigned share)
{
    static struct scene scene;
    begin(&scene, "old:1", mirrors, share);
    scene.clients[0].may_miss = true;
    return &scene;
}

static void take_turn(struct scene *scene)
{
    begin_turn(scene);
    end_turn(scene);
}

static bool is_stored(const struct scene *scene, struct span key)
{
    return fake_find(&scene->world.fake, 0, key) != NULL;
}

static void answer_first(struct scene *scene, enum job_outcome outcome)
{
    begin_turn(scene);
    answer(scene, 0, outcome);
    end_turn(scene);
}

/* The old server is not asked, and so nothing comes back. */
static void expect_gone(struct scene *scene, struct span key)
{
    ask_one(scene, REQUEST_GET, key);
    assert_int_equal(scene->job_count, 0);
    assert_false(is_stored(scene, key));
}

static void ask_request(struct scene *scene, const struct request *request)
{
    struct client *client = &scene->clients[0];
    batch_reset(client->batch);
    batch_add(client->batch)->request = *request;
    begin_turn(scene);
    client->is_waiting = bridge_hold(&scene->bridge, client->batch, scene->identity);
    if (!client->is_waiting) run_batch(scene, client);
    end_turn(scene);
}

static void set_share(struct scene *scene, int share)
{
    atomic_store(&scene->world.options.upstream_share, share);
    bridge_note_options(&scene->bridge);
}

static void test_a_delete_that_was_given_up_holds(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    atomic_store(&scene->world.options.upstream_timeout, 1);
    ask_one(scene, REQUEST_DELETE, SPAN("k0"));
    while (scene->clients[0].is_waiting) take_turn(scene);
    answer_first(scene, JOB_DONE); /* late */
    expect_gone(scene, SPAN("k0"));
    end(scene);
}

static void test_a_delete_while_the_server_is_down_holds(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    atomic_store(&scene->bridge.roster->servers[0].state, SERVER_DOWN);
    ask_one(scene, REQUEST_DELETE, SPAN("k0"));
    assert_int_equal(scene->job_count, 0);
    atomic_store(&scene->bridge.roster->servers[0].state, SERVER_READY);
    expect_gone(scene, SPAN("k0"));
    end(scene);
}

/* A set that has expired is a delete; one that compares has to know. */
static void test_sets_that_ask_first(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    struct extras extras = {.asks = ASK_COMPARE, .compare = 1};
    ask_request(scene, &(struct request){.op = REQUEST_SET, .key = SPAN("k0"), .value = SPAN("v"), .exptime = -1});
    assert_int_equal(scene->job_count, 1);
    answer_first(scene, JOB_DONE);
    scene->truth[0][0] = '\0';
    expect_gone(scene, SPAN("k0"));
    ask_request(scene, &(struct request){.op = REQUEST_SET, .key = SPAN("k2"), .value = SPAN("v"), .extras = &extras});
    assert_int_equal(scene->job_count, 1);
    answer_first(scene, JOB_DONE);
    assert_true(fake_holds(&scene->world.fake, 0, SPAN("k2"), SPAN("2000"))); /* it was another token */
    end(scene);
}

/* The answer comes before anybody could write down what has happened. */
static void test_an_answer_in_the_turn_of_the_change(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    ask_one(scene, REQUEST_GET, SPAN("k0"));
    begin_turn(scene);
    fake_resp_set(&scene->world.fake, 0, SPAN("k0"), SPAN("x"), KEYSPACE_NO_EXPIRY);
    assert_true(fake_resp_del(&scene->world.fake, 0, SPAN("k0")));
    scene->truth[0][0] = '\0';
    answer(scene, 0, JOB_DONE);
    assert_false(is_stored(scene, SPAN("k0")));
    end_turn(scene);
    while (scene->job_count > 0) answer_first(scene, JOB_DONE);
    expect_gone(scene, SPAN("k0"));
    end(scene);
}

/* Other keys of the same counter change all the time. */
static void test_a_question_is_asked_only_so_often(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    ask_one(scene, REQUEST_GET, SPAN("k0"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(scene->job_count, 1);
        version_advance(&scene->world.versions, hash_key(SPAN("k0")));
        answer_first(scene, JOB_DONE);
    }
    assert_int_equal(scene->job_count, 0);
    assert_false(scene->clients[0].is_waiting);
    end(scene);
}

/* ---- What is read through ---- */

/* It is no change: it is not copied back, and where it was evicted it is asked for again. */
static void test_what_is_read_through_is_no_change(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    for (int i = 0; i < 2; i++) {
        ask_one(scene, REQUEST_GET, SPAN("k0"));
        assert_int_equal(scene->job_count, 1);
        answer_first(scene, JOB_DONE);
        assert_int_equal(scene->job_count, 0);
        ask_one(scene, REQUEST_GET, SPAN("k0"));
        assert_int_equal(scene->job_count, 0);
        assert_int_equal(scene->clients[0].batch->messages[0].result.status, RESULT_HIT);
        assert_true(fake_engine_evict(&scene->world.fake, 0, SPAN("k0")));
    }
    end(scene);
}

static void reply_with(struct scene *scene, const struct client_reply *reply)
{
    struct job *job = scene->jobs[--scene->job_count];
    job_take_reply(job, reply);
    begin_turn(scene);
    bridge_take_job(&scene->bridge, job);
    end_turn(scene);
}

static void test_all_of_an_item_is_read_through(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    struct item_key key = item_key_of(SPAN("k1"));
    struct item_flags flags;
    copy_value(scene->truth[1], SPAN("v"));
    int64_t before_ms = clock_wall_ms();
    ask_one(scene, REQUEST_GET, SPAN("k1"));
    reply_with(scene, &(struct client_reply){
                          .kind = CLIENT_REPLY_VALUE, .fields = CLIENT_IS_STALE, .flags = 5, .ttl = 10, .value = SPAN("v")});
    const struct fake_key *item = fake_find(&scene->world.fake, 0, SPAN("k1"));
    assert_in_range(item->expiry, before_ms + 10000, clock_wall_ms() + 10000);
    assert_true(flag_ledger_read(scene->world.ledger, 0, &key, &flags));
    assert_int_equal(flags.flags, 5);
    assert_int_equal(flags.marks, LEDGER_STALE);
    end(scene);
}

static void test_what_may_not_be_stored_is_not(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    scene->leave = BRIDGE_MAY_NOT;
    ask_one(scene, REQUEST_GET, SPAN("k0"));
    answer_first(scene, JOB_DONE);
    assert_false(is_stored(scene, SPAN("k0")));
    scene->leave = BRIDGE_MAY;
    atomic_store(&scene->world.options.max_item_size, 3);
    ask_one(scene, REQUEST_GET, SPAN("k2"));
    answer_first(scene, JOB_DONE); /* four bytes */
    assert_false(is_stored(scene, SPAN("k2")));
    atomic_store(&scene->world.options.max_item_size, 1000);
    ask_one(scene, REQUEST_GET, SPAN("k4"));
    set_share(scene, 0); /* it lives there again */
    answer_first(scene, JOB_DONE);
    assert_false(is_stored(scene, SPAN("k4")));
    set_share(scene, 100);
    scene->may_not_ask = true;
    ask_one(scene, REQUEST_GET, SPAN("k6"));
    assert_int_equal(scene->job_count, 0);
    end(scene);
}

/* ---- What is copied ---- */

static void test_emptied_over_resp(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    begin_turn(scene);
    fake_resp_flushdb(&scene->world.fake, 0);
    bridge_note_emptied(&scene->bridge, 0, false);
    end_turn(scene);
    assert_int_equal(scene->job_count, 0);
    memset(scene->truth, 0, sizeof scene->truth);
    expect_gone(scene, SPAN("k2"));
    end(scene);
}

/* A copy behind a flush_all waits for it, as that may have to be sent again. */
static void test_no_copy_overtakes_a_flush(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    begin_turn(scene);
    bridge_note_emptied(&scene->bridge, 0, true);
    end_turn(scene);
    memset(scene->truth, 0, sizeof scene->truth);
    ask_one(scene, REQUEST_SET, SPAN("k0"));
    assert_int_equal(scene->job_count, 1);
    answer_first(scene, JOB_LATE);
    assert_int_equal(scene->job_count, 1);
    assert_int_equal(scene->jobs[0]->kind, JOB_FLUSH);
    answer_first(scene, JOB_DONE);
    assert_int_equal(scene->jobs[0]->kind, JOB_STORE);
    drain(scene);
    assert_string_equal(scene->old[0], "v");
    end(scene);
}

/* The old value must not stay where the new one is not taken. */
static void test_a_refused_copy_removes(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    ask_one(scene, REQUEST_SET, SPAN("k0"));
    answer_first(scene, JOB_REFUSED);
    assert_int_equal(scene->job_count, 1);
    assert_int_equal(scene->jobs[0]->kind, JOB_REMOVE);
    drain(scene);
    assert_string_equal(scene->old[0], "");
    end(scene);
}

static void test_a_late_copy_is_sent_again(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    ask_one(scene, REQUEST_SET, SPAN("k0"));
    answer_first(scene, JOB_UNREACHABLE);
    answer_first(scene, JOB_LATE);
    assert_int_equal(scene->job_count, 1);
    drain(scene);
    assert_string_equal(scene->old[0], "v");
    end(scene);
}

static void expect_copied_exptime(struct scene *scene, int64_t expiry, int64_t exptime)
{
    fake_resp_set(&scene->world.fake, 0, SPAN("k0"), SPAN("v"), expiry);
    take_turn(scene);
    assert_int_equal(scene->jobs[0]->exptime, exptime);
    answer_first(scene, JOB_DONE);
}

static void test_copies_expire_when_items_do(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    const int64_t day_ms = INT64_C(86400000);
    struct extras extras = {.asks = ASK_META | ASK_INVALIDATE};
    expect_copied_exptime(scene, KEYSPACE_NO_EXPIRY, 0);
    expect_copied_exptime(scene, WORLD_BEGIN_MS + 1500, 2);
    expect_copied_exptime(scene, WORLD_BEGIN_MS + 30 * day_ms, 30 * day_ms / 1000);
    expect_copied_exptime(scene, WORLD_BEGIN_MS + 40 * day_ms, (WORLD_BEGIN_MS + 40 * day_ms) / 1000);
    ask_request(scene, &(struct request){.op = REQUEST_DELETE, .key = SPAN("k0"), .extras = &extras});
    assert_int_equal(scene->jobs[0]->kind, JOB_REMOVE); /* it is stale, which an old server may not know */
    end(scene);
}

static void test_copies_are_bounded(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    char key[16];
    atomic_store(&scene->world.options.upstream_queue, 200);
    for (int i = 0; i < 210; i++) {
        struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "x%d", i));
        fake_resp_set(&scene->world.fake, 0, name, SPAN("v"), KEYSPACE_NO_EXPIRY);
    }
    take_turn(scene);
    assert_int_equal(scene->job_count, 128);
    assert_int_equal(scene->bridge.echoes.count, 200);
    assert_int_equal(counter_board_read(&scene->world.board, COUNTER_MIRROR_DROPPED), 10);
    end(scene);
}

static void test_copies_are_bounded_in_bytes(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    static const char value[3 * 1024 * 1024];
    static const struct span keys[] = {SPAN("x0"), SPAN("x1"), SPAN("x2")};
    for (int i = 0; i < 3; i++)
        fake_resp_set(&scene->world.fake, 0, keys[i], span_of(value, sizeof value), KEYSPACE_NO_EXPIRY);
    take_turn(scene);
    assert_int_equal(scene->job_count, 2);
    end(scene);
}

/* ---- What is passed through ---- */

/* A copy of k0 is under way, and behind it wait two requests on it, as it lives there again. */
static struct scene *begin_behind_a_copy(void)
{
    struct scene *scene = begin_points(true, 100);
    struct client *client = &scene->clients[0];
    ask_one(scene, REQUEST_SET, SPAN("k0"));
    set_share(scene, 0);
    batch_reset(client->batch);
    batch_add(client->batch)->request = (struct request){.op = REQUEST_GET, .key = SPAN("k0")};
    batch_add(client->batch)->request = (struct request){.op = REQUEST_DELETE, .key = SPAN("k0")};
    begin_turn(scene);
    client->is_waiting = bridge_hold(&scene->bridge, client->batch, scene->identity);
    assert_true(client->is_waiting);
    end_turn(scene);
    assert_int_equal(scene->job_count, 1);
    return scene;
}

static void test_requests_wait_behind_copies(void **state)
{
    (void)state;
    struct scene *scene = begin_behind_a_copy();
    answer_first(scene, JOB_DONE);
    assert_int_equal(scene->job_count, 2);
    assert_int_equal(scene->jobs[0]->request.op, REQUEST_GET);
    assert_int_equal(scene->jobs[1]->request.op, REQUEST_DELETE);
    drain(scene);
    assert_string_equal(scene->old[0], "");
    end(scene);
}

static void test_requests_that_nobody_waits_for_are_not_sent(void **state)
{
    (void)state;
    struct scene *scene = begin_behind_a_copy();
    bridge_give_up_passages(&scene->bridge, UINT64_MAX);
    take_turn(scene);
    assert_false(scene->clients[0].is_waiting);
    answer_first(scene, JOB_DONE);
    assert_int_equal(scene->job_count, 0);
    assert_string_equal(scene->old[0], "v");
    end(scene);
}

static void test_requests_whose_key_has_come_here_are_not_sent(void **state)
{
    (void)state;
    struct scene *scene = begin_behind_a_copy();
    set_share(scene, 100);
    take_turn(scene);
    answer_first(scene, JOB_DONE);
    assert_int_equal(scene->job_count, 1); /* of the delete that was executed here */
    assert_int_equal(scene->jobs[0]->kind, JOB_REMOVE);
    end(scene);
}

/* What was prepared where its key lived here is prepared anew when it no longer does. */
static void test_a_share_that_changes_is_noticed(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    struct client *client = &scene->clients[0];
    atomic_store(&scene->world.options.upstream_read, false);
    bridge_note_options(&scene->bridge);
    batch_reset(client->batch);
    batch_add(client->batch)->request = (struct request){.op = REQUEST_GET, .key = SPAN("k0")};
    begin_turn(scene);
    assert_false(bridge_hold(&scene->bridge, client->batch, scene->identity));
    assert_true(bridge_is_prepared(&scene->bridge, client->batch));
    end_turn(scene);
    set_share(scene, 0);
    begin_turn(scene);
    assert_false(bridge_is_prepared(&scene->bridge, client->batch));
    client->is_waiting = bridge_hold(&scene->bridge, client->batch, scene->identity);
    assert_true(client->is_waiting);
    end_turn(scene);
    answer_first(scene, JOB_DONE);
    end(scene);
}

static void test_only_so_many_are_passed_at_once(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 0);
    struct client *client = &scene->clients[0];
    batch_reset(client->batch);
    for (int i = 0; i < 40; i++) batch_add(client->batch)->request = (struct request){.op = REQUEST_GET, .key = SPAN("k0")};
    begin_turn(scene);
    client->is_waiting = bridge_hold(&scene->bridge, client->batch, scene->identity);
    end_turn(scene);
    assert_true(client->is_waiting);
    assert_int_equal(scene->job_count, 32);
    end(scene);
}

/* A write that has no answer must not be taken for done. */
static void test_an_unanswered_write_is_refused(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 0);
    static const enum job_outcome outcomes[] = {JOB_LATE, JOB_UNREACHABLE, JOB_REFUSED};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        ask_one(scene, REQUEST_SET, SPAN("k0"));
        assert_int_equal(scene->job_count, 1);
        answer_first(scene, outcomes[i]);
        assert_int_equal(scene->clients[0].batch->messages[0].result.status, RESULT_REFUSED);
    }
    end(scene);
}

/* ---- What is remembered ---- */

static const char marks_prefix[] = "diglot:upstream:";

/* How many of the strings there are that tell which keys were changed. */
static size_t count_marks(const struct scene *scene)
{
    size_t count = 0;
    for (unsigned share = 0; share < SHARES; share++) {
        char name[32];
        int size = snprintf(name, sizeof name, "%s%02u", marks_prefix, share);
        count += is_stored(scene, span_of(name, (size_t)size));
    }
    return count;
}

static void delete_k0(struct scene *scene)
{
    ask_one(scene, REQUEST_DELETE, SPAN("k0"));
    answer_first(scene, JOB_DONE);
    assert_int_equal(count_marks(scene), 1);
}

static struct span string_of_k0(char name[32])
{
    return span_of(name, (size_t)snprintf(name, 32, "%s%02u", marks_prefix, share_of(hash_key(SPAN("k0")))));
}

static void test_a_memory_that_is_taken_away_is_put_back(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    char name[32];
    delete_k0(scene);
    assert_true(fake_resp_del(&scene->world.fake, 0, string_of_k0(name)));
    take_turn(scene);
    assert_int_equal(count_marks(scene), 1);
    expect_gone(scene, SPAN("k0"));
    end(scene);
}

/* Nothing of a migration is left when it is over. */
static void test_the_memory_ends_with_the_migration(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    delete_k0(scene);
    scene->world.options.upstream[0] = '\0';
    bridge_note_options(&scene->bridge);
    take_turn(scene);
    assert_false(bridge_is_on(&scene->bridge));
    assert_int_equal(count_marks(scene), 0);
    end(scene);
}

/* But it outlives a server that is started anew. */
static void test_the_memory_outlives_a_restart(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    delete_k0(scene);
    bridge_deinit(&scene->bridge);
    bridge_init(&scene->bridge, &scene->host, &scene->world.context, &scene->world.options, scene->world.context.counters);
    take_turn(scene);
    assert_int_equal(count_marks(scene), 1);
    expect_gone(scene, SPAN("k0"));
    end(scene);
}

static void test_another_dataset_has_a_memory_of_its_own(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    delete_k0(scene);
    fake_keyspace_clear(&scene->world.fake);
    bridge_note_replaced(&scene->bridge);
    scene->clients[0].may_miss = true;
    ask_one(scene, REQUEST_GET, SPAN("k0"));
    assert_int_equal(scene->job_count, 1);
    end(scene);
}

/* Clients are paused: what happened is written down later. */
static void test_nothing_is_written_while_nothing_may_be(void **state)
{
    (void)state;
    struct scene *scene = begin_points(false, 100);
    fake_resp_set(&scene->world.fake, 0, SPAN("k0"), SPAN("x"), KEYSPACE_NO_EXPIRY);
    bridge_begin_turn(&scene->bridge, true, false);
    bridge_end_turn(&scene->bridge);
    assert_int_equal(count_marks(scene), 0);
    take_turn(scene);
    assert_int_equal(count_marks(scene), 1);
    end(scene);
}

/* ---- What an importer brings ---- */

static void carry_to(struct scene *scene, struct span key)
{
    static struct extras extras = {.asks = ASK_META};
    ask_request(scene, &(struct request){
                           .op = REQUEST_ADD, .key = key, .value = SPAN("c"), .extras = &extras, .text = SPAN("ME Pcarry")});
}

static void test_what_an_importer_brings(void **state)
{
    (void)state;
    struct scene *scene = begin_points(true, 100);
    carry_to(scene, SPAN("k1"));
    assert_true(is_stored(scene, SPAN("k1")));
    assert_int_equal(scene->job_count, 0); /* it is no change */
    fake_resp_set(&scene->world.fake, 0, SPAN("k3"), SPAN("x"), KEYSPACE_NO_EXPIRY);
    assert_true(fake_resp_del(&scene->world.fake, 0, SPAN("k3")));
    take_turn(scene);
    carry_to(scene, SPAN("k3")); /* was changed here */
    assert_false(is_stored(scene, SPAN("k3")));
    drain(scene);
    scene->leave = BRIDGE_MAY_NOT;
    struct client *client = &scene->clients[0];
    batch_reset(client->batch);
    static struct extras extras = {.asks = ASK_META};
    batch_add(client->batch)->request = (struct request){
        .op = REQUEST_ADD, .key = SPAN("k5"), .value = SPAN("c"), .extras = &extras, .text = SPAN("ME Pcarry")};
    begin_turn(scene);
    client->is_waiting = bridge_hold(&scene->bridge, client->batch, scene->identity);
    assert_false(is_stored(scene, SPAN("k5"))); /* the gate will say so */
    end_turn(scene);
    if (client->is_waiting) {
        scene->leave = BRIDGE_MAY;
        answer_first(scene, JOB_DONE);
    }
    scene->leave = BRIDGE_MAY;
    set_share(scene, 0);
    take_turn(scene);
    carry_to(scene, SPAN("k7")); /* lives there */
    assert_false(is_stored(scene, SPAN("k7")));
    end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_through),
        cmocka_unit_test(test_reading_through_with_failures),
        cmocka_unit_test(test_the_mirror_is_level_in_the_end),
        cmocka_unit_test(test_the_mirror_with_failures),
        cmocka_unit_test(test_the_share_goes_up_and_down),
        cmocka_unit_test(test_batches_take_answers_along_when_they_go_home_early),
        cmocka_unit_test(test_an_answer_waits_for_leave_to_store),
        cmocka_unit_test(test_a_stuck_thread_holds_nobody),
        cmocka_unit_test(test_copies_may_take_as_long_as_clients_wait),
        cmocka_unit_test(test_emptied),
        cmocka_unit_test(test_a_delete_that_was_given_up_holds),
        cmocka_unit_test(test_a_delete_while_the_server_is_down_holds),
        cmocka_unit_test(test_sets_that_ask_first),
        cmocka_unit_test(test_an_answer_in_the_turn_of_the_change),
        cmocka_unit_test(test_a_question_is_asked_only_so_often),
        cmocka_unit_test(test_what_is_read_through_is_no_change),
        cmocka_unit_test(test_all_of_an_item_is_read_through),
        cmocka_unit_test(test_what_may_not_be_stored_is_not),
        cmocka_unit_test(test_emptied_over_resp),
        cmocka_unit_test(test_no_copy_overtakes_a_flush),
        cmocka_unit_test(test_a_refused_copy_removes),
        cmocka_unit_test(test_a_late_copy_is_sent_again),
        cmocka_unit_test(test_copies_expire_when_items_do),
        cmocka_unit_test(test_copies_are_bounded),
        cmocka_unit_test(test_copies_are_bounded_in_bytes),
        cmocka_unit_test(test_requests_wait_behind_copies),
        cmocka_unit_test(test_requests_that_nobody_waits_for_are_not_sent),
        cmocka_unit_test(test_requests_whose_key_has_come_here_are_not_sent),
        cmocka_unit_test(test_a_share_that_changes_is_noticed),
        cmocka_unit_test(test_only_so_many_are_passed_at_once),
        cmocka_unit_test(test_an_unanswered_write_is_refused),
        cmocka_unit_test(test_a_memory_that_is_taken_away_is_put_back),
        cmocka_unit_test(test_the_memory_ends_with_the_migration),
        cmocka_unit_test(test_the_memory_outlives_a_restart),
        cmocka_unit_test(test_another_dataset_has_a_memory_of_its_own),
        cmocka_unit_test(test_nothing_is_written_while_nothing_may_be),
        cmocka_unit_test(test_what_an_importer_brings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
