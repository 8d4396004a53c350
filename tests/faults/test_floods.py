"""Floods, and clients that hold on to what they have: the server lives, others are served in between, what was taken is bounded
and given back.

DIGLOT_FLOOD_CONNECTIONS is how many connections a flood has.
"""
import os
import random
import resource
import socket
import struct
import threading
import time

import pytest

from lib.campaign import dial_tcp
from lib.servers import MIB, MemoryWatch
from lib.waiting import PATIENCE, wait_until

CONNECTIONS = int(os.environ.get("DIGLOT_FLOOD_CONNECTIONS", "10000"))
TCP_REPAIR = 19  # linux/tcp.h


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


def has_settled(redis):
    """Nothing goes anywhere: the kernel's buffers are full, too. Until then whoever reads may be the one that has waited longest."""
    seen = []
    for _ in range(2):
        seen.append([diglot_fact(redis, name) for name in ("memory_kicks", "client_bytes", "bytes_written")])
        time.sleep(0.2)
    return seen[0] == seen[1]


@pytest.mark.parametrize("io_threads", [0, 4])
def test_what_deaf_clients_hold_together_is_bounded(start, io_threads):
    """Each holds half a mebibyte and more, which its socket did not take; together they may not, and those are dropped that have
    waited longest."""
    server = start(io_threads=io_threads, maxmemory_clients=32 * MIB)
    redis = server.resp()
    with server.connect() as good:
        good.set("large", VALUE)
        deaf = ask_without_reading(server, 150)
        watch = MemoryWatch(server)
        wait_until(lambda: watch.look() or diglot_fact(redis, "memory_kicks") > 20, "deaf clients to be dropped", patience=60)
        wait_until(lambda: watch.look() or diglot_fact(redis, "client_bytes") <= 32 * MIB, "the rest to be within the bound")
        wait_until(lambda: has_settled(redis), "nobody to take any more")
        assert good.get("large") == (VALUE, 0)
        watch.check(128 * MIB)
        assert diglot_fact(redis, "curr_connections") > 10  # those that fit stay
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
        deaf = ask_without_reading(server, 200)
        reads = 0
        while diglot_fact(redis, "memory_kicks") < 50 or reads < 10:
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


# --- ten thousand connections ---

def raise_own_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard >= CONNECTIONS + 200, "raise the limit of open files (ulimit -n), or lower DIGLOT_FLOOD_CONNECTIONS"


def dial_many(port, count):
    dice = random.Random(1)
    return [dial_tcp(port, dice) for _ in range(count)]


def start_for_flood(start, **options):
    raise_own_limit()
    return start(config={"maxclients": 200}, maxconns=CONNECTIONS, **options)


def assert_serves(server, client):
    client.set("key", b"value")
    assert client.get("key") == (b"value", 0)
    assert server.resp().get("key") == b"value"


