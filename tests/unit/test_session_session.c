#include "session/session.h"

#include "wire/ascii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NO_LIMIT SIZE_MAX

/* "large" has a value that is worth being sent from where it lies. */
static const char large_value[BATCH_APART_LEAST] = {'l', 'a', 'r', 'g', 'e'};

/* A client, its session, and an executor that finds every key, with the key as its value. */
struct talk {
    struct options options;
    struct counter_board board;
    struct doorkeeper doorkeeper;
    struct session session;
    struct buffer input;
    struct buffer output;
    struct batch *batch;
    bool is_over;
};

static int open_talk(void **state)
{
    struct talk *talk = check_calloc_aligned(_Alignof(struct talk), sizeof(*talk));
    options_init(&talk->options);
    counter_board_init(&talk->board, 1);
    session_init(&talk->session, &talk->options, &talk->board.sets[0], &talk->doorkeeper);
    buffer_init(&talk->input);
    buffer_init(&talk->output);
    talk->batch = batch_new();
    *state = talk;
    return 0;
}

static int close_talk(void **state)
{
    struct talk *talk = *state;
    session_deinit(&talk->session, &talk->input);
    counter_board_deinit(&talk->board);
    buffer_deinit(&talk->input);
    buffer_deinit(&talk->output);
    batch_free(&talk->batch);
    free(talk);
    return 0;
}

static struct span value_of(struct span key)
{
    return span_equal(key, SPAN("large")) ? span_of(large_value, sizeof large_value) : key;
}

static void execute_message(struct batch *batch, struct message *message)
{
    struct result *result = &message->result;
    switch (message->request.op) {
    case REQUEST_GET:
    case REQUEST_GAT:
        result->status = RESULT_HIT;
        result->value_offset = buffer_size(&batch->values);
        result->value_size = value_of(message->request.key).size;
        buffer_append(&batch->values, value_of(message->request.key));
        break;
    case REQUEST_SET:
        result->status = RESULT_STORED;
        break;
    case REQUEST_METADUMP: /* three parts */
        result->status = RESULT_PART;
        result->number = (message->request.operand + 1) % 3;
        result->value_offset = buffer_size(&batch->values);
        result->value_size = 1;
        buffer_append(&batch->values, span_of(&"abc"[message->request.operand], 1));
        break;
    case REQUEST_WATCH:
        result->status = RESULT_OK;
        result->number = WATCH_FETCHERS;
        break;
    default:
        result->status = RESULT_NOT_FOUND;
    }
}

static void execute(struct batch *batch, uint32_t most)
{
    for (; batch->executed < batch->count && most > 0; batch->executed++, most--) {
        if (!request_is_local(batch->messages[batch->executed].request.op)) {
            execute_message(batch, &batch->messages[batch->executed]);
        }
    }
}

static enum session_verdict decode(struct talk *talk)
{
    batch_reset(talk->batch);
    return session_decode(&talk->session, &talk->input, talk->batch);
}

/* Lets the session work off its input. */
static void turn(struct talk *talk)
{
    enum session_verdict verdict;
    while ((verdict = decode(talk)) == SESSION_HAS_BATCH) {
        if (!talk->batch->is_local) {
            execute(talk->batch, UINT32_MAX);
        }
        talk->is_over |= !session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT);
        assert_int_equal(talk->batch->encoded, talk->batch->count);
    }
    talk->is_over |= verdict == SESSION_CLOSES;
}

static void say(struct talk *talk, const char *text)
{
    buffer_append(&talk->input, span_of(text, strlen(text)));
}

static void assert_output(struct talk *talk, const char *expected)
{
    assert_int_equal(buffer_size(&talk->output), strlen(expected));
    if (*expected != '\0') {
        assert_memory_equal(buffer_content(&talk->output).data, expected, strlen(expected));
    }
    buffer_reset(&talk->output, 0);
}

static const char conversation[] = "set a 1 0 5\r\nhello\r\n"
                                   "get a bb  ccc\r\n"
                                   "nonsense\r\n"
                                   "set n 0 0 1 noreply\r\nx\r\n"
                                   "gat 10 d\r\n"
                                   "add big 0 0 70000\r\n%s\r\n"
                                   "delete a\r\n"
                                   "get last\r\n";
