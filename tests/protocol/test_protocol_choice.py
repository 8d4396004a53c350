"""diglot.protocol: what new connections may speak. With ascii a binary request is a line that does not end; with binary a text
request closes the connection, because it does not begin with the magic byte."""
import socket

import pytest

from lib.binary import Frame

VERSION = 0x0B


def first_reply(server, request):
    """What comes first; empty where the connection is closed."""
    with socket.create_connection(("127.0.0.1", server.memcached_port), 10) as client:
        client.sendall(request)
        return client.recv(4096)


@pytest.mark.parametrize("choice, text, binary", [("auto", b"VERSION ", b"\x81"), ("ascii", b"VERSION ", b"ERROR\r\n"),
                                                  ("binary", b"", b"\x81")])
def test_new_connections_speak_what_is_chosen(start, choice, text, binary):
    server = start()
    old = server.connect()
    assert old.ask(b"version").startswith(b"VERSION ")
    assert server.resp().config_set("diglot.protocol", choice)
    assert first_reply(server, b"version\r\n")[:len(text) or 1] == text
    assert first_reply(server, Frame(VERSION).render() + b"\r\n")[:len(binary)] == binary
    assert old.ask(b"version").startswith(b"VERSION ")  # it has begun in text
