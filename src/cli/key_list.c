#include "cli/key_list.h"

#include "base/clock.h"
#include "base/number.h"
#include "cli/key_set.h"

#include <errno.h>
#include <stdio.h>

#define LINE_MAX_SIZE 4096
/* Bytes of lines that are read together, as long as they come. */
#define MANY_LINES ((size_t)32 * 1024)
/* A crawler that is busy with its own rounds is asked again. */
#define BUSY_PAUSE_US 100000
#define BUSY_ROUNDS 600
/* Lists by LRUs are taken until no more than one in ENOUGH keys is new, or so often. */
#define LISTS_MOST 6
#define ENOUGH 50000
/* While a server moves many items between its LRUs, as behind a burst of reads, list after list may miss the same half of them. So as
 * long as it has more items than are known, lists are taken for a while in which nothing new comes. (Items that have expired are
 * counted and in no list.) */
#define PATIENCE_US 1000000
#define PATIENCE_PAUSE_US 50000
#define PATIENT_LISTS_MOST 40
/* Room is made at once for no more keys than these, whatever a server says. */
#define RESERVED_MOST (1u << 28)

/* %XX is a byte. False when there is no room. */
static bool decode_uri(struct span text, struct listed_key *key)
{
    key->size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (key->size == sizeof key->name) {
            return false;
        }
        char byte = text.data[i];
        if (byte == '%' && i + 2 < text.size && number_hex_digit(text.data[i + 1]) >= 0 && number_hex_digit(text.data[i + 2]) >= 0) {
            byte = (char)(number_hex_digit(text.data[i + 1]) * 16 + number_hex_digit(text.data[i + 2]));
            i += 2;
        }
        key->name[key->size++] = byte;
    }
    return key->size > 0;
}

static struct span next_word(struct span *line)
{
    while (line->size > 0 && *line->data == ' ') {
        *line = span_skip(*line, 1);
    }
    const char *space = line->size > 0 ? memchr(line->data, ' ', line->size) : NULL;
    struct span word = span_of(line->data, space ? (size_t)(space - line->data) : line->size);
    *line = span_skip(*line, word.size);
    return word;
}

/* -1 and what stands for never in old servers (0). */
static void parse_expiry(struct span text, int64_t *expiry)
{
    if (!number_parse_i64(text, expiry) || *expiry <= 0) {
        *expiry = -1;
    }
}

bool key_list_parse_line(struct span line, struct listed_key *key)
{
    static const struct span key_head = SPAN("key="), expiry_head = SPAN("exp="), size_head = SPAN("size=");
    if (!span_starts_with(line, key_head)) {
        return false;
    }
    key->expiry = -1;
    uint64_t item_size = 0;
    struct span name = span_skip(next_word(&line), key_head.size);
    for (struct span word = next_word(&line); word.size > 0; word = next_word(&line)) {
        if (span_starts_with(word, expiry_head)) {
            parse_expiry(span_skip(word, expiry_head.size), &key->expiry);
        } else if (span_starts_with(word, size_head)) {
            (void)number_parse_u64(span_skip(word, size_head.size), &item_size);
        }
    }
    key->item_size = item_size < UINT32_MAX ? (uint32_t)item_size : UINT32_MAX;
    return decode_uri(name, key);
}

void key_list_init(struct key_list *list, struct channel *channel, const atomic_bool *stops)
{
    *list = (struct key_list){.channel = channel, .stops = stops};
}

/* MAJOR.MINOR.PATCH is 1.6.38 or newer. */
bool key_list_trusts_hash(struct span version)
{
    static const uint64_t least[] = {1, 6, 38};
    for (size_t i = 0; i < sizeof least / sizeof *least; i++) {
        uint64_t number = 0;
        while (version.size > 0 && *version.data >= '0' && *version.data <= '9' && number < 1000000) {
            number = number * 10 + (uint64_t)(*version.data - '0');
            version = span_skip(version, 1);
        }
        if (number != least[i]) {
            return number > least[i];
        }
        if (version.size > 0 && *version.data == '.') {
            version = span_skip(version, 1);
        }
    }
    return true;
}

/* Once; a server that then refuses to be asked by its hash table is not asked so again. */
static bool ask_version(struct key_list *list)
{
    if (list->has_version) {
        return true;
    }
    list->has_version = true;
    static const struct span head = SPAN("VERSION ");
    struct span line;
    channel_queue(list->channel, SPAN("version\r\n"));
    if (!channel_read_line(list->channel, LINE_MAX_SIZE, &line)) {
        return false;
    }
    list->asks_hash = span_starts_with(line, head) && key_list_trusts_hash(span_skip(line, head.size));
    return true;
}

