/* From bytes to one line, from the line's first word to the decoder of its command. */
#include "wire/ascii.h"

#include "base/scan.h"
#include "base/version.h"
#include "wire/ascii_parts.h"


#define LEADING_SPACES_MAX 100
#define NAME_MIN_SIZE 2
#define NAME_MAX_SIZE 14
#define NAMES_OF_ONE_SIZE 7

#define GET(literal, cas) \
    { .name = SPAN(literal), .decode = ascii_decode_get, .walks_keys = true, .want_cas = (cas) }
#define GAT(literal, cas) \
    { .name = SPAN(literal), .decode = ascii_decode_gat, .walks_keys = true, .want_cas = (cas) }
#define STORAGE(literal, operation) \
    { .name = SPAN(literal), .decode = ascii_decode_storage, .op = (operation), .least = 5, .most = 6 }
#define ARITHMETIC(literal, operation) \
    { .name = SPAN(literal), .decode = ascii_decode_arithmetic, .op = (operation), .least = 3, .most = 4 }
#define COMMAND(literal, decoder, few, many) \
    { .name = SPAN(literal), .decode = (decoder), .least = (few), .most = (many) }
#define META(literal, decoder) { .name = SPAN(literal), .decode = (decoder), .walks_keys = true }
#define FIXED(literal, reply) { .name = SPAN(literal), .decode = ascii_decode_fixed, .text = SPAN(reply) }

/* By the size of the name, the busy ones first. */
static const struct ascii_command commands[NAME_MAX_SIZE + 1][NAMES_OF_ONE_SIZE] = {
    [2] = {META("mg", meta_decode_get), META("ms", meta_decode_set), META("md", meta_decode_delete),
           META("ma", meta_decode_arithmetic), META("mn", meta_decode_noop), META("me", meta_decode_debug)},
    [3] = {GET("get", false), STORAGE("set", REQUEST_SET), STORAGE("add", REQUEST_ADD), GAT("gat", false),
           {.name = SPAN("cas"), .decode = ascii_decode_storage, .op = REQUEST_CAS, .least = 6, .most = 7},
           COMMAND("lru", ascii_decode_lru, 2, 0)},
    [4] = {GET("gets", true), ARITHMETIC("incr", REQUEST_INCR), ARITHMETIC("decr", REQUEST_DECR), GAT("gats", true),
           COMMAND("quit", ascii_decode_quit, 0, 0), GET("bget", false)},
    [5] = {COMMAND("touch", ascii_decode_touch, 3, 4), COMMAND("stats", ascii_decode_stats, 0, 0),
           COMMAND("slabs", ascii_decode_slabs, 0, 0), COMMAND("watch", ascii_decode_watch, 0, 0)},
    [6] = {COMMAND("delete", ascii_decode_delete, 2, 4), STORAGE("append", REQUEST_APPEND)},
    [7] = {FIXED("version", "VERSION " DIGLOT_MEMCACHED_LEVEL),
           STORAGE("replace", REQUEST_REPLACE), STORAGE("prepend", REQUEST_PREPEND)},
    [8] = {COMMAND("shutdown", ascii_decode_shutdown, 0, 0), FIXED("extstore", "ERROR")},
    [9] = {COMMAND("flush_all", ascii_decode_flush_all, 1, 3), COMMAND("verbosity", ascii_decode_verbosity, 2, 3)},
    [11] = {COMMAND("lru_crawler", ascii_decode_lru_crawler, 0, 0)},
    [13] = {{.name = SPAN("refresh_certs"), .decode = ascii_decode_plain, .op = REQUEST_REFRESH_CERTS}},
    [14] = {COMMAND("cache_memlimit", ascii_decode_memlimit, 2, 3)},
};

