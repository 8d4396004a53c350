#include "cli/redcouch.h"

#include "base/number.h"

bool redcouch_flags(struct span field, uint32_t *flags)
{
    *flags = 0;
    return field.size == 0 || number_parse_strict_u32(field, flags);
}

bool redcouch_unhex(struct span text, struct buffer *output)
{
    if (text.size % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (number_hex_digit(text.data[i]) < 0) {
            return false;
        }
    }
    buffer_reserve(output, text.size / 2);
    for (size_t i = 0; i < text.size; i += 2) {
        output->data[output->end++] = (char)(number_hex_digit(text.data[i]) * 16 + number_hex_digit(text.data[i + 1]));
    }
    return true;
}
