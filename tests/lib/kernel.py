"""What the kernel knows of sockets and processes."""
import errno
import fcntl
import os
import socket
import struct
import termios

from lib.waiting import wait_until

# linux/sock_diag.h, linux/inet_diag.h, linux/netlink.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
ANY = 0xFFFFFFFF
HEADER = struct.Struct("=IHHII")
REQUEST = struct.Struct("=BBBBI")
SOCKET_ID = struct.Struct("!HH16s16s12s")
RECEIVE_QUEUE_AT = HEADER.size + 4 + SOCKET_ID.size + 4


def input_size(sock):
    """Bytes that the kernel holds for the reader of this socket."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]


def unread_size(sock):
    """Bytes that were sent on this socket and that the other process, on the same machine, has not read yet; 0 when that has
    closed its end."""
    try:
        (address, port), (own_address, own_port) = sock.getpeername(), sock.getsockname()
    except OSError:
        return 0
    cookie = struct.pack("=III", 0, ANY, ANY)
    request = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, ANY) \
        + SOCKET_ID.pack(port, own_port, socket.inet_aton(address), socket.inet_aton(own_address), cookie)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + request)
        answer = netlink.recv(4096)
    if HEADER.unpack_from(answer)[1] == SOCK_DIAG_BY_FAMILY:
        return struct.unpack_from("=I", answer, RECEIVE_QUEUE_AT)[0]
    error = -struct.unpack_from("=i", answer, HEADER.size)[0]
    if error == errno.ENOENT:  # there is no such socket any more
        return 0
    raise OSError(error, os.strerror(error))


def children_of(pid):
    """The processes that the first thread of a process has forked."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(word) for word in children.read().split()]


def holds_listener(pid, port):
    """Whether a process has a descriptor of the socket that listens on an IPv4 port."""
    with open("/proc/net/tcp") as sockets:
        rows = [line.split() for line in sockets][1:]
    listeners = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            if os.readlink(f"{folder}/{name}") in listeners:
                return True
        except FileNotFoundError:  # closed meanwhile
            pass
    return False


def wait_taken(sock):
    """Waits until the server has read everything that was sent: what is sent next comes to it by another read."""
    wait_until(lambda: unread_size(sock) == 0, "the server to read")
