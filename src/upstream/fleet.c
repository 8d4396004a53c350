#include "upstream/fleet.h"

#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

#define POINTS_PER_SERVER 100
#define POINTS_PER_SERVER_WEIGHTED 160
/* A digest of MD5 gives so many points. */
#define POINTS_PER_DIGEST 4
/* "HOST:PORT-NUMBER" */
#define POINT_NAME_SIZE (FLEET_HOST_SIZE + 32)

/* ---- The list ---- */

static bool is_separator(char character)
{
    return character == ' ' || character == ',';
}

/* Takes the next word off the list; empty at the end. */
static struct span next_word(struct span *list)
{
    while (list->size > 0 && is_separator(*list->data)) *list = span_skip(*list, 1);
    size_t size = 0;
    while (size < list->size && !is_separator(list->data[size])) size++;
    struct span word = span_of(list->data, size);
    *list = span_skip(*list, size);
    return word;
}

static struct span take_until(struct span *text, char end)
{
    const char *at = text->size > 0 ? memchr(text->data, end, text->size) : NULL;
    struct span taken = span_of(text->data, at ? (size_t)(at - text->data) : text->size);
    *text = span_skip(*text, taken.size);
    return taken;
}

static struct span take_host(struct span *word)
{
    if (word->size == 0 || *word->data != '[') return take_until(word, ':');
    *word = span_skip(*word, 1);
    struct span host = take_until(word, ']');
    if (word->size == 0) return SPAN(""); /* the bracket is not closed */
    *word = span_skip(*word, 1);
    return host;
}

/* Takes ":NUMBER" off the word where there is one. False when it is out of range. */
static bool take_number(struct span *word, uint32_t least, uint32_t most, uint32_t *number)
{
    if (word->size == 0) return true;
    if (*word->data != ':') return false;
    *word = span_skip(*word, 1);
    return number_parse_strict_u32(take_until(word, ':'), number) && *number >= least && *number <= most;
}

static bool parse_server(struct span word, struct fleet_server *server)
{
    struct span host = take_host(&word);
    uint32_t port = FLEET_DEFAULT_PORT, weight = 1;
    if (host.size == 0 || host.size >= FLEET_HOST_SIZE || memchr(host.data, '\0', host.size)) return false;
    if (!take_number(&word, 1, UINT16_MAX, &port) || !take_number(&word, 1, FLEET_WEIGHT_MAX, &weight)) return false;
    memcpy(server->host, host.data, host.size);
    server->host[host.size] = '\0';
    server->port = (uint16_t)port;
    server->weight = weight;
    return word.size == 0;
}

static bool parse_list(struct fleet *fleet, struct span list, char error[FLEET_ERROR_SIZE])
{
    fleet->servers = check_calloc(FLEET_SERVERS_MAX, sizeof *fleet->servers);
    for (struct span word = next_word(&list); word.size > 0; word = next_word(&list)) {
        int shown = word.size < 80 ? (int)word.size : 80;
        if (fleet->count == FLEET_SERVERS_MAX) {
            (void)snprintf(error, FLEET_ERROR_SIZE, "diglot.upstream takes at most %d servers", FLEET_SERVERS_MAX);
            return false;
        }
        if (!parse_server(word, &fleet->servers[fleet->count])) {
            (void)snprintf(error, FLEET_ERROR_SIZE, "diglot.upstream takes HOST:PORT[:WEIGHT], not \"%.*s\"", shown, word.data);
            return false;
        }
        fleet->count++;
    }
    if (fleet->count == 0) (void)snprintf(error, FLEET_ERROR_SIZE, "diglot.upstream names no server");
    return fleet->count > 0;
}

/* ---- The ring ---- */

static size_t write_name(const struct fleet_server *server, size_t number, char name[POINT_NAME_SIZE])
{
    if (server->port == FLEET_DEFAULT_PORT)
        return (size_t)snprintf(name, POINT_NAME_SIZE, "%s-%zu", server->host, number);
    return (size_t)snprintf(name, POINT_NAME_SIZE, "%s:%u-%zu", server->host, (unsigned)server->port, number);
}

static void add_point(struct fleet *fleet, uint32_t value, size_t server)
{
    fleet->points[fleet->point_count++] = (struct fleet_point){value, (uint32_t)server};
}

