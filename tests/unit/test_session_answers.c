/* Sessions with a near cache, on a keyspace in memory: what is answered without the executor, and that nobody can tell. */
#include "fake/world.h"
#include "base/version.h"
#include "session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NO_LIMIT SIZE_MAX

struct talk {
    struct world world;
    struct doorkeeper doorkeeper;
    struct watch_hub hub;
    struct detail_table detail;
    struct near_cache *cache;
    struct session session;
    struct buffer input;
    struct buffer output;
    struct batch *batch;
    unsigned executed; /* messages, since the last look */
    unsigned taken;    /* answers that the executor took */
    void (*between)(struct talk *talk); /* what happens while a batch is on its way … */
    void (*behind)(struct talk *talk);  /* … and on its way back */
    struct mailbox box;
    struct watcher *watcher;
};

static int open_talk(void **state)
{
    struct talk *talk = check_calloc_aligned(_Alignof(struct talk), sizeof(*talk));
    world_init(&talk->world);
    atomic_store(&talk->world.options.io_threads, 1);
    watch_hub_init(&talk->hub);
    atomic_store(&talk->doorkeeper.reads_freely, true);
    talk->world.context.watch = &talk->hub;
    talk->world.context.detail = &talk->detail;
    talk->cache = near_cache_new(&talk->world.versions, &talk->world.board.sets[0]);
    near_cache_set_size(talk->cache, (size_t)1 << 20);
    session_init(&talk->session, &talk->world.options, &talk->world.board.sets[0], &talk->doorkeeper);
    talk->session.cache = talk->cache;
    talk->session.hub = &talk->hub;
    buffer_init(&talk->input);
    buffer_init(&talk->output);
    talk->batch = batch_new();
    near_cache_set_clocks(talk->cache, 1000000, WORLD_BEGIN_MS);
    *state = talk;
    return 0;
}

static int close_talk(void **state)
{
    struct talk *talk = *state;
    session_deinit(&talk->session, &talk->input);
    near_cache_free(&talk->cache);
    buffer_deinit(&talk->input);
    buffer_deinit(&talk->output);
    batch_free(&talk->batch);
    detail_deinit(&talk->detail);
    watch_hub_deinit(&talk->hub);
    world_deinit(&talk->world);
    free(talk);
    return 0;
}

/* As the executor does it. */
static void execute_message(struct talk *talk, uint32_t index)
{
    struct command_context *context = &talk->world.context;
    struct message *message = &talk->batch->messages[index];
    if (request_is_local(message->request.op)) return;
    if (message->result.status == RESULT_HIT && command_take_answer(context, &talk->batch->sightings[index])) {
        talk->taken++;
        return;
    }
    message->result = (struct result){.status = RESULT_PENDING};
    context->sighting = batch_sighting(talk->batch, index);
    command_execute(context, &message->request, &message->result, &talk->batch->values);
    context->sighting = NULL;
    context->leave = COMMAND_MAY_MARK;
    if (message->result.status == RESULT_NEEDS_WRITE)
        command_execute(context, &message->request, &message->result, &talk->batch->values);
    context->leave = COMMAND_MUST_ASK;
    talk->executed++;
}

/* Everything that a batch goes through; `most` messages are executed in each journey. */
static void work_off(struct talk *talk, uint32_t most)
{
    struct batch *batch = talk->batch;
    while (batch->encoded < batch->count) {
        if (!batch_is_due(batch)) {
            batch_begin_journey(batch, 64 * 1024);
            if (talk->between) talk->between(talk);
            for (uint32_t i = 0; i < most && batch->executed < batch->count; i++) execute_message(talk, batch->executed++);
            if (talk->behind) talk->behind(talk);
        }
        assert_true(session_encode(&talk->session, batch, &talk->output, NO_LIMIT));
    }
}

