#include "engine/engine.h"

static struct engine *instance;

struct engine *engine_instance(void)
{
    return instance;
}

void engine_set_instance(struct engine *engine)
{
    instance = engine;
}
