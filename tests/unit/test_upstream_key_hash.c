/* The hashes against what libmemcached 1.1.4 gives for the same bytes. */
#include "upstream/key_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEYS 5

static void test_hashes(void **state)
{
    (void)state;
    static const struct span keys[KEYS] = {
        SPAN("a"), SPAN("foo"), SPAN("hello world key"),
        SPAN("a key that is a good deal longer than sixty-four bytes, as MD5 takes it"), SPAN("\xe9\xfftail\x80"),
    };
    static const uint32_t expected[KEY_HASHES][KEYS] = {
        [KEY_HASH_DEFAULT] = {0xca2e9442, 0x238678dd, 0x72f257d5, 0xc426706f, 0x87faed35},
        [KEY_HASH_MD5] = {0xb975c10c, 0xdb18bdac, 0x3fdb8bed, 0x3d627f22, 0x3a200e19},
        [KEY_HASH_CRC] = {0x000068b7, 0x00000c73, 0x000047e3, 0x00003155, 0x000003ae},
        [KEY_HASH_FNV1_64] = {0x8601b7be, 0x6ba13533, 0xfe288c0a, 0x6978e102, 0xa800de3d},
        [KEY_HASH_FNV1A_64] = {0x8601ec8c, 0xfed9d577, 0x36bc67ec, 0xe843e424, 0x62b425dd},
        [KEY_HASH_FNV1_32] = {0x050c5d7e, 0x408f5e13, 0x07b406aa, 0xaad647a2, 0x670460bd},
        [KEY_HASH_FNV1A_32] = {0xe40c292c, 0xa9f37ed7, 0xa010522c, 0x70f05764, 0x30d8a41d},
        [KEY_HASH_MURMUR] = {0x4b41757c, 0xc4e0338f, 0x8b01c783, 0xbb4d2855, 0xebe98c00},
        [KEY_HASH_JENKINS] = {0xe0a38690, 0x99f84f99, 0xf00b6a65, 0x01087d8c, 0x142ba503},
        [KEY_HASH_MURMUR3] = {0x8872dbc8, 0xa5f500b2, 0x0b25f20c, 0x41e8a054, 0x2b2be233},
    };
    for (size_t hash = 0; hash < KEY_HASHES; hash++)
        for (size_t i = 0; i < KEYS; i++) assert_int_equal(key_hash((enum key_hash)hash, keys[i]), expected[hash][i]);
}

/* RFC 1321, "Test suite". */
static void test_md5(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        uint8_t digest[MD5_SIZE + 1];
    } samples[] = {
        {SPAN(""), "\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"},
        {SPAN("abc"), "\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72"},
        {SPAN("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
         "\xd1\x74\xab\x98\xd2\x77\xd9\xf5\xa5\x61\x1c\x2c\x9f\x41\x9d\x9f"},
        {SPAN("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
         "\x57\xed\xf4\xa2\x2b\xe3\xc9\x55\xac\x49\xda\x2e\x21\x07\xb6\x7a"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        uint8_t digest[MD5_SIZE];
        key_hash_md5(samples[i].text, digest);
        assert_memory_equal(digest, samples[i].digest, MD5_SIZE);
    }
}

/* The values that its author published for these seeds. */
static void test_murmur3(void **state)
{
    (void)state;
    assert_int_equal(key_hash_murmur3(SPAN(""), 0), 0);
    assert_int_equal(key_hash_murmur3(SPAN(""), 1), 0x514e28b7);
    assert_int_equal(key_hash_murmur3(SPAN("\0\0\0\0"), 0), 0x2362f9de);
    assert_int_equal(key_hash_murmur3(SPAN("Hello, world!"), 0x9747b28c), 0x24884cba);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_md5),
        cmocka_unit_test(test_murmur3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
