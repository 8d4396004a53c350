#include "engine/reclaimer.h"

#include "base/clock.h"
#include "base/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* An answer that takes longer will not come: whoever listens there is not the engine, or has no room for us. */
#define ANSWER_US 200000u
/* So many askings that evict nothing, or do not get below the limit, tell that it cannot be helped … */
#define FRUITLESS_MOST 3
#define ASKED_MOST 1000
/* … for so long: then it is tried again. */
#define FAILURE_HOLDS_US 100000u

void reclaimer_init(struct reclaimer *reclaimer)
{
    *reclaimer = (struct reclaimer){.descriptor = -1};
}

/* The loop's callback: an answer has come, or the end. An idle connection may be closed by the engine's timeout; one that
 * is closed or refused in answer to a RESET would be so again. */
static void on_answer(int descriptor, void *user_data, int mask)
{
    (void)mask;
    struct reclaimer *reclaimer = user_data;
    char answer[256];
    ssize_t size = recv(descriptor, answer, sizeof answer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    bool was_waiting = reclaimer->is_waiting;
    reclaimer->is_waiting = false;
    if (size > 0 && answer[0] == '+') return;
    reclaimer->avoids_socket = was_waiting;
    reclaimer_deinit(reclaimer);
}

void reclaimer_deinit(struct reclaimer *reclaimer)
{
    reclaimer->is_waiting = false;
    if (reclaimer->descriptor < 0) return;
    api.EventLoopDel(reclaimer->descriptor, API_LOOP_READABLE);
    close(reclaimer->descriptor);
    reclaimer->descriptor = -1;
}

/* Copies the value of an engine option, terminated; empty when there is none or it is too long. */
static void read_option(RedisModuleCtx *ctx, const char *name, char *value, size_t room)
{
    value[0] = '\0';
    RedisModuleCallReply *reply = api.Call(ctx, "CONFIG", "cc", "GET", name);
    if (!reply) return;
    RedisModuleCallReply *element = api.CallReplyArrayElement(reply, 1);
    size_t size = 0;
    const char *text = element ? api.CallReplyStringPtr(element, &size) : NULL;
    if (text && size < room) {
        memcpy(value, text, size);
        value[size] = '\0';
    }
    api.FreeCallReply(reply);
}

static bool try_connect(struct reclaimer *reclaimer, const struct sockaddr *address, socklen_t size)
{
    int descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return false;
    bool is_connected = connect(descriptor, address, size) == 0 || errno == EINPROGRESS;
    if (!is_connected || api.EventLoopAdd(descriptor, API_LOOP_READABLE, on_answer, reclaimer) != API_OK) {
        close(descriptor);
        return false;
    }
    reclaimer->descriptor = descriptor;
    reclaimer->is_waiting = false;
    return true;
}

static bool connect_to_unix_socket(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    read_option(ctx, "unixsocket", address.sun_path, sizeof address.sun_path);
    return address.sun_path[0] && try_connect(reclaimer, (struct sockaddr *)&address, sizeof address);
}

static bool connect_to_port(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    char text[16];
    uint32_t port;
    read_option(ctx, "port", text, sizeof text);
    if (!number_parse_u32(span_of(text, strlen(text)), &port) || port == 0) return false;

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return try_connect(reclaimer, (struct sockaddr *)&address, sizeof address);
}

/* A new connection's first bytes may have to wait until it stands: the next asking sends them. */
static void send_reset(struct reclaimer *reclaimer)
{
    static const char reset[] = "RESET\r\n";
    ssize_t size = send(reclaimer->descriptor, reset, sizeof reset - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size == (ssize_t)(sizeof reset - 1)) {
        reclaimer->is_waiting = true;
    } else if (size >= 0 || (errno != EAGAIN && errno != ENOTCONN)) {
        reclaimer->avoids_socket = true;
        reclaimer_deinit(reclaimer);
    }
}

/* Any change of maxmemory makes the engine evict at once. */
static void toggle_maxmemory(RedisModuleCtx *ctx)
{
    char text[32], less[32];
    uint64_t bytes;
    read_option(ctx, "maxmemory", text, sizeof text);
    if (!number_parse_u64(span_of(text, strlen(text)), &bytes) || bytes < 2) return;
    snprintf(less, sizeof less, "%llu", (unsigned long long)(bytes - 1));
    const char *values[] = {less, text};
    for (size_t i = 0; i < 2; i++) {
        RedisModuleCallReply *reply = api.Call(ctx, "CONFIG", "ccc", "SET", "maxmemory", values[i]);
        if (reply) api.FreeCallReply(reply);
    }
}

static void ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    if (reclaimer->descriptor < 0 && !reclaimer->avoids_socket)
        reclaimer->avoids_socket = !connect_to_unix_socket(reclaimer, ctx) && !connect_to_port(reclaimer, ctx);
    if (!reclaimer->avoids_socket) send_reset(reclaimer);
    if (reclaimer->avoids_socket) toggle_maxmemory(ctx);
}

/* An answer that does not come is not waited for twice. */
static bool is_under_way(struct reclaimer *reclaimer, uint64_t now_us)
{
    if (!reclaimer->is_waiting) return false;
    if (now_us - reclaimer->asked_us < ANSWER_US) return true;
    reclaimer->avoids_socket = true;
    reclaimer_deinit(reclaimer);
    return false;
}

static uint64_t evicted_keys(RedisModuleCtx *ctx)
{
    int error = API_OK;
    RedisModuleServerInfoData *info = api.GetServerInfo(ctx, "stats");
    uint64_t evicted = api.ServerInfoGetFieldUnsigned(info, "evicted_keys", &error);
    api.FreeServerInfo(ctx, info);
    return error == API_OK ? evicted : 0;
}

/* Memory alone does not tell: what the engine evicts may be a ledger, which comes back to say that it was lost. */
static bool is_hopeless(struct reclaimer *reclaimer, uint64_t evicted)
{
    bool was_fruitless = reclaimer->asked > 0 && evicted == reclaimer->evicted;
    reclaimer->fruitless = was_fruitless ? reclaimer->fruitless + 1 : 0;
    return reclaimer->fruitless >= FRUITLESS_MOST || reclaimer->asked >= ASKED_MOST;
}

enum reclaimer_verdict reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    uint64_t now_us = clock_monotonic_us();
    if (is_under_way(reclaimer, now_us)) return RECLAIMER_WORKS;
    if (reclaimer->failed_us != 0 && now_us - reclaimer->failed_us < FAILURE_HOLDS_US) return RECLAIMER_FAILS;
    uint64_t evicted = evicted_keys(ctx);
    if (is_hopeless(reclaimer, evicted)) {
        reclaimer_rest(reclaimer);
        reclaimer->failed_us = now_us;
        return RECLAIMER_FAILS;
    }
    reclaimer->evicted = evicted;
    reclaimer->asked++;
    reclaimer->asked_us = now_us;
    ask(reclaimer, ctx);
    return RECLAIMER_WORKS;
}

void reclaimer_rest(struct reclaimer *reclaimer)
{
    reclaimer->asked = 0;
    reclaimer->fruitless = 0;
    reclaimer->failed_us = 0;
}
