/* Checks of our own invariants, on in every build. Never for anything that a peer sent. */
#ifndef DIGLOT_BASE_CHECK_H
#define DIGLOT_BASE_CHECK_H

#include <stddef.h>

/* Prints what failed and where to standard error and aborts; the engine's crash report follows. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* A result that the caller may not drop. */
#define MUST_USE __attribute__((warn_unused_result))

/* malloc and friends that abort when the machine has no memory left, as the engine itself does. */
void *check_malloc(size_t size);
void *check_calloc(size_t count, size_t size);
void *check_realloc(void *memory, size_t size);
/* Zeroed, for a type that has to be aligned; `size` is a multiple of `alignment`. */
void *check_calloc_aligned(size_t alignment, size_t size);

#endif