static inline uint64_t load_16(const char *bytes)
{
    uint16_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

static inline uint64_t load_32(const char *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

/* The bytes of a name as a number; of a long one not all. Names of two bytes are the shortest. */
static inline uint64_t digest(const char *name, size_t size)
{
    if (size >= 4) return load_32(name) << 32 | load_32(name + size - 4);
    return load_16(name) << 16 | load_16(name + size - 2);
}

/* Both are of the same size. Names are too short for memcmp to be worth its call. */
static inline bool is_named(const struct ascii_command *command, struct span name, uint64_t digest_of_name)
{
    if (digest(command->name.data, name.size) != digest_of_name) return false;
    return name.size <= 8 || memcmp(command->name.data, name.data, name.size) == 0;
}

static const struct ascii_command *find_command(struct span name)
{
    if (name.size < NAME_MIN_SIZE || name.size > NAME_MAX_SIZE) {
        return NULL;
    }
    uint64_t digest_of_name = digest(name.data, name.size);
    const struct ascii_command *command = commands[name.size];
    const struct ascii_command *end = command + NAMES_OF_ONE_SIZE;
    for (; command < end && command->decode != NULL; command++) {
        if (is_named(command, name, digest_of_name)) {
            return command;
        }
    }
    return NULL;
}

enum decode_status ascii_reply(struct decoded *decoded, struct span text)
{
    decoded->request = (struct request){.op = REQUEST_REPLY, .quiet = decoded->request.quiet, .text = text};
    return DECODE_REQUEST;
}

bool ascii_says_noreply(const struct ascii_line *line)
{
    return span_equal(line->words[line->count - 1], SPAN("noreply"));
}

/* A line may have many of them. */
static struct span skip_spaces(struct span text)
{
    if (text.size > 0 && text.data[0] == ' ') {
        while (text.size >= SCAN_STEP && scan_16(text.data, ' ') == SCAN_ALL) text = span_skip(text, SCAN_STEP);
        while (text.size > 0 && text.data[0] == ' ') text = span_skip(text, 1);
    }
    return text;
}

/* Words are parted by spaces and nothing else. */
static bool next_word(struct span *text, struct span *word)
{
    *text = skip_spaces(*text);
    if (text->size == 0) {
        return false;
    }
    *word = span_of(text->data, scan_find(*text, ' '));
    *text = span_skip(*text, word->size);
    return true;
}

bool ascii_next_key(struct span *keys, struct span *key)
{
    return next_word(keys, key);
}

/* The first word of a short line that is not taken yet; there must be one. */
static inline struct span first_word(const char *data, uint64_t starts, uint64_t ends)
{
    size_t start = (size_t)__builtin_ctzll(starts);
    return span_of(data + start, (size_t)__builtin_ctzll(ends) - start);
}

static void split_short(struct ascii_line *line)
{
    const char *data = line->whole.data;
    size_t count = line->count;
    uint64_t ends = line->ends;
    for (uint64_t starts = line->starts; starts && count < ASCII_WORDS_MAX; starts &= starts - 1, ends &= ends - 1)
        line->words[count++] = first_word(data, starts, ends);
    line->count = count;
}

bool ascii_take_only_word(const struct ascii_line *line, struct span *word)
{
    if (!line->is_short || !line->starts || (line->starts & (line->starts - 1))) return false;
    *word = first_word(line->whole.data, line->starts, line->ends);
    return true;
}

static void split_arguments(struct ascii_line *line)
{
    if (line->is_short) {
        split_short(line);
        return;
    }
    struct span rest = line->arguments;
    while (line->count < ASCII_WORDS_MAX && next_word(&rest, &line->words[line->count])) {
        line->count++;
    }
}

/* memcached sorts commands by their first letter, and only what falls through to the end is looked at for HTTP. */
static bool has_own_letter(struct span name)
{
    return memchr("gsacidt", name.data[0], 7) != NULL || (name.data[0] == 'm' && name.size == 2);
}

static enum decode_status decode_unknown(struct ascii_line *line, struct decoded *decoded)
{
    struct span name = line->words[0];
    split_arguments(line);
    if (name.size >= 2 && !has_own_letter(name) && span_starts_with(line->words[line->count - 1], SPAN("HTTP/"))) {
        return DECODE_CLOSE;
    }
    return ascii_reply(decoded, ASCII_ERROR);
}

static enum decode_status decode_command(const struct ascii_command *command, struct ascii_line *line,
                                        const struct decode_limits *limits, struct decoded *decoded)
{
    decoded->request.op = command->op;
    decoded->request.want_cas = command->want_cas;
    if (!command->walks_keys) {
        split_arguments(line);
        if (line->count < command->least || (command->most != 0 && line->count > command->most)) {
            return ascii_reply(decoded, ASCII_ERROR);
        }
    }
    return command->decode(command, line, limits, decoded);
}

/* What memcached takes the classic line for: a C string. */
static struct span before_nul(struct span text)
{
    const char *nul = text.size > 0 ? memchr(text.data, '\0', text.size) : NULL;
    return nul != NULL ? span_of(text.data, (size_t)(nul - text.data)) : text;
}

/* Takes the command's name off the line; false when there is none. */
static bool take_name(struct ascii_line *line)
{
    line->count = 1;
    if (!line->is_short) {
        line->arguments = before_nul(line->whole);
        return next_word(&line->arguments, &line->words[0]);
    }
    if (!line->starts) return false;
    line->words[0] = first_word(line->whole.data, line->starts, line->ends);
    line->starts &= line->starts - 1;
    line->ends &= line->ends - 1;
    line->arguments = span_skip(line->whole, (size_t)(line->words[0].data - line->whole.data) + line->words[0].size);
    return true;
}

static enum decode_status decode_line(struct ascii_line *line, const struct decode_limits *limits, struct decoded *decoded)
{
    if (!take_name(line)) {
        return ascii_reply(decoded, ASCII_ERROR);
    }
    const struct ascii_command *command = find_command(line->words[0]);
    return command != NULL ? decode_command(command, line, limits, decoded) : decode_unknown(line, decoded);
}

/* memcached keeps reading only what begins with one of these two names, gat not among them. */
static bool is_long_get(struct span text)
{
    struct span command = skip_spaces(text);
    return text.size - command.size <= LEADING_SPACES_MAX &&
           (span_starts_with(command, SPAN("get ")) || span_starts_with(command, SPAN("gets ")));
}

static enum decode_status wait_for_line(struct span input)
{
    if (input.size <= ASCII_LINE_MAX) {
        return DECODE_PARTIAL;
    }
    return input.size <= ASCII_GET_LINE_MAX && is_long_get(input) ? DECODE_PARTIAL : DECODE_CLOSE;
}

/* The line without its end. A CR that stands alone in it stays, and so the line is no command either way. */
static struct span line_text(const char *start, const char *newline)
{
    size_t size = (size_t)(newline - start);
    if (size > 1 && start[size - 1] == '\r') {
        size--;
    }
    return span_of(start, size);
}

/* What 64 bytes hold, a bit for each. */
struct marks {
    uint64_t newlines, spaces, nuls;
};

/* Marks half of them, and nothing but that: this is where decoding spends its time. */
static inline void mark_half(struct marks *marks, const char *data, unsigned offset)
{
    marks->newlines |= (uint64_t)scan_32(data + offset, '\n') << offset;
    marks->spaces |= (uint64_t)scan_32(data + offset, ' ') << offset;
    marks->nuls |= (uint64_t)scan_32(data + offset, '\0') << offset;
}

/* The last step of a short input goes back over bytes that were marked before. */
static void mark_rest(struct marks *marks, struct span input)
{
    for (size_t offset = 0; offset < input.size && !marks->newlines; offset += SCAN_STEP) {
        size_t left = input.size - offset;
        size_t seen = left < SCAN_STEP ? SCAN_STEP - left : 0;
        const char *at = input.data + offset - seen;
        marks->newlines |= (uint64_t)(scan_16(at, '\n') >> seen) << offset;
        marks->spaces |= (uint64_t)(scan_16(at, ' ') >> seen) << offset;
        marks->nuls |= (uint64_t)(scan_16(at, '\0') >> seen) << offset;
    }
}

/* Marks the input at least up to the end of its first line or 64 bytes. */
static inline struct marks mark_line(struct span input)
{
    struct marks marks = {0};
    if (input.size >= 64) {
        mark_half(&marks, input.data, 0);
        if (!marks.newlines) mark_half(&marks, input.data, 32);
    } else if (input.size >= SCAN_STEP) {
        mark_rest(&marks, input);
    }
    return marks;
}

/* Finds the line's end and, where it is short, its words in the same go; false when the input holds no line end. */
static inline bool find_line(struct span input, struct ascii_line *line, size_t *consumed)
{
    struct marks marks = mark_line(input);
    const char *newline;
    if (marks.newlines)
        newline = input.data + __builtin_ctzll(marks.newlines);
    else
        newline = input.size > 0 ? memchr(input.data, '\n', input.size) : NULL;
    if (newline == NULL) return false;
    *consumed = (size_t)(newline - input.data) + 1;
    line->whole = line_text(input.data, newline);
    line->behind = span_skip(input, *consumed);
    uint64_t inside = marks.newlines ? (UINT64_C(1) << line->whole.size) - 1 : 0;
    line->is_short = inside && !(marks.nuls & inside);
    uint64_t words = inside & ~marks.spaces;
    line->starts = words & ~(words << 1);
    line->ends = ~words & words << 1;
    return true;
}

enum decode_status ascii_decode(struct span input, const struct decode_limits *limits, struct extras *extras,
                                struct decoded *decoded)
{
    struct ascii_line line;
    size_t consumed;
    if (!find_line(input, &line, &consumed)) {
        return wait_for_line(input);
    }
    if (consumed > ASCII_WHOLE_LINE_MAX && (consumed > ASCII_GET_LINE_MAX || !is_long_get(input))) {
        return DECODE_CLOSE;
    }
    *decoded = (struct decoded){.extras = extras, .consumed = consumed};
    return decode_line(&line, limits, decoded);
}