static uint32_t word_of_digest(const uint8_t digest[MD5_SIZE], size_t word)
{
    const uint8_t *bytes = digest + word * sizeof(uint32_t);
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void add_points(struct fleet *fleet, size_t server, size_t count)
{
    char name[POINT_NAME_SIZE];
    for (size_t i = 0; i < count; i++) {
        size_t size = write_name(&fleet->servers[server], i, name);
        add_point(fleet, key_hash(fleet->hash, span_of(name, size)), server);
    }
}

static void add_weighted_points(struct fleet *fleet, size_t server, size_t count)
{
    char name[POINT_NAME_SIZE];
    uint8_t digest[MD5_SIZE];
    for (size_t i = 0; i < count / POINTS_PER_DIGEST; i++) {
        key_hash_md5(span_of(name, write_name(&fleet->servers[server], i, name)), digest);
        for (size_t word = 0; word < POINTS_PER_DIGEST; word++) add_point(fleet, word_of_digest(digest, word), server);
    }
}

/* The library's own arithmetic: in single precision but for the summand that makes up for rounding. */
static size_t weighted_count(const struct fleet *fleet, size_t server, uint64_t total)
{
    float part = (float)fleet->servers[server].weight / (float)total;
    float digests = (float)(part * POINTS_PER_SERVER_WEIGHTED / POINTS_PER_DIGEST * (float)fleet->count + 0.0000000001);
    return (size_t)digests * POINTS_PER_DIGEST;
}

/* Points of one value keep their servers' order, in which they were added. */
static int compare_points(const void *a, const void *b)
{
    const struct fleet_point *first = a, *second = b;
    if (first->value != second->value) return first->value < second->value ? -1 : 1;
    return first->server < second->server ? -1 : first->server > second->server;
}

static void make_ring(struct fleet *fleet)
{
    uint64_t total = 0;
    bool is_weighted = fleet->distribution == DISTRIBUTION_KETAMA_WEIGHTED;
    for (size_t i = 0; i < fleet->count; i++) {
        total += fleet->servers[i].weight;
        is_weighted |= fleet->servers[i].weight > 1;
    }
    /* Rounding may give a server up to a digest's points more than its part. */
    fleet->points = check_calloc(fleet->count * (POINTS_PER_SERVER_WEIGHTED + POINTS_PER_DIGEST), sizeof *fleet->points);
    for (size_t i = 0; i < fleet->count; i++) {
        if (is_weighted)
            add_weighted_points(fleet, i, weighted_count(fleet, i, total));
        else
            add_points(fleet, i, POINTS_PER_SERVER);
    }
    qsort(fleet->points, fleet->point_count, sizeof *fleet->points, compare_points);
}

static size_t server_on_ring(const struct fleet *fleet, uint32_t hash)
{
    size_t left = 0, right = fleet->point_count;
    while (left < right) {
        size_t middle = left + (right - left) / 2;
        if (fleet->points[middle].value < hash)
            left = middle + 1;
        else
            right = middle;
    }
    return fleet->points[left == fleet->point_count ? 0 : left].server;
}

/* ---- Rendezvous ---- */

static size_t server_at_rendezvous(const struct fleet *fleet, struct span key)
{
    size_t winner = 0;
    uint32_t highest = 0;
    char winner_name[POINT_NAME_SIZE] = "";
    for (size_t i = 0; i < fleet->count; i++) {
        char text[POINT_NAME_SIZE + 256], name[POINT_NAME_SIZE];
        size_t size = (size_t)snprintf(name, sizeof name, "%s:%u", fleet->servers[i].host, (unsigned)fleet->servers[i].port);
        size_t key_size = key.size < 255 ? key.size : 255;
        memcpy(text, name, size);
        text[size] = '-';
        memcpy(text + size + 1, key.data, key_size);
        uint32_t score = key_hash_murmur3(span_of(text, size + 1 + key_size), 0);
        if (i > 0 && (score < highest || (score == highest && strcmp(name, winner_name) < 0))) continue;
        winner = i;
        highest = score;
        memcpy(winner_name, name, sizeof name);
    }
    return winner;
}

/* ---- The fleet ---- */

static bool has_its_hashes(const struct fleet *fleet, char error[FLEET_ERROR_SIZE])
{
    bool needs_md5 = fleet->distribution == DISTRIBUTION_KETAMA || fleet->distribution == DISTRIBUTION_KETAMA_WEIGHTED;
    bool has = key_hash_is_available(fleet->hash) && (!needs_md5 || key_hash_is_available(KEY_HASH_MD5));
    if (!has) (void)snprintf(error, FLEET_ERROR_SIZE, "diglot.upstream needs MD5, which this machine's OpenSSL refuses");
    return has;
}

struct fleet *fleet_new(struct span list, enum distribution distribution, enum key_hash hash, char error[FLEET_ERROR_SIZE])
{
    struct fleet *fleet = check_calloc(1, sizeof *fleet);
    fleet->distribution = distribution;
    fleet->hash = hash;
    if (!parse_list(fleet, list, error) || !has_its_hashes(fleet, error)) {
        fleet_free(&fleet);
        return NULL;
    }
    if (distribution == DISTRIBUTION_KETAMA || distribution == DISTRIBUTION_KETAMA_WEIGHTED) make_ring(fleet);
    return fleet;
}

void fleet_free(struct fleet **fleet)
{
    if (!*fleet) return;
    free((*fleet)->servers);
    free((*fleet)->points);
    free(*fleet);
    *fleet = NULL;
}

size_t fleet_server_of(const struct fleet *fleet, struct span key)
{
    if (fleet->count == 1) return 0;
    if (fleet->distribution == DISTRIBUTION_RENDEZVOUS) return server_at_rendezvous(fleet, key);
    uint32_t hash = key_hash(fleet->hash, key);
    return fleet->points ? server_on_ring(fleet, hash) : hash % fleet->count;
}
