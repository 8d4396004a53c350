#include "fake/dialogue.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Lines to requests ---- */

static const struct {
    const char *name;
    enum request_op op;
} commands[] = {
    {"mg", REQUEST_GET},         {"ms", REQUEST_SET},       {"md", REQUEST_DELETE}, {"ma", REQUEST_INCR},
    {"me", REQUEST_DEBUG},       {"get", REQUEST_GET},      {"gat", REQUEST_GAT},   {"set", REQUEST_SET},
    {"append", REQUEST_APPEND},  {"add", REQUEST_ADD},      {"incr", REQUEST_INCR}, {"touch", REQUEST_TOUCH},
    {"delete", REQUEST_DELETE},
};

static enum request_op mode_op(char mode)
{
    switch (mode) {
    case 'E': return REQUEST_ADD;
    case 'A': return REQUEST_APPEND;
    case 'P': return REQUEST_PREPEND;
    case 'R': return REQUEST_REPLACE;
    case 'D': return REQUEST_DECR;
    default: return REQUEST_SET;
    }
}

static uint32_t asks_of(char letter)
{
    switch (letter) {
    case 'C': return ASK_COMPARE;
    case 'E': return ASK_TOKEN;
    case 'T': return ASK_TOUCH;
    case 'N': return ASK_VIVIFY;
    case 'R': return ASK_RECACHE;
    case 'I': return ASK_INVALIDATE;
    case 'u': return ASK_NO_BUMP;
    case 'x': return ASK_CLEAR;
    case 'h':
    case 'l': return ASK_HISTORY;
    default: return 0;
    }
}

static void take_flag(struct dialogue *dialogue, const char *flag, const char *before)
{
    struct extras *extras = &dialogue->extras;
    int64_t number = strtoll(flag + 1, NULL, 10);
    extras->asks |= asks_of(*flag);
    switch (*flag) {
    case 'C': extras->compare = strtoull(flag + 1, NULL, 10); break;
    case 'E': extras->token = strtoull(flag + 1, NULL, 10); break;
    case 'J': extras->initial = strtoull(flag + 1, NULL, 10); break;
    case 'D': dialogue->request.operand = (uint64_t)number; break;
    case 'F': dialogue->request.flags = (uint32_t)number; break;
    case 'N': extras->vivify_exptime = number; break;
    case 'R': extras->recache_seconds = number; break;
    case 'M': dialogue->request.op = mode_op(flag[1]); break;
    case 'v': extras->asks &= ~(uint32_t)ASK_NO_VALUE; break;
    case 'T': dialogue->request.exptime = number; break;
    case 't': extras->asks |= dialogue->request.op == REQUEST_GET ? ASK_TTL : 0; break;
    }
    if (*flag == 'T' && strchr(before, 't')) extras->asks |= ASK_TTL_BEFORE_TOUCH;
    if (*flag == 'T' && strchr(before, 'R')) extras->asks |= ASK_RECACHE_BEFORE_TOUCH;
    if (*flag == 'N' && strchr(before, 't')) extras->asks |= ASK_TTL_BEFORE_VIVIFY;
    if (*flag == 'N' && strchr(before, 'T')) extras->asks |= ASK_TOUCH_BEFORE_VIVIFY;
}

/* A meta line's flags; `letters` are theirs. */
static void take_flags(struct dialogue *dialogue, char *flags, char *letters)
{
    struct request *request = &dialogue->request;
    dialogue->extras.asks = ASK_META | ASK_NO_VALUE;
    request->extras = &dialogue->extras;
    request->operand = 1;
    size_t count = 0;
    for (char *flag = strtok(flags, " "); flag; flag = strtok(NULL, " ")) {
        letters[count] = '\0';
        take_flag(dialogue, flag, letters);
        letters[count++] = *flag;
    }
    letters[count] = '\0';
    bool may_write = dialogue->extras.asks & (ASK_TOUCH | ASK_VIVIFY | ASK_RECACHE);
    if (request->op == REQUEST_GET && may_write) request->op = REQUEST_GAT;
}

/* The numbers of a classic line. */
static void take_numbers(struct request *request, const char *numbers)
{
    if (request->op == REQUEST_INCR)
        request->operand = strtoull(numbers, NULL, 10);
    else if (request->op == REQUEST_GAT || request->op == REQUEST_TOUCH)
        request->exptime = strtoll(numbers, NULL, 10);
    else
        (void)sscanf(numbers, "%" SCNu32 " %" SCNd64, &request->flags, &request->exptime);
}

/* ---- Results to answers ---- */

static void add(struct dialogue *dialogue, const char *text)
{
    size_t used = strlen(dialogue->answer);
    (void)snprintf(dialogue->answer + used, sizeof dialogue->answer - used, "%s", text);
}

static void add_number(struct dialogue *dialogue, char letter, int64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof text, " %c%" PRId64, letter, number);
    add(dialogue, text);
}

static void add_flags(struct dialogue *dialogue, const char *letters)
{
    const struct extras *extras = &dialogue->extras;
    for (; *letters; letters++) {
        if (*letters == 't') add_number(dialogue, 't', extras->remaining_seconds);
        if (*letters == 's') add_number(dialogue, 's', (int64_t)extras->size);
        if (*letters == 'f') add_number(dialogue, 'f', dialogue->result.flags);
        if (*letters == 'h' && (extras->told & TELL_HISTORY)) add_number(dialogue, 'h', !!(extras->told & TELL_HIT_BEFORE));
        if (*letters == 'l' && (extras->told & TELL_IDLE)) add_number(dialogue, 'l', extras->idle_seconds);
    }
    if (extras->told & TELL_WON_BEFORE) add(dialogue, " Z");
    if (extras->told & TELL_STALE) add(dialogue, " X");
    if (extras->told & TELL_WON) add(dialogue, " W");
}

