/* Logins: a user and a password, checked by the engine's own AUTH, which also writes ACL LOG. Who fails must wait before the
 * next attempt (command/throttle.h). Main thread only. */
#ifndef DIGLOT_ENGINE_LOGIN_H
#define DIGLOT_ENGINE_LOGIN_H

#include "command/batch.h"
#include "command/throttle.h"
#include "engine/access.h"
#include "observe/counters.h"

struct login {
    struct access *access;
    struct counters *counters; /* of the main thread */
    struct throttle throttle;
    uint64_t logged_us;         /* when a failure was last written to the log */
    uint64_t unlogged_failures; /* since then */
};

void login_init(struct login *login, struct access *access, struct counters *counters);

/* Executes a login, which is the last message of its batch: on success the batch has its `granted`. Returns 0, or the time
 * (monotonic, microseconds) before which it may not be tried. */
uint64_t login_execute(struct login *login, struct batch *batch, struct message *message, uint64_t now_us);

#endif
