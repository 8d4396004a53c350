#include "engine/login.h"

#include <ctype.h>

#define LOG_INTERVAL_US 1000000u
#define USER_SHOWN_MAX 64

void login_init(struct login *login, struct access *access, struct counters *counters)
{
    *login = (struct login){.access = access, .counters = counters};
}

/* Checks and does nothing else: the client that AUTH is run for is one of the moment. */
static bool is_right(RedisModuleCtx *ctx, struct span user, struct span password)
{
    RedisModuleCallReply *reply = api.Call(ctx, "AUTH", "Ebb", user.data, user.size, password.data, password.size);
    if (!reply) return false;
    bool is_right = api.CallReplyType(reply) != API_REPLY_ERROR;
    api.FreeCallReply(reply);
    return is_right;
}

/* The user as the log may show it: no byte of it ends a line or drives a terminal. */
static void sanitize(struct span user, char text[USER_SHOWN_MAX + 1])
{
    size_t size = user.size < USER_SHOWN_MAX ? user.size : USER_SHOWN_MAX;
    for (size_t i = 0; i < size; i++) text[i] = isgraph((unsigned char)user.data[i]) ? user.data[i] : '?';
    text[size] = '\0';
}

static void log_failure(struct login *login, struct span user, const char *peer, uint64_t now_us)
{
    login->unlogged_failures++;
    if (login->logged_us != 0 && now_us - login->logged_us < LOG_INTERVAL_US) return;
    char text[USER_SHOWN_MAX + 1];
    sanitize(user, text);
    api.Log(login->access->ctx, "warning", "memcached login as '%s' from %s failed (failures since the last such line: %llu)",
            text, peer, (unsigned long long)login->unlogged_failures);
    login->logged_us = now_us;
    login->unlogged_failures = 0;
}

uint64_t login_execute(struct login *login, struct batch *batch, struct message *message, uint64_t now_us)
{
    const struct request *request = &message->request;
    const char *peer = batch->peer ? batch->peer : "";
    uint64_t source = throttle_source(peer);
    uint64_t due_us = throttle_due(&login->throttle, source, now_us);
    if (due_us > 0) return due_us;
    counter_add(login->counters, COUNTER_AUTH_CMDS, 1);
    if (is_right(login->access->ctx, request->key, request->value)) {
        message->result.status = RESULT_OK;
        batch->granted = access_admit(login->access, request->key);
        return 0;
    }
    message->result.status = RESULT_UNAUTHENTICATED;
    counter_add(login->counters, COUNTER_AUTH_ERRORS, 1);
    throttle_note_failure(&login->throttle, source, now_us);
    log_failure(login, request->key, peer, now_us);
    return 0;
}
