/* A stream of own bytes and of others' in between. */
#include "base/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct stream {
    struct buffer buffer;
    struct pieces pieces;
};

static int set_up(void **state)
{
    static struct stream stream;
    buffer_init(&stream.buffer);
    pieces_init(&stream.pieces);
    *state = &stream;
    return 0;
}

static int tear_down(void **state)
{
    struct stream *stream = *state;
    buffer_deinit(&stream->buffer);
    return 0;
}

static void say(struct stream *stream, struct span own)
{
    buffer_append(&stream->buffer, own);
}

static void show(struct stream *stream, struct span other)
{
    pieces_add(&stream->pieces, buffer_size(&stream->buffer), other);
}

/* Two values with their words around them. */
static void fill(struct stream *stream)
{
    say(stream, SPAN("<a:"));
    show(stream, SPAN("first"));
    say(stream, SPAN("><b:"));
    show(stream, SPAN("second"));
    say(stream, SPAN(">"));
}

static const char whole[] = "<a:first><b:second>";

static void assert_stream(const struct stream *stream, size_t most, const char *expected)
{
    struct span parts[PIECES_PARTS_MAX];
    char text[128];
    size_t size = 0;
    size_t count = pieces_gather(&stream->pieces, &stream->buffer, most, parts);
    for (size_t i = 0; i < count; i++) {
        assert_true(parts[i].size > 0 && size + parts[i].size < sizeof text);
        memcpy(text + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    text[size] = '\0';
    assert_string_equal(text, expected);
}

static void test_a_stream_without_pieces_is_its_buffer(void **state)
{
    struct stream *stream = *state;
    assert_stream(stream, 100, "");
    say(stream, SPAN("words"));
    assert_stream(stream, 100, "words");
    assert_stream(stream, 3, "wor");
    pieces_consume(&stream->pieces, &stream->buffer, 2);
    assert_stream(stream, 100, "rds");
}

static void test_pieces_stand_where_they_belong(void **state)
{
    struct stream *stream = *state;
    fill(stream);
    assert_int_equal(stream->pieces.size, 11);
    for (size_t most = 0; most <= sizeof whole; most++) {
        char expected[sizeof whole] = {0};
        memcpy(expected, whole, most < sizeof whole ? most : sizeof whole - 1);
        assert_stream(stream, most, expected);
    }
}

/* Whatever has left in one go, the rest is what it was; also in two goes, and with more said in between. */
static void test_what_has_left_is_gone(void **state)
{
    struct stream *stream = *state;
    for (size_t first = 0; first < sizeof whole; first++) {
        for (size_t second = first; second < sizeof whole; second++) {
            char expected[64];
            fill(stream);
            pieces_consume(&stream->pieces, &stream->buffer, first);
            assert_stream(stream, 100, whole + first);
            pieces_consume(&stream->pieces, &stream->buffer, second - first);
            assert_stream(stream, 100, whole + second);
            say(stream, SPAN("end"));
            (void)snprintf(expected, sizeof expected, "%send", whole + second);
            assert_stream(stream, 100, expected);
            pieces_consume(&stream->pieces, &stream->buffer, strlen(expected));
            assert_stream(stream, 100, "");
            assert_int_equal(stream->pieces.size, 0);
            assert_int_equal(buffer_size(&stream->buffer), 0);
        }
    }
}

static void test_pieces_may_follow_one_another(void **state)
{
    struct stream *stream = *state;
    show(stream, SPAN("one"));
    show(stream, SPAN("two"));
    assert_stream(stream, 100, "onetwo");
    pieces_consume(&stream->pieces, &stream->buffer, 4);
    show(stream, SPAN("three"));
    assert_stream(stream, 100, "wothree");
}

/* Room comes back when all have left. */
static void test_there_are_only_so_many(void **state)
{
    struct stream *stream = *state;
    for (size_t i = 0; i < PIECES_MAX; i++) {
        assert_false(pieces_are_full(&stream->pieces));
        say(stream, SPAN("a"));
        show(stream, SPAN("b"));
    }
    say(stream, SPAN("c"));
    struct span parts[PIECES_PARTS_MAX];
    assert_int_equal(pieces_gather(&stream->pieces, &stream->buffer, 2 * PIECES_MAX + 1, parts), PIECES_PARTS_MAX);
    assert_true(pieces_are_full(&stream->pieces));
    pieces_consume(&stream->pieces, &stream->buffer, 2 * PIECES_MAX);
    assert_false(pieces_are_full(&stream->pieces));
    assert_stream(stream, 100, "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_stream_without_pieces_is_its_buffer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_stand_where_they_belong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_left_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_may_follow_one_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_there_are_only_so_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
