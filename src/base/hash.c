#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_key(struct span key)
{
    return XXH3_64bits(key.data, key.size);
}

/* CRC16 is linear: what a byte leaves in the register is the sum of what each of its bits leaves. So the tables follow from
 * eight numbers each: what bit 0 … 7 leaves, once it has been followed by no, one, two and three bytes more. */
#define SUM(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                                            \
    (((i)&1 ? b0 : 0) ^ ((i)&2 ? b1 : 0) ^ ((i)&4 ? b2 : 0) ^ ((i)&8 ? b3 : 0) ^ ((i)&16 ? b4 : 0) ^ ((i)&32 ? b5 : 0) ^  \
     ((i)&64 ? b6 : 0) ^ ((i)&128 ? b7 : 0))
#define SUMS_4(i, ...) SUM(i, __VA_ARGS__), SUM(i + 1, __VA_ARGS__), SUM(i + 2, __VA_ARGS__), SUM(i + 3, __VA_ARGS__)
#define SUMS_16(i, ...) \
    SUMS_4(i, __VA_ARGS__), SUMS_4(i + 4, __VA_ARGS__), SUMS_4(i + 8, __VA_ARGS__), SUMS_4(i + 12, __VA_ARGS__)
#define SUMS_64(i, ...) \
    SUMS_16(i, __VA_ARGS__), SUMS_16(i + 16, __VA_ARGS__), SUMS_16(i + 32, __VA_ARGS__), SUMS_16(i + 48, __VA_ARGS__)
#define TABLE(...) \
    {SUMS_64(0, __VA_ARGS__), SUMS_64(64, __VA_ARGS__), SUMS_64(128, __VA_ARGS__), SUMS_64(192, __VA_ARGS__)}

static const uint16_t crc16_tables[4][256] = {
    TABLE(0x1021, 0x2042, 0x4084, 0x8108, 0x1231, 0x2462, 0x48c4, 0x9188),
    TABLE(0x3331, 0x6662, 0xccc4, 0x89a9, 0x0373, 0x06e6, 0x0dcc, 0x1b98),
    TABLE(0x3730, 0x6e60, 0xdcc0, 0xa9a1, 0x4363, 0x86c6, 0x1dad, 0x3b5a),
    TABLE(0x76b4, 0xed68, 0xcaf1, 0x85c3, 0x1ba7, 0x374e, 0x6e9c, 0xdd38),
};

/* Four bytes at a time, whose tables are looked up side by side; the rest one by one. */
uint16_t hash_crc16(struct span bytes)
{
    const unsigned char *byte = (const unsigned char *)bytes.data;
    size_t left = bytes.size;
    unsigned crc = 0;
    for (; left >= 4; left -= 4, byte += 4)
        crc = crc16_tables[3][byte[0] ^ (crc >> 8)] ^ crc16_tables[2][byte[1] ^ (crc & 0xff)] ^ crc16_tables[1][byte[2]] ^
              crc16_tables[0][byte[3]];
    for (; left > 0; left--, byte++) crc = ((crc << 8) & 0xffff) ^ crc16_tables[0][(crc >> 8) ^ *byte];
    return (uint16_t)crc;
}

/* The part of a key that decides its slot. */
static struct span hash_tag(struct span key)
{
    const char *open = key.size > 0 ? memchr(key.data, '{', key.size) : NULL;
    if (open == NULL) {
        return key;
    }
    struct span behind = span_skip(key, (size_t)(open - key.data) + 1);
    const char *close = behind.size > 0 ? memchr(behind.data, '}', behind.size) : NULL;
    if (close == NULL || close == behind.data) {
        return key;
    }
    return span_of(behind.data, (size_t)(close - behind.data));
}

uint16_t hash_slot(struct span key)
{
    return hash_crc16(hash_tag(key)) % HASH_SLOTS;
}