static struct span say_bytes(struct talk *talk, struct span bytes, uint32_t most)
{
    talk->executed = talk->taken = 0;
    buffer_reset(&talk->output, 1024);
    buffer_append(&talk->input, bytes);
    for (;;) {
        batch_reset(talk->batch);
        if (session_decode(&talk->session, &talk->input, talk->batch) != SESSION_HAS_BATCH) break;
        session_prefetch(&talk->session, talk->batch);
        session_answer(&talk->session, talk->batch);
        work_off(talk, most);
    }
    return buffer_content(&talk->output);
}

static void expect_in_steps(struct talk *talk, const char *request, const char *reply, uint32_t most)
{
    struct span said = say_bytes(talk, span_of(request, strlen(request)), most);
    if (!span_equal(said, span_of(reply, strlen(reply)))) fprintf(stderr, "said: %.*s", (int)said.size, said.data);
    assert_true(span_equal(said, span_of(reply, strlen(reply))));
}

static void expect(struct talk *talk, const char *request, const char *reply)
{
    expect_in_steps(talk, request, reply, UINT32_MAX);
}

static void expect_answered(struct talk *talk, const char *request, const char *reply)
{
    expect(talk, request, reply);
    assert_int_equal(talk->executed + talk->taken, 0);
}

static void expect_executed(struct talk *talk, const char *request, const char *reply)
{
    expect(talk, request, reply);
    assert_true(talk->executed > 0);
}

/* Has the cache keep k, with the value "1" and the flags 7; and j. */
static void warm_up(struct talk *talk)
{
    expect(talk, "set k 7 0 1\r\n1\r\nset j 0 0 1\r\nj\r\n", "STORED\r\nSTORED\r\n");
    for (int i = 0; i < 2; i++) expect(talk, "get k j\r\n", "VALUE k 7 1\r\n1\r\nVALUE j 0 1\r\nj\r\nEND\r\n");
    expect_answered(talk, "get k j\r\n", "VALUE k 7 1\r\n1\r\nVALUE j 0 1\r\nj\r\nEND\r\n");
}

static void test_reads_of_what_is_kept_are_answered(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    expect_answered(talk, "get k\r\nget j\r\nversion\r\nmn\r\n",
                    "VALUE k 7 1\r\n1\r\nEND\r\nVALUE j 0 1\r\nj\r\nEND\r\nVERSION " DIGLOT_MEMCACHED_LEVEL "\r\nMN\r\n");
    expect_answered(talk, "mg k v f k s t q O9\r\nmg k\r\n", "VA 1 f7 kk s1 t-1 O9\r\n1\r\nHD\r\n");
}

static void test_tokens_are_those_of_the_engine(void **state)
{
    struct talk *talk = *state;
    char token[64], request[160];
    warm_up(talk);
    struct span said = say_bytes(talk, SPAN("mg k c\r\n"), UINT32_MAX);
    assert_int_equal(talk->executed, 0);
    (void)snprintf(token, sizeof token, "%.*s", (int)said.size - 6, said.data + 4);
    (void)snprintf(request, sizeof request, "VALUE k 7 1 %s\r\n1\r\nEND\r\n", token);
    expect_answered(talk, "gets k\r\n", request);
    (void)snprintf(request, sizeof request, "cas k 0 0 1 %s\r\n2\r\n", token);
    expect(talk, request, "STORED\r\n");
    expect(talk, request, "EXISTS\r\n");
}

static void test_binary_reads_are_answered(void **state)
{
    struct talk *talk = *state;
    static const char get[] = "\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00k";
    static const char reply[] = "\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x07";
    fake_resp_set(&talk->world.fake, 0, SPAN("k"), SPAN("1"), KEYSPACE_NO_EXPIRY);
    struct span request = span_of(get, sizeof get - 1);
    char first[64];
    for (int i = 0; i < 2; i++) {
        struct span said = say_bytes(talk, request, UINT32_MAX);
        assert_int_equal(said.size, 24 + 4 + 1);
        assert_memory_equal(said.data, reply, sizeof reply - 1);
        if (i == 0) memcpy(first, said.data, said.size);
        assert_memory_equal(said.data, first, said.size); /* token, flags and value */
        assert_int_equal(talk->executed, i < 1);
    }
}

