#include "cli/lister.h"

static void *take_list(void *argument)
{
    struct lister *lister = argument;
    lister->status = key_list_spool(&lister->list, lister->spool, lister->count);
    return NULL;
}

bool lister_start(struct lister *lister, struct channel *channel, struct spool *spool, const atomic_bool *stops, _Atomic uint64_t *count)
{
    *lister = (struct lister){.spool = spool, .count = count, .status = KEY_LIST_STOPPED};
    key_list_init(&lister->list, channel, stops);
    lister->has_thread = pthread_create(&lister->thread, NULL, take_list, lister) == 0;
    return lister->has_thread;
}

enum key_list_status lister_end(struct lister *lister)
{
    if (lister->has_thread) {
        if (!atomic_load(&lister->spool->has_ended)) {
            channel_interrupt(lister->list.channel);
        }
        (void)pthread_join(lister->thread, NULL);
        lister->has_thread = false;
    }
    return lister->status;
}
