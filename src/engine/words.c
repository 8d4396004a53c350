#include "engine/words.h"

#include <strings.h>

struct span words_argument(RedisModuleCommandFilterCtx *filter, int index)
{
    size_t size;
    const char *data = api.StringPtrLen(api.CommandFilterArgGet(filter, index), &size);
    return span_of(data, size);
}

bool words_equal(struct span text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}
