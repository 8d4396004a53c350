/* What a session does with the near cache: answers reads from it, and keeps what the executed ones have found. Nobody but
 * session.c includes this. */
#ifndef DIGLOT_SESSION_ANSWERS_H
#define DIGLOT_SESSION_ANSWERS_H

#include "session/session.h"

/* Hashes the keys of a decoded batch, and begins to fetch what its reads need to be looked up; false where they cannot be. */
MUST_USE bool answers_prefetch(const struct session *session, struct batch *batch);

/* Goes on with that, for the first message. */
void answers_prefetch_entry(const struct session *session, const struct batch *batch);

/* Answers the reads that the cache has an answer for, if it still may, and notes which of the others are worth being kept. When
 * nothing is left to be executed, the batch is local from here on. */
void answers_find(struct session *session, struct batch *batch);

/* A message has been executed: keeps what it found, if that is wanted. */
void answers_keep(struct session *session, struct batch *batch, uint32_t index, struct span values);

#endif
