#include "engine/words.h"

#include "base/number.h"

#include <limits.h>
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

int words_db(struct span text)
{
    uint64_t number;
    return number_parse_strict_u64(text, &number) && number <= INT_MAX ? (int)number : -1;
}
