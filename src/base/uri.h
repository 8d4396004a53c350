/* Keys in URI encoding, as memcached prints them where a line is cut at spaces. Pure; any thread. */
#ifndef DIGLOT_BASE_URI_H
#define DIGLOT_BASE_URI_H

#include "base/buffer.h"

/* Longest encoding of `size` bytes. */
#define URI_SIZE_MAX(size) ((size) * 3)

/* Writes the encoding to `at`, which has room for it, and returns what is behind: letters, digits and "-_.~" stay, every
 * other byte becomes %XX. Not terminated. */
char *uri_put(char *at, struct span bytes);

/* Appends it. */
void uri_append(struct buffer *output, struct span bytes);

#endif
