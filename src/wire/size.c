#include "wire/size.h"

enum {
    SIZE_HEADER = 48,
    SIZE_CAS = 8,
    SIZE_KEY_END = 1,
    SIZE_FLAGS = 4,
    SIZE_VALUE_END = 2,
};

size_t item_size(size_t key_size, uint32_t flags, size_t value_size)
{
    size_t flags_size = flags != 0 ? SIZE_FLAGS : 0;
    return SIZE_HEADER + SIZE_CAS + key_size + SIZE_KEY_END + flags_size + value_size + SIZE_VALUE_END;
}