static void ask(struct key_list *list)
{
    channel_expect(list->channel, 0);
    channel_queue(list->channel, list->asks_hash ? SPAN("lru_crawler metadump hash\r\n") : SPAN("lru_crawler metadump all\r\n"));
}

static enum key_list_status refuse(struct key_list *list, struct span line)
{
    (void)snprintf(list->refusal, sizeof list->refusal, "%.*s", line.size < 120 ? (int)line.size : 120, line.data);
    return KEY_LIST_UNSUPPORTED;
}

static bool is_error(struct span line)
{
    return span_starts_with(line, SPAN("ERROR")) || span_starts_with(line, SPAN("CLIENT_ERROR")) ||
           span_starts_with(line, SPAN("SERVER_ERROR")) || span_starts_with(line, SPAN("BADCLASS"));
}

/* The first line of the answer decides; it is left in *line when it is a key's. */
static enum key_list_status begin(struct key_list *list, struct span *line)
{
    if (!ask_version(list)) {
        return KEY_LIST_BROKEN;
    }
    for (int round = 0; round < BUSY_ROUNDS; round++) {
        ask(list);
        if (!channel_read_line(list->channel, LINE_MAX_SIZE, line)) {
            return KEY_LIST_BROKEN;
        }
        if (span_starts_with(*line, SPAN("BUSY")) || span_starts_with(*line, SPAN("ERROR locked"))) {
            clock_sleep_us(BUSY_PAUSE_US);
            if (atomic_load(list->stops)) {
                return KEY_LIST_STOPPED;
            }
        } else if (is_error(*line) && list->asks_hash) {
            list->asks_hash = false;
        } else if (is_error(*line)) {
            return refuse(list, *line);
        } else {
            list->has_begun = true;
            channel_expect(list->channel, MANY_LINES);
            return span_starts_with(*line, SPAN("NOTSTARTED")) ? KEY_LIST_END : KEY_LIST_KEY;
        }
    }
    return refuse(list, SPAN("its crawler is busy for more than a minute"));
}

enum key_list_status key_list_next(struct key_list *list, struct listed_key *key)
{
    struct span line;
    if (!list->has_begun) {
        enum key_list_status status = begin(list, &line);
        if (status != KEY_LIST_KEY) {
            return status;
        }
    } else if (!channel_read_line(list->channel, LINE_MAX_SIZE, &line)) {
        return KEY_LIST_BROKEN;
    }
    while (!key_list_parse_line(line, key)) {
        if (span_equal(line, SPAN("END"))) {
            return KEY_LIST_END;
        }
        if (is_error(line)) {
            (void)snprintf(list->channel->error, sizeof list->channel->error, "%s: its list of keys breaks off: %.*s", list->channel->peer,
                           line.size < 100 ? (int)line.size : 100, line.data);
            return KEY_LIST_BROKEN;
        }
        if (!channel_read_line(list->channel, LINE_MAX_SIZE, &line)) {
            return KEY_LIST_BROKEN;
        }
    }
    return KEY_LIST_KEY;
}

static enum key_list_status break_off(struct key_list *list)
{
    (void)snprintf(list->channel->error, sizeof list->channel->error, "the list of %s: %s (TMPDIR names the folder for it)", list->channel->peer,
                   strerror(errno));
    return KEY_LIST_BROKEN;
}

/* Keys that are looked up together: most of that is waiting for memory. */
#define KEYS_TOGETHER 16

struct keys {
    struct listed_key keys[KEYS_TOGETHER];
    uint64_t hashes[KEYS_TOGETHER];
    size_t count;
};

/* Reads some keys of the list. KEY_LIST_KEY while there may be more. */
static enum key_list_status read_keys(struct key_list *list, const struct key_set *set, struct keys *keys)
{
    enum key_list_status status = KEY_LIST_KEY;
    for (keys->count = 0; keys->count < KEYS_TOGETHER; keys->count++) {
        struct listed_key *key = &keys->keys[keys->count];
        status = key_list_next(list, key);
        if (status != KEY_LIST_KEY) {
            break;
        }
        if (set) {
            keys->hashes[keys->count] = key_set_hash(span_of(key->name, key->size));
            key_set_prefetch(set, keys->hashes[keys->count]);
        }
    }
    return status;
}

