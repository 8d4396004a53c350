/* A model of what memcached and RESP clients may see, and random changes made to it and to a world side by side.
 *
 * The model knows each key's value, expiry and flags, and which flags may have been lost: those of a slot whose ledger string
 * was lost since they were written, those carried from such a key, and those that changed while nothing could be written. It
 * holds the world to the laws: a hit has exactly the model's value and flags; a miss of a key that is there is allowed only
 * where its flags may be lost; only such keys are ever swept; a cas succeeds only when its key's content did not change
 * since its token was given out or chosen; meta's readers are told exactly the marks that the item has. A breach is a failed CHECK. */
#ifndef DIGLOT_TESTS_FAKE_MODEL_H
#define DIGLOT_TESTS_FAKE_MODEL_H

#include "fake/world.h"

/* Names that share three slots, so that losses and moves meet. */
#define MODEL_NAMES 12
#define MODEL_SLOTS 3
#define MODEL_VALUE_MAX 32

struct model_item {
    enum keyspace_kind kind; /* whether it has expired is to be asked for */
    int64_t expiry;
    uint32_t flags;
    bool is_stale;
    bool is_won; /* a client was told to refresh it */
    size_t size;
    char value[MODEL_VALUE_MAX];
    bool may_be_lost;  /* a miss is allowed, and that the sweep removes it */
    bool is_unsettled; /* an event left something to be done for it */
    bool is_carried;   /* and that depends on another key's flags */
    uint64_t content;  /* changes with every change of the content */
    uint64_t token;    /* the latest one given out, and … */
    uint64_t token_content; /* … for which content */
};

struct model {
    struct world *world;
    struct model_item items[FAKE_DATABASES][MODEL_NAMES];
    bool was_lost[HASH_SLOTS]; /* a slot's ledger, in any database, at any time */
    bool is_writable;
    bool traces; /* prints what each step does */
    uint64_t contents; /* the newest content */
    const uint8_t *input; /* where decisions come from; then zeros */
    size_t input_size;
    uint64_t chosen; /* the latest token that a client chose */
    uint64_t hits, misses_allowed, cas_stored, swept, won; /* so that tests can see that they tested something */
};

/* The world must be new or reset. */
void model_init(struct model *model, struct world *world);

/* Makes steps until the input is used up. */
void model_run(struct model *model, const uint8_t *input, size_t input_size);

/* Compares everything. */
void model_check(struct model *model);

#endif
