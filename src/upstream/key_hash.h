/* The hashes by which memcached clients spread their keys over servers, by libmemcached's names. Pure; any thread.
 *
 * Each gives what libmemcached 1.1.4 gives on a little-endian machine, its slips included (a byte above 127 counts as
 * negative in the FNV hashes); tests/upstream compares them with the library itself. */
#ifndef DIGLOT_UPSTREAM_KEY_HASH_H
#define DIGLOT_UPSTREAM_KEY_HASH_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order of diglot.upstream-hash's words (config/options.h). */
enum key_hash {
    KEY_HASH_DEFAULT, /* Jenkins' one-at-a-time */
    KEY_HASH_MD5,     /* the digest's first four bytes */
    KEY_HASH_CRC,     /* fifteen bits of CRC32 */
    KEY_HASH_FNV1_64,
    KEY_HASH_FNV1A_64,
    KEY_HASH_FNV1_32,
    KEY_HASH_FNV1A_32,
    KEY_HASH_MURMUR,  /* MurmurHash2 */
    KEY_HASH_JENKINS, /* lookup3 */
    KEY_HASH_MURMUR3,
    KEY_HASHES
};

uint32_t key_hash(enum key_hash hash, struct span key);

/* MurmurHash3, 32 bits. */
uint32_t key_hash_murmur3(struct span key, uint32_t seed);

#define MD5_SIZE 16

/* Whether keys can be hashed so: the machine's OpenSSL may refuse MD5, which is no longer safe for signatures. */
bool key_hash_is_available(enum key_hash hash);

/* MD5; key_hash_is_available(KEY_HASH_MD5) must hold. */
void key_hash_md5(struct span bytes, uint8_t digest[MD5_SIZE]);

#endif
