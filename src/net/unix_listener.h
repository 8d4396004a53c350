/* A listening unix socket and its file. Main thread. */
#ifndef DIGLOT_NET_UNIX_LISTENER_H
#define DIGLOT_NET_UNIX_LISTENER_H

#include "net/listener.h"

#include <sys/types.h>
#include <sys/un.h>

#define UNIX_PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

struct unix_listener {
    bool is_open;
    struct listener listener; /* address "unix:/path" */
    char path[UNIX_PATH_SIZE];
    dev_t device; /* whose file it is */
    ino_t inode;
};

/* Opens a non-blocking listening socket at `path`, with the permissions `mode` from the moment on that it accepts. A socket
 * file that nobody listens on any more is replaced. On failure opens none, and `error` says in one sentence what and how to
 * mend it. */
MUST_USE bool unix_listener_open(struct unix_listener *unix_listener, const char *path, unsigned mode,
                                 char error[LISTENER_ERROR_SIZE]);

/* Removes its file, unless that is another socket's meanwhile: nobody can connect any more. Harmless when it is not open. */
void unix_listener_remove_file(const struct unix_listener *unix_listener);

/* Removes its file and closes it. Harmless when it is not open. */
void unix_listener_close(struct unix_listener *unix_listener);

#endif
