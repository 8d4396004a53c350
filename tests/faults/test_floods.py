"""Floods, and clients that hold on to what they have: the server lives, others are served in between, what was taken is bounded
and given back.

DIGLOT_FLOOD_CONNECTIONS is how many connections a flood has.
"""
import os
import threading

import pytest

from lib.servers import MIB, MemoryWatch
from lib.waiting import wait_until

CONNECTIONS = int(os.environ.get("DIGLOT_FLOOD_CONNECTIONS", "10000"))


def diglot_fact(redis, name):
    return int(redis.info("diglot_stats")[f"diglot_{name}"])


# --- others are served in between ---

@pytest.mark.parametrize("request_line", [b"get large\r\n", b"mg large v\r\n"])
def test_redis_clients_are_served_between_large_values(start, request_line):
    """All ask for a large value at once, while the engine sleeps; a Redis client sees how far it has come."""
    server = start(io_threads=0)
    clients = [server.connect() for _ in range(200)]
    clients[0].set("large", b"v" * 1_000_000)
    sleeper = threading.Thread(target=lambda: server.resp().execute_command("DEBUG", "SLEEP", "1"))
    sleeper.start()
    for client in clients:
        client.send(request_line)
    sleeper.join()
    redis, seen = server.resp(), set()
    while max(seen, default=0) < len(clients):
        seen.add(diglot_fact(redis, "get_hits"))
    assert len(seen) > 5, sorted(seen)  # a turn of the executor takes some, not all
    for client in clients:
        client.close()


# --- clients that do not read ---

VALUE = b"v" * 1_000_000


def ask_without_reading(server, count):
    clients = [server.connect(receive_buffer=4096) for _ in range(count)]
    for client in clients:
        client.send(b"get large\r\n" * 20)
    return clients


@pytest.mark.parametrize("io_threads", [0, 4])
def test_what_deaf_clients_hold_together_is_bounded(start, io_threads):
    """Each may hold more than a mebibyte; together they may not, and those are dropped that have waited longest."""
    server = start(io_threads=io_threads, maxmemory_clients=64 * MIB)
    redis = server.resp()
    with server.connect() as good:
        good.set("large", VALUE)
        deaf = ask_without_reading(server, 300)
        watch = MemoryWatch(server)
        wait_until(lambda: watch.look() or diglot_fact(redis, "memory_kicks") > 200, "deaf clients to be dropped")
        wait_until(lambda: watch.look() or diglot_fact(redis, "client_bytes") <= 64 * MIB, "the rest to be within the bound")
        assert good.get("large") == (VALUE, 0)
        watch.check(160 * MIB)
        assert diglot_fact(redis, "curr_connections") > 20  # those that fit stay
        for client in deaf:
            client.close()
        wait_until(lambda: diglot_fact(redis, "curr_connections") == 1, "the deaf clients to be gone")
        assert diglot_fact(redis, "client_bytes") < MIB


def test_a_client_that_reads_slowly_outlives_those_that_do_not(start):
    server = start(io_threads=0, maxmemory_clients=32 * MIB)
    redis = server.resp()
    with server.connect(receive_buffer=4096) as slow:
        slow.set("large", VALUE)
        slow.send(b"get large\r\n" * 20)
        deaf = ask_without_reading(server, 100)
        reads = 0
        while diglot_fact(redis, "memory_kicks") < 70 or reads < 10:
            slow.read_exactly(200_000)
            reads += 1
            deaf += ask_without_reading(server, 1)
        slow.read_exactly(3_000_000)
        for client in deaf:
            client.close()


def test_deaf_clients_are_dropped_when_the_write_timeout_has_passed(start):
    server = start(io_threads=0, write_timeout=1)
    redis = server.resp()
    with server.connect() as good:
        good.set("large", VALUE)
        deaf = ask_without_reading(server, 100)
        wait_until(lambda: diglot_fact(redis, "slow_connections") == 100, "deaf clients to be dropped")
        assert diglot_fact(redis, "client_bytes") < MIB
        for client in deaf:
            client.close()
