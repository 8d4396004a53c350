#include "base/uri.h"

static bool is_plain(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '_' || byte == '.' || byte == '~';
}

char *uri_put(char *at, struct span bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        if (is_plain(byte)) {
            *at++ = (char)byte;
            continue;
        }
        *at++ = '%';
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    return at;
}

void uri_append(struct buffer *output, struct span bytes)
{
    buffer_reserve(output, URI_SIZE_MAX(bytes.size));
    output->end = (size_t)(uri_put(output->data + output->end, bytes) - output->data);
}
