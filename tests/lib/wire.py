"""memcached's classic text protocol, as bytes on a socket."""
import itertools
import re
import socket
import threading

from lib.kernel import input_size
from lib.waiting import PATIENCE

_VALUE = re.compile(rb"VALUE ([^ \n]+) (\d+) (\d+)(?: (\d+))?\r\n")
_barriers = itertools.count(1)


class Closed(Exception):
    """The server closed the connection; `received` is what came before."""

    def __init__(self, received):
        super().__init__(f"connection closed behind {received[-200:]!r}")
        self.received = received


class Connection:
    """One client connection. Everything that waits has a deadline."""

    def __init__(self, port, host="127.0.0.1", receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_in_background(self, data):
        """Sends from a thread of its own, for more data than fits before answers must be read. Join the thread."""
        def send():
            try:
                self.socket.sendall(data)
            except OSError:
                pass  # closed; the reading side tells
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        return thread

    def _receive(self):
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        except socket.timeout:
            raise AssertionError(f"no reply; received so far {bytes(self.pending[-200:])!r}") from None
        if not data:
            raise Closed(bytes(self.pending))
        self.pending += data

    def take_input(self):
        """Takes what has arrived off the kernel. Never waits."""
        while input_size(self.socket) > 0:
            self._receive()

    def _take(self, size):
        taken = bytes(self.pending[:size])
        del self.pending[:size]
        return taken

    def read_exactly(self, size):
        while len(self.pending) < size:
            self._receive()
        return self._take(size)

    def read_until(self, mark):
        """Everything up to and including `mark`."""
        start = 0
        while True:
            found = self.pending.find(mark, start)
            if found >= 0:
                return self._take(found + len(mark))
            start = max(0, len(self.pending) - len(mark) + 1)
            self._receive()

    def read_line(self):
        """One line, without its end."""
        return self.read_until(b"\r\n")[:-2]

    def ask(self, request):
        """Sends one request whose answer is one line; returns that line."""
        self.send(request + b"\r\n")
        return self.read_line()

    def talk(self, data):
        """Sends any number of whole requests; returns all that they were answered with. A barrier behind them (a key
        that holds a number never used before) tells where the answers end."""
        barrier = b"%08d" % next(_barriers)
        self.send(data + b"set barrier 0 0 8 noreply\r\n" + barrier + b"\r\nget barrier\r\n")
        mark = b"VALUE barrier 0 8\r\n" + barrier + b"\r\nEND\r\n"
        return self.read_until(mark)[: -len(mark)]

    def store(self, command, key, value, flags=0, exptime=0):
        """A storage command; returns the answer's line."""
        return self.ask(b"%s %s %d %d %d\r\n%s" % (_bytes(command), _bytes(key), flags, exptime, len(value), value))

    def set(self, key, value, flags=0, exptime=0):
        """A set that must succeed."""
        reply = self.store("set", key, value, flags, exptime)
        assert reply == b"STORED", (key, reply)

    def cas(self, key, value, token, flags=0, exptime=0):
        return self.ask(b"cas %s %d %d %d %d\r\n%s" % (_bytes(key), flags, exptime, len(value), token, value))

    def fetch(self, request):
        """Sends a get-like line; returns {key: (value, flags, cas or None)}."""
        self.send(_bytes(request) + b"\r\n")
        items = {}
        while True:
            line = self.read_until(b"\r\n")
            if line == b"END\r\n":
                return items
            match = _VALUE.fullmatch(line)
            assert match, f"answer to {request!r}: {line!r}"
            value = self.read_exactly(int(match[3]) + 2)
            assert value.endswith(b"\r\n"), (request, value[-20:])
            items[match[1]] = (value[:-2], int(match[2]), int(match[4]) if match[4] else None)

    def get(self, key):
        """(value, flags), or None for a miss."""
        item = self.fetch(b"get " + _bytes(key)).get(_bytes(key))
        return item[:2] if item else None

    def token(self, key):
        """The CAS token of a key that must be there."""
        return self.fetch(b"gets " + _bytes(key))[_bytes(key)][2]

    def stats(self, group=""):
        """A stats group as a dictionary of texts."""
        self.send(f"stats {group}".strip().encode() + b"\r\n")
        lines = self.read_until(b"END\r\n").decode().split("\r\n")[:-2]
        pairs = [line.split(" ", 2) for line in lines]
        assert all(pair[0] == "STAT" and len(pair) == 3 for pair in pairs), lines
        return {name: value for _, name, value in pairs}

    def read_to_close(self):
        """Everything until the server closes."""
        try:
            while True:
                self._receive()
        except Closed as closed:
            self.pending.clear()
            return closed.received

    def finish(self):
        """Says that nothing more comes, and returns everything until the server closes."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self.read_to_close()

    def has_input(self):
        """Whether anything unread has arrived. Never waits."""
        return bool(self.pending) or input_size(self.socket) > 0


def split_values(stream):
    """Cuts a reply stream into lines and values: yields (line, value, match of the VALUE line), the last two None for
    other lines. The last part may be a torn one."""
    position = 0
    while position < len(stream):
        end = stream.find(b"\r\n", position)
        end = len(stream) if end < 0 else end + 2
        line = stream[position:end]
        match = _VALUE.fullmatch(line)
        position = end
        if match:
            position = end + int(match[3]) + 2
        yield line, stream[end:position] if match else None, match


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()