/* One list; what is in the set already is passed over. */
static enum key_list_status spool_once(struct key_list *list, struct spool *spool, struct key_set *set, _Atomic uint64_t *count)
{
    struct keys keys;
    enum key_list_status status;
    do {
        status = read_keys(list, set, &keys);
        uint64_t before = spool->count;
        for (size_t i = 0; i < keys.count; i++) {
            if ((!set || key_set_add(set, keys.hashes[i])) && !spool_put(spool, &keys.keys[i])) {
                return break_off(list);
            }
        }
        (void)atomic_fetch_add_explicit(count, spool->count - before, memory_order_relaxed);
        if (status == KEY_LIST_KEY && atomic_load_explicit(list->stops, memory_order_relaxed)) {
            status = KEY_LIST_STOPPED;
        }
    } while (status == KEY_LIST_KEY);
    return status;
}

/* What a server tells of the number of its items. */
struct population {
    uint64_t present;  /* items */
    uint64_t ever;     /* items that were stored since it was started */
    bool is_told;
};

static bool take_stat(struct span line, struct span name, uint64_t *value)
{
    return span_starts_with(line, name) && number_parse_u64(span_skip(line, name.size), value);
}

/* False when the connection is broken. */
static bool read_population(struct key_list *list, struct population *population)
{
    struct span line;
    bool has_present = false, has_ever = false;
    channel_expect(list->channel, 0);
    channel_queue(list->channel, SPAN("stats\r\n"));
    do {
        if (!channel_read_line(list->channel, LINE_MAX_SIZE, &line)) {
            return false;
        }
        has_present |= take_stat(line, SPAN("STAT curr_items "), &population->present);
        has_ever |= take_stat(line, SPAN("STAT total_items "), &population->ever);
    } while (span_starts_with(line, SPAN("STAT ")));
    population->is_told = has_present && has_ever;
    return true;
}

/* Nothing was stored since `before`, and as many keys are known as there were items then. So it is all of them: every one that
 * is known was there. */
static bool is_complete(const struct population *before, const struct population *now, uint64_t known)
{
    return before->is_told && now->is_told && now->ever == before->ever && known == before->present;
}

/* More items than keys that are known. */
static bool is_short(const struct population *now, uint64_t known)
{
    return now->is_told && now->present > known + known / ENOUGH;
}

static enum key_list_status spool_again(struct key_list *list, struct spool *spool, struct key_set *set, _Atomic uint64_t *count)
{
    struct population before, now;
    if (!read_population(list, &before)) {
        return KEY_LIST_BROKEN;
    }
    if (before.is_told && before.present < RESERVED_MOST) {
        key_set_reserve(set, before.present);
    }
    uint64_t news_us = 0;
    for (int lists = 1;; lists++) {
        uint64_t known = spool->count;
        list->has_begun = false;
        enum key_list_status status = spool_once(list, spool, set, count);
        if (status != KEY_LIST_END) {
            return status;
        }
        if (!read_population(list, &now)) {
            return KEY_LIST_BROKEN;
        }
        bool has_news = spool->count - known > spool->count / ENOUGH;
        uint64_t time_us = clock_monotonic_us();
        news_us = has_news ? time_us : news_us;
        if (is_complete(&before, &now, spool->count) || atomic_load(list->stops)) {
            return KEY_LIST_END;
        }
        if (has_news && lists < LISTS_MOST) {
            continue;
        }
        if (!is_short(&now, spool->count) || time_us - news_us > PATIENCE_US || lists >= PATIENT_LISTS_MOST) {
            return KEY_LIST_END;
        }
        clock_sleep_us(PATIENCE_PAUSE_US);
    }
}

static enum key_list_status spool_all(struct key_list *list, struct spool *spool, _Atomic uint64_t *count)
{
    if (!ask_version(list)) {
        return KEY_LIST_BROKEN;
    }
    if (list->asks_hash) {
        return spool_once(list, spool, NULL, count);
    }
    struct key_set set;
    key_set_init(&set);
    enum key_list_status status = spool_again(list, spool, &set, count);
    key_set_deinit(&set);
    return status;
}

enum key_list_status key_list_spool(struct key_list *list, struct spool *spool, _Atomic uint64_t *count)
{
    enum key_list_status status = spool_all(list, spool, count);
    return spool_end(spool) ? status : break_off(list);
}
