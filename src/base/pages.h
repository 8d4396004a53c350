/* Large tables that are read here and there, in memory of the system's own: in its largest pages where it has such, so that
 * a processor's list of pages, which is far shorter than such a table, seldom has to be filled. */
#ifndef DIGLOT_BASE_PAGES_H
#define DIGLOT_BASE_PAGES_H

#include <stddef.h>

/* Zeroed; its first byte begins a page. Taken from the machine as it is written to, up to 2 MiB at a time. NULL where the
 * system gives no such memory. `size`: in bytes, above 0; pages_free wants the same. Any thread. */
void *pages_new(size_t size);
void pages_free(void *pages, size_t size);

/* Forked children (snapshots) do without it: so the parent, writing to it meanwhile, pays for no copies. */
void pages_keep_from_children(void *pages, size_t size);

#endif
