#include "cli/endpoint.h"

#include "base/number.h"

#include <stdio.h>

static bool take_host(struct span host, struct endpoint *endpoint)
{
    if (host.size == 0 || host.size >= sizeof endpoint->host) {
        return false;
    }
    memcpy(endpoint->host, host.data, host.size);
    endpoint->host[host.size] = '\0';
    return true;
}

static bool take_port(struct span port, struct endpoint *endpoint)
{
    uint32_t number;
    if (!number_parse_strict_u32(port, &number) || number == 0 || number > UINT16_MAX) {
        return false;
    }
    (void)snprintf(endpoint->port, sizeof endpoint->port, "%u", (unsigned)number);
    return true;
}

/* The host, and what stands behind it: nothing, or ":PORT". */
static bool split(const char *text, struct span *host, const char **rest)
{
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        *host = end ? span_of(text + 1, (size_t)(end - text - 1)) : SPAN("");
        *rest = end ? end + 1 : text;
        return end != NULL;
    }
    const char *colon = strchr(text, ':');
    bool is_bare_ipv6 = colon && strchr(colon + 1, ':');
    *rest = colon && !is_bare_ipv6 ? colon : text + strlen(text);
    *host = span_of(text, (size_t)(*rest - text));
    return true;
}

bool endpoint_parse(const char *text, const char *default_port, struct endpoint *endpoint)
{
    struct span host;
    const char *rest;
    if (!split(text, &host, &rest) || !take_host(host, endpoint) || (rest[0] != '\0' && rest[0] != ':')) {
        return false;
    }
    const char *port = rest[0] == ':' ? rest + 1 : default_port;
    if (!take_port(span_of(port, strlen(port)), endpoint)) {
        return false;
    }
    bool has_colons = strchr(endpoint->host, ':') != NULL;
    (void)snprintf(endpoint->name, sizeof endpoint->name, "%s%s%s:%s", has_colons ? "[" : "", endpoint->host,
                   has_colons ? "]" : "", endpoint->port);
    return true;
}
