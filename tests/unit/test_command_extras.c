/* What requests with extras do, beside what memcached's own words tell (test_command_meta.c): tokens, marks and RESP, reads
 * that come to a write, what binary asks, and what is left out because nobody knows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake/dialogue.h"

#define NOW WORLD_BEGIN_MS

static int set_up(void **state)
{
    struct world *world = check_calloc_aligned(_Alignof(struct world), sizeof(*world));
    struct dialogue *dialogue = calloc(1, sizeof *dialogue);
    world_init(world);
    dialogue->world = world;
    *state = dialogue;
    return 0;
}

static int tear_down(void **state)
{
    struct dialogue *dialogue = *state;
    world_deinit(dialogue->world);
    free(dialogue->world);
    free(dialogue);
    return 0;
}

#define SAY(dialogue, line, value, expected) assert_string_equal(dialogue_say(dialogue, line, value), expected)

static uint64_t told_token(struct dialogue *dialogue, const char *line, const char *value)
{
    (void)dialogue_say(dialogue, line, value);
    return dialogue->extras.token;
}

/* A request as binary asks it: extras, but nothing of meta. */
static struct result binary(struct dialogue *dialogue, enum request_op op, const char *key, const char *value,
                            uint64_t compare)
{
    dialogue->extras = (struct extras){.asks = compare ? ASK_COMPARE : 0, .compare = compare};
    struct request request = {.op = op,
                              .key = span_of(key, strlen(key)),
                              .value = span_of(value, strlen(value)),
                              .operand = 1,
                              .opcode = 1,
                              .extras = &dialogue->extras};
    counter_board_reset(&dialogue->world->board);
    return world_execute(dialogue->world, &request);
}

/* ---- Tokens ---- */

static void test_tokens_are_told(void **state)
{
    struct dialogue *dialogue = *state;
    uint64_t stored = told_token(dialogue, "ms k", "1");
    assert_int_not_equal(stored, 0);
    assert_int_equal(told_token(dialogue, "mg k", NULL), stored);
    assert_int_equal(told_token(dialogue, "me k", NULL), stored);
    uint64_t counted = told_token(dialogue, "ma k", NULL);
    assert_true(counted > stored);
    assert_int_equal(dialogue->result.number, 2);
    uint64_t joined = told_token(dialogue, "ms k MA", "1");
    assert_true(joined > counted);
    assert_int_equal(told_token(dialogue, "mg k T100", NULL), joined); /* the content is as it was */
    assert_int_equal(binary(dialogue, REQUEST_TOUCH, "k", "", 0).status, RESULT_OK);
    assert_int_equal(dialogue->extras.token, joined);
}

static void test_no_token_where_nothing_came_of_it(void **state)
{
    struct dialogue *dialogue = *state;
    assert_int_equal(told_token(dialogue, "mg k", NULL), 0);
    assert_int_equal(told_token(dialogue, "ms k MR", "1"), 0);
    (void)dialogue_say(dialogue, "ms k", "a");
    assert_int_equal(told_token(dialogue, "ms k ME", "1"), 0);
    assert_int_equal(told_token(dialogue, "ms k C5", "1"), 0);
    assert_int_equal(told_token(dialogue, "ma k", NULL), 0);
    assert_int_equal(told_token(dialogue, "md k", NULL), 0);
}

static void test_classic_answers_have_no_token_unless_asked(void **state)
{
    struct dialogue *dialogue = *state;
    struct request request = {.op = REQUEST_SET, .key = SPAN("k"), .value = SPAN("1")};
    assert_int_equal(world_execute(dialogue->world, &request).number, 0);
    request.want_cas = true;
    uint64_t token = world_execute(dialogue->world, &request).number;
    assert_int_equal(told_token(dialogue, "mg k", NULL), token);
    request.op = REQUEST_INCR;
    request.operand = 4;
    assert_int_equal(world_execute(dialogue->world, &request).number, 5);
}

