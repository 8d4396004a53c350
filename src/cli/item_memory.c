#include "cli/item_memory.h"

/* memcached: an item's header and its CAS token. */
#define HEADER_SIZE 56
/* Its share of the hash table, and of what a page has left behind its last item. */
#define MEMCACHED_SHARE 1
/* The engine's tables: a pointer for each item, at the load that tables have on the average, and then some. */
#define TABLE_SHARE 24
/* What an expiry takes besides: an entry of 24 bytes and its place in Redis, eight bytes more of the key's object in Valkey. */
#define REDIS_EXPIRY 48
#define VALKEY_EXPIRY 26
/* Records of 16 bytes in a table that is filled to two thirds. */
#define FLAG_RECORD 24

static uint64_t round_up(uint64_t size, uint64_t step)
{
    return (size + step - 1) / step * step;
}

/* The smallest chunk that holds the item: sizes grow by the factor, in steps of 8 bytes. */
static double chunk_size(double need, double factor, uint64_t slab_min_size)
{
    double size = 48.0 + (double)slab_min_size;
    if (factor < 1.01) {
        factor = 1.01;
    }
    while (size < need && size < 512 * 1024) {
        size = (double)round_up((uint64_t)(size * factor), 8);
    }
    return size < need ? need : size; /* larger ones are made of several chunks */
}

double item_memory_memcached(const struct item_shape *shape, double slab_factor, uint64_t slab_min_size)
{
    double flags = shape->flagged_percent / 100.0 * 4;
    double need = HEADER_SIZE + (double)shape->key_size + 1 + flags + (double)shape->value_size + 2;
    return chunk_size(need, slab_factor, slab_min_size) + MEMCACHED_SHARE;
}

/* What jemalloc hands out: steps of 8 up to 64 bytes, then four sizes for each doubling (16 steps at least). */
static double allocated(uint64_t size)
{
    if (size <= 64) {
        return (double)round_up(size, 8);
    }
    uint64_t step = 16;
    while (size > step * 8) {
        step *= 2;
    }
    return (double)round_up(size, step);
}

/* A string of the engine's: its header grows with it. */
static uint64_t string_size(uint64_t size)
{
    uint64_t header = size < 32 ? 1 : size < 256 ? 3 : size < 65536 ? 5 : 9;
    return header + size + 1;
}

/* A value has a header of three bytes at least; up to 44 bytes lie in the object itself. */
static uint64_t value_string_size(uint64_t size)
{
    return size < 32 ? size + 4 : string_size(size);
}

static double redis_item(const struct item_shape *shape)
{
    double entry = 24 + allocated(string_size(shape->key_size));
    double value = shape->value_size <= 44 ? allocated(16 + value_string_size(shape->value_size))
                                           : 16 + allocated(value_string_size(shape->value_size));
    return entry + value + TABLE_SHARE + shape->expiring_percent / 100.0 * REDIS_EXPIRY;
}

/* The key lies in the object, and so does a small value. */
static double valkey_item(const struct item_shape *shape)
{
    uint64_t object = 16 + 1 + string_size(shape->key_size);
    uint64_t value = value_string_size(shape->value_size);
    double held = object + value <= 64 ? allocated(object + value) : allocated(object) + allocated(value);
    return held + TABLE_SHARE + 2 + shape->expiring_percent / 100.0 * VALKEY_EXPIRY;
}

double item_memory_engine(const struct item_shape *shape, bool is_valkey)
{
    return (is_valkey ? valkey_item(shape) : redis_item(shape)) + shape->flagged_percent / 100.0 * FLAG_RECORD;
}
