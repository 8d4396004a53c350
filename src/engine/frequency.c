#include "engine/frequency.h"

#include "base/number.h"
#include "base/span.h"

/* What the engine gives a new key, and what it divides by unless it is configured. */
#define COUNT_OF_NEW 5
#define DEFAULT_LOG_FACTOR 10

static int64_t read_log_factor(RedisModuleCtx *ctx)
{
    int64_t factor = DEFAULT_LOG_FACTOR;
    RedisModuleCallReply *reply = api.Call(ctx, "CONFIG", "Ecc", "GET", "lfu-log-factor");
    if (!reply) return factor;
    RedisModuleCallReply *value = api.CallReplyType(reply) == API_REPLY_ARRAY ? api.CallReplyArrayElement(reply, 1) : NULL;
    size_t size = 0;
    const char *text = value ? api.CallReplyStringPtr(value, &size) : NULL;
    if (!text || !number_parse_i64(span_of(text, size), &factor) || factor < 0) factor = DEFAULT_LOG_FACTOR;
    api.FreeCallReply(reply);
    return factor;
}

static uint64_t next_random(struct frequency *frequency)
{
    uint64_t *state = &frequency->random;
    if (*state == 0) *state = UINT64_C(0x9e3779b97f4a7c15);
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 16;
}

/* A use raises the count with a chance of one in `needed`: so many uses raise it once, and fewer do by chance. */
static long long raise_count(struct frequency *frequency, long long count, uint64_t times)
{
    while (times > 0 && count < API_LFU_MOST) {
        uint64_t above = count > COUNT_OF_NEW ? (uint64_t)(count - COUNT_OF_NEW) : 0;
        uint64_t needed = above * (uint64_t)frequency->log_factor + 1;
        if (times < needed) return next_random(frequency) % needed < times ? count + 1 : count;
        times -= needed;
        count++;
    }
    return count;
}

void frequency_add(struct frequency *frequency, RedisModuleCtx *ctx, RedisModuleKey *key, uint32_t times)
{
    long long count = -1;
    if (api.GetLFU(key, &count) != API_OK || count < 0) return;
    if (!frequency->is_known) {
        frequency->log_factor = read_log_factor(ctx);
        frequency->is_known = true;
    }
    (void)api.SetLFU(key, raise_count(frequency, count, times));
}