/* Whoever asks for the token sees the chosen one: gets, cas, and the commands over RESP, which are the same requests. */
static void test_chosen_token(void **state)
{
    struct dialogue *dialogue = *state;
    struct request get = {.op = REQUEST_GET, .key = SPAN("k"), .want_cas = true};
    struct request cas = {.op = REQUEST_CAS, .key = SPAN("k"), .value = SPAN("2"), .operand = 77};
    assert_int_equal(told_token(dialogue, "ms k E77", "1"), 77);
    assert_int_equal(world_execute(dialogue->world, &get).number, 77);
    assert_int_equal(world_execute(dialogue->world, &cas).status, RESULT_STORED);
    assert_int_equal(world_execute(dialogue->world, &cas).status, RESULT_EXISTS);
    assert_int_equal(told_token(dialogue, "ma k E78", NULL), 78);
    assert_int_equal(told_token(dialogue, "mg k E79 N30", NULL), 78); /* nothing was made */
    assert_int_equal(told_token(dialogue, "mg new E79 N30", NULL), 79);
    fake_resp_append(&dialogue->world->fake, 0, SPAN("k"), SPAN("3"));
    assert_int_not_equal(told_token(dialogue, "mg k", NULL), 78);
}

static void test_marking_is_no_change_of_content(void **state)
{
    struct dialogue *dialogue = *state;
    uint64_t token = told_token(dialogue, "ms k T30", "1");
    SAY(dialogue, "mg k R60", NULL, "HD W");
    assert_int_equal(told_token(dialogue, "mg k", NULL), token);
    SAY(dialogue, "md k I", NULL, "HD"); /* but this is to fail the cas of those who have the old token */
    uint64_t stale = told_token(dialogue, "mg k", NULL);
    assert_true(stale > token);
    assert_int_equal(told_token(dialogue, "mg k", NULL), stale);
}

/* memcached keeps the token when it empties an item; its content has changed all the same. */
static void test_clearing_is_a_change_of_content(void **state)
{
    struct dialogue *dialogue = *state;
    uint64_t token = told_token(dialogue, "ms k", "1");
    SAY(dialogue, "md k x", NULL, "HD");
    assert_true(told_token(dialogue, "mg k", NULL) > token);
    assert_true(fake_holds(&dialogue->world->fake, 0, SPAN("k"), SPAN("")));
}

/* ---- Binary ---- */

static void test_binary_takes_no_part_in_marks(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "ms k F7", "1", "HD");
    SAY(dialogue, "md k I", NULL, "HD");
    struct result result = binary(dialogue, REQUEST_GET, "k", "", 0);
    assert_int_equal(result.status, RESULT_HIT);
    assert_int_equal(result.flags, 7);
    assert_int_equal(dialogue->extras.told, 0);
    assert_true(span_equal(world_value(dialogue->world, &result), SPAN("1")));
    SAY(dialogue, "mg k", NULL, "HD X W");
}

static void test_binary_compares(void **state)
{
    struct dialogue *dialogue = *state;
    uint64_t token = told_token(dialogue, "ms k F7", "1");
    assert_int_equal(binary(dialogue, REQUEST_DELETE, "k", "", token + 1).status, RESULT_EXISTS);
    assert_int_equal(counter_board_read(&dialogue->world->board, COUNTER_DELETE_MISSES), 0); /* as meta's would */
    assert_int_equal(binary(dialogue, REQUEST_INCR, "k", "", token + 1).status, RESULT_EXISTS);
    assert_int_equal(binary(dialogue, REQUEST_APPEND, "k", "2", token + 1).status, RESULT_EXISTS);
    assert_int_equal(binary(dialogue, REQUEST_TOUCH, "k", "", token + 1).status, RESULT_OK);
    assert_int_equal(binary(dialogue, REQUEST_TOUCH, "k", "", 0).flags, 7);
    assert_int_equal(binary(dialogue, REQUEST_APPEND, "k", "2", token).status, RESULT_STORED);
    assert_int_equal(binary(dialogue, REQUEST_DELETE, "k", "", dialogue->extras.token).status, RESULT_OK);
}

