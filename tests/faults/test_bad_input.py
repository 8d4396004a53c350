"""Damaged requests by the hundred thousand in every protocol and through every door, while well-behaved clients are looked
after: the server lives, the sanitizers are silent (conftest.py looks into the log), nobody else gets a wrong answer, and what
was taken is given back.

DIGLOT_BAD_INPUT_REQUESTS is how many requests each of the campaigns sends (a million takes minutes), DIGLOT_BAD_INPUT_SEED
where they begin.
"""
import os
import random
import time

import pytest
import redis

from lib.access import login, start_guarded
from lib.binary import GET, SET, Frame, ask, store
from lib.campaign import Campaign, dial_tcp, dial_tls, dial_unix
from lib.mutations import Mutator
from lib.servers import MIB, MemoryWatch
from lib.tls import TlsEngine
from lib.unix import UnixEngine
from lib.waiting import PATIENCE, wait_until
from lib.wire import Connection

REQUESTS = int(os.environ.get("DIGLOT_BAD_INPUT_REQUESTS", "15000"))
SEED = int(os.environ.get("DIGLOT_BAD_INPUT_SEED", "1"))
SECONDS = 120 + REQUESTS // 1000
WARM_UP = 3000
KEPT_MOST = 16 * MIB  # in the workers' pools of buffers
IO_THREADS = (0, 4)
IS_SANITIZED = bool(os.environ.get("SANITIZER"))


class Canary:
    """Well-behaved clients of each protocol; their keys are none that a damaged request would name."""

    def __init__(self, server, connections):
        self.server = server
        self.text, self.packets = connections
        self.redis = server.resp()
        self.looks = 0

    def look(self):
        self.looks += 1
        key, value = b"canary:%032x" % self.looks, b"%d" % self.looks * 20
        assert self.text.store("set", key, value, flags=self.looks) == b"STORED"
        assert self.text.get(key) == (value, self.looks)
        [packet] = ask(self.packets, store(SET, key, value + b"b"))
        assert packet.status == 0
        [packet] = ask(self.packets, Frame(GET, key))
        assert packet.value == value + b"b"
        assert self.redis.getdel(key) == value + b"b"
        assert self.text.get(key) is None

    def close(self):
        self.text.close()
        self.packets.close()


def sizes(server):
    """What the server holds: connections, descriptors, and bytes as its allocator tells them."""
    facts = server.resp().info("everything")
    return int(facts["diglot_curr_connections"]), len(os.listdir(f"/proc/{server.pid}/fd")), facts.get("allocator_allocated", 0)


def bytes_read(server):
    return int(server.resp().info("everything")["diglot_bytes_read"])


def settle(server, connections):
    """Until nothing is left but the canary's connections, and the keys are gone."""
    wait_until(lambda: sizes(server)[0] == connections, "the campaign's connections to be gone")
    server.resp().flushall()
    for _ in range(2):
        server.resp().ping()
    return sizes(server)


def attack(server, canary, dial, kind, most=8, connections=16, leaves_out=b"reset", patience=PATIENCE):
    """Twice: the first, short one brings the server to the size that it works with. What the server has read is told by its
    own counter, unless that is reset; it drops connections with bytes unread."""
    before = (0, 0, 0)
    for count, seed in ((min(WARM_UP, REQUESTS), SEED + 1000), (REQUESTS, SEED)):
        watch, read_before = MemoryWatch(server), bytes_read(server)
        campaign = Campaign(dial, Mutator(kind, seed, leaves_out), canary.look, seed, is_slow=kind == "login", patience=patience)
        begin = time.monotonic()
        campaign.run(count, most, connections)
        took = time.monotonic() - begin
        if before == (0, 0, 0):
            before = settle(server, 2)
    read = bytes_read(server) - read_before
    after = settle(server, 2)
    print(f"{campaign.requests} requests ({campaign.bytes} bytes, {read} read) on {campaign.connections} connections in {took:.0f} s, "
          f"{campaign.replies} bytes of replies, {canary.looks} looks; {before} before, {after} after, "
          f"memory grew by {watch.most // MIB} MiB at most")
    assert after[1] <= before[1] + 2, "descriptors were not given back"  # RESP clients of this test come and go
    if not IS_SANITIZED:  # whose allocator is another
        assert after[2] <= before[2] + KEPT_MOST, "memory was not given back"
    watch.check(96 * MIB)
    canary.close()


def dial_randomly(port):
    dice = random.Random(SEED)
    return lambda: dial_tcp(port, dice)


@pytest.mark.seconds(SECONDS)
@pytest.mark.parametrize("io_threads", IO_THREADS)
@pytest.mark.parametrize("kind", ["classic", "meta", "binary"])
def test_damaged_requests(start, kind, io_threads):
    server = start(io_threads=io_threads, flush_all="no")
    canary = Canary(server, (server.connect(), server.connect()))
    attack(server, canary, dial_randomly(server.memcached_port), kind)


@pytest.mark.seconds(SECONDS)
@pytest.mark.parametrize("io_threads", IO_THREADS)
def test_damaged_requests_that_may_flush_and_reset(start, io_threads):
    """The database is emptied again and again; the canary looks elsewhere."""
    server = start(io_threads=io_threads)
    canary = Canary(server, (server.connect(), server.connect()))
    canary.look = lambda: canary.text.ask(b"version").startswith(b"VERSION") or pytest.fail("no answer")
    attack(server, canary, dial_randomly(server.memcached_port), "all", leaves_out=None)


@pytest.mark.seconds(SECONDS)
@pytest.mark.parametrize("io_threads", IO_THREADS)
def test_damaged_logins_at_a_locked_door(start_engine, io_threads):
    server = start_guarded(start_engine, io_threads=io_threads, flush_all="no")
    canary = Canary(server, (login(server, "app"), login(server, "app")))
    canary.packets.close()
    canary.packets = sasl_login(server)
    attack(server, canary, dial_randomly(server.memcached_port), "login", connections=500)


def sasl_login(server):
    connection = server.connect()
    [packet] = ask(connection, Frame(0x21, b"PLAIN", value=b"\0app\0secret"))
    assert packet.status == 0
    return connection


@pytest.mark.seconds(SECONDS)
@pytest.mark.parametrize("io_threads", IO_THREADS)
def test_damaged_requests_through_a_unix_socket(start_as, io_threads):
    server = start_as(UnixEngine, io_threads=io_threads, flush_all="no")
    path = os.path.join(server.directory, "memcached.sock")
    attack(server, Canary(server, (server.connect(), server.connect())), lambda: dial_unix(path), "all")


@pytest.mark.seconds(SECONDS * 4)
@pytest.mark.parametrize("io_threads", IO_THREADS)
def test_damaged_requests_within_tls(start_as, authority, io_threads):
    server = start_as(TlsEngine, authority, io_threads=io_threads, flush_all="no")
    dice = random.Random(SEED)
    attack(server, Canary(server, (server.connect(), server.connect())),
           lambda: dial_tls(server.tls_port, server.context, dice), "all", most=64, patience=4 * PATIENCE)  # handshakes give way to all else on this machine


@pytest.mark.seconds(SECONDS * 2)
@pytest.mark.parametrize("io_threads", IO_THREADS)
def test_damaged_handshakes(start_as, authority, io_threads):
    server = start_as(TlsEngine, authority, io_threads=io_threads, flush_all="no")
    canary = Canary(server, (server.connect(), server.connect_in_clear()))
    attack(server, canary, dial_randomly(server.tls_port), "tls-records")
