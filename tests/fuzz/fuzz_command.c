/* Requests and RESP changes, chosen by the input, held to the model's laws (fake/model.h). */
#include <stddef.h>
#include <stdint.h>

#include "fake/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world; /* making one takes much longer than a run */
    static bool is_ready;
    static struct model model;
    if (!is_ready) world_init(&world);
    is_ready = true;
    world_reset(&world);
    model_init(&model, &world);
    model_run(&model, data, size);
    return 0;
}
