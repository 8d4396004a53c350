/* What meta commands tell of an item's past: whether it has been read since it was stored (h), and when it was last used (l,
 * me). Redis keeps the one nowhere and the other only under some policies, so it is kept here, in a direct-mapped table of
 * fixed size that is made when the first meta request comes, and fed by all memcached reads and stores from then on. A key
 * whose place another has taken, or that was changed over RESP, is not known: no answer rather than a wrong one. Main
 * thread only. */
#ifndef DIGLOT_ITEM_HISTORY_H
#define DIGLOT_ITEM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_ENTRIES (1u << 16)

struct history_entry {
    uint64_t key_hash; /* 0: none */
    int64_t last_use;  /* bit 0: it was read since it was stored; above: seconds since the epoch */
};

/* All zero is a history that keeps nothing. */
struct history {
    struct history_entry *entries; /* NULL until it is begun */
};

/* From now on it keeps what it is told. False when it does already. */
bool history_begin(struct history *history);
void history_deinit(struct history *history);

/* False when the key is not known. `last_use`: in seconds since the epoch. */
bool history_find(const struct history *history, uint64_t key_hash, bool *was_read, int64_t *last_use);

/* The item was stored anew, or read. `now`: seconds since the epoch. */
void history_note_stored(struct history *history, uint64_t key_hash, int64_t now);
void history_note_read(struct history *history, uint64_t key_hash, int64_t now);

/* The item was changed by others, or all of them were. */
void history_forget(struct history *history, uint64_t key_hash);
void history_forget_all(struct history *history);

#endif
