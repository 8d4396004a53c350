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

/* An answer that takes longer, and more turns of the loop, will not come: whoever listens there is not the engine, or has no
 * room for us. */
#define ANSWER_US 200000u
#define ANSWER_LOOKS 10
/* So long the connection is not tried again. */
#define AVOIDED_US 10000000u
/* How far above the limit a turn's writes may go. A turn is bounded in time, so in a large memory they go by far less. */
#define SLACK 0.004f
/* So many askings that evict nothing, or after which memory is no less than before, tell that it cannot be helped … */
#define FRUITLESS_MOST 3
#define ASKED_MOST 1000
/* … for so long: then it is tried again. */
#define FAILURE_HOLDS_US 100000u

void reclaimer_init(struct reclaimer *reclaimer)
{
    *reclaimer = (struct reclaimer){.descriptor = -1};
}

static void avoid_socket(struct reclaimer *reclaimer)
{
    reclaimer->avoids_until_us = clock_monotonic_us() + AVOIDED_US;
    reclaimer_deinit(reclaimer);
}

/* The loop's callback: an answer has come, or the end. An idle connection may be closed by the engine's timeout; one that
 * is closed or refused in answer to a RESET would be so again, and one that never came to stand as well. */
static void on_answer(int descriptor, void *user_data, int mask)
{
    (void)mask;
    struct reclaimer *reclaimer = user_data;
    char answer[256];
    ssize_t size = recv(descriptor, answer, sizeof answer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    bool is_idle = !reclaimer->is_waiting && reclaimer->has_answered;
    reclaimer->is_waiting = false;
    if (size > 0 && answer[0] == '+')
        reclaimer->has_answered = true;
    else if (is_idle)
        reclaimer_deinit(reclaimer);
    else
        avoid_socket(reclaimer);
}

void reclaimer_deinit(struct reclaimer *reclaimer)
{
    reclaimer->is_waiting = false;
    if (reclaimer->descriptor < 0) return;
    api.EventLoopDel(reclaimer->descriptor, API_LOOP_READABLE);
    (void)shutdown(reclaimer->descriptor, SHUT_RDWR); /* a child that writes a snapshot may hold it, too */
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
    reclaimer->is_waiting = reclaimer->has_answered = false;
    return true;
}

static bool connect_to_unix_socket(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    read_option(ctx, "unixsocket", address.sun_path, sizeof address.sun_path);
    return address.sun_path[0] && try_connect(reclaimer, (struct sockaddr *)&address, sizeof address);
}

/* One address of the engine's option bind, which may begin with a dash. What is no address here, such as a name or any (*), is
 * reached over loopback. */
static bool connect_to_address(struct reclaimer *reclaimer, const char *text, uint16_t port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (*text == '-') text++;
    if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr))
        return try_connect(reclaimer, (struct sockaddr *)&six, sizeof six);
    if (inet_pton(AF_INET, text, &four.sin_addr) != 1 || four.sin_addr.s_addr == htonl(INADDR_ANY))
        four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return try_connect(reclaimer, (struct sockaddr *)&four, sizeof four);
}