static void test_binary_misses_of_gat_are_touches(void **state)
{
    struct dialogue *dialogue = *state;
    assert_int_equal(binary(dialogue, REQUEST_GAT, "k", "", 0).status, RESULT_NOT_FOUND);
    assert_int_equal(counter_board_read(&dialogue->world->board, COUNTER_TOUCH_MISSES), 1);
}

/* ---- Reads that come to a write ---- */

static void make_stale(struct dialogue *dialogue)
{
    SAY(dialogue, "ms k T100", "1", "HD");
    SAY(dialogue, "md k I", NULL, "HD");
}

static struct result read_once(struct dialogue *dialogue, enum command_leave leave)
{
    dialogue->extras = (struct extras){.asks = ASK_META};
    struct request request = {.op = REQUEST_GET, .key = SPAN("k"), .extras = &dialogue->extras};
    dialogue->world->context.leave = leave;
    return world_execute(dialogue->world, &request);
}

static void test_first_reader_of_a_stale_item_asks(void **state)
{
    struct dialogue *dialogue = *state;
    make_stale(dialogue);
    counter_board_reset(&dialogue->world->board);
    assert_int_equal(read_once(dialogue, COMMAND_MUST_ASK).status, RESULT_NEEDS_WRITE);
    assert_int_equal(counter_board_read(&dialogue->world->board, COUNTER_CMD_GET), 0);
    assert_int_equal(buffer_size(&dialogue->world->values), 0);
    assert_int_equal(read_once(dialogue, COMMAND_MAY_MARK).status, RESULT_HIT);
    assert_int_equal(dialogue->extras.told & (TELL_WON | TELL_STALE | TELL_WON_BEFORE), TELL_WON | TELL_STALE);
    assert_int_equal(counter_board_read(&dialogue->world->board, COUNTER_CMD_GET), 1);
    assert_int_equal(read_once(dialogue, COMMAND_MUST_ASK).status, RESULT_HIT); /* nothing is left to mark */
    assert_int_equal(dialogue->extras.told & (TELL_WON | TELL_STALE | TELL_WON_BEFORE), TELL_WON_BEFORE | TELL_STALE);
}

/* On a replica: nothing is written, and nobody wins. */
static void test_reader_who_may_not_mark(void **state)
{
    struct dialogue *dialogue = *state;
    make_stale(dialogue);
    buffer_reset(&dialogue->world->fake.propagation, 64 * 1024);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read_once(dialogue, COMMAND_MAY_NOT_MARK).status, RESULT_HIT);
        assert_int_equal(dialogue->extras.told & (TELL_WON | TELL_STALE | TELL_WON_BEFORE), TELL_WON_BEFORE | TELL_STALE);
        assert_true(fake_propagated(&dialogue->world->fake, ""));
    }
    dialogue->world->context.leave = COMMAND_MUST_ASK;
    SAY(dialogue, "mg k", NULL, "HD X W");
}

static void test_read_that_comes_again_tells_the_same_past(void **state)
{
    struct dialogue *dialogue = *state;
    dialogue->world->fake.knows_idle = true;
    make_stale(dialogue);
    world_set_clock(dialogue->world, NOW + 5000);
    SAY(dialogue, "mg k l", NULL, "HD l5 X W");
    SAY(dialogue, "mg k l", NULL, "HD l0 Z X");
}

/* ---- Marks and RESP ---- */

static void test_resp_set_takes_the_marks_off(void **state)
{
    struct dialogue *dialogue = *state;
    make_stale(dialogue);
    fake_resp_set(&dialogue->world->fake, 0, SPAN("k"), SPAN("2"), KEYSPACE_NO_EXPIRY);
    SAY(dialogue, "mg k v", NULL, "VA 1: 2");
    make_stale(dialogue);
    fake_resp_append(&dialogue->world->fake, 0, SPAN("k"), SPAN("2"));
    SAY(dialogue, "mg k v", NULL, "VA 2 X W: 12"); /* keeps flags, so it keeps marks */
}