static const char replies[] = "STORED\r\n"
                              "VALUE a 0 1\r\na\r\nVALUE bb 0 2\r\nbb\r\nVALUE ccc 0 3\r\nccc\r\nEND\r\n"
                              "ERROR\r\n"
                              "VALUE d 0 1\r\nd\r\nEND\r\n"
                              "SERVER_ERROR object too large for cache\r\n"
                              "NOT_FOUND\r\n"
                              "VALUE last 0 4\r\nlast\r\nEND\r\n";

/* The conversation with its too large value; the caller frees it. */
static struct span write_conversation(struct talk *talk)
{
    enum { BIG = 70000, ROOM = BIG + 1000 };
    atomic_store(&talk->options.max_item_size, 65536);
    char *big = check_malloc(BIG + 1);
    memset(big, 'v', BIG);
    big[BIG] = '\0';
    char *text = check_malloc(ROOM);
    int size = snprintf(text, ROOM, conversation, big);
    free(big);
    return span_of(text, (size_t)size);
}

static void converse(struct talk *talk, struct span text, size_t piece)
{
    while (text.size > 0) {
        size_t size = piece < text.size ? piece : text.size;
        buffer_append(&talk->input, span_of(text.data, size));
        turn(talk);
        text = span_skip(text, size);
    }
    assert_int_equal(buffer_size(&talk->input), 0);
    assert_false(talk->is_over);
    assert_output(talk, replies);
}

static void test_any_split_gives_the_same_replies(void **state)
{
    struct talk *talk = *state;
    struct span text = write_conversation(talk);
    converse(talk, text, text.size);
    for (size_t split = 1; split < text.size; split += split < 200 || text.size - split < 100 ? 1 : 997) {
        buffer_append(&talk->input, span_of(text.data, split));
        turn(talk);
        buffer_append(&talk->input, span_skip(text, split));
        turn(talk);
        assert_output(talk, replies);
    }
    free((void *)(uintptr_t)text.data);
}

static void test_any_piece_size_gives_the_same_replies(void **state)
{
    struct talk *talk = *state;
    struct span text = write_conversation(talk);
    for (size_t piece = 1; piece < 64; piece++) {
        converse(talk, text, piece);
    }
    free((void *)(uintptr_t)text.data);
}

static void test_pipeline_fills_batch_after_batch(void **state)
{
    struct talk *talk = *state;
    for (int i = 0; i < 2 * BATCH_CAPACITY + 1; i++) {
        say(talk, "touch k 0\r\n");
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(decode(talk), SESSION_HAS_BATCH);
        assert_true(batch_is_full(talk->batch));
    }
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_int_equal(talk->batch->count, 1);
    assert_int_equal(decode(talk), SESSION_NEEDS_INPUT);
}

static void say_get(struct talk *talk, size_t keys)
{
    say(talk, "get");
    for (size_t i = 0; i < keys; i++) {
        say(talk, " k");
    }
    say(talk, "\r\n");
}

/* A get of `keys` keys makes full batches and one with the rest, and its last message alone ends the reply. */
static void check_get(struct talk *talk, size_t keys)
{
    say_get(talk, keys);
    for (size_t left = keys; left > 0; left -= talk->batch->count) {
        assert_int_equal(decode(talk), SESSION_HAS_BATCH);
        assert_int_equal(talk->batch->count, left < BATCH_CAPACITY ? left : BATCH_CAPACITY);
        for (uint32_t i = 0; i < talk->batch->count; i++) {
            assert_int_equal(talk->batch->messages[i].request.op, REQUEST_GET);
            assert_int_equal(talk->batch->messages[i].request.ends_reply, left == i + 1);
        }
    }
    assert_int_equal(decode(talk), SESSION_NEEDS_INPUT);
}

static void test_get_is_cut_into_messages(void **state)
{
    struct talk *talk = *state;
    const size_t sizes[] = {1, 2, BATCH_CAPACITY - 1, BATCH_CAPACITY, BATCH_CAPACITY + 1, 3 * BATCH_CAPACITY, 1000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        check_get(talk, sizes[i]);
    }
}

