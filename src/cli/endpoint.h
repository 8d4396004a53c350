/* HOST:PORT. Pure. */
#ifndef DIGLOT_CLI_ENDPOINT_H
#define DIGLOT_CLI_ENDPOINT_H

#include <stdbool.h>

#define ENDPOINT_NAME_SIZE 288

struct endpoint {
    char host[256]; /* a name or an address, without brackets */
    char port[6];
    char name[ENDPOINT_NAME_SIZE]; /* as it is told: HOST:PORT, [HOST]:PORT where the host has colons */
};

/* HOST, HOST:PORT, [IPV6]:PORT or an IPv6 address alone; false when the text is none of these. */
bool endpoint_parse(const char *text, const char *default_port, struct endpoint *endpoint);

#endif
