"""Old servers that are slow, dead or mad: clients get plain misses, and never wait long."""
import os
import signal
import threading

import pytest

from lib import servers
from lib.old_server import OldServer
from lib.tls import Authority
from lib.waiting import wait_until


def test_a_dead_server_is_a_miss_and_comes_back(bridge, old_server):
    port = servers.free_port()
    new = bridge(upstream_timeout=20000)
    new.configure(upstream=f"127.0.0.1:{port}")
    with new.connect() as client:
        for i in range(5):
            assert client.fetch(f"get k{i} l{i}") == {}
        assert client.store("add", "added", b"v") == b"STORED"
        assert client.ask(b"delete deleted") == b"NOT_FOUND"
        wait_until(lambda: new.count("upstream_unasked") > 0 or client.fetch("get more") is None, "the breaker to open")
        state = new.state()
        assert "state=down" in state["server_0"] and state["upstream_hits"] == "0"
        old = old_server(port=port)
        old.items = {b"k": (b"v", 0, -1), b"added": (b"old", 0, -1), b"deleted": (b"old", 0, -1)}
        wait_until(lambda: client.get("k") == (b"v", 0), "the server to be asked again")
        assert client.fetch("get added deleted") == {b"added": (b"v", 0, None)}  # what happened meanwhile counts
        assert "state=ready" in new.state()["server_0"]


def test_a_silent_server_costs_the_timeout_and_then_nothing(bridge, old_server):
    old, good = old_server(), old_server()
    old.is_silent = True
    good.items = {b"k:%d" % i: (b"v", 0, -1) for i in range(50)}
    new = bridge(old, good, upstream_timeout=200, upstream_distribution="modula")
    with new.connect() as client:
        keys = " ".join(f"k:{i}" for i in range(50))
        found = wait_until(lambda: client.fetch("get " + keys), "the other server's keys")
        assert 0 < len(found) < 50
        for _ in range(20):
            assert len(client.fetch("get " + keys)) >= len(found)
        state = new.state()
        assert int(state["upstream_timeouts"]) > 0 and int(state["upstream_unasked"]) > 0
        # The good one may have been late as well.
        wait_until(lambda: [name in new.state()[server] for server, name in (("server_0", "state=down"), ("server_1", "state=ready"))] ==
                   [True, True], "each to be known for what it is")


def test_a_server_that_stops_in_the_middle(bridge, old_server):
    old = old_server()
    old.items = {b"k": (b"v", 0, -1)}
    new = bridge(old, upstream_timeout=100)
    with new.connect() as client:
        old.hold()
        assert client.get("k") is None  # in time
        assert client.ask(b"delete k") == b"NOT_FOUND"
        old.release()
        wait_until(lambda: "state=ready" in new.state()["server_0"] or client.get("other"), "the server to be asked again")
        assert client.get("k") is None  # a delete that could not be told is not forgotten


@pytest.mark.parametrize("garbage", [True, False], ids=["garbage", "hangs_up"])
def test_a_mad_server(bridge, old_server, garbage):
    old = old_server()
    new = bridge(old)
    with new.connect() as client:
        old.answers_garbage = garbage
        old.hold()
        client.send(b"get a\r\n")
        old.wait_asked(1)
        if not garbage:
            old.drop_connections()
        old.release()
        assert client.read_line() == b"END"
        old.answers_garbage = False
        old.items = {b"b": (b"v", 0, -1)}
        wait_until(lambda: client.get("b") == (b"v", 0), "another connection")


