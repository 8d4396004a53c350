#include "command/batch.h"

#include "base/check.h"

#include <stdlib.h>

/* What an empty batch keeps of its value memory: enough that ordinary batches never allocate. */
#define BATCH_VALUES_KEPT (64 * 1024)

struct batch *batch_new(void)
{
    struct batch *batch = check_malloc(sizeof(*batch));
    batch->home = NULL;
    batch->owner = NULL;
    batch->descriptor = -1;
    batch->granted = NULL;
    batch->errand = NULL;
    batch->lent = 0;
    buffer_init(&batch->values);
    batch_reset(batch);
    return batch;
}

static void drop_errand(struct batch *batch)
{
    if (batch->errand != NULL) {
        batch->free_errand(&batch->errand);
    }
    batch->errand_bytes = 0;
}

void batch_free(struct batch **batch)
{
    if (*batch == NULL) {
        return;
    }
    drop_errand(*batch);
    identity_release(&(*batch)->granted);
    buffer_deinit(&(*batch)->values);
    free(*batch);
    *batch = NULL;
}

void batch_reset(struct batch *batch)
{
    batch->mail = (struct mail){NULL};
    batch->count = 0;
    batch->executed = 0;
    batch->encoded = 0;
    batch->is_local = false;
    batch->lent = 0;
    batch->has_answers = false;
    batch->is_fetching = false;
    batch->has_sightings = false;
    batch->prepared = batch->prepared_at = 0;
    drop_errand(batch);
    batch->identity = NULL;
    batch->peer = NULL;
    batch->outlet = NULL;
    identity_release(&batch->granted);
    pieces_init(&batch->apart);
    buffer_reset(&batch->values, BATCH_VALUES_KEPT);
}

/* What was answered is to be executed after all. */
static void forget_answers(struct batch *batch)
{
    for (uint32_t i = batch->executed; i < batch->count; i++)
        if (batch->messages[i].result.status == RESULT_HIT) batch->messages[i].result.status = RESULT_PENDING;
}

void batch_begin_journey(struct batch *batch, size_t keep)
{
    CHECK(batch->apart.size == 0);
    if (batch->has_answers && batch->executed == 0) {
        batch->has_answers = false;
        return;
    }
    forget_answers(batch);
    buffer_reset(&batch->values, keep);
}

struct message *batch_add(struct batch *batch)
{
    static const struct request none = {0};
    return batch_add_request(batch, &none);
}

struct message *batch_add_request(struct batch *batch, const struct request *request)
{
    CHECK(!batch_is_full(batch));
    struct message *message = &batch->messages[batch->count++];
    message->request = *request;
    message->result = (struct result){.status = RESULT_PENDING};
    return message;
}