static void test_marks_move_along(void **state)
{
    struct dialogue *dialogue = *state;
    make_stale(dialogue);
    assert_true(fake_resp_copy(&dialogue->world->fake, 0, SPAN("k"), 0, SPAN("copy"), FAKE_SOURCE_KNOWN));
    SAY(dialogue, "mg k", NULL, "HD X W");
    assert_true(fake_resp_rename(&dialogue->world->fake, 0, SPAN("k"), SPAN("other")));
    SAY(dialogue, "mg other", NULL, "HD Z X");
    SAY(dialogue, "mg copy", NULL, "HD X W");
    SAY(dialogue, "mg k", NULL, "EN");
}

static void test_lost_marks_are_a_miss(void **state)
{
    struct dialogue *dialogue = *state;
    struct span ledger;
    make_stale(dialogue);
    assert_true(world_find_ledger(dialogue->world, 0, hash_slot(SPAN("k")), &ledger));
    char name[64];
    memcpy(name, ledger.data, ledger.size);
    fake_resp_del(&dialogue->world->fake, 0, span_of(name, ledger.size));
    SAY(dialogue, "mg k", NULL, "EN");
    SAY(dialogue, "mg k N30", NULL, "HD W"); /* and may be made anew */
    SAY(dialogue, "mg k v", NULL, "VA 0 Z: ");
}

static void test_marks_go_with_their_item(void **state)
{
    struct dialogue *dialogue = *state;
    struct span ledger;
    make_stale(dialogue);
    assert_true(world_find_ledger(dialogue->world, 0, hash_slot(SPAN("k")), &ledger));
    SAY(dialogue, "ms k", "2", "HD");
    SAY(dialogue, "mg k v", NULL, "VA 1: 2");
    SAY(dialogue, "mg viv N30", NULL, "HD W");
    world_set_clock(dialogue->world, NOW + 31000);
    SAY(dialogue, "mg viv", NULL, "EN");
    SAY(dialogue, "mg viv N30", NULL, "HD W");
}

/* ---- Expiry ---- */

static void test_remaining_seconds_are_rounded_up(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "ms k T10", "1", "HD");
    SAY(dialogue, "mg k t", NULL, "HD t10");
    world_set_clock(dialogue->world, NOW + 999);
    SAY(dialogue, "mg k t", NULL, "HD t10");
    world_set_clock(dialogue->world, NOW + 1000);
    SAY(dialogue, "mg k t", NULL, "HD t9");
    world_set_clock(dialogue->world, NOW + 9999);
    SAY(dialogue, "mg k t", NULL, "HD t1");
    world_set_clock(dialogue->world, NOW + 10000);
    SAY(dialogue, "mg k t", NULL, "EN");
}

/* What has expired when it is made is told as made, and is not there. */
static void test_expiry_that_has_passed(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "mg k N-1 t", NULL, "HD t0 W");
    SAY(dialogue, "ma k N-1 J5 v", NULL, "VA 1: 5");
    SAY(dialogue, "ms k MA N-1", "ab", "HD");
    SAY(dialogue, "mg k", NULL, "EN");
    SAY(dialogue, "ms k", "5", "HD");
    SAY(dialogue, "ma k T-1 v", NULL, "VA 1: 6");
    SAY(dialogue, "mg k", NULL, "EN");
    SAY(dialogue, "ms k", "5", "HD");
    SAY(dialogue, "md k I T-1", NULL, "HD");
    SAY(dialogue, "mg k", NULL, "EN");
    SAY(dialogue, "ms k", "5", "HD");
    SAY(dialogue, "md k I", NULL, "HD");
    SAY(dialogue, "mg k T-1 v", NULL, "VA 1 X W: 5");
    SAY(dialogue, "ms k ME", "5", "HD");
    SAY(dialogue, "mg k v", NULL, "VA 1: 5");
}

/* ---- What is propagated ---- */

