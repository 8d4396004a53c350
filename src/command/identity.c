#include "command/identity.h"

#include "base/check.h"

#include <stdlib.h>

struct identity *identity_new(struct span name)
{
    CHECK(name.size <= SIZE_MAX - sizeof(struct identity));
    struct identity *identity = check_calloc(1, sizeof *identity + name.size);
    atomic_init(&identity->references, 1);
    identity->name_size = name.size;
    if (name.size > 0) memcpy(identity->name, name.data, name.size);
    return identity;
}

struct identity *identity_retain(struct identity *identity)
{
    if (identity) atomic_fetch_add_explicit(&identity->references, 1, memory_order_relaxed);
    return identity;
}

void identity_release(struct identity **identity)
{
    struct identity *released = *identity;
    *identity = NULL;
    if (released && atomic_fetch_sub_explicit(&released->references, 1, memory_order_acq_rel) == 1) free(released);
}
