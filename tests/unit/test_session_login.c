/* A session whose door is locked: what is read before a login, what a login changes, and what is left of a password. */
#define _GNU_SOURCE 1 /* memmem */

#include "session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NO_LIMIT SIZE_MAX

/* A client, its session, and an executor that knows one user, "bob" with the password "secret". */
struct talk {
    struct options options;
    struct counter_board board;
    struct doorkeeper doorkeeper;
    struct session session;
    struct buffer input;
    struct buffer output;
    struct batch *batch;
    struct identity *bob;
    bool bob_is_gone;
    bool is_over;
};

static int open_talk(void **state)
{
    struct talk *talk = check_calloc_aligned(_Alignof(struct talk), sizeof(*talk));
    options_init(&talk->options);
    counter_board_init(&talk->board, 1);
    atomic_init(&talk->doorkeeper.asks_login, true);
    session_init(&talk->session, &talk->options, &talk->board.sets[0], &talk->doorkeeper);
    buffer_init(&talk->input);
    buffer_reserve(&talk->input, 4096);
    memset(talk->input.data, 0, talk->input.capacity);
    buffer_init(&talk->output);
    talk->batch = batch_new();
    talk->bob = identity_new(SPAN("bob"));
    *state = talk;
    return 0;
}

static int close_talk(void **state)
{
    struct talk *talk = *state;
    batch_free(&talk->batch);
    session_deinit(&talk->session, &talk->input);
    assert_int_equal(talk->bob->references, 1);
    identity_release(&talk->bob);
    counter_board_deinit(&talk->board);
    buffer_deinit(&talk->input);
    buffer_deinit(&talk->output);
    free(talk);
    return 0;
}

static void log_in(struct talk *talk, const struct request *request, struct result *result)
{
    bool is_right = span_equal(request->key, SPAN("bob")) && span_equal(request->value, SPAN("secret"));
    result->status = is_right ? RESULT_OK : RESULT_UNAUTHENTICATED;
    if (is_right) {
        talk->batch->granted = identity_retain(talk->bob);
    }
}

static void execute_message(struct talk *talk, struct message *message)
{
    struct result *result = &message->result;
    bool is_nobody = talk->batch->identity == NULL && talk->doorkeeper.asks_login;
    if (message->request.op == REQUEST_AUTH) {
        log_in(talk, &message->request, result);
    } else if (is_nobody || talk->bob_is_gone) {
        result->status = RESULT_UNAUTHENTICATED;
    } else if (span_equal(message->request.key, SPAN("denied"))) {
        result->status = RESULT_DENIED;
        result->text = SPAN("NOPERM no");
    } else {
        result->status = RESULT_HIT;
        result->value_offset = buffer_size(&talk->batch->values);
        result->value_size = message->request.key.size;
        buffer_append(&talk->batch->values, message->request.key);
    }
}

static void execute(struct talk *talk)
{
    struct batch *batch = talk->batch;
    for (; batch->executed < batch->count; batch->executed++) {
        if (!request_is_local(batch->messages[batch->executed].request.op)) {
            execute_message(talk, &batch->messages[batch->executed]);
        }
    }
}

static enum session_verdict decode(struct talk *talk)
{
    batch_reset(talk->batch);
    return session_decode(&talk->session, &talk->input, talk->batch);
}

static void turn(struct talk *talk)
{
    enum session_verdict verdict;
    while ((verdict = decode(talk)) == SESSION_HAS_BATCH) {
        execute(talk);
        talk->is_over |= !session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT);
        assert_int_equal(talk->batch->encoded, talk->batch->count);
    }
    talk->is_over |= verdict == SESSION_CLOSES;
}

static void say(struct talk *talk, const char *text)
{
    buffer_append(&talk->input, span_of(text, strlen(text)));
    turn(talk);
}

static void assert_output(struct talk *talk, const char *expected)
{
    assert_true(span_equal(buffer_content(&talk->output), span_of(expected, strlen(expected))));
    buffer_reset(&talk->output, 0);
}

#define NOBODY "CLIENT_ERROR unauthenticated\r\n"
#define LOGIN "set x 0 0 10\r\nbob secret\r\n"
#define HIT(key, size) "VALUE " key " 0 " size "\r\n" key "\r\n"

static void test_login_takes_effect_behind_it(void **state)
{
    struct talk *talk = *state;
    say(talk, "get k\r\n" LOGIN "get k\r\n");
    assert_output(talk, NOBODY "STORED\r\n" HIT("k", "1") "END\r\n");
}

static void test_batch_ends_behind_a_login(void **state)
{
    struct talk *talk = *state;
    const char *text = "get k\r\n" LOGIN "get k\r\n";
    buffer_append(&talk->input, span_of(text, strlen(text)));
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_int_equal(talk->batch->count, 2);
    assert_false(talk->batch->is_local);
    assert_null(talk->batch->identity);
    assert_int_equal(talk->batch->messages[1].request.op, REQUEST_AUTH);
    execute(talk);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_ptr_equal(talk->session.identity, talk->bob);
    assert_null(talk->batch->granted);
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_ptr_equal(talk->batch->identity, talk->bob);
    assert_int_equal(talk->batch->messages[0].request.op, REQUEST_GET);
}