static void test_vivified_item_is_an_empty_string(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "mg k N30", NULL, "HD W");
    assert_true(fake_holds(&dialogue->world->fake, 0, SPAN("k"), SPAN("")));
    assert_int_equal(fake_find(&dialogue->world->fake, 0, SPAN("k"))->expiry, NOW + 30000);
}

static void test_marking_does_not_touch_the_item(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "ms k F7", "1", "HD"); /* so that there is a ledger */
    buffer_reset(&dialogue->world->fake.propagation, 64 * 1024);
    buffer_reset(&dialogue->world->fake.events, 64 * 1024);
    SAY(dialogue, "md k I", NULL, "HD");
    struct span propagated = buffer_content(&dialogue->world->fake.propagation);
    assert_true(span_starts_with(propagated, SPAN("SETRANGE diglot:flags:")));
}

/* ---- Types and names that are not for items ---- */

static void test_another_type(void **state)
{
    struct dialogue *dialogue = *state;
    fake_resp_lpush(&dialogue->world->fake, 0, SPAN("list"));
    SAY(dialogue, "mg list N30", NULL, "EN");
    SAY(dialogue, "ma list N30", NULL, "NF");
    SAY(dialogue, "ms list MA N30", "1", "NS");
    SAY(dialogue, "ms list C5", "1", "NF");
    SAY(dialogue, "md list I", NULL, "NF");
    SAY(dialogue, "me list", NULL, "EN");
}

static void test_reserved_names(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "mg diglot:flags:{0} N30", NULL, "EN");
    SAY(dialogue, "ma diglot:flags:{0} N30", NULL, "NF");
    SAY(dialogue, "ms diglot:flags:{0} MA N30", "1", "REFUSED");
    SAY(dialogue, "md diglot:flags:{0} I", NULL, "NF");
    SAY(dialogue, "me diglot:flags:{0}", NULL, "EN");
    assert_true(fake_propagated(&dialogue->world->fake, ""));
}

/* ---- The past ---- */

static void test_unknown_past_is_left_out(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "set k 0 0", "1", "STORED"); /* nobody has asked yet, so nothing is kept */
    SAY(dialogue, "mg k h l", NULL, "HD");
    SAY(dialogue, "mg k h l", NULL, "HD h1 l0");
    fake_resp_set(&dialogue->world->fake, 0, SPAN("k"), SPAN("2"), KEYSPACE_NO_EXPIRY);
    SAY(dialogue, "mg k h l", NULL, "HD");
    SAY(dialogue, "set k 0 0", "1", "STORED");
    world_set_clock(dialogue->world, NOW + 3000);
    SAY(dialogue, "mg k h l", NULL, "HD h0 l3");
    fake_resp_flushall(&dialogue->world->fake);
    fake_resp_set(&dialogue->world->fake, 0, SPAN("k"), SPAN("2"), KEYSPACE_NO_EXPIRY);
    SAY(dialogue, "me k", NULL, "HD");
    assert_int_equal(dialogue->extras.told, 0);
}

/* The engine's clock knows of RESP, too, and of what was before. */
static void test_engine_knows_how_long_it_was_idle(void **state)
{
    struct dialogue *dialogue = *state;
    dialogue->world->fake.knows_idle = true;
    fake_resp_set(&dialogue->world->fake, 0, SPAN("k"), SPAN("2"), KEYSPACE_NO_EXPIRY);
    world_set_clock(dialogue->world, NOW + 7000);
    SAY(dialogue, "me k", NULL, "HD"); /* me is no use of the item */
    assert_int_equal(dialogue->extras.told, TELL_IDLE);
    assert_int_equal(dialogue->extras.idle_seconds, 7);
    SAY(dialogue, "mg k u l", NULL, "HD l7");
    SAY(dialogue, "mg k l", NULL, "HD l7");
    SAY(dialogue, "mg k l h", NULL, "HD l0 h1");
}