static void test_pipeline_sees_its_own_writes(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    expect(talk, "get k\r\nset k 0 0 1\r\n2\r\nget k\r\nget j\r\n",
           "VALUE k 7 1\r\n1\r\nEND\r\nSTORED\r\nVALUE k 0 1\r\n2\r\nEND\r\nVALUE j 0 1\r\nj\r\nEND\r\n");
    assert_int_equal(talk->taken, 2);
    warm_up(talk);
    expect(talk, "get k\r\ndelete k\r\nget k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\nDELETED\r\nEND\r\n");
    warm_up(talk);
    expect(talk, "touch k -1\r\nget k\r\n", "TOUCHED\r\nEND\r\n");
    warm_up(talk);
    expect(talk, "md k I\r\nmg k v\r\n", "HD\r\nVA 1 X W\r\n1\r\n");
    expect(talk, "set k 7 0 1\r\n1\r\n", "STORED\r\n");
    warm_up(talk);
    expect(talk, "flush_all\r\nget k j\r\n", "OK\r\nEND\r\n");
}

static void write_over_resp(struct talk *talk)
{
    fake_resp_set(&talk->world.fake, 0, SPAN("k"), SPAN("resp"), KEYSPACE_NO_EXPIRY);
}

/* The reply must not show an older k behind what was read later. */
static void test_answer_that_has_moved_on_its_way_is_executed(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    talk->between = write_over_resp;
    expect(talk, "get absent\r\nget k\r\nget j\r\n", "END\r\nVALUE k 0 4\r\nresp\r\nEND\r\nVALUE j 0 1\r\nj\r\nEND\r\n");
    assert_int_equal(talk->taken, 1);
    assert_int_equal(talk->executed, 2);
}

/* What is kept is as old as the moment when it was read, not when it came home. */
static void test_what_has_changed_on_its_way_back_answers_nothing(void **state)
{
    struct talk *talk = *state;
    expect(talk, "set k 7 0 1\r\n1\r\n", "STORED\r\n");
    talk->behind = write_over_resp;
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    talk->behind = NULL;
    expect_executed(talk, "get k\r\n", "VALUE k 0 4\r\nresp\r\nEND\r\n");
}

static void test_changes_over_resp_are_seen(void **state)
{
    struct talk *talk = *state;
    struct fake_keyspace *fake = &talk->world.fake;
    warm_up(talk);
    write_over_resp(talk);
    expect_executed(talk, "get k\r\n", "VALUE k 0 4\r\nresp\r\nEND\r\n");
    warm_up(talk);
    assert_true(fake_resp_rename(fake, 0, SPAN("j"), SPAN("k")));
    expect_executed(talk, "get k j\r\n", "VALUE k 0 1\r\nj\r\nEND\r\n");
    warm_up(talk);
    assert_true(fake_engine_evict(fake, 0, SPAN("k")));
    expect_executed(talk, "get k\r\n", "END\r\n");
    warm_up(talk);
    fake_resp_swapdb(fake, 0, 1);
    expect_executed(talk, "get k\r\n", "END\r\n");
    fake_resp_swapdb(fake, 0, 1);
    warm_up(talk);
    fake_resp_flushall(fake);
    expect_executed(talk, "get k\r\n", "END\r\n");
    warm_up(talk);
    assert_true(fake_resp_expire(fake, 0, SPAN("k"), WORLD_BEGIN_MS + 10));
    expect_executed(talk, "mg k t\r\n", "HD t1\r\n");
}

