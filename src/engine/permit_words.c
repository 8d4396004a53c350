#include "engine/permit_words.h"

static void make_words(struct permit_words *words, enum permit permit)
{
    const char *word;
    int count = 0;
    for (; (word = permit_word(permit, (size_t)count)); count++) {
        if (*word)
            words->words[permit][count] = api.CreateString(NULL, word, strlen(word));
        else
            words->key_at[permit] = count;
    }
    words->count[permit] = count;
}

void permit_words_init(struct permit_words *words)
{
    *words = (struct permit_words){0};
    for (enum permit permit = 0; permit < PERMITS; permit++) make_words(words, permit);
}

void permit_words_deinit(struct permit_words *words)
{
    for (size_t permit = 0; permit < PERMITS; permit++)
        for (int i = 0; i < words->count[permit]; i++)
            if (words->words[permit][i]) api.FreeString(NULL, words->words[permit][i]);
}

int permit_words_fill(const struct permit_words *words, enum permit permit, RedisModuleString *key,
                      RedisModuleString *filled[PERMIT_WORDS_MAX])
{
    memcpy(filled, words->words[permit], sizeof words->words[permit]);
    if (words->key_at[permit] > 0) filled[words->key_at[permit]] = key;
    return words->count[permit];
}
