/* What processors move between one another. Who writes to a line takes it away from all who read anything in it, so what
 * one thread writes often stands apart from what others read. */
#ifndef DIGLOT_BASE_CACHE_LINE_H
#define DIGLOT_BASE_CACHE_LINE_H

#define CACHE_LINE 64

#endif
