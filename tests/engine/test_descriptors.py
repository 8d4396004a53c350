"""Memcached connections must not take the file descriptors that the engine's event loop keeps for Redis clients."""
import resource

import pytest

from lib.kernel import children_of, holds_listener
from lib.tls import TlsEngine
from lib.unix import UnixConnection
from lib.waiting import wait_until


@pytest.mark.parametrize("io_threads", [0, 4])
def test_many_memcached_connections_leave_room_for_redis_clients(start, io_threads):
    server = start(io_threads=io_threads, maxconns=1000, config={"maxclients": 50})
    clients = [server.connect() for _ in range(400)]
    try:
        for client in clients:
            assert client.talk(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
        redis = [server.resp() for _ in range(20)]
        for connection in redis:
            assert connection.get("k") == b"x"
    finally:
        for client in clients:
            client.close()


def test_a_raised_maxconns_raises_the_limit_of_open_files(start):
    server = start(maxconns=100, config={"maxclients": 50})
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (500, hard))
    server.resp().config_set("diglot.maxconns", 1000)
    soft, _ = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    assert soft >= 50 + 1000


@pytest.mark.parametrize("io_threads", [0, 4])
def test_without_descriptors_left_memcached_connections_are_refused_and_redis_clients_are_not(start, io_threads):
    server = start(io_threads=io_threads, maxconns=1000, config={"maxclients": 50})
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (300, 300))
    clients = [server.connect() for _ in range(400)]
    refused = [client for client in clients[350:] if client.read_line() == b"ERROR Too many open connections"]
    assert len(refused) == 50
    assert server.resp().ping()
    assert clients[0].ask(b"version").startswith(b"VERSION ")
    for client in clients:
        client.close()


def test_a_killed_servers_snapshot_child_does_not_hold_the_doors(start_as, authority):
    server = start_as(TlsEngine, authority, unixsocket="door")
    redis = server.resp()
    redis.config_set("rdb-key-save-delay", 1000000)  # the child lives until it sees that its parent is gone
    redis.mset({f"k{i}": "x" for i in range(100)})
    redis.bgsave()
    path = f"{server.directory}/door"
    with UnixConnection(path) as client:  # the child has not removed the file
        assert client.get("nothing") is None
    [child] = children_of(server.pid)
    wait_until(lambda: not holds_listener(child, server.memcached_port), "the child to close the doors")
    server.kill()
    server.restart()
    with server.connect_in_clear() as clear, UnixConnection(path) as client:
        assert clear.get("nothing") is None and client.get("nothing") is None
    with server.connect() as client:
        assert client.talk(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
