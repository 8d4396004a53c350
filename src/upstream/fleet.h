/* The old fleet: its servers, and which of them has a key. Clients decide that by themselves, so it is done here as their
 * library does it. A fleet never changes; another list is another fleet. Pure; any thread. */
#ifndef DIGLOT_UPSTREAM_FLEET_H
#define DIGLOT_UPSTREAM_FLEET_H

#include "base/check.h"
#include "base/span.h"
#include "upstream/key_hash.h"

#define FLEET_SERVERS_MAX 256
/* Longest host, the terminator included. */
#define FLEET_HOST_SIZE 256
#define FLEET_WEIGHT_MAX 1000000
/* Room for the sentence that says why a list cannot be used. */
#define FLEET_ERROR_SIZE 160
/* memcached's own port: it does not stand in the names that libmemcached hashes. */
#define FLEET_DEFAULT_PORT 11211

/* How keys are spread over the servers. In the order of diglot.upstream-distribution's words (config/options.h). */
enum distribution {
    /* libmemcached's consistent hashing: 100 points for each server, hashed as keys are. With a weight above 1 in the list
     * libmemcached takes the weighted one by itself, and so do we. */
    DISTRIBUTION_KETAMA,
    /* 160 points in proportion to the weight, by MD5 (libketama's), whatever hashes the keys. */
    DISTRIBUTION_KETAMA_WEIGHTED,
    /* The key's hash modulo the number of servers. */
    DISTRIBUTION_MODULA,
    /* The server whose name and the key together give the greatest MurmurHash3: pymemcache's HashClient. Neither
     * weights nor the hash of keys play a part. */
    DISTRIBUTION_RENDEZVOUS,
};

struct fleet_server {
    char host[FLEET_HOST_SIZE]; /* as it stands in the list, without brackets */
    uint16_t port;
    uint32_t weight; /* at least 1 */
};

/* A place on the ring: the keys whose hash is up to `value`, and above the place before it, are this server's. */
struct fleet_point {
    uint32_t value;
    uint32_t server;
};

struct fleet {
    enum distribution distribution;
    enum key_hash hash;
    struct fleet_server *servers;
    size_t count; /* of servers, at least 1 */
    struct fleet_point *points; /* by value; NULL where there is no ring */
    size_t point_count;
};

/* Makes a fleet of "HOST[:PORT[:WEIGHT]] …", separated by spaces or commas; an IPv6 address stands in brackets. Hosts are to be
 * written as the clients have them: the ring is made of these names. NULL with one sentence in `error` when the list cannot be
 * read, or is empty. */
MUST_USE struct fleet *fleet_new(struct span list, enum distribution distribution, enum key_hash hash,
                                 char error[FLEET_ERROR_SIZE]);
void fleet_free(struct fleet **fleet);

/* The server that has the key, as an index. */
size_t fleet_server_of(const struct fleet *fleet, struct span key);

#endif
