/* slabs, lru, lru_crawler: knobs of memcached's memory. The engine's memory has none of them, so a setting is agreed to
 * (it changes nothing), and what would have to do something says in memcached's words that it was not done. */
#include "base/number.h"
#include "wire/ascii_parts.h"

#define LRU_PERCENT_MAX 80
#define AUTOMOVE_MAX 2
#define SLAB_CLASS_MAX 63
#define CLASS_OF_ITEMS 1
#define CRAWLER_SLEEP_MAX 1000000 /* microseconds */

static bool is_word(const struct ascii_line *line, size_t index, struct span word)
{
    return line->count > index && span_equal(line->words[index], word);
}

static bool is_u32(struct span text)
{
    uint32_t number;
    return number_parse_u32(text, &number);
}

static bool is_decimal(struct span text)
{
    double number;
    return number_parse_decimal(text, &number);
}

static struct span automove_reply(const struct ascii_line *line)
{
    uint32_t level;
    if (is_word(line, 2, SPAN("ratio"))) {
        return line->count >= 4 && is_decimal(line->words[3]) ? ASCII_OK : ASCII_ERROR;
    }
    if (!number_parse_u32(line->words[2], &level)) {
        return ASCII_BAD_FORMAT;
    }
    return level <= AUTOMOVE_MAX ? ASCII_OK : ASCII_ERROR;
}

enum decode_status ascii_decode_slabs(const struct ascii_command *command, const struct ascii_line *line,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    if (line->count == 4 && is_word(line, 1, SPAN("reassign"))) {
        return ascii_reply(decoded, SPAN("CLIENT_ERROR slab reassignment disabled"));
    }
    if (line->count >= 3 && is_word(line, 1, SPAN("automove"))) {
        decoded->request.quiet = ascii_says_noreply(line);
        return ascii_reply(decoded, automove_reply(line));
    }
    return ascii_reply(decoded, ASCII_ERROR);
}

static struct span lru_tune_reply(const struct ascii_line *line)
{
    uint32_t hot, warm;
    double hot_factor, warm_factor;
    if (line->count < 6 || !number_parse_u32(line->words[2], &hot) || !number_parse_u32(line->words[3], &warm) ||
        !number_parse_decimal(line->words[4], &hot_factor) || !number_parse_decimal(line->words[5], &warm_factor)) {
        return ASCII_ERROR;
    }
    if (hot + warm > LRU_PERCENT_MAX) {
        return SPAN("ERROR hot and warm pcts must not exceed 80");
    }
    if (hot_factor <= 0 || warm_factor <= 0) {
        return SPAN("ERROR hot/warm age factors must be greater than 0");
    }
    return ASCII_OK;
}

static struct span lru_reply(const struct ascii_line *line)
{
    int32_t ttl;
    if (is_word(line, 1, SPAN("tune"))) {
        return lru_tune_reply(line);
    }
    if (is_word(line, 1, SPAN("mode"))) {
        return is_word(line, 2, SPAN("flat")) || is_word(line, 2, SPAN("segmented")) ? ASCII_OK : ASCII_ERROR;
    }
    if (is_word(line, 1, SPAN("temp_ttl"))) {
        return line->count >= 3 && number_parse_i32(line->words[2], &ttl) ? ASCII_OK : ASCII_ERROR;
    }
    return ASCII_ERROR;
}

enum decode_status ascii_decode_lru(const struct ascii_command *command, const struct ascii_line *line,
                                   const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.quiet = ascii_says_noreply(line);
    return ascii_reply(decoded, lru_reply(line));
}

/* Takes one class off a list like "1,2"; empty places count for nothing. */
static bool next_class(struct span *list, struct span *class)
{
    while (list->size > 0 && list->data[0] == ',') {
        *list = span_skip(*list, 1);
    }
    if (list->size == 0) {
        return false;
    }
    const char *comma = memchr(list->data, ',', list->size);
    *class = span_of(list->data, comma != NULL ? (size_t)(comma - list->data) : list->size);
    *list = span_skip(*list, class->size);
    return true;
}

#define NOT_STARTED SPAN("NOTSTARTED no items to crawl")

/* What is wrong with a list of classes; empty where nothing is. *has_items: the class that all items are in is among them. */
static struct span classes_refusal(struct span list, bool *has_items)
{
    struct span class;
    uint32_t number;
    size_t count = 0;
    *has_items = false;
    for (; next_class(&list, &class); count++) {
        if (!number_parse_u32(class, &number) || number == 0 || number > SLAB_CLASS_MAX) {
            return SPAN("BADCLASS invalid class id");
        }
        *has_items |= number == CLASS_OF_ITEMS;
    }
    return count > 0 ? SPAN("") : NOT_STARTED;
}

/* The engine looks for expired keys all the time: what a crawl is to start is under way. */
static struct span crawl_reply(struct span list)
{
    bool has_items;
    if (span_equal(list, SPAN("all"))) {
        return ASCII_OK;
    }
    if (span_equal(list, SPAN("hash"))) {
        return SPAN("ERROR an unknown error happened");
    }
    struct span refusal = classes_refusal(list, &has_items);
    return refusal.size > 0 ? refusal : ASCII_OK;
}

/* All, in the order of classes or of the hash table, are the same to the engine. */
static enum decode_status decode_dump(struct span list, enum request_op op, struct decoded *decoded)
{
    if (!span_equal(list, SPAN("all")) && !span_equal(list, SPAN("hash"))) {
        bool has_items;
        struct span refusal = classes_refusal(list, &has_items);
        if (refusal.size > 0 || !has_items) {
            return ascii_reply(decoded, refusal.size > 0 ? refusal : NOT_STARTED);
        }
    }
    decoded->request.op = op;
    return DECODE_REQUEST;
}

static struct span crawler_sleep_reply(struct span text)
{
    uint32_t microseconds;
    if (!number_parse_u32(text, &microseconds)) {
        return ASCII_BAD_FORMAT;
    }
    return microseconds <= CRAWLER_SLEEP_MAX ? ASCII_OK : SPAN("CLIENT_ERROR sleep must be one second or less");
}

static struct span lru_crawler_reply(const struct ascii_line *line)
{
    if (line->count == 2 && is_word(line, 1, SPAN("enable"))) {
        return SPAN("ERROR failed to start lru crawler thread");
    }
    if (line->count == 2 && is_word(line, 1, SPAN("disable"))) {
        return ASCII_OK;
    }
    if (line->count != 3) {
        return ASCII_ERROR;
    }
    if (is_word(line, 1, SPAN("crawl"))) {
        return crawl_reply(line->words[2]);
    }
    if (is_word(line, 1, SPAN("tocrawl"))) {
        return is_u32(line->words[2]) ? ASCII_OK : ASCII_BAD_FORMAT;
    }
    return is_word(line, 1, SPAN("sleep")) ? crawler_sleep_reply(line->words[2]) : ASCII_ERROR;
}

enum decode_status ascii_decode_lru_crawler(const struct ascii_command *command, const struct ascii_line *line,
                                           const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    if (line->count == 3 && is_word(line, 1, SPAN("metadump"))) {
        return decode_dump(line->words[2], REQUEST_METADUMP, decoded);
    }
    if (line->count == 3 && is_word(line, 1, SPAN("mgdump"))) {
        return decode_dump(line->words[2], REQUEST_MGDUMP, decoded);
    }
    return ascii_reply(decoded, lru_crawler_reply(line));
}