static void add_value(struct dialogue *dialogue)
{
    struct span value = world_value(dialogue->world, &dialogue->result);
    char text[64];
    (void)snprintf(text, sizeof text, ": %.*s", (int)value.size, value.size ? value.data : "");
    add(dialogue, text);
}

/* What the status is called; an empty name: the answer has more to it. */
static const char *status_name(enum result_status status, bool is_meta)
{
    switch (status) {
    case RESULT_OK: return is_meta ? "HD" : "OK";
    case RESULT_STORED: return is_meta ? "HD" : "STORED";
    case RESULT_NOT_STORED: return is_meta ? "NS" : "NOT_STORED";
    case RESULT_EXISTS: return is_meta ? "EX" : "EXISTS";
    case RESULT_NOT_FOUND: return is_meta ? "NF" : "NOT_FOUND";
    case RESULT_NON_NUMERIC: return "NON_NUMERIC";
    case RESULT_TOO_LARGE: return "TOO_LARGE";
    case RESULT_REFUSED: return "REFUSED";
    case RESULT_HIT:
    case RESULT_NUMBER: return "";
    default: CHECK(false); return NULL;
    }
}

static bool is_read(enum request_op op)
{
    return op == REQUEST_GET || op == REQUEST_GAT || op == REQUEST_DEBUG;
}

static void answer_meta(struct dialogue *dialogue, const char *letters)
{
    const struct result *result = &dialogue->result;
    bool is_hit = result->status == RESULT_HIT, is_number = result->status == RESULT_NUMBER;
    bool compares = is_hit && (dialogue->extras.asks & ASK_COMPARE) && dialogue->extras.compare == dialogue->extras.token;
    bool has_value = (is_hit || is_number) && !(dialogue->extras.asks & ASK_NO_VALUE) && !compares;
    char head[32] = "HD";
    if (has_value) (void)snprintf(head, sizeof head, "VA %" PRIu64, dialogue->extras.size);
    bool is_miss = result->status == RESULT_NOT_FOUND && is_read(dialogue->request.op);
    const char *name = status_name(result->status, true);
    add(dialogue, *name ? (is_miss ? "EN" : name) : head);
    if (strncmp(name, "HD", 2) == 0 || is_hit || is_number) add_flags(dialogue, letters);
    if (has_value && is_hit) add_value(dialogue);
    if (has_value && is_number) (void)snprintf(head, sizeof head, ": %" PRIu64, result->number), add(dialogue, head);
}

static void answer_classic(struct dialogue *dialogue)
{
    const struct result *result = &dialogue->result;
    add(dialogue, status_name(result->status, false));
    char head[64];
    if (result->status == RESULT_NUMBER) (void)snprintf(head, sizeof head, "%" PRIu64, result->number);
    if (result->status == RESULT_HIT) (void)snprintf(head, sizeof head, "VALUE %" PRIu32, result->flags);
    if (result->status == RESULT_NUMBER || result->status == RESULT_HIT) add(dialogue, head);
    if (result->status == RESULT_HIT) add_value(dialogue);
}

static void note_counts(struct dialogue *dialogue)
{
#define COUNTER(id, name, is_gauge, description) name,
    static const char *const counter_names[COUNTERS] = {COUNTERS_LIST(COUNTER)};
#undef COUNTER
    size_t used = 0;
    dialogue->counts[0] = '\0';
    for (int id = 0; id < COUNTERS; id++) {
        uint64_t count = counter_board_read(&dialogue->world->board, (enum counter_id)id);
        if (count == 0) continue;
        used += (size_t)snprintf(dialogue->counts + used, sizeof dialogue->counts - used, "%s%s+%" PRIu64, used ? " " : "",
                                 counter_names[id], count);
    }
    counter_board_reset(&dialogue->world->board);
}

const char *dialogue_say(struct dialogue *dialogue, const char *line, const char *value)
{
    char words[256], command[16] = "", key[64] = "", letters[64] = "";
    int used = 0;
    (void)snprintf(words, sizeof words, "%s", line);
    (void)sscanf(words, "%15s %63s %n", command, key, &used);
    dialogue->request = (struct request){.key = span_of(key, strlen(key))};
    if (value) dialogue->request.value = span_of(value, strlen(value));
    dialogue->extras = (struct extras){0};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, command) == 0) dialogue->request.op = commands[i].op;
    CHECK(dialogue->request.op != REQUEST_REPLY);
    bool is_meta = *command == 'm';
    if (is_meta)
        take_flags(dialogue, words + used, letters);
    else
        take_numbers(&dialogue->request, words + used);

    struct world *world = dialogue->world;
    counter_board_reset(&world->board);
    dialogue->result = world_execute(world, &dialogue->request);
    if (dialogue->result.status == RESULT_NEEDS_WRITE) {
        world->context.leave = COMMAND_MAY_MARK;
        dialogue->result = world_execute(world, &dialogue->request);
        world->context.leave = COMMAND_MUST_ASK;
    }
    note_counts(dialogue);
    dialogue->answer[0] = '\0';
    if (is_meta)
        answer_meta(dialogue, letters);
    else
        answer_classic(dialogue);
    return dialogue->answer;
}