static void test_debug_tells_what_there_is(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "ms k T100 F9", "abc", "HD");
    SAY(dialogue, "me k", NULL, "HD");
    assert_int_equal(dialogue->extras.size, 3);
    assert_int_equal(dialogue->extras.remaining_seconds, 100);
    assert_int_equal(dialogue->result.flags, 9);
    assert_int_equal(dialogue->result.value_size, 0);
    assert_int_equal(dialogue->extras.told, TELL_HISTORY | TELL_IDLE);
}

/* decr pads a number that becomes shorter with blanks there; here the value is the number. */
static void test_shorter_number(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "ms k", "10", "HD");
    SAY(dialogue, "ma k MD D3 s v", NULL, "VA 1 s1: 7");
    SAY(dialogue, "mg k s v", NULL, "VA 1 s1: 7");
}

/* A longer number is another item there, without marks, and T goes to the old one; here it is the same. */
static void test_longer_number(void **state)
{
    struct dialogue *dialogue = *state;
    SAY(dialogue, "ms k T100", "9", "HD");
    SAY(dialogue, "md k I", NULL, "HD");
    SAY(dialogue, "ma k T50 t v", NULL, "VA 2 t50: 10");
    assert_string_equal(dialogue->counts, "incr_hits+1");
    SAY(dialogue, "mg k t v", NULL, "VA 2 t50 X W: 10");
}

/* The token of what is gone at once is one that nothing else has. */
static void test_token_of_what_expires_at_once(void **state)
{
    struct dialogue *dialogue = *state;
    uint64_t token = told_token(dialogue, "ms k", "1");
    assert_int_equal(told_token(dialogue, "mg k T-1", NULL), token);
    uint64_t gone = told_token(dialogue, "ms k T-1", "1");
    assert_true(gone > token);
    assert_true(told_token(dialogue, "mg k N-1", NULL) > gone);
    assert_int_equal(told_token(dialogue, "ms k T-1 E5", "1"), 5);
    token = told_token(dialogue, "ms k", "1");
    dialogue->extras = (struct extras){0};
    struct request touch = {.op = REQUEST_TOUCH, .key = SPAN("k"), .exptime = -1, .extras = &dialogue->extras};
    assert_int_equal(world_execute(dialogue->world, &touch).status, RESULT_OK);
    assert_int_equal(dialogue->extras.token, token);
}

static void test_join_that_is_too_large(void **state)
{
    struct dialogue *dialogue = *state;
    char *large = malloc(600 * 1024);
    memset(large, 'x', 600 * 1024);
    large[600 * 1024 - 1] = '\0';
    SAY(dialogue, "ms k", large, "HD");
    SAY(dialogue, "ms k MA", large, "TOO_LARGE");
    assert_int_equal(dialogue->extras.token, 0);
    free(large);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_tokens_are_told),
        TEST(test_no_token_where_nothing_came_of_it),
        TEST(test_classic_answers_have_no_token_unless_asked),
        TEST(test_chosen_token),
        TEST(test_marking_is_no_change_of_content),
        TEST(test_clearing_is_a_change_of_content),
        TEST(test_binary_takes_no_part_in_marks),
        TEST(test_binary_compares),
        TEST(test_binary_misses_of_gat_are_touches),
        TEST(test_first_reader_of_a_stale_item_asks),
        TEST(test_reader_who_may_not_mark),
        TEST(test_read_that_comes_again_tells_the_same_past),
        TEST(test_resp_set_takes_the_marks_off),
        TEST(test_marks_move_along),
        TEST(test_lost_marks_are_a_miss),
        TEST(test_marks_go_with_their_item),
        TEST(test_remaining_seconds_are_rounded_up),
        TEST(test_expiry_that_has_passed),
        TEST(test_vivified_item_is_an_empty_string),
        TEST(test_marking_does_not_touch_the_item),
        TEST(test_another_type),
        TEST(test_reserved_names),
        TEST(test_unknown_past_is_left_out),
        TEST(test_engine_knows_how_long_it_was_idle),
        TEST(test_debug_tells_what_there_is),
        TEST(test_shorter_number),
        TEST(test_longer_number),
        TEST(test_token_of_what_expires_at_once),
        TEST(test_join_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
