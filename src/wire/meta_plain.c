/* The commonest lines by far: a short mg whose flags are letters that ask for something and are told nothing. What is not one of
 * these goes the way of all meta commands (meta.c). */
#include "wire/ascii_parts.h"
#include "wire/meta_parts.h"

#define PLAIN                                                                                                             \
    (META_LETTER('c') | META_LETTER('f') | META_LETTER('h') | META_LETTER('k') | META_LETTER('l') | META_LETTER('q')      \
     | META_LETTER('s') | META_LETTER('t') | META_LETTER('u') | META_LETTER('v'))

uint32_t meta_get_asks(uint64_t letters)
{
    uint32_t asks = letters & META_LETTER('v') ? ASK_META : ASK_META | ASK_NO_VALUE;
    asks |= letters & META_LETTER('u') ? ASK_NO_BUMP : 0;
    asks |= letters & META_LETTER('t') ? ASK_TTL : 0;
    asks |= letters & (META_LETTER('h') | META_LETTER('l')) ? ASK_HISTORY : 0;
    return asks;
}

/* `starts`: where they stand, as bits. false: one is none of these, or stands twice. */
static bool read_letters(const char *line, uint64_t starts, uint64_t *letters)
{
    for (*letters = 0; starts != 0; starts &= starts - 1) {
        unsigned place = (unsigned)(unsigned char)line[__builtin_ctzll(starts)] - 'A';
        if (place >= 64 || !(PLAIN & ~*letters & UINT64_C(1) << place)) return false;
        *letters |= UINT64_C(1) << place;
    }
    return true;
}

bool meta_decode_plain_get(const struct ascii_line *line, struct decoded *decoded)
{
    const char *text = line->whole.data;
    uint64_t flags = line->starts & (line->starts - 1), letters;
    bool is_plain = line->is_short && line->starts != 0 && line->words[0].data == text
                    && flags << 1 == (line->ends & (line->ends - 1)); /* each is one byte */
    if (!is_plain || !read_letters(text, flags, &letters)) return false;
    struct extras *extras = decoded->extras;
    memset(extras, 0, offsetof(struct extras, key));
    extras->asks = meta_get_asks(letters);
    size_t key = (size_t)__builtin_ctzll(line->starts);
    struct request *request = &decoded->request;
    request->op = REQUEST_GET;
    request->key = span_of(text + key, (size_t)__builtin_ctzll(line->ends) - key);
    request->text = flags != 0 ? span_skip(line->whole, (size_t)__builtin_ctzll(flags)) : SPAN("");
    request->quiet = (letters & META_LETTER('q')) != 0;
    request->want_cas = (letters & META_LETTER('c')) != 0;
    request->extras = extras;
    return true;
}
