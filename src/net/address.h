/* Socket addresses as memcached writes them: "tcp:127.0.0.1:11211", "tcp6:[::1]:11211", "unix:/path". Pure. */
#ifndef DIGLOT_NET_ADDRESS_H
#define DIGLOT_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/* Writes the terminated text, cut to `size` bytes, which must not be 0. `length` is what the kernel said. */
void address_format(const struct sockaddr_storage *address, socklen_t length, char *text, size_t size);

#endif
