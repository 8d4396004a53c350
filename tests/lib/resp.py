"""A bare RESP connection, for what a client library hides: pushes, WATCH on one connection, MONITOR."""
import socket

from lib.waiting import PATIENCE


class RespError(Exception):
    """An error that the engine answered with."""


class HungUp(AssertionError):
    """The engine closed the connection."""


class RespConnection:
    def __init__(self, port, protocol=2):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.stream = self.socket.makefile("rb")
        self.pushes = []
        if protocol == 3:
            self.call("HELLO", "3")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def call(self, *words):
        """One command; pushes that come first are kept in self.pushes."""
        self.send(*words)
        reply = self._read()
        while isinstance(reply, Push):
            self.pushes.append(reply)
            reply = self._read()
        if isinstance(reply, RespError):
            raise reply
        return reply

    def read_push(self):
        """The next push that has come or will come."""
        if self.pushes:
            return self.pushes.pop(0)
        reply = self._read()
        assert isinstance(reply, Push), reply
        return reply

    def _read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise HungUp(f"connection closed behind {line!r}")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text
        if kind == b"-":
            return RespError(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"_":
            return None
        if kind in b"$=":
            size = int(text)
            return None if size < 0 else self.stream.read(size + 2)[:-2]
        if kind == b"%":
            return {_hashable(self._read()): self._read() for _ in range(int(text))}
        if kind in b"*~>":
            size = int(text)
            items = None if size < 0 else [self._read() for _ in range(size)]
            return Push(items) if kind == b">" else items
        raise AssertionError(f"not RESP: {line!r}")


class Push(list):
    """An out-of-band message of RESP3."""


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value
