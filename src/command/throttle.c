#include "command/throttle.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <string.h>

#define IPV6_PREFIX_SIZE 8
#define IPV6_TEXT_MAX 64

/* The part of an IPv6 address that tells its owner, or the IPv4 address that it stands for. `text` is behind "tcp6:". */
static struct span ipv6_owner(const char *text, struct in6_addr *address)
{
    char numbers[IPV6_TEXT_MAX];
    const char *end = strchr(text, ']');
    if (text[0] != '[' || end == NULL || (size_t)(end - text) > sizeof numbers) return span_of(text, strlen(text));
    size_t size = (size_t)(end - text) - 1;
    memcpy(numbers, text + 1, size);
    numbers[size] = '\0';
    if (inet_pton(AF_INET6, numbers, address) != 1) return span_of(text, size);
    if (IN6_IS_ADDR_V4MAPPED(address)) return span_of(address->s6_addr + 12, 4);
    return span_of(address->s6_addr, IPV6_PREFIX_SIZE);
}

uint64_t throttle_source(const char *address)
{
    struct span text = span_of(address, strlen(address));
    const char *port = strrchr(address, ':');
    struct in6_addr ipv6;
    if (span_starts_with(text, SPAN("tcp6:"))) return hash_key(ipv6_owner(address + 5, &ipv6));
    if (span_starts_with(text, SPAN("tcp:")) && port) text.size = (size_t)(port - address);
    return hash_key(text);
}

uint64_t throttle_due(const struct throttle *throttle, uint64_t source, uint64_t now_us)
{
    for (size_t i = 0; i < THROTTLE_SOURCES; i++)
        if (throttle->places[i].source == source && throttle->places[i].due_us > now_us) return throttle->places[i].due_us;
    return 0;
}

void throttle_note_failure(struct throttle *throttle, uint64_t source, uint64_t now_us)
{
    size_t place = 0;
    for (size_t i = 0; i < THROTTLE_SOURCES; i++) {
        if (throttle->places[i].source == source) {
            place = i;
            break;
        }
        if (throttle->places[i].due_us < throttle->places[place].due_us) place = i;
    }
    throttle->places[place].source = source;
    throttle->places[place].due_us = now_us + THROTTLE_DELAY_US;
}