static void test_get_continues_behind_other_requests(void **state)
{
    struct talk *talk = *state;
    say(talk, "touch a 0\r\n");
    say_get(talk, BATCH_CAPACITY);
    say(talk, "touch b 0\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_true(batch_is_full(talk->batch));
    assert_false(talk->batch->messages[BATCH_CAPACITY - 1].request.ends_reply);
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_int_equal(talk->batch->count, 2);
    assert_true(talk->batch->messages[0].request.ends_reply);
    assert_int_equal(talk->batch->messages[1].request.op, REQUEST_TOUCH);
}

static void test_local_batch_needs_no_executor(void **state)
{
    struct talk *talk = *state;
    say(talk, "nonsense\r\nversion\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_true(talk->batch->is_local);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_int_equal(talk->batch->encoded, 2);
    say(talk, "nonsense\r\nget k\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_false(talk->batch->is_local);
}

static void test_local_reply_waits_for_its_turn(void **state)
{
    struct talk *talk = *state;
    say(talk, "nonsense\r\ndelete a\r\nnonsense\r\ndelete b\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_output(talk, "ERROR\r\n");
    execute(talk->batch, 2);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_output(talk, "NOT_FOUND\r\nERROR\r\n");
    execute(talk->batch, 2);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_output(talk, "NOT_FOUND\r\n");
}

/* What is to be sent, from the output and from elsewhere. */
static void assert_stream(const struct talk *talk, struct span expected)
{
    struct span parts[PIECES_PARTS_MAX];
    size_t count = pieces_gather(&talk->batch->apart, &talk->output, SIZE_MAX, parts);
    for (size_t i = 0; i < count; i++) {
        assert_true(parts[i].size <= expected.size);
        assert_memory_equal(parts[i].data, expected.data, parts[i].size);
        expected = span_skip(expected, parts[i].size);
    }
    assert_int_equal(expected.size, 0);
}

static void say_large_hit(struct buffer *buffer)
{
    buffer_append(buffer, SPAN("VALUE large 0 4097\r\n"));
    buffer_append(buffer, span_of(large_value, sizeof large_value));
    buffer_append(buffer, SPAN("\r\n"));
}

static void test_large_values_stay_where_they_are(void **state)
{
    struct talk *talk = *state;
    struct buffer expected;
    buffer_init(&expected);
    say(talk, "get a large b\r\nget large\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    execute(talk->batch, UINT32_MAX);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    buffer_append(&expected, SPAN("VALUE a 0 1\r\na\r\n"));
    say_large_hit(&expected);
    buffer_append(&expected, SPAN("VALUE b 0 1\r\nb\r\nEND\r\n"));
    say_large_hit(&expected);
    buffer_append(&expected, SPAN("END\r\n"));
    assert_stream(talk, buffer_content(&expected));
    assert_int_equal(talk->batch->apart.size, 2 * sizeof large_value);
    assert_ptr_equal(talk->batch->apart.list[0].bytes.data, talk->batch->values.data + 1);
    assert_true(buffer_size(&talk->output) < 256);
    buffer_deinit(&expected);
}

/* They count, wherever they are; and where there is no room to note them they are copied. */
static void test_large_values_count_against_the_limit(void **state)
{
    struct talk *talk = *state;
    enum { GETS = PIECES_MAX + 2 };
    for (int i = 0; i < GETS; i++) {
        say(talk, "get large\r\n");
    }
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    execute(talk->batch, UINT32_MAX);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, sizeof large_value));
    assert_int_equal(talk->batch->encoded, 1);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_int_equal(talk->batch->encoded, GETS);
    assert_int_equal(talk->batch->apart.size, PIECES_MAX * sizeof large_value);
    assert_true(buffer_size(&talk->output) > (GETS - PIECES_MAX) * sizeof large_value);
}

/* A value that is sent while it is being read: the replies before it come first, those behind it later. */
static void test_a_value_may_be_encoded_ahead(void **state)
{
    struct talk *talk = *state;
    struct buffer expected;
    buffer_init(&expected);
    say(talk, "get a large b\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    execute(talk->batch, 1);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    const struct result result = {.status = RESULT_HIT, .value_size = sizeof large_value};
    assert_true(session_encode_ahead(&talk->session, talk->batch, &result, value_of(SPAN("large")), &talk->output));
    assert_int_equal(talk->batch->encoded, 2);
    assert_ptr_equal(talk->batch->apart.list[0].bytes.data, large_value);
    execute(talk->batch, UINT32_MAX);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_int_equal(talk->batch->encoded, 3);
    buffer_append(&expected, SPAN("VALUE a 0 1\r\na\r\n"));
    say_large_hit(&expected);
    buffer_append(&expected, SPAN("VALUE b 0 1\r\nb\r\nEND\r\n"));
    assert_stream(talk, buffer_content(&expected));
    buffer_deinit(&expected);
}

/* Of a get that was refused for a key, the last word comes at its end. */
static void test_nothing_is_encoded_ahead_of_a_refusal(void **state)
{
    struct talk *talk = *state;
    say(talk, "get denied large\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    talk->batch->messages[0].result = (struct result){.status = RESULT_DENIED, .text = SPAN("no")};
    talk->batch->executed = 1;
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    const struct result result = {.status = RESULT_HIT, .value_size = sizeof large_value};
    assert_false(session_encode_ahead(&talk->session, talk->batch, &result, value_of(SPAN("large")), &talk->output));
    execute(talk->batch, UINT32_MAX);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_int_equal(talk->batch->apart.size, 0);
    assert_memory_equal(talk->output.data + talk->output.end - 17, "\r\nCLIENT_ERROR no\r\n" + 2, 17);
}

/* How much room a request needs is known as soon as its size is. */
static void test_the_size_of_what_is_coming(void **state)
{
    static const struct {
        const char *begun;
        size_t needed;
    } samples[] = {
        {"set k 0 0 1000", 0},
        {"set k 0 0 1000\r\nbegun", 16 + 1000 + 2},
        {"cas k 0 0 1000 7\r\n", 18 + 1000 + 2},
        {"ms k 1000\r\nbegun", 11 + 1000 + 2},
    };
    struct talk *talk = *state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        say(talk, samples[i].begun);
        assert_int_equal(decode(talk), SESSION_NEEDS_INPUT);
        assert_int_equal(talk->session.needed, samples[i].needed);
        buffer_consume(&talk->input, buffer_size(&talk->input));
        talk->session.lineless = 0;
    }
    assert_int_equal(decode(talk), SESSION_NEEDS_INPUT);
    assert_int_equal(talk->session.needed, 0);
}

static void test_the_size_of_a_packet_that_is_coming(void **state)
{
    struct talk *talk = *state;
    static const char header[] = "\x80\x01\x00\x01\x08\x00\x00\x00\x00\x00\x10\x09\0\0\0\0\0\0\0\0\0\0\0\0" "flagstimk";
    buffer_append(&talk->input, span_of(header, 24));
    assert_int_equal(decode(talk), SESSION_NEEDS_INPUT);
    assert_int_equal(talk->session.needed, 0);
    buffer_append(&talk->input, span_of(header + 24, 9));
    assert_int_equal(decode(talk), SESSION_NEEDS_INPUT);
    assert_int_equal(talk->session.needed, 24 + 0x1009);
}

static void test_encoding_stops_at_the_limit(void **state)
{
    struct talk *talk = *state;
    say(talk, "delete a\r\ndelete b\r\ndelete c\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    execute(talk->batch, UINT32_MAX);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, 12));
    assert_int_equal(talk->batch->encoded, 2);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, 12));
    assert_int_equal(talk->batch->encoded, 2);
    assert_output(talk, "NOT_FOUND\r\nNOT_FOUND\r\n");
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, 12));
    assert_output(talk, "NOT_FOUND\r\n");
}

static void test_quit_closes_behind_what_was_asked_before(void **state)
{
    struct talk *talk = *state;
    say(talk, "delete a\r\nquit\r\ndelete b\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_int_equal(talk->batch->count, 1);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    execute(talk->batch, UINT32_MAX);
    assert_false(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_output(talk, "NOT_FOUND\r\n");
    assert_int_equal(decode(talk), SESSION_CLOSES);
}

static void test_endless_line_closes(void **state)
{
    struct talk *talk = *state;
    say(talk, "delete a\r\n");
    for (int i = 0; i <= ASCII_LINE_MAX; i++) {
        assert_false(talk->is_over);
        say(talk, "x");
        turn(talk);
    }
    assert_true(talk->is_over);
    assert_output(talk, "NOT_FOUND\r\n");
}

static void test_long_get_line_may_drip_in(void **state)
{
    struct talk *talk = *state;
    say(talk, "get k");
    turn(talk);
    for (int i = 0; i < 100000; i++) {
        say(talk, " ");
        turn(talk);
    }
    assert_int_equal(talk->session.lineless, 100005); /* which is not looked through for every byte */
    say(talk, "l\r\nversion");
    turn(talk);
    assert_output(talk, "VALUE k 0 1\r\nk\r\nVALUE l 0 1\r\nl\r\nEND\r\n");
    assert_false(talk->is_over);
}

static void test_endless_get_line_closes(void **state)
{
    struct talk *talk = *state;
    char spaces[1001];
    memset(spaces, ' ', 1000);
    spaces[1000] = '\0';
    say(talk, "get k");
    for (int i = 0; i < 2 * ASCII_GET_LINE_MAX / 1000 && !talk->is_over; i++) {
        say(talk, spaces);
        turn(talk);
        assert_true(talk->is_over || buffer_size(&talk->input) <= ASCII_GET_LINE_MAX);
    }
    assert_true(talk->is_over);
}

/* The message comes back until it is done, and what stands behind it waits. */
static void test_a_reply_in_parts(void **state)
{
    struct talk *talk = *state;
    say(talk, "lru_crawler metadump all\r\nversion x\r\nset k 0 0 1\r\nx\r\n");
    assert_int_equal(decode(talk), SESSION_HAS_BATCH);
    assert_int_equal(talk->batch->count, 3);
    const char *const outputs[] = {"a", "b", "c"};
    for (int part = 0; part < 3; part++) {
        assert_int_equal(talk->batch->encoded, 0);
        buffer_reset(&talk->batch->values, 0);
        execute(talk->batch, 1);
        assert_true(session_encode(&talk->session, talk->batch, &talk->output, 1));
        assert_output(talk, outputs[part]);
    }
    assert_int_equal(talk->batch->encoded, 1);
    execute(talk->batch, UINT32_MAX);
    assert_true(session_encode(&talk->session, talk->batch, &talk->output, NO_LIMIT));
    assert_int_equal(talk->batch->encoded, 3);
}

static void test_nothing_stands_before_a_dump_or_watch(void **state)
{
    struct talk *talk = *state;
    say(talk, "get k\r\nlru_crawler metadump all\r\nlru_crawler mgdump all\r\nwatch\r\nget k\r\n");
    turn(talk);
    assert_output(talk, "VALUE k 0 1\r\nk\r\nEND\r\nERROR cannot pipeline other commands before metadump\r\n"
                        "ERROR cannot pipeline other commands before mgdump\r\n"
                        "ERROR cannot pipeline other commands before watch\r\nVALUE k 0 1\r\nk\r\nEND\r\n");
}

static void test_a_watcher_is_listened_to_no_more(void **state)
{
    struct talk *talk = *state;
    struct watch_hub hub;
    struct mailbox box;
    watch_hub_init(&hub);
    assert_true(mailbox_init(&box, false));
    talk->session.hub = &hub;
    talk->session.bell = &box;
    talk->session.owner = talk;
    say(talk, "watch fetchers\r\nget k\r\n");
    turn(talk);
    assert_output(talk, "OK\r\n");
    assert_non_null(talk->session.watcher);
    say(talk, "get k\r\nget");
    turn(talk);
    assert_output(talk, "");
    assert_int_equal(buffer_size(&talk->input), 0);
    watcher_free(&hub, &talk->session.watcher);
    mailbox_deinit(&box);
    watch_hub_deinit(&hub);
}

/* Where there are too many watchers the connection goes on. */
static void test_a_refused_watcher_goes_on(void **state)
{
    struct talk *talk = *state;
    struct watch_hub hub;
    struct mailbox box;
    struct watcher *others[WATCHERS_MAX];
    watch_hub_init(&hub);
    assert_true(mailbox_init(&box, false));
    for (size_t i = 0; i < WATCHERS_MAX; i++) others[i] = watcher_new(&hub, WATCH_FETCHERS, &box, talk);
    talk->session.hub = &hub;
    say(talk, "watch fetchers\r\nget k\r\n");
    turn(talk);
    assert_output(talk, "WATCHER_TOO_MANY log watcher limit reached\r\nVALUE k 0 1\r\nk\r\nEND\r\n");
    for (size_t i = 0; i < WATCHERS_MAX; i++) watcher_free(&hub, &others[i]);
    mailbox_deinit(&box);
    watch_hub_deinit(&hub);
}

static void test_refused_values_are_counted_once(void **state)
{
    struct talk *talk = *state;
    struct span text = write_conversation(talk);
    converse(talk, text, 100);
    assert_int_equal(counter_board_read(&talk->board, COUNTER_STORE_TOO_LARGE), 1);
    free((void *)(uintptr_t)text.data);
}

#define BINARY(opcode, key_size, extras_size, body_size) \
    "\x80" opcode "\0" key_size extras_size "\0\0\0" "\0\0" body_size "opaq" "\0\0\0\0\0\0\0\0"
#define BINARY_REPLY(opcode, key_size, extras_size, status, body_size) \
    "\x81" opcode "\0" key_size extras_size "\0\0" status "\0\0" body_size "opaq" "\0\0\0\0\0\0\0\0"

static void assert_binary_output(struct talk *talk, struct span expected)
{
    assert_int_equal(buffer_size(&talk->output), expected.size);
    assert_memory_equal(buffer_content(&talk->output).data, expected.data, expected.size);
    buffer_reset(&talk->output, 0);
}

/* Two gets, a quiet one that finds its key as all here do, an unknown command with extras, key and value, a get. */
static void test_first_byte_picks_the_binary_protocol(void **state)
{
    struct talk *talk = *state;
    struct span input = SPAN(BINARY("\x0c", "\x03", "\0", "\0\x03") "key" BINARY("\x09", "\x01", "\0", "\0\x01") "k"
                             BINARY("\x30", "\x01", "\x02", "\0\x06") "exkval"
                             BINARY("\x00", "\x01", "\0", "\0\x01") "\n");
    struct span expected = SPAN(BINARY_REPLY("\x0c", "\x03", "\x04", "\0", "\0\x0a") "\0\0\0\0" "key" "key"
                                BINARY_REPLY("\x09", "\0", "\x04", "\0", "\0\x05") "\0\0\0\0" "k"
                                BINARY_REPLY("\x30", "\0", "\0", "\x81", "\0\x0f") "Unknown command"
                                BINARY_REPLY("\x00", "\0", "\x04", "\0", "\0\x05") "\0\0\0\0" "\n");
    for (size_t piece = 1; piece <= input.size; piece++) {
        for (struct span rest = input; rest.size > 0;) {
            size_t size = piece < rest.size ? piece : rest.size;
            buffer_append(&talk->input, span_of(rest.data, size));
            turn(talk);
            rest = span_skip(rest, size);
        }
        assert_binary_output(talk, expected);
    }
    assert_int_equal(counter_board_read(&talk->board, COUNTER_STORE_TOO_LARGE), 0);
    say(talk, "get k\r\n");
    turn(talk);
    assert_true(talk->is_over);
    assert_output(talk, "");
}

static void test_malformed_binary_request_closes_behind_its_reply(void **state)
{
    struct talk *talk = *state;
    buffer_append(&talk->input, SPAN(BINARY("\x0a", "\0", "\0", "\0\0") BINARY("\x00", "\0", "\0", "\0\0")
                                     BINARY("\x0a", "\0", "\0", "\0\0")));
    turn(talk);
    assert_true(talk->is_over);
    assert_binary_output(talk, SPAN(BINARY_REPLY("\x0a", "\0", "\0", "\0", "\0\0")
                                    BINARY_REPLY("\x00", "\0", "\0", "\x04", "\0\x11") "Invalid arguments"));
}

#define TALK_TEST(test) cmocka_unit_test_setup_teardown(test, open_talk, close_talk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_any_split_gives_the_same_replies),
        TALK_TEST(test_any_piece_size_gives_the_same_replies),
        TALK_TEST(test_pipeline_fills_batch_after_batch),
        TALK_TEST(test_get_is_cut_into_messages),
        TALK_TEST(test_get_continues_behind_other_requests),
        TALK_TEST(test_local_batch_needs_no_executor),
        TALK_TEST(test_local_reply_waits_for_its_turn),
        TALK_TEST(test_large_values_stay_where_they_are),
        TALK_TEST(test_large_values_count_against_the_limit),
        TALK_TEST(test_a_value_may_be_encoded_ahead),
        TALK_TEST(test_nothing_is_encoded_ahead_of_a_refusal),
        TALK_TEST(test_the_size_of_what_is_coming),
        TALK_TEST(test_the_size_of_a_packet_that_is_coming),
        TALK_TEST(test_encoding_stops_at_the_limit),
        TALK_TEST(test_quit_closes_behind_what_was_asked_before),
        TALK_TEST(test_endless_line_closes),
        TALK_TEST(test_long_get_line_may_drip_in),
        TALK_TEST(test_endless_get_line_closes),
        TALK_TEST(test_a_reply_in_parts),
        TALK_TEST(test_nothing_stands_before_a_dump_or_watch),
        TALK_TEST(test_a_watcher_is_listened_to_no_more),
        TALK_TEST(test_a_refused_watcher_goes_on),
        TALK_TEST(test_refused_values_are_counted_once),
        TALK_TEST(test_first_byte_picks_the_binary_protocol),
        TALK_TEST(test_malformed_binary_request_closes_behind_its_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