/* Where CONFIG is renamed, as hosts of many servers do it, INFO still tells the port. */
static uint16_t engine_port(RedisModuleCtx *ctx)
{
    int error = API_OK;
    RedisModuleServerInfoData *info = api.GetServerInfo(ctx, "server");
    unsigned long long port = api.ServerInfoGetFieldUnsigned(info, "tcp_port", &error);
    api.FreeServerInfo(ctx, info);
    return error == API_OK && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* Loopback first, as a server may be guarded against other places; then where it is bound. */
static bool connect_to_port(struct reclaimer *reclaimer, RedisModuleCtx *ctx)
{
    uint16_t port = engine_port(ctx);
    if (port == 0) return false;
    if (connect_to_address(reclaimer, "127.0.0.1", port)) return true;
    char addresses[1024], *rest = addresses;
    read_option(ctx, "bind", addresses, sizeof addresses);
    for (char *address = strsep(&rest, " "); address; address = strsep(&rest, " "))
        if (*address && connect_to_address(reclaimer, address, port)) return true;
    return false;
}

/* A new connection's first bytes may have to wait until it stands: the next asking sends them. */
static void send_reset(struct reclaimer *reclaimer)
{
    static const char reset[] = "RESET\r\n";
    ssize_t size = send(reclaimer->descriptor, reset, sizeof reset - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size == (ssize_t)(sizeof reset - 1)) {
        reclaimer->is_waiting = true;
    } else if (size >= 0 || (errno != EAGAIN && errno != ENOTCONN)) {
        avoid_socket(reclaimer);
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

static void ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx, uint64_t now_us)
{
    bool avoids_socket = now_us < reclaimer->avoids_until_us;
    if (!avoids_socket && reclaimer->descriptor < 0 && !connect_to_unix_socket(reclaimer, ctx) &&
        !connect_to_port(reclaimer, ctx))
        avoid_socket(reclaimer);
    if (reclaimer->descriptor >= 0) send_reset(reclaimer);
    if (reclaimer->descriptor < 0) toggle_maxmemory(ctx);
}

/* An answer that does not come is not waited for twice. The engine may be kept from its loop, so time alone tells nothing. */
static bool is_under_way(struct reclaimer *reclaimer, uint64_t now_us)
{
    if (!reclaimer->is_waiting) return false;
    if (now_us - reclaimer->asked_us < ANSWER_US || ++reclaimer->looks < ANSWER_LOOKS) return true;
    avoid_socket(reclaimer);
    return false;
}

void reclaimer_note_eviction(struct reclaimer *reclaimer)
{
    reclaimer->evicted++;
}

float reclaimer_ceiling(const struct reclaimer *reclaimer, float ratio)
{
    if (!reclaimer->helps) return 1.0f;
    if (ratio <= 1.0f) return 1.0f + SLACK;
    float freed = (reclaimer->ratio_before - ratio) / 2;
    return freed <= 0.0f ? 1.0f : ratio + (freed < SLACK ? freed : SLACK);
}

/* Memory alone does not tell, nor do evictions: what the engine evicts may be a ledger, which comes back to say that it was
 * lost. */
static bool is_hopeless(struct reclaimer *reclaimer, float ratio)
{
    bool was_asked = reclaimer->asked > 0;
    if (was_asked) reclaimer->helps = reclaimer->evicted != reclaimer->evicted_before;
    reclaimer->fruitless = was_asked && !reclaimer->helps ? reclaimer->fruitless + 1 : 0;
    if (was_asked && ratio < reclaimer->least_ratio) reclaimer->asked = 1;
    if (!was_asked || ratio < reclaimer->least_ratio) reclaimer->least_ratio = ratio;
    return reclaimer->fruitless >= FRUITLESS_MOST || reclaimer->asked >= ASKED_MOST;
}

enum reclaimer_verdict reclaimer_ask(struct reclaimer *reclaimer, RedisModuleCtx *ctx, float ratio)
{
    uint64_t now_us = clock_monotonic_us();
    if (is_under_way(reclaimer, now_us)) return RECLAIMER_WORKS;
    if (reclaimer->failed_us != 0 && now_us - reclaimer->failed_us < FAILURE_HOLDS_US) return RECLAIMER_FAILS;
    if (is_hopeless(reclaimer, ratio)) {
        reclaimer_rest(reclaimer);
        reclaimer->helps = false;
        reclaimer->failed_us = now_us;
        return RECLAIMER_FAILS;
    }
    reclaimer->evicted_before = reclaimer->evicted;
    reclaimer->ratio_before = ratio;
    reclaimer->asked++;
    reclaimer->asked_us = now_us;
    reclaimer->looks = 0;
    ask(reclaimer, ctx, now_us);
    return RECLAIMER_WORKS;
}

void reclaimer_rest(struct reclaimer *reclaimer)
{
    if (reclaimer->asked > 0) reclaimer->helps = reclaimer->evicted != reclaimer->evicted_before;
    reclaimer->asked = 0;
    reclaimer->fruitless = 0;
    reclaimer->failed_us = 0;
}
