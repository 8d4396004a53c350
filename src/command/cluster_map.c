#include "command/cluster_map.h"

#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

void cluster_map_deinit(struct cluster_map *map)
{
    free(map->nodes);
    *map = (struct cluster_map){0};
}

/* Takes what stands before the next `separator`, or all, off the text. */
static struct span take_until(struct span *text, char separator)
{
    const char *at = text->size > 0 ? memchr(text->data, separator, text->size) : NULL;
    struct span word = span_of(text->data, at ? (size_t)(at - text->data) : text->size);
    *text = span_skip(*text, at ? word.size + 1 : word.size);
    return word;
}

static bool has_word(struct span words, struct span word)
{
    while (words.size > 0)
        if (span_equal(take_until(&words, ','), word)) return true;
    return false;
}

/* The words of a node's line in front of its slots. */
struct node_line {
    struct span id;
    struct span address; /* without the cluster bus' port and the names behind it */
    bool is_myself;
    struct span slots;
};

static bool split_line(struct span line, struct node_line *node)
{
    node->id = take_until(&line, ' ');
    struct span address = take_until(&line, ' ');
    node->address = take_until(&address, '@');
    node->is_myself = has_word(take_until(&line, ' '), SPAN("myself"));
    for (int i = 0; i < 5; i++) take_until(&line, ' '); /* its primary, pings, epoch, link */
    node->slots = line;
    return node->id.size == CLUSTER_ID_SIZE;
}

static void add_node(struct cluster_map *map, const struct node_line *line)
{
    struct cluster_node *node = &map->nodes[map->node_count++];
    memcpy(node->id, line->id.data, CLUSTER_ID_SIZE);
    bool is_known = line->address.size <= CLUSTER_ADDRESS_SIZE && line->address.size > 0 && line->address.data[0] != ':';
    node->address_size = is_known ? (uint8_t)line->address.size : 0;
    memcpy(node->address, line->address.data, node->address_size);
}

static uint16_t find_node(const struct cluster_map *map, struct span id)
{
    for (size_t i = 0; i < map->node_count; i++)
        if (id.size == CLUSTER_ID_SIZE && memcmp(map->nodes[i].id, id.data, CLUSTER_ID_SIZE) == 0) return (uint16_t)(i + 1);
    return 0;
}

static bool parse_slot(struct span text, uint32_t *slot)
{
    return number_parse_strict_u32(text, slot) && *slot < HASH_SLOTS;
}

/* "[1234->-id]": it goes to that node; "[1234-<-id]": it comes from there. */
static void read_open_slot(struct cluster_map *map, struct span word)
{
    word = span_skip(word, 1);
    uint32_t slot;
    if (!parse_slot(take_until(&word, '-'), &slot) || word.size < 2 + CLUSTER_ID_SIZE) return;
    bool leaves = word.data[0] == '>';
    map->tenure[slot] = leaves ? TENURE_LEAVING : TENURE_COMING;
    if (leaves) map->node[slot] = find_node(map, span_of(word.data + 2, CLUSTER_ID_SIZE));
}

/* "1234" or "1234-1300". */
static void read_range(struct cluster_map *map, struct span word, bool is_ours, uint16_t node)
{
    uint32_t first, last;
    if (!parse_slot(take_until(&word, '-'), &first)) return;
    last = first;
    if (word.size > 0 && !parse_slot(word, &last)) return;
    for (uint32_t slot = first; slot <= last; slot++) {
        map->tenure[slot] = is_ours ? TENURE_OURS : TENURE_ELSEWHERE;
        map->node[slot] = is_ours ? 0 : node;
    }
}

static void read_slots(struct cluster_map *map, const struct node_line *line, bool is_open)
{
    for (struct span rest = line->slots; rest.size > 0;) {
        struct span word = take_until(&rest, ' ');
        if (word.size == 0 || (word.data[0] == '[') != is_open) continue;
        if (!is_open)
            read_range(map, word, line->is_myself, find_node(map, line->id));
        else if (line->is_myself)
            read_open_slot(map, word);
    }
}

enum pass { PASS_NODES, PASS_OWNERS, PASS_OPEN };

/* Nodes are known before their slots are read, and owners before what is open of them. */
static void read_lines(struct cluster_map *map, struct span text, enum pass pass)
{
    while (text.size > 0) {
        struct node_line line;
        if (!split_line(take_until(&text, '\n'), &line)) continue;
        if (pass != PASS_NODES)
            read_slots(map, &line, pass == PASS_OPEN);
        else if (map->node_count < CLUSTER_NODES_MAX)
            add_node(map, &line);
    }
}

static size_t count_lines(struct span text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++) count += text.data[i] == '\n';
    return count < CLUSTER_NODES_MAX ? count : CLUSTER_NODES_MAX;
}

void cluster_map_read(struct cluster_map *map, struct span text)
{
    map->nodes = check_realloc(map->nodes, count_lines(text) * sizeof *map->nodes);
    map->node_count = 0;
    memset(map->tenure, TENURE_ELSEWHERE, sizeof map->tenure);
    memset(map->node, 0, sizeof map->node);
    for (enum pass pass = PASS_NODES; pass <= PASS_OPEN; pass++) read_lines(map, text, pass);
}

size_t cluster_map_tell(const struct cluster_map *map, uint16_t slot, char words[CLUSTER_WORDS_SIZE])
{
    uint16_t index = map->node[slot];
    int size;
    if (index == 0 || map->nodes[index - 1].address_size == 0) {
        size = snprintf(words, CLUSTER_WORDS_SIZE, "CLUSTERDOWN Hash slot %u is served by no node that is known here", slot);
    } else {
        const struct cluster_node *node = &map->nodes[index - 1];
        const char *word = map->tenure[slot] == TENURE_LEAVING ? "ASK" : "MOVED";
        size = snprintf(words, CLUSTER_WORDS_SIZE, "%s %u %.*s", word, slot, node->address_size, node->address);
    }
    return (size_t)size;
}
