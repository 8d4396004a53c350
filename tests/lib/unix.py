"""Connections to the memcached door through a unix socket."""
import os
import socket

from lib.servers import Engine
from lib.waiting import PATIENCE
from lib.wire import Connection


class UnixConnection(Connection):
    """A client connection."""

    def __init__(self, path, receive_buffer=None):
        self.socket = socket.socket(socket.AF_UNIX)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.pending = bytearray()


class UnixEngine(Engine):
    """An engine whose memcached clients come through a unix socket, and through nothing else unless a port is named."""

    def __init__(self, **options):
        self.path = options.get("unixsocket")
        super().__init__(**{"port": 0, "unixsocket": self.path or "memcached.sock", **options})

    def connect(self, **options):
        return UnixConnection(self.path or os.path.join(self.directory, "memcached.sock"), **options)
