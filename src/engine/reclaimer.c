#include "engine/reclaimer.h"

#include "base/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void reclaimer_init(struct reclaimer *reclaimer)
{
    *reclaimer = (struct reclaimer){.descriptor = -1};
}

void reclaimer_deinit(struct reclaimer *reclaimer)
{
    if (reclaimer->descriptor >= 0) close(reclaimer->descriptor);
    reclaimer->descriptor = -1;
    reclaimer->is_waiting = false;
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
    if (connect(descriptor, address, size) != 0 && errno != EINPROGRESS) {
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

    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (try_connect(reclaimer, (struct sockaddr *)&v4, sizeof v4)) return true;
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    return try_connect(reclaimer, (struct sockaddr *)&v6, sizeof v6);
}

/* Reads what has come; the answer to a RESET is one line. Closes a connection that has ended. */
static void take_answer(struct reclaimer *reclaimer)
{
    char answer[256];
    ssize_t size = recv(reclaimer->descriptor, answer, sizeof answer, MSG_DONTWAIT);
    if (size > 0)
        reclaimer->is_waiting = false;
    else if (size == 0 || (errno != EAGAIN && errno != ENOTCONN))
        reclaimer_deinit(reclaimer);
}

static void send_reset(struct reclaimer *reclaimer)
{
    static const char reset[] = "RESET\r\n";
    ssize_t size = send(reclaimer->descriptor, reset, sizeof reset - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size == (ssize_t)(sizeof reset - 1))
        reclaimer->is_waiting = true;
    else if (size >= 0 || (errno != EAGAIN && errno != ENOTCONN))
        reclaimer_deinit(reclaimer);
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

void reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    if (reclaimer->descriptor >= 0) take_answer(reclaimer);
    if (reclaimer->descriptor < 0 && !connect_to_unix_socket(reclaimer, ctx) && !connect_to_port(reclaimer, ctx)) {
        toggle_maxmemory(ctx);
        return;
    }
    if (!reclaimer->is_waiting) send_reset(reclaimer);
}
