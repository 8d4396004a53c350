/* How much memory an item takes in memcached and in the engines, and so what maxmemory a fleet's items need. A model,
 * checked against what was measured with keys of 16 and values of 100 bytes: memcached 1.6 193 bytes, Redis 7.0 200,
 * Valkey 9.1 178. Pure. */
#ifndef DIGLOT_CLI_ITEM_MEMORY_H
#define DIGLOT_CLI_ITEM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct item_shape {
    uint64_t key_size, value_size; /* bytes */
    unsigned expiring_percent;     /* of the items */
    unsigned flagged_percent;      /* of the items: flags that are not 0 */
};

/* Bytes of one item, its share of the tables included. */
double item_memory_memcached(const struct item_shape *shape, double slab_factor, uint64_t slab_min_size);
double item_memory_engine(const struct item_shape *shape, bool is_valkey);

#endif
