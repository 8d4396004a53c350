/* How large memcached counts an item, which is what its item size limit is compared with. Pure; any thread. */
#ifndef DIGLOT_WIRE_SIZE_H
#define DIGLOT_WIRE_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that memcached 1.6.18 (64 bit, CAS on) takes for an item: headers, key, flags if they are not 0, and the value
 * with its line end. value_size must be below 2^62. */
size_t item_size(size_t key_size, uint32_t flags, size_t value_size);

#endif
