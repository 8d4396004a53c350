/* stats: the groups of observe/stats.h, and those subcommands that do something or answer in a form of their own. */
#include "base/number.h"
#include "command/command_parts.h"
#include "command/dump.h"
#include "observe/stats.h"

#define SLAB_CLASS_MAX 63
#define CLASS_OF_ITEMS 1
#define BAD_FORMAT SPAN("CLIENT_ERROR bad command line format\r\n")
#define CACHEDUMP_END SPAN("END\r\n")

/* Takes the next word off the text; empty at the end. */
static struct span next_word(struct span *text)
{
    while (text->size > 0 && text->data[0] == ' ') *text = span_skip(*text, 1);
    const char *space = text->size > 0 ? memchr(text->data, ' ', text->size) : NULL;
    struct span word = span_of(text->data, space != NULL ? (size_t)(space - text->data) : text->size);
    *text = span_skip(*text, word.size);
    return word;
}

/* The reply is what has been appended to `values` since it had `begin` bytes, as it is. */
static void reply_as_it_is(struct result *result, const struct buffer *values, size_t begin)
{
    result->status = RESULT_PART;
    result->number = 0;
    result->value_offset = (uint32_t)begin;
    result->value_size = (uint32_t)(buffer_size(values) - begin);
}

static void reply_text(struct result *result, struct buffer *values, struct span text)
{
    size_t begin = buffer_size(values);
    buffer_append(values, text);
    reply_as_it_is(result, values, begin);
}

static void execute_reset(struct command_context *context, struct span words, struct result *result, struct buffer *values)
{
    (void)words;
    (void)values;
    struct engine_facts facts = {0};
    context->keyspace->api->facts(context->keyspace, context->db, &facts);
    counter_board_reset(context->stats->board);
    stats_reset_facts(context->stats, &facts);
    if (context->detail != NULL) detail_reset(context->detail);
    result->status = RESULT_OK;
}

static void dump_detail(const struct detail_table *detail, struct result *result, struct buffer *values)
{
    size_t begin = buffer_size(values);
    detail_render(detail, values);
    buffer_append(values, SPAN("END\r\n"));
    reply_as_it_is(result, values, begin);
}

/* Where every read is counted, none may be answered elsewhere. It is opened again in a later turn (engine/events.c). */
static void switch_detail(struct command_context *context, bool is_on)
{
    detail_switch(context->detail, is_on);
    if (is_on) version_set_open(context->versions, false);
}

static void execute_detail(struct command_context *context, struct span words, struct result *result, struct buffer *values)
{
    struct span what = next_word(&words);
    bool is_on = span_equal(what, SPAN("on"));
    if (context->detail != NULL && span_equal(what, SPAN("dump"))) {
        dump_detail(context->detail, result, values);
    } else if (context->detail != NULL && (is_on || span_equal(what, SPAN("off")))) {
        switch_detail(context, is_on);
        reply_text(result, values, SPAN("OK\r\n"));
    } else {
        reply_text(result, values, SPAN("CLIENT_ERROR usage: stats detail on|off|dump\r\n"));
    }
}

/* The same where replies have frames: the lines are one statistic, and a switch is answered with an empty one. */
static void execute_binary_detail(struct command_context *context, struct span words, struct result *result,
                                  struct buffer *values)
{
    struct span what = next_word(&words);
    result->status = context->detail != NULL ? RESULT_OK : RESULT_NOT_FOUND;
    if (context->detail == NULL) return;
    if (!span_equal(what, SPAN("dump"))) {
        switch_detail(context, span_equal(what, SPAN("on")));
        return;
    }
    size_t begin = buffer_size(values);
    buffer_append(values, SPAN("detailed\0"));
    detail_render(context->detail, values);
    buffer_append(values, SPAN("END\r\n\0"));
    reply_as_it_is(result, values, begin);
    result->status = RESULT_STATS;
}

/* Of a class, and of how many items at most; 0 is as many as fit. All items are in one class. */
static void execute_cachedump(struct command_context *context, struct span words, struct result *result,
                              struct buffer *values)
{
    uint32_t class, most;
    struct span class_word = next_word(&words), most_word = next_word(&words);
    if (most_word.size == 0) {
        reply_text(result, values, SPAN("CLIENT_ERROR bad command line\r\n"));
    } else if (!number_parse_u32(class_word, &class) || !number_parse_u32(most_word, &most)) {
        reply_text(result, values, BAD_FORMAT);
    } else if (class > SLAB_CLASS_MAX) {
        reply_text(result, values, SPAN("CLIENT_ERROR Illegal slab id\r\n"));
    } else {
        size_t begin = buffer_size(values);
        if (class == CLASS_OF_ITEMS) dump_some(context, most == 0 ? SIZE_MAX : most, values);
        buffer_append(values, CACHEDUMP_END);
        reply_as_it_is(result, values, begin);
    }
}

static void execute_group(struct command_context *context, struct span group, struct result *result, struct buffer *values)
{
    struct engine_facts facts = {0};
    context->keyspace->api->facts(context->keyspace, context->db, &facts);
    facts.asks_login = context->doorkeeper && doorkeeper_asks_login(context->doorkeeper);
    result->value_offset = (uint32_t)buffer_size(values);
    bool is_known = stats_render(context->stats, &facts, group, context->now_ms, values);
    result->value_size = (uint32_t)buffer_size(values) - result->value_offset;
    result->status = is_known ? RESULT_STATS : RESULT_NOT_FOUND;
}

typedef void stats_command(struct command_context *context, struct span words, struct result *result,
                           struct buffer *values);

static const struct {
    struct span name;
    stats_command *text;
    stats_command *binary; /* NULL: a group like any other */
} subcommands[] = {
    {SPAN("reset"), execute_reset, execute_reset},
    {SPAN("detail"), execute_detail, execute_binary_detail},
    {SPAN("cachedump"), execute_cachedump, NULL},
};

void execute_stats(struct command_context *context, const struct request *request, struct result *result,
                   struct buffer *values)
{
    bool is_binary = request->opcode != 0;
    struct span words = request->text;
    struct span group = next_word(&words);
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++) {
        stats_command *execute = is_binary ? subcommands[i].binary : subcommands[i].text;
        if (execute == NULL || !span_equal(subcommands[i].name, group)) continue;
        execute(context, words, result, values);
        return;
    }
    execute_group(context, is_binary ? request->text : group, result, values);
}
