/* MD5 for the sake of what libmemcached's clients have always hashed with it; nothing rests on its strength. */
#include "base/check.h"
#include "upstream/key_hash.h"

#include <openssl/evp.h>

static bool digest_md5(struct span bytes, uint8_t digest[MD5_SIZE])
{
    unsigned size = 0;
    return EVP_Digest(bytes.data, bytes.size, digest, &size, EVP_md5(), NULL) == 1 && size == MD5_SIZE;
}

bool key_hash_is_available(enum key_hash hash)
{
    uint8_t digest[MD5_SIZE];
    return hash != KEY_HASH_MD5 || digest_md5(SPAN(""), digest);
}

void key_hash_md5(struct span bytes, uint8_t digest[MD5_SIZE])
{
    bool is_done = digest_md5(bytes, digest);
    CHECK(is_done);
}
