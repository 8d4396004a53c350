/* What a session does about logins. Nobody but session.c includes this. */
#ifndef DIGLOT_SESSION_LOGIN_H
#define DIGLOT_SESSION_LOGIN_H

#include "session/session.h"

/* Whether the client's bytes must be read as those of one that has to log in. Asked for every request: the door may be
 * locked, or opened, while a client is connected. */
static inline bool login_is_needed(const struct session *session)
{
    return session->identity == NULL && doorkeeper_asks_login(session->doorkeeper);
}

/* A login has been executed: the client is whom it has become by it. */
void login_settle(struct session *session, struct batch *batch);

/* Overwrites the memory of `input` that holds no bytes to be decoded, if there may be a password in it. */
void login_wipe(struct session *session, struct buffer *input);

#endif
