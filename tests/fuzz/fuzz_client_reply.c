/* Replies of an old server that may be anything: whatever comes is decoded, waited for, or refused, and never read beyond. */
#include "base/check.h"
#include "wire/client_reply.h"

#include <stdint.h>

#define VALUE_MOST 4096

static void check_inside(struct span input, struct span part)
{
    CHECK(part.size == 0 || (part.data >= input.data && part.data + part.size <= input.data + input.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    for (;;) {
        struct client_reply reply;
        enum client_decode_status status = client_reply_decode(input, VALUE_MOST, &reply);
        size_t whole = client_reply_size(input, VALUE_MOST);
        if (status == CLIENT_PARTIAL) CHECK(whole == 0 || whole > input.size);
        if (status != CLIENT_REPLY) return 0;
        CHECK(reply.consumed > 0 && reply.consumed <= input.size && whole == reply.consumed);
        check_inside(input, reply.key);
        check_inside(input, reply.opaque);
        check_inside(input, reply.value);
        check_inside(input, reply.text);
        input = span_skip(input, reply.consumed);
    }
}