def descriptors(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


@pytest.mark.parametrize("io_threads", [0, 4])
def test_ten_thousand_silent_connections(start, io_threads):
    """They are served when they speak, those beyond are told so, the idle timeout drops them, and everything is given back."""
    server = start_for_flood(start, io_threads=io_threads)
    redis = server.resp()
    redis.ping()
    good = server.connect()
    assert_serves(server, good)
    before = descriptors(server)
    watch = MemoryWatch(server)
    crowd = dial_many(server.memcached_port, CONNECTIONS - 1)
    wait_until(lambda: diglot_fact(redis, "curr_connections") == CONNECTIONS, "the flood to be accepted")
    with server.connect() as late:
        assert late.read_to_close() == b"ERROR Too many open connections\r\n"
    for sock in crowd[::100]:
        sock.settimeout(PATIENCE)
        sock.sendall(b"mn\r\n")
        assert sock.recv(10) == b"MN\r\n"
    assert_serves(server, good)
    watch.check(CONNECTIONS * 2048)  # a silent connection takes less than two kilobytes
    redis.config_set("diglot.idle-timeout", 1)
    wait_until(lambda: good.get("key") and diglot_fact(redis, "curr_connections") == 1, "the silent ones to be dropped")
    assert diglot_fact(redis, "idle_kicks") == CONNECTIONS - 1
    wait_until(lambda: descriptors(server) <= before, "descriptors to be given back")
    for sock in crowd:
        sock.close()
    good.close()


@pytest.mark.parametrize("io_threads", [0, 4])
def test_connections_that_come_and_go(start, io_threads):
    """In waves, twice as many as may be open, ended and reset, with and without a word."""
    server = start_for_flood(start, io_threads=io_threads)
    redis = server.resp()
    redis.ping()
    good = server.connect()
    assert_serves(server, good)
    before = descriptors(server)
    endings = [b"", b"get key\r\n", b"set key 0 0 5\r\nval", b"\x80\x00\x00"]
    for wave in range(4):
        crowd = dial_many(server.memcached_port, CONNECTIONS // 2)
        for place, sock in enumerate(crowd):
            try:
                sock.send(endings[place % len(endings)] if place % 2 else b"")
                if place % 3 == wave % 3:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # one too many, dropped already
            sock.close()
        assert_serves(server, good)
    wait_until(lambda: diglot_fact(redis, "curr_connections") == 1, "the flood to be gone")
    wait_until(lambda: descriptors(server) <= before, "descriptors to be given back")
    assert diglot_fact(redis, "client_bytes") < MIB
    good.close()


BEGINNINGS = {"a value": b"set key 0 0 1000\r\nbeginning", "a line": b"get key", "a packet": b"\x80\x01\x00\x03\x08\x00\x00\x00\x00\x00\x10\x00",
              "a meta value": b"ms key 1000 c\r\nbeg"}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_requests_that_come_byte_by_byte(start, name):
    """A thousand of them hold a buffer each, and everybody else goes on."""
    count = CONNECTIONS // 10
    server = start(io_threads=0, maxconns=count + 10)
    redis = server.resp()
    with server.connect() as good:
        crowd = dial_many(server.memcached_port, count)
        for place in range(len(BEGINNINGS[name])):
            for sock in crowd:
                sock.send(BEGINNINGS[name][place:place + 1])
            assert_serves(server, good)
        wait_until(lambda: diglot_fact(redis, "client_bytes") >= count * 16384, "all to be read")
        assert diglot_fact(redis, "client_bytes") <= count * 16384 + MIB
        for sock in crowd:
            sock.close()
        wait_until(lambda: diglot_fact(redis, "client_bytes") < MIB, "buffers to be given back")


# --- clients that vanish ---

def vanish(sock):
    """Closes without a word: for the peer nothing has happened (TCP_REPAIR, which only root may)."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()


def keepalive_timer(server_port, sock_port):
    """Seconds until the server's end of a connection is probed; None: it is not."""
    with open("/proc/net/tcp") as sockets:
        for row in [line.split() for line in sockets][1:]:
            if row[1].endswith(f":{server_port:04X}") and row[2].endswith(f":{sock_port:04X}"):
                kind, ticks = row[5].split(":")
                return int(ticks, 16) / os.sysconf("SC_CLK_TCK") if kind == "02" else None
    return None


@pytest.mark.parametrize("io_threads", [0, 4])
def test_clients_that_vanish_are_dropped(start, io_threads):
    server = start(io_threads=io_threads, write_timeout=1)
    redis = server.resp()
    with server.connect() as good:
        good.set("large", VALUE)
        asking, silent = dial_many(server.memcached_port, 100), dial_many(server.memcached_port, 100)
        wait_until(lambda: diglot_fact(redis, "curr_connections") == 201, "all to be accepted")
        assert 0 < keepalive_timer(server.memcached_port, silent[0].getsockname()[1]) <= 300  # the engine's tcp-keepalive
        for sock in asking:
            sock.send(b"get large\r\n" * 9)
            vanish(sock)
        for sock in silent:
            sock.send(b"set key 0 0 1000\r\nbeginning")
            vanish(sock)
        wait_until(lambda: diglot_fact(redis, "curr_connections") <= 101, "those with replies unread to be dropped")
        redis.config_set("diglot.idle-timeout", 1)
        wait_until(lambda: good.get("key") is None and diglot_fact(redis, "curr_connections") == 1, "the others to be dropped")
        assert diglot_fact(redis, "client_bytes") < MIB