def test_a_frozen_memcached_under_load(bridge, old_memcached):
    old = old_memcached()
    with old.connect() as client:
        for i in range(100):
            client.set(f"k:{i}", b"v")
    new = bridge(old, upstream_timeout=50)
    answers = []

    def read(number):
        with new.connect() as client:
            for i in range(100):
                answers.append(client.get(f"k:{(i + number) % 100}"))
    with new.connect() as client:
        wait_until(lambda: client.get("k:0") == (b"v", 0), "the first answer")
    os.kill(old.pid, signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.kill(old.pid, signal.SIGCONT)
    assert len(answers) == 400 and set(answers) == {(b"v", 0), None}
    with new.connect() as client:
        wait_until(lambda: client.get("k:99") == (b"v", 0), "the server to be asked again")


def test_shutdown_while_clients_wait(bridge, old_server):
    old = old_server()
    old.hold()
    new = bridge(old, upstream_timeout=20000)
    with new.connect() as client:
        client.send(b"get k\r\n")
        old.wait_asked(1)
        new.configure(upstream_mirror="yes")
        new.stop()
    old.release()


def test_unloading_and_another_list_while_clients_wait(bridge, old_server):
    old, other = old_server(), old_server()
    other.items = {b"l": (b"v", 0, -1)}
    old.hold()
    new = bridge(old, upstream_timeout=20000)
    with new.connect() as client:
        client.send(b"get k\r\n")
        old.wait_asked(1)
        new.configure(upstream=f"127.0.0.1:{other.port}")
        assert client.read_line() == b"END"
        assert client.get("l") == (b"v", 0)
        other.hold()
        client.send(b"get k\r\n")
        other.wait_asked(2)
        new.resp().module_unload("diglot")
    old.release()


@pytest.fixture
def start_tls_memcached(start_as, authority):
    class TlsMemcached(servers.Memcached):
        def __init__(self, program):
            cert, key = authority.issue(f"old-{servers.free_port()}")
            super().__init__([*program, "-Z", "-o", f"ssl_chain_cert={cert},ssl_key={key}"])

        def connect(self, **options):
            from lib.tls import TlsConnection
            return TlsConnection(self.memcached_port, authority.context(), **options)
    return lambda program: start_as(TlsMemcached, program)


@pytest.fixture
def tls_memcached(start_tls_memcached):
    return start_tls_memcached(servers.newest_memcached())


def test_many_requests_to_a_server_that_forgets_half_of_a_record(bridge, start_tls_memcached, authority):
    """memcached 1.6.18 does not answer the last of them unless each record begins with a request."""
    old = start_tls_memcached(["memcached"])
    new = bridge(upstream_tls="yes", upstream_tls_ca_cert_file=authority.file, upstream_mirror="yes")
    new.configure(upstream=f"localhost:{old.memcached_port}")
    with new.connect() as client:
        for size in (300, 1500, 3000, 20_000):
            client.talk(b"".join(b"set k:%d:%d 0 0 %d\r\n%s\r\n" % (size, n, size, b"x" * size) for n in range(60)))
            new.wait_mirrored()
        assert new.count("mirror_retried") == 0
        new.configure(upstream_share=0)
        for size in (300, 1500, 3000, 20_000):
            answers = client.talk(b"".join(b"append k:%d:%d 0 0 %d\r\n%s\r\n" % (size, n, size, b"y" * size) for n in range(60)))
            assert answers == b"STORED\r\n" * 60
    assert new.count("upstream_timeouts") == 0


def test_tls(bridge, tls_memcached, authority, tmp_path):
    with tls_memcached.connect() as client:
        client.set("k", b"v" * 100_000, flags=3)
    new = bridge(upstream_tls="yes", upstream_tls_ca_cert_file=authority.file, upstream_mirror="yes")
    new.configure(upstream=f"localhost:{tls_memcached.memcached_port}")
    with new.connect() as client:
        assert client.get("k") == (b"v" * 100_000, 3)
        client.set("l", b"w" * 200_000, flags=4)
        new.wait_mirrored()
        with tls_memcached.connect() as old:
            assert old.get("l") == (b"w" * 200_000, 4)
            old.set("m", b"v")
        # Another authority's certificate, or another name's, is not trusted.
        new.configure(upstream_tls_ca_cert_file=Authority(str(tmp_path), "stranger").file)
        assert client.get("m") is None
        new.configure(upstream_tls_ca_cert_file=authority.file, upstream=f"127.1:{tls_memcached.memcached_port}")
        assert client.get("m") is None
        new.configure(upstream=f"localhost:{tls_memcached.memcached_port}")
        assert client.get("m") == (b"v", 0)


def test_a_name_that_nobody_knows(bridge):
    new = bridge()
    new.configure(upstream="no-such-host.invalid:11211")
    with new.connect() as client:
        assert client.get("k") is None
        client.set("k", b"v")
        assert client.get("k") == (b"v", 0)


def test_old_servers_in_the_tests_hands_close(old_server):
    server = OldServer()
    server.close()
    assert old_server().port != server.port
