/* Finding bytes, sixteen at a time. The one place that knows what the processor has for it: SSE2 (every x86-64), NEON (every
 * aarch64), and plain 64-bit arithmetic elsewhere. For what is short or dense; in long stretches memchr is as good. Pure; any
 * thread. */
#ifndef DIGLOT_BASE_SCAN_H
#define DIGLOT_BASE_SCAN_H

#include "base/span.h"

#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#else
#include <endian.h>
#endif

#define SCAN_STEP 16
/* What scan_16 says where all bytes are the one that is looked for. */
#define SCAN_ALL 0xffffu

/* The same as scan_16 for eight bytes, without the processor's help. Adding 0x7f to the low seven bits of a byte carries into
 * its top bit unless they are all zero; the multiplication moves the top bits of all bytes side by side. */
static inline uint32_t scan_8(uint64_t bytes, char byte)
{
    const uint64_t ones = 0x0101010101010101u, low = ones * 0x7f;
    bytes ^= ones * (unsigned char)byte;
    uint64_t equal = ~(((bytes & low) + low) | bytes | low);
    return (uint32_t)((equal >> 7) * 0x0102040810204080u >> 56);
}

/* Bit i is set where data[i] is `byte`; reads SCAN_STEP bytes. */
static inline uint32_t scan_16(const char *data, char byte)
{
#if defined(__SSE2__)
    __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)data), _mm_set1_epi8(byte));
    return (uint32_t)_mm_movemask_epi8(equal);
#elif defined(__ARM_NEON) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t equal = vceqq_u8(vld1q_u8((const uint8_t *)data), vdupq_n_u8((uint8_t)byte));
    uint8x16_t marked = vandq_u8(equal, vld1q_u8(bits));
    return vaddv_u8(vget_low_u8(marked)) | (uint32_t)vaddv_u8(vget_high_u8(marked)) << 8;
#else
    uint64_t halves[2];
    memcpy(halves, data, sizeof halves);
    return scan_8(le64toh(halves[0]), byte) | scan_8(le64toh(halves[1]), byte) << 8;
#endif
}

/* The same for 32 bytes. */
static inline uint32_t scan_32(const char *data, char byte)
{
    return scan_16(data, byte) | scan_16(data + SCAN_STEP, byte) << SCAN_STEP;
}

/* Bit i is set where words[i] is `word`, of eight. */
static inline uint32_t scan_words_8(const uint32_t words[8], uint32_t word)
{
#if defined(__SSE2__)
    __m128i wanted = _mm_set1_epi32((int)word);
    __m128i low = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(const void *)words), wanted);
    __m128i high = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(const void *)(words + 4)), wanted);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128()));
#elif defined(__ARM_NEON) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static const uint32_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint32x4_t wanted = vdupq_n_u32(word);
    uint32x4_t low = vandq_u32(vceqq_u32(vld1q_u32(words), wanted), vld1q_u32(bits));
    uint32x4_t high = vandq_u32(vceqq_u32(vld1q_u32(words + 4), wanted), vld1q_u32(bits + 4));
    return vaddvq_u32(vorrq_u32(low, high));
#else
    uint32_t found = 0;
    for (unsigned i = 0; i < 8; i++) found |= (uint32_t)(words[i] == word) << i;
    return found;
#endif
}

/* Where `byte` is first in the text; its size where it is not. Reads nothing beyond the text. */
static inline size_t scan_find(struct span text, char byte)
{
    if (text.size < SCAN_STEP) {
        size_t at = 0;
        while (at < text.size && text.data[at] != byte) at++;
        return at;
    }
    for (size_t at = 0;; at += SCAN_STEP) {
        /* The last step goes back over bytes that were looked at before. */
        if (text.size - at < SCAN_STEP) at = text.size - SCAN_STEP;
        uint32_t found = scan_16(text.data + at, byte);
        if (found) return at + (size_t)__builtin_ctz(found);
        if (at + SCAN_STEP == text.size) return text.size;
    }
}

#endif
