#include "upstream/key_hash.h"

static uint32_t rotate(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

static uint32_t byte_at(struct span key, size_t at)
{
    return (uint8_t)key.data[at];
}

/* Up to four bytes from `at` on, little endian; what is beyond the end is 0. */
static uint32_t word_at(struct span key, size_t at)
{
    uint32_t word = 0;
    for (size_t i = 0; i < sizeof word && at + i < key.size; i++) word |= byte_at(key, at + i) << (8 * i);
    return word;
}

static uint32_t one_at_a_time(struct span key)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < key.size; i++) {
        hash += (uint32_t)(int8_t)key.data[i];
        hash += hash << 10;
        hash ^= hash >> 6;
    }
    hash += hash << 3;
    hash ^= hash >> 11;
    return hash + (hash << 15);
}

static uint32_t md5(struct span key)
{
    uint8_t digest[MD5_SIZE];
    key_hash_md5(key, digest);
    return word_at(span_of(digest, sizeof digest), 0);
}

static uint32_t crc(struct span key)
{
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < key.size; i++) {
        sum ^= byte_at(key, i);
        for (unsigned bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    return ~sum >> 16 & 0x7fff;
}

#define FNV_64_START UINT64_C(0xcbf29ce484222325)
#define FNV_64_PRIME UINT64_C(0x100000001b3)
#define FNV_32_START UINT32_C(0x811c9dc5)
#define FNV_32_PRIME UINT32_C(0x1000193)

static uint32_t fnv1_64(struct span key)
{
    uint64_t hash = FNV_64_START;
    for (size_t i = 0; i < key.size; i++) {
        hash *= FNV_64_PRIME;
        hash ^= (uint64_t)(int8_t)key.data[i];
    }
    return (uint32_t)hash;
}

static uint32_t fnv1a_64(struct span key)
{
    uint32_t hash = (uint32_t)FNV_64_START;
    for (size_t i = 0; i < key.size; i++) {
        hash ^= (uint32_t)(int8_t)key.data[i];
        hash *= (uint32_t)FNV_64_PRIME;
    }
    return hash;
}

static uint32_t fnv1_32(struct span key)
{
    uint32_t hash = FNV_32_START;
    for (size_t i = 0; i < key.size; i++) {
        hash *= FNV_32_PRIME;
        hash ^= (uint32_t)(int8_t)key.data[i];
    }
    return hash;
}

static uint32_t fnv1a_32(struct span key)
{
    uint32_t hash = FNV_32_START;
    for (size_t i = 0; i < key.size; i++) {
        hash ^= (uint32_t)(int8_t)key.data[i];
        hash *= FNV_32_PRIME;
    }
    return hash;
}

static uint32_t murmur(struct span key)
{
    const uint32_t factor = 0x5bd1e995;
    uint32_t hash = 0xdeadbeef * (uint32_t)key.size ^ (uint32_t)key.size;
    size_t whole = key.size / sizeof hash * sizeof hash;
    for (size_t at = 0; at < whole; at += sizeof hash) {
        uint32_t word = word_at(key, at) * factor;
        hash = hash * factor ^ (word ^ word >> 24) * factor;
    }
    if (whole < key.size) hash = (hash ^ word_at(key, whole)) * factor;
    hash = (hash ^ hash >> 13) * factor;
    return hash ^ hash >> 15;
}

/* Each step of lookup3's mixing: x -= z, x ^= z turned, z += y. */
static void jenkins_mix(uint32_t sum[3])
{
    static const uint8_t turns[6] = {4, 6, 8, 16, 19, 4};
    for (unsigned step = 0; step < 6; step++) {
        uint32_t *x = &sum[step % 3], *y = &sum[(step + 1) % 3], *z = &sum[(step + 2) % 3];
        *x -= *z;
        *x ^= rotate(*z, turns[step]);
        *z += *y;
    }
}

static uint32_t jenkins_end(uint32_t sum[3])
{
    static const uint8_t turns[7] = {14, 11, 25, 16, 4, 14, 24};
    for (unsigned step = 0; step < 7; step++) {
        uint32_t *x = &sum[(step + 2) % 3];
        uint32_t y = sum[(step + 1) % 3];
        *x = (*x ^ y) - rotate(y, turns[step]);
    }
    return sum[2];
}

static uint32_t jenkins(struct span key)
{
    const uint32_t start = 0xdeadbeef + (uint32_t)key.size + 13;
    uint32_t sum[3] = {start, start, start};
    if (key.size == 0) return start;
    size_t at = 0;
    for (; key.size - at > sizeof sum; at += sizeof sum) {
        for (size_t i = 0; i < 3; i++) sum[i] += word_at(key, at + i * sizeof *sum);
        jenkins_mix(sum);
    }
    for (size_t i = 0; i < 3; i++) sum[i] += word_at(key, at + i * sizeof *sum);
    return jenkins_end(sum);
}

uint32_t key_hash_murmur3(struct span key, uint32_t seed)
{
    uint32_t hash = seed;
    for (size_t at = 0; at < key.size; at += sizeof hash) {
        hash ^= rotate(word_at(key, at) * 0xcc9e2d51, 15) * 0x1b873593;
        if (key.size - at >= sizeof hash) hash = rotate(hash, 13) * 5 + 0xe6546b64;
    }
    hash ^= (uint32_t)key.size;
    hash = (hash ^ hash >> 16) * 0x85ebca6b;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35;
    return hash ^ hash >> 16;
}

static uint32_t murmur3(struct span key)
{
    return key_hash_murmur3(key, 0xdeadbeef * (uint32_t)key.size);
}

uint32_t key_hash(enum key_hash hash, struct span key)
{
    static uint32_t (*const functions[KEY_HASHES])(struct span key) = {
        [KEY_HASH_DEFAULT] = one_at_a_time, [KEY_HASH_MD5] = md5,           [KEY_HASH_CRC] = crc,
        [KEY_HASH_FNV1_64] = fnv1_64,       [KEY_HASH_FNV1A_64] = fnv1a_64, [KEY_HASH_FNV1_32] = fnv1_32,
        [KEY_HASH_FNV1A_32] = fnv1a_32,     [KEY_HASH_MURMUR] = murmur,     [KEY_HASH_JENKINS] = jenkins,
        [KEY_HASH_MURMUR3] = murmur3,
    };
    return functions[hash](key);
}
