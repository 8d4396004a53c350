#include "wire/dump.h"

#include "base/base64.h"
#include "base/uri.h"

#include <inttypes.h>
#include <stdio.h>

void dump_append_meta(const struct dump_item *item, struct buffer *output)
{
    char fields[192];
    int size = snprintf(fields, sizeof fields,
                        " exp=%" PRId64 " la=%" PRId64 " cas=%" PRIu64 " fetch=%s cls=1 size=%zu flags=%" PRIu32 " \n",
                        item->expiry, item->accessed, item->token, item->was_fetched ? "yes" : "no", item->size, item->flags);
    buffer_append(output, SPAN("key="));
    uri_append(output, item->key);
    buffer_append(output, span_of(fields, (size_t)size));
}

/* Parts a line, or ends it. */
static bool breaks_line(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\0';
}

static bool fits_line(struct span key)
{
    for (size_t i = 0; i < key.size; i++) {
        if (breaks_line(key.data[i])) {
            return false;
        }
    }
    return true;
}

void dump_append_mg(struct span key, struct buffer *output)
{
    buffer_append(output, SPAN("mg "));
    if (fits_line(key)) {
        buffer_append(output, key);
    } else {
        buffer_reserve(output, BASE64_SIZE(key.size));
        output->end += base64_encode(key, output->data + output->end);
        buffer_append(output, SPAN(" b"));
    }
    buffer_append(output, SPAN("\r\n"));
}

void dump_append_item(struct span key, size_t size, int64_t expiry, struct buffer *output)
{
    if (!fits_line(key)) {
        return;
    }
    char facts[64];
    int length = snprintf(facts, sizeof facts, " [%zu b; %" PRId64 " s]\r\n", size, expiry);
    buffer_append(output, SPAN("ITEM "));
    buffer_append(output, key);
    buffer_append(output, span_of(facts, (size_t)length));
}
