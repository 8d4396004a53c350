/* The RESP commands of command/permits.h as the engine takes them. Main thread. */
#ifndef DIGLOT_ENGINE_PERMIT_WORDS_H
#define DIGLOT_ENGINE_PERMIT_WORDS_H

#include "command/permits.h"
#include "engine/api.h"

struct permit_words {
    RedisModuleString *words[PERMITS][PERMIT_WORDS_MAX]; /* NULL behind the last, and for the key */
    int count[PERMITS];
    int key_at[PERMITS]; /* 0: the command has no key */
};

void permit_words_init(struct permit_words *words);
void permit_words_deinit(struct permit_words *words);

/* Writes the command on `key` to `words`; returns how many they are. The strings stay their owners'. */
int permit_words_fill(const struct permit_words *words, enum permit permit, RedisModuleString *key,
                      RedisModuleString *filled[PERMIT_WORDS_MAX]);

#endif
