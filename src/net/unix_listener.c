#include "net/unix_listener.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const char *path, const char *why, const char *remedy, char error[LISTENER_ERROR_SIZE])
{
    (void)snprintf(error, LISTENER_ERROR_SIZE, "cannot listen on the unix socket %.107s (%.40s): %s", path, why, remedy);
    return false;
}

static int make_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Whether somebody accepts connections there. What cannot be found out counts as yes. */
static bool is_live(const struct sockaddr_un *address)
{
    int probe = make_socket();
    if (probe < 0) {
        return true;
    }
    bool is_refused = connect(probe, (const struct sockaddr *)(const void *)address, sizeof(*address)) != 0 && errno == ECONNREFUSED;
    (void)close(probe);
    return !is_refused;
}

/* Makes sure that there is no file. */
static bool clear_path(const struct sockaddr_un *address, char error[LISTENER_ERROR_SIZE])
{
    struct stat file;
    if (lstat(address->sun_path, &file) != 0) {
        return true; /* binding says what is wrong, if anything is */
    }
    if (!S_ISSOCK(file.st_mode)) {
        return refuse(address->sun_path, "a file that is no socket", "choose another diglot.unixsocket", error);
    }
    if (is_live(address)) {
        return refuse(address->sun_path, "a server is there", "choose another diglot.unixsocket or stop that server", error);
    }
    if (unlink(address->sun_path) != 0) {
        return refuse(address->sun_path, strerror(errno), "remove the file that is left there", error);
    }
    return true;
}

/* Nobody can connect before listen, so nobody can before the permissions are set. False with errno set. */
static bool start_listening(int descriptor, const struct sockaddr_un *address, unsigned mode, struct stat *file)
{
    if (bind(descriptor, (const struct sockaddr *)(const void *)address, sizeof(*address)) != 0) {
        return false;
    }
    if (chmod(address->sun_path, mode) == 0 && lstat(address->sun_path, file) == 0 && listen(descriptor, SOMAXCONN) == 0) {
        return true;
    }
    int reason = errno;
    (void)unlink(address->sun_path);
    errno = reason;
    return false;
}

static bool open_socket(struct unix_listener *unix_listener, const struct sockaddr_un *address, unsigned mode)
{
    struct stat file;
    int descriptor = make_socket();
    if (descriptor < 0) {
        return false;
    }
    if (!start_listening(descriptor, address, mode, &file)) {
        int reason = errno;
        (void)close(descriptor);
        errno = reason;
        return false;
    }
    unix_listener->is_open = true;
    unix_listener->listener.descriptor = descriptor;
    unix_listener->device = file.st_dev;
    unix_listener->inode = file.st_ino;
    return true;
}

bool unix_listener_open(struct unix_listener *unix_listener, const char *path, unsigned mode, char error[LISTENER_ERROR_SIZE])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(unix_listener, 0, sizeof(*unix_listener));
    if (strlen(path) >= sizeof(address.sun_path)) {
        (void)snprintf(error, LISTENER_ERROR_SIZE, "diglot.unixsocket is too long for the path of a socket: use at most %zu bytes",
                       sizeof(address.sun_path) - 1);
        return false;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (!clear_path(&address, error)) {
        return false;
    }
    if (!open_socket(unix_listener, &address, mode)) {
        return refuse(path, strerror(errno), "name another diglot.unixsocket, where the server may write", error);
    }
    (void)snprintf(unix_listener->listener.address, LISTENER_ADDRESS_SIZE, "unix:%s", path);
    memcpy(unix_listener->path, address.sun_path, sizeof(unix_listener->path));
    error[0] = '\0';
    return true;
}

void unix_listener_remove_file(const struct unix_listener *unix_listener)
{
    struct stat file;
    if (unix_listener->is_open && lstat(unix_listener->path, &file) == 0 && file.st_dev == unix_listener->device
        && file.st_ino == unix_listener->inode) {
        (void)unlink(unix_listener->path);
    }
}

void unix_listener_close(struct unix_listener *unix_listener)
{
    if (!unix_listener->is_open) {
        return;
    }
    unix_listener_remove_file(unix_listener);
    /* A forked child of the engine may hold a duplicate, which would keep it accepting. */
    (void)shutdown(unix_listener->listener.descriptor, SHUT_RDWR);
    (void)close(unix_listener->listener.descriptor);
    unix_listener->is_open = false;
}
