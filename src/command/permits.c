#include "command/permits.h"

#define KEY ""

const char *permit_word(enum permit permit, size_t index)
{
    static const char *const words[PERMITS][PERMIT_WORDS_MAX] = {
#define PERMIT(id, name, ...) [PERMIT_##id] = {__VA_ARGS__},
        PERMITS_LIST(PERMIT)
#undef PERMIT
    };
    return index < PERMIT_WORDS_MAX ? words[permit][index] : NULL;
}

#define BIT(id) (1u << PERMIT_##id)

/* Prepending has no command of its own; who may append may prepend. */
static const uint32_t permits_of_op[REQUEST_OPS] = {
    [REQUEST_GET] = BIT(GET),
    [REQUEST_GAT] = BIT(GETEX),
    [REQUEST_SET] = BIT(SET),
    [REQUEST_ADD] = BIT(SET),
    [REQUEST_REPLACE] = BIT(SET),
    [REQUEST_APPEND] = BIT(APPEND),
    [REQUEST_PREPEND] = BIT(APPEND),
    [REQUEST_CAS] = BIT(SET),
    [REQUEST_INCR] = BIT(INCRBY),
    [REQUEST_DECR] = BIT(DECRBY),
    [REQUEST_DELETE] = BIT(DEL),
    [REQUEST_TOUCH] = BIT(EXPIRE),
    [REQUEST_SET_TOO_LARGE] = BIT(SET),
    [REQUEST_DEBUG] = BIT(GET),
    [REQUEST_FLUSH_ALL] = BIT(FLUSHDB),
    [REQUEST_STATS] = BIT(INFO),
    [REQUEST_METADUMP] = BIT(SCAN),
    [REQUEST_MGDUMP] = BIT(SCAN),
    [REQUEST_WATCH] = BIT(MONITOR),
    [REQUEST_REFRESH_CERTS] = BIT(CONFIG_SET),
    [REQUEST_SHUTDOWN] = BIT(SHUTDOWN),
};

/* A meta get that may change the item: making it, or letting the client refresh it, is a write of its own. */
static uint32_t permits_of_meta_get(uint32_t asks)
{
    uint32_t permits = asks & ASK_TOUCH ? BIT(GETEX) : BIT(GET);
    return asks & (ASK_VIVIFY | ASK_RECACHE) ? permits | BIT(SET) : permits;
}

static uint32_t permits_of_extras(enum request_op op, uint32_t asks)
{
    uint32_t permits = permits_of_op[op];
    switch (op) {
    case REQUEST_GET:
    case REQUEST_GAT: return asks == 0 ? permits : permits_of_meta_get(asks);
    case REQUEST_APPEND:
    case REQUEST_PREPEND: return asks & ASK_VIVIFY ? permits | BIT(SET) : permits;
    case REQUEST_INCR:
    case REQUEST_DECR: return asks & ASK_TOUCH ? permits | BIT(EXPIRE) : permits;
    case REQUEST_DELETE: return asks & (ASK_CLEAR | ASK_INVALIDATE) ? permits | BIT(SET) : permits;
    default: return permits;
    }
}

/* What shows keys needs what shows keys over RESP. */
static uint32_t permits_of_stats(struct span words)
{
    while (words.size > 0 && words.data[0] == ' ') words = span_skip(words, 1);
    if (words.size == 0) return BIT(INFO);
    if (span_starts_with(words, SPAN("reset"))) return BIT(RESETSTAT);
    return span_starts_with(words, SPAN("cachedump")) ? BIT(SCAN) : BIT(INFO);
}

uint32_t permits_of(const struct request *request)
{
    if (request->extras) return permits_of_extras(request->op, request->extras->asks);
    if (request->op == REQUEST_STATS) return permits_of_stats(request->text);
    return permits_of_op[request->op];
}

const char *permit_name(enum permit permit)
{
    static const char *const names[PERMITS] = {
#define PERMIT(id, name, ...) [PERMIT_##id] = name,
        PERMITS_LIST(PERMIT)
#undef PERMIT
    };
    return names[permit];
}

struct span permit_denial(enum permit permit)
{
    static const struct span denials[PERMITS] = {
#define PERMIT(id, name, ...) [PERMIT_##id] = SPAN("NOPERM this user has no permissions to run the '" name "' command"),
        PERMITS_LIST(PERMIT)
#undef PERMIT
    };
    return denials[permit];
}
