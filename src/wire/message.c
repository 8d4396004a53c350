#include "wire/message.h"

/* GAT and TOUCH change the expiry. What finds nothing to change had to be let through all the same. */
bool request_writes(enum request_op op)
{
    static const bool writes[REQUEST_OPS] = {
        [REQUEST_GAT] = true, [REQUEST_SET] = true, [REQUEST_ADD] = true, [REQUEST_REPLACE] = true,
        [REQUEST_APPEND] = true, [REQUEST_PREPEND] = true, [REQUEST_CAS] = true, [REQUEST_INCR] = true,
        [REQUEST_DECR] = true, [REQUEST_DELETE] = true, [REQUEST_TOUCH] = true, [REQUEST_SET_TOO_LARGE] = true,
        [REQUEST_FLUSH_ALL] = true,
    };
    return writes[op];
}