static void test_wrong_login_changes_nothing(void **state)
{
    struct talk *talk = *state;
    say(talk, "set x 0 0 9\r\nbob wrong\r\nget k\r\n");
    assert_output(talk, "CLIENT_ERROR authentication failure\r\n" NOBODY);
    assert_false(talk->is_over);
    say(talk, LOGIN);
    assert_output(talk, "STORED\r\n");
}

static void test_login_that_is_never_told_is_not_leaked(void **state)
{
    struct talk *talk = *state;
    buffer_append(&talk->input, SPAN(LOGIN));
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    execute(talk);
    assert_non_null(talk->batch->granted); /* close_talk counts the references */
}

static void test_door_may_be_locked_and_opened_at_any_time(void **state)
{
    struct talk *talk = *state;
    atomic_store(&talk->doorkeeper.asks_login, false);
    say(talk, "get k\r\n");
    assert_output(talk, HIT("k", "1") "END\r\n");
    atomic_store(&talk->doorkeeper.asks_login, true);
    say(talk, "get k\r\n");
    assert_output(talk, NOBODY);
    atomic_store(&talk->doorkeeper.asks_login, false);
    say(talk, "get k\r\n");
    assert_output(talk, HIT("k", "1") "END\r\n");
    assert_false(talk->is_over);
}

/* What was read before the door was locked is refused where it is executed, and the client may still log in. */
static void test_door_locked_behind_the_decoder(void **state)
{
    struct talk *talk = *state;
    atomic_store(&talk->doorkeeper.asks_login, false);
    buffer_append(&talk->input, SPAN("get k l\r\ndelete k\r\n"));
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    atomic_store(&talk->doorkeeper.asks_login, true);
    execute(talk);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_output(talk, NOBODY NOBODY);
    say(talk, LOGIN);
    assert_output(talk, "STORED\r\n");
}

static void test_client_without_its_user_is_told_once_and_closed(void **state)
{
    struct talk *talk = *state;
    say(talk, LOGIN);
    assert_output(talk, "STORED\r\n");
    talk->bob_is_gone = true;
    buffer_append(&talk->input, SPAN("get"));
    for (int i = 0; i < 2 * BATCH_CAPACITY; i++) {
        buffer_append(&talk->input, SPAN(" k"));
    }
    say(talk, "\r\nget k\r\n");
    assert_output(talk, NOBODY);
    assert_true(talk->is_over);
}

static void test_denied_key_is_told_in_place_of_the_end(void **state)
{
    struct talk *talk = *state;
    say(talk, LOGIN "get a denied b\r\nget denied\r\nget a denied\r\nget a\r\n");
    assert_output(talk, "STORED\r\n"
                        HIT("a", "1") HIT("b", "1") "CLIENT_ERROR NOPERM no\r\n"
                        "CLIENT_ERROR NOPERM no\r\n"
                        HIT("a", "1") "CLIENT_ERROR NOPERM no\r\n"
                        HIT("a", "1") "END\r\n");
}

static bool holds_secret(const struct buffer *buffer)
{
    return memmem(buffer->data, buffer->capacity, "secret", 6) != NULL;
}

static void test_password_is_wiped(void **state)
{
    struct talk *talk = *state;
    say(talk, "set x 0 0 10\r\nbob ");
    say(talk, "secret");
    assert_true(holds_secret(&talk->input));
    say(talk, "\r\n");
    assert_output(talk, "STORED\r\n");
    assert_false(holds_secret(&talk->input));
}

static void test_password_of_a_client_that_goes_is_wiped(void **state)
{
    struct talk *talk = *state;
    say(talk, "set x 0 0 10\r\nbob secret");
    assert_true(holds_secret(&talk->input));
    session_deinit(&talk->session, &talk->input);
    assert_false(holds_secret(&talk->input));
}

#define TALK_TEST(test) cmocka_unit_test_setup_teardown(test, open_talk, close_talk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_login_takes_effect_behind_it),
        TALK_TEST(test_batch_ends_behind_a_login),
        TALK_TEST(test_wrong_login_changes_nothing),
        TALK_TEST(test_login_that_is_never_told_is_not_leaked),
        TALK_TEST(test_door_may_be_locked_and_opened_at_any_time),
        TALK_TEST(test_door_locked_behind_the_decoder),
        TALK_TEST(test_client_without_its_user_is_told_once_and_closed),
        TALK_TEST(test_denied_key_is_told_in_place_of_the_end),
        TALK_TEST(test_password_is_wiped),
        TALK_TEST(test_password_of_a_client_that_goes_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
