#include "engine/engine_options.h"

#include "base/number.h"

uint32_t engine_option_number(RedisModuleCtx *ctx, const char *name, uint32_t otherwise)
{
    uint32_t number = otherwise;
    RedisModuleCallReply *reply = api.Call(ctx, "CONFIG", "cc", "GET", name);
    RedisModuleCallReply *element = reply ? api.CallReplyArrayElement(reply, 1) : NULL;
    size_t size = 0;
    const char *text = element ? api.CallReplyStringPtr(element, &size) : NULL;
    if (text && !number_parse_u32(span_of(text, size), &number)) number = otherwise;
    if (reply) api.FreeCallReply(reply);
    return number;
}
