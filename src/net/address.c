#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static void format_ipv4(const struct sockaddr_storage *address, char *text, size_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    char host[INET_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
    (void)snprintf(text, size, "tcp:%s:%u", host, (unsigned)ntohs(in->sin_port));
}

static void format_ipv6(const struct sockaddr_storage *address, char *text, size_t size)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    char host[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
    (void)snprintf(text, size, "tcp6:[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
}

static void format_unix(const struct sockaddr_storage *address, socklen_t length, char *text, size_t size)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
    const size_t head_size = offsetof(struct sockaddr_un, sun_path);
    size_t path_size = length > head_size ? length - head_size : 0;
    if (path_size > sizeof(un->sun_path)) {
        path_size = sizeof(un->sun_path);
    }
    (void)snprintf(text, size, "unix:%.*s", (int)path_size, un->sun_path);
}

void address_format(const struct sockaddr_storage *address, socklen_t length, char *text, size_t size)
{
    switch (address->ss_family) {
    case AF_INET:
        format_ipv4(address, text, size);
        break;
    case AF_INET6:
        format_ipv6(address, text, size);
        break;
    case AF_UNIX:
        format_unix(address, length, text, size);
        break;
    default:
        (void)snprintf(text, size, "unknown");
    }
}