static void test_items_expire(void **state)
{
    struct talk *talk = *state;
    expect(talk, "set k 0 1 1\r\n1\r\n", "STORED\r\n");
    for (int i = 0; i < 2; i++) expect(talk, "get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n");
    expect_answered(talk, "mg k t v\r\n", "VA 1 t1\r\n1\r\n");
    talk->world.fake.keeps_expired = true; /* a replica: no event tells */
    world_set_clock(&talk->world, WORLD_BEGIN_MS + 1000);
    near_cache_set_clocks(talk->cache, 1000000, WORLD_BEGIN_MS + 1000);
    expect_executed(talk, "get k\r\n", "END\r\n");
}

static void test_new_expiries_are_told(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    expect(talk, "touch k 100\r\n", "TOUCHED\r\n");
    expect_executed(talk, "mg k t\r\n", "HD t100\r\n");
    warm_up(talk);
    expect(talk, "gat 200 k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    expect_executed(talk, "mg k t\r\n", "HD t200\r\n");
}

/* A ledger string that was lost takes the flags of its slot's items with it. */
static void test_lost_flags_are_a_miss(void **state)
{
    struct talk *talk = *state;
    struct span ledger;
    warm_up(talk);
    assert_true(world_find_ledger(&talk->world, 0, hash_slot(SPAN("k")), &ledger));
    char name[64];
    memcpy(name, ledger.data, ledger.size);
    assert_true(fake_resp_del(&talk->world.fake, 0, span_of(name, ledger.size)));
    expect_executed(talk, "get k\r\n", "END\r\n");
}

static void test_marked_items_are_not_kept(void **state)
{
    struct talk *talk = *state;
    expect(talk, "set k 0 0 1\r\n1\r\nmd k I\r\n", "STORED\r\nHD\r\n");
    for (int i = 0; i < 3; i++) {
        expect(talk, "get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n");
        assert_int_equal(talk->executed, 1);
    }
}

/* The mark of who refreshes an item leaves its token and its expiry. */
static void test_marks_that_are_set_are_told(void **state)
{
    struct talk *talk = *state;
    expect(talk, "set k 0 20 1\r\n1\r\n", "STORED\r\n");
    for (int i = 0; i < 2; i++) expect(talk, "get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n");
    expect_answered(talk, "mg k v\r\n", "VA 1\r\n1\r\n");
    expect(talk, "mg k v R30\r\n", "VA 1 W\r\n1\r\n");
    expect_executed(talk, "mg k v\r\n", "VA 1 Z\r\n1\r\n");
}

static void test_reads_that_ask_more_are_executed(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    expect(talk, "mg k h\r\n", "HD\r\n"); /* the past is kept from here on, and nothing that was read before */
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    warm_up(talk);
    expect_executed(talk, "mg k h v\r\n", "VA 1 h1\r\n1\r\n");
    expect_executed(talk, "gat 0 k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    warm_up(talk);
    expect_executed(talk, "mg k v N30\r\n", "VA 1\r\n1\r\n");
    warm_up(talk);
    expect_executed(talk, "mg k t R30\r\n", "HD t-1\r\n");
    warm_up(talk);
    expect_executed(talk, "mg k v C1\r\n", "VA 1\r\n1\r\n"); /* the value only if it is another's */
}

static void test_who_may_not_read_all_is_not_answered(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    atomic_store(&talk->doorkeeper.reads_freely, false);
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    struct identity *identity = identity_new(SPAN("bob"));
    talk->session.identity = identity_retain(identity);
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    atomic_store(&identity->reads_freely, true);
    expect_answered(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    atomic_store(&identity->reads_freely, false);
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    identity_release(&identity);
}

static void test_closed_cache_answers_nothing(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    version_set_open(&talk->world.versions, false);
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    version_set_open(&talk->world.versions, true);
    warm_up(talk);
    expect(talk, "stats detail on\r\n", "OK\r\n");
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
}

/* The engine's LFU is told of them when it is next asked. */
static void test_answers_are_uses_of_the_key(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    for (int i = 0; i < 9; i++) expect_answered(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    assert_int_equal(fake_find(&talk->world.fake, 0, SPAN("k"))->uses, 0);
    near_cache_set_clocks(talk->cache, 1000000 + WORLD_LIFE_MS * 1000, WORLD_BEGIN_MS);
    expect_executed(talk, "get k k\r\n", "VALUE k 7 1\r\n1\r\nVALUE k 7 1\r\n1\r\nEND\r\n");
    assert_int_equal(fake_find(&talk->world.fake, 0, SPAN("k"))->uses, 11);
}

static void test_watched_reads_are_executed(void **state)
{
    struct talk *talk = *state;
    struct mailbox box;
    assert_true(mailbox_init(&box, false));
    warm_up(talk);
    struct watcher *watcher = watcher_new(&talk->hub, WATCH_FETCHERS, &box, talk);
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    (void)mailbox_take(&box);
    assert_ptr_equal(watcher_arrive(&talk->hub, &watcher->mail), talk);
    watcher_free(&talk->hub, &watcher);
    mailbox_deinit(&box);
    expect_answered(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
}

static void begin_watching(struct talk *talk)
{
    if (!talk->watcher) talk->watcher = watcher_new(&talk->hub, WATCH_FETCHERS, &talk->box, talk);
}

/* Somebody begins to watch while the answers are on their way. */
static void test_reads_that_come_to_be_watched_are_executed(void **state)
{
    struct talk *talk = *state;
    assert_true(mailbox_init(&talk->box, false));
    warm_up(talk);
    talk->between = begin_watching;
    expect(talk, "get absent\r\nget k\r\n", "END\r\nVALUE k 7 1\r\n1\r\nEND\r\n");
    assert_int_equal(talk->taken, 0);
    (void)mailbox_take(&talk->box);
    assert_ptr_equal(watcher_arrive(&talk->hub, &talk->watcher->mail), talk);
    watcher_free(&talk->hub, &talk->watcher);
    mailbox_deinit(&talk->box);
}

static void test_reads_are_counted_once(void **state)
{
    struct talk *talk = *state;
    const struct counter_board *board = &talk->world.board;
    warm_up(talk);
    counter_board_reset(&talk->world.board);
    expect(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    expect(talk, "get k\r\nget absent\r\nget k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\nEND\r\nVALUE k 7 1\r\n1\r\nEND\r\n");
    assert_int_equal(counter_board_read(board, COUNTER_CMD_GET), 4);
    assert_int_equal(counter_board_read(board, COUNTER_GET_HITS), 3);
    assert_int_equal(counter_board_read(board, COUNTER_GET_MISSES), 1);
    assert_int_equal(counter_board_read(board, COUNTER_CACHE_HITS), 3);
    assert_int_equal(counter_board_read(board, COUNTER_CACHE_MISSES), 1);
    talk->between = write_over_resp;
    expect(talk, "get absent\r\nget k\r\n", "END\r\nVALUE k 0 4\r\nresp\r\nEND\r\n");
    assert_int_equal(counter_board_read(board, COUNTER_CMD_GET), 6);
    assert_int_equal(counter_board_read(board, COUNTER_GET_HITS), 4);
    assert_int_equal(counter_board_read(board, COUNTER_CACHE_HITS), 3);
}

/* A batch that comes home early is submitted again; its answers held for one journey. */
static void test_batch_in_several_journeys(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    const char *reply = "VALUE k 7 1\r\n1\r\nEND\r\nEND\r\nVALUE j 0 1\r\nj\r\nEND\r\nEND\r\nVALUE k 7 1\r\n1\r\nEND\r\n";
    for (uint32_t most = 1; most < 6; most++)
        expect_in_steps(talk, "get k\r\nget x\r\nget j\r\nget y\r\nget k\r\n", reply, most);
}

static void test_key_prefix_is_part_of_the_name(void **state)
{
    struct talk *talk = *state;
    (void)snprintf(talk->world.options.key_prefix, sizeof talk->world.options.key_prefix, "app:");
    talk->world.context.key_prefix = SPAN("app:");
    warm_up(talk);
    assert_true(fake_holds(&talk->world.fake, 0, SPAN("app:k"), SPAN("1")));
    fake_resp_set(&talk->world.fake, 0, SPAN("app:k"), SPAN("2"), KEYSPACE_NO_EXPIRY);
    expect_executed(talk, "get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
}

static void give_up_lone_reads(struct talk *talk)
{
    while (near_cache_pays_alone(talk->cache)) near_cache_note_alone(talk->cache, false);
}

/* Nothing is gained by it where there is no journey, and few are answered. */
static void test_lone_reads_of_the_engines_thread_are_executed_where_that_pays(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    give_up_lone_reads(talk);
    expect_answered(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    atomic_store(&talk->world.options.io_threads, 0);
    expect_executed(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    expect_answered(talk, "get k j\r\n", "VALUE k 7 1\r\n1\r\nVALUE j 0 1\r\nj\r\nEND\r\n");
}

static void test_lone_reads_of_the_engines_thread_are_answered(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    atomic_store(&talk->world.options.io_threads, 0);
    expect_answered(talk, "get k\r\n", "VALUE k 7 1\r\n1\r\nEND\r\n");
    expect_executed(talk, "set k 0 0 1\r\n2\r\n", "STORED\r\n");
    expect_executed(talk, "get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n");
    expect_answered(talk, "mg k v\r\n", "VA 1\r\n2\r\n");
}

/* Between the steps of a lone read anything may happen. */
static void test_what_changes_while_a_lone_read_is_fetched_is_seen(void **state)
{
    struct talk *talk = *state;
    warm_up(talk);
    buffer_reset(&talk->output, 1024);
    buffer_append(&talk->input, SPAN("get k\r\n"));
    batch_reset(talk->batch);
    assert_int_equal(session_decode(&talk->session, &talk->input, talk->batch), SESSION_HAS_BATCH);
    assert_false(talk->batch->is_local);
    session_prefetch(&talk->session, talk->batch);
    fake_resp_set(&talk->world.fake, 0, SPAN("k"), SPAN("2"), KEYSPACE_NO_EXPIRY);
    session_answer(&talk->session, talk->batch);
    assert_false(talk->batch->is_local);
    work_off(talk, 1);
    assert_true(span_equal(buffer_content(&talk->output), SPAN("VALUE k 0 1\r\n2\r\nEND\r\n")));
}

/* As many reads that come alone are judged at a time. */
#define TRIAL_READS (1 << 18)

static void test_reads_that_come_together_are_not_judged(void **state)
{
    struct talk *talk = *state;
    atomic_store(&talk->world.options.io_threads, 0);
    for (int i = 0; i < 2 * TRIAL_READS - 1; i++) near_cache_note_alone(talk->cache, false);
    expect_executed(talk, "get a b\r\n", "END\r\n");
    assert_true(near_cache_pays_alone(talk->cache));
    expect_executed(talk, "get a\r\n", "END\r\n");
    assert_false(near_cache_pays_alone(talk->cache));
}

static void test_batch_that_is_used_anew_fetches_nothing(void **state)
{
    struct talk *talk = *state;
    talk->batch->is_fetching = true;
    batch_reset(talk->batch);
    assert_false(talk->batch->is_fetching);
}

/* The engine's PFCOUNT changes them without telling. */
static void test_cardinalities_are_not_kept(void **state)
{
    struct talk *talk = *state;
    expect(talk, "set k 0 0 5\r\nHYLL1\r\nset j 0 0 4\r\nHYL1\r\n", "STORED\r\nSTORED\r\n");
    for (int i = 0; i < 4; i++) expect_executed(talk, "get k\r\n", "VALUE k 0 5\r\nHYLL1\r\nEND\r\n");
    expect(talk, "get j\r\n", "VALUE j 0 4\r\nHYL1\r\nEND\r\n");
    expect_answered(talk, "get j\r\n", "VALUE j 0 4\r\nHYL1\r\nEND\r\n");
}

static void keep_nothing(struct talk *talk)
{
    near_cache_set_size(talk->cache, 0);
}

static void take_reading_away(struct talk *talk)
{
    atomic_store(&talk->doorkeeper.reads_freely, false);
}

static void close_caches(struct talk *talk)
{
    version_set_open(&talk->world.versions, false);
}

static void want_fetchers(struct talk *talk)
{
    atomic_store(&talk->hub.streams, WATCH_FETCHERS);
}

static void stop_wanting(struct talk *talk)
{
    atomic_store(&talk->hub.streams, 0);
}

/* A turn may end between the steps: whoever waits with a lone read while the output is full, or the turn is over, is looked up in
 * a later one. What permits an answer must hold then. */
static void test_lone_read_that_may_not_be_answered_any_longer_is_executed(void **state)
{
    static void (*const changes[])(struct talk *) = {take_reading_away, close_caches, want_fetchers, keep_nothing};
    struct talk *talk = *state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        atomic_store(&talk->doorkeeper.reads_freely, true);
        version_set_open(&talk->world.versions, true);
        warm_up(talk);
        buffer_reset(&talk->output, 1024);
        buffer_append(&talk->input, SPAN("get k\r\n"));
        batch_reset(talk->batch);
        assert_int_equal(session_decode(&talk->session, &talk->input, talk->batch), SESSION_HAS_BATCH);
        assert_true(talk->batch->is_fetching);
        changes[i](talk);
        session_prefetch(&talk->session, talk->batch);
        session_answer(&talk->session, talk->batch);
        assert_false(talk->batch->is_fetching);
        assert_false(talk->batch->is_local);
        stop_wanting(talk);
        work_off(talk, 1);
        assert_true(span_equal(buffer_content(&talk->output), SPAN("VALUE k 7 1\r\n1\r\nEND\r\n")));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_talk, close_talk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads_of_what_is_kept_are_answered),
        TEST(test_tokens_are_those_of_the_engine),
        TEST(test_binary_reads_are_answered),
        TEST(test_pipeline_sees_its_own_writes),
        TEST(test_answer_that_has_moved_on_its_way_is_executed),
        TEST(test_what_has_changed_on_its_way_back_answers_nothing),
        TEST(test_changes_over_resp_are_seen),
        TEST(test_items_expire),
        TEST(test_new_expiries_are_told),
        TEST(test_lost_flags_are_a_miss),
        TEST(test_marked_items_are_not_kept),
        TEST(test_marks_that_are_set_are_told),
        TEST(test_reads_that_ask_more_are_executed),
        TEST(test_who_may_not_read_all_is_not_answered),
        TEST(test_closed_cache_answers_nothing),
        TEST(test_answers_are_uses_of_the_key),
        TEST(test_watched_reads_are_executed),
        TEST(test_reads_that_come_to_be_watched_are_executed),
        TEST(test_reads_are_counted_once),
        TEST(test_batch_in_several_journeys),
        TEST(test_key_prefix_is_part_of_the_name),
        TEST(test_lone_reads_of_the_engines_thread_are_executed_where_that_pays),
        TEST(test_lone_reads_of_the_engines_thread_are_answered),
        TEST(test_what_changes_while_a_lone_read_is_fetched_is_seen),
        TEST(test_reads_that_come_together_are_not_judged),
        TEST(test_batch_that_is_used_anew_fetches_nothing),
        TEST(test_cardinalities_are_not_kept),
        TEST(test_lone_read_that_may_not_be_answered_any_longer_is_executed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
