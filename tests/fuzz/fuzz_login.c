/* A client before it has logged in, and behind that: whatever it sends, in text or binary, and however that was split, nothing
 * reaches the keyspace before a login succeeds, and the answers are the same. */
#include "session/session.h"

#include "wire/ascii.h"
#include "wire/binary.h"

#include <stdlib.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())

#define EVERY_SPLIT_MAX 48

/* One client, its session, and an executor that knows the user "a" with the password "b". */
struct talk {
    struct session session;
    struct buffer input;
    struct buffer output;
    struct batch *batch;
    bool is_over;
};

static void log_in(struct batch *batch, struct message *message)
{
    bool is_right = span_equal(message->request.key, SPAN("a")) && span_equal(message->request.value, SPAN("b"));
    message->result.status = is_right ? RESULT_OK : RESULT_UNAUTHENTICATED;
    if (is_right) {
        identity_release(&batch->granted);
        batch->granted = identity_new(message->request.key);
    }
}

static void execute(struct batch *batch)
{
    for (; batch->executed < batch->count; batch->executed++) {
        struct message *message = &batch->messages[batch->executed];
        if (request_is_local(message->request.op)) {
            continue;
        }
        if (message->request.op == REQUEST_AUTH) {
            REQUIRE(batch->executed + 1 == batch->count);
            log_in(batch, message);
        } else {
            REQUIRE(batch->identity != NULL);
            message->result.status = RESULT_DENIED;
            message->result.text = SPAN("no");
        }
    }
}

static void feed(struct talk *talk, struct span bytes)
{
    buffer_append(&talk->input, bytes);
    enum session_verdict verdict = SESSION_HAS_BATCH;
    while (!talk->is_over && verdict == SESSION_HAS_BATCH) {
        batch_reset(talk->batch);
        verdict = session_decode(&talk->session, &talk->input, talk->batch);
        if (verdict == SESSION_HAS_BATCH) {
            execute(talk->batch);
            talk->is_over = !session_encode(&talk->session, talk->batch, &talk->output, SIZE_MAX);
            REQUIRE(talk->batch->encoded == talk->batch->count);
        }
    }
    talk->is_over |= verdict == SESSION_CLOSES;
}

static void open_talk(struct talk *talk, const struct options *options, struct counters *counters,
                      const struct doorkeeper *doorkeeper)
{
    *talk = (struct talk){.batch = batch_new()};
    session_init(&talk->session, options, counters, doorkeeper);
    buffer_init(&talk->input);
    buffer_init(&talk->output);
}

static void close_talk(struct talk *talk)
{
    batch_free(&talk->batch);
    session_deinit(&talk->session, &talk->input);
    buffer_deinit(&talk->input);
    buffer_deinit(&talk->output);
}

static void check_split(struct span input, size_t split, const struct options *options, struct counters *counters)
{
    const struct doorkeeper doorkeeper = {.asks_login = true};
    struct talk whole, parts;
    open_talk(&whole, options, counters, &doorkeeper);
    open_talk(&parts, options, counters, &doorkeeper);
    feed(&whole, input);
    feed(&parts, span_of(input.data, split));
    feed(&parts, span_skip(input, split));
    /* A line that does not come at once may be given up as too long. */
    if (input.size <= ASCII_LINE_MAX) {
        REQUIRE(whole.is_over == parts.is_over);
        REQUIRE((whole.session.identity == NULL) == (parts.session.identity == NULL));
        REQUIRE(span_equal(buffer_content(&whole.output), buffer_content(&parts.output)));
    }
    close_talk(&whole);
    close_talk(&parts);
}

static size_t some_split(const uint8_t *data, size_t size)
{
    size_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum = sum * 31 + data[i];
    }
    return sum % (size + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options options;
    struct counter_board board;
    struct span input = span_of(data, size);
    options_init(&options);
    counter_board_init(&board, 1);
    if (size > EVERY_SPLIT_MAX) {
        check_split(input, some_split(data, size), &options, &board.sets[0]);
    } else {
        for (size_t split = 0; split <= size; split++) {
            check_split(input, split, &options, &board.sets[0]);
        }
    }
    counter_board_deinit(&board);
    return 0;
}
