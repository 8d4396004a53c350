"""At the limit of memory, under load: the engine evicts for memcached's writes as it does for RESP's, no write takes memory
far above the limit, nobody waits for long, and no item comes back with flags that are not its own. docs/memory.md.

DIGLOT_PRESSURE_ITEMS: how many items each writer stores."""
import os
import random
import threading

import pytest
import redis as redis_library

from lib.engine_ledger import ledgers
from lib.pressure import PROTOCOLS, Gauge, Zipf, mixed_size, put_classic
from lib.servers import wait_replica
from lib.waiting import wait_until
from lib.wire import Closed

ITEMS = int(os.environ.get("DIGLOT_PRESSURE_ITEMS", "200000"))
IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])
EVICTING = ("allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl")
NO_MEMORY = b"SERVER_ERROR out of memory storing object"
MOST = 1.05
MEBIBYTE = 1024 * 1024


def numbered(begin, end, size=1000):
    return [(b"key:%d" % i, b"%0*d" % (size, i)) for i in range(begin, end)]


@IO_THREADS
@pytest.mark.parametrize("policy", EVICTING)
def test_memory_stays_at_the_limit(start, policy, io_threads):
    server = start(io_threads=io_threads, config={"maxmemory": "50mb", "maxmemory-policy": policy})
    exptime = 100000 if policy.startswith("volatile") else 0
    with Gauge(server) as gauge, server.connect() as client:
        for begin in range(0, ITEMS, 200):
            lines = put_classic(client, numbered(begin, begin + 200), exptime=exptime)
            assert lines == [b"STORED"] * 200
        found = client.fetch(b"get " + b" ".join(b"key:%d" % i for i in range(ITEMS - 100, ITEMS)))
        assert all(value == b"%01000d" % int(key[4:]) for key, (value, _, _) in found.items())
    assert gauge.most < MOST and gauge.looks > 20, (gauge.most, gauge.looks)
    facts = server.resp().info()
    assert facts["evicted_keys"] + facts["db0"]["keys"] == ITEMS
    assert 40000 < facts["db0"]["keys"] < 50000


@IO_THREADS
@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "volatile-ttl"])
def test_items_of_all_sizes_from_all_protocols_stay_at_the_limit(start, policy, io_threads):
    """They overwrite each other's items, too."""
    server = start(io_threads=io_threads, config={"maxmemory": "50mb", "maxmemory-policy": policy})
    failures = []

    def write(put, seed):
        chance = random.Random(seed)
        try:
            with server.connect() as client:
                for _ in range(ITEMS // 1000):
                    items = [(b"key:%d" % chance.randrange(100000), b"x" * min(mixed_size(chance), MEBIBYTE - 300)) for _ in range(50)]
                    lines = put(client, items, exptime=100000)
                    assert lines == [b"STORED"] * 50, [line for line in lines if line != b"STORED"]
        except BaseException as error:
            failures.append(error)
    with Gauge(server) as gauge:
        writers = [threading.Thread(target=write, args=(put, seed)) for seed, put in enumerate(PROTOCOLS.values())]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    assert not failures, failures[0]
    assert gauge.most < MOST, gauge.most
    assert server.resp().info("stats")["evicted_keys"] > 500


def stored_until_refused(put):
    """How many items a server takes; `put` stores some and returns how many were refused."""
    stored = 0
    while True:
        refused = put(stored)
        stored += 100 - refused
        if refused == 100:
            return stored


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_what_nothing_can_be_evicted_for_is_refused_as_over_resp(start, policy):
    config = {"maxmemory": "20mb", "maxmemory-policy": policy}
    server, other = start(config=config), start(config=config)
    redis = server.resp()
    with server.connect() as client, other.resp() as plain:
        def put_memcached(begin):
            lines = put_classic(client, numbered(begin, begin + 100))
            assert set(lines) <= {b"STORED", NO_MEMORY}
            return lines.count(NO_MEMORY)

        def put_resp(begin):
            pipeline = plain.pipeline(transaction=False)
            for key, value in numbered(begin, begin + 100):
                pipeline.set(key, value)
            return sum(isinstance(reply, redis_library.ResponseError) for reply in pipeline.execute(raise_on_error=False))
        stored, stored_over_resp = stored_until_refused(put_memcached), stored_until_refused(put_resp)
        assert abs(stored - stored_over_resp) < 0.01 * stored_over_resp, (stored, stored_over_resp)
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 300_000)
        with pytest.raises(redis_library.ResponseError):
            redis.set("one", "x")
        assert client.store("set", "one", b"x") == NO_MEMORY
        assert client.get("key:1") is not None and client.ask(b"touch key:1 0") == b"TOUCHED"
        for i in range(400):
            assert client.ask(b"delete key:%d" % i) == b"DELETED"
        wait_until(lambda: put_classic(client, numbered(0, 50)) == [b"STORED"] * 50, "memory to be free")
        assert client.ask(b"flush_all") == b"OK"
        wait_until(lambda: put_classic(client, numbered(0, 1)) == [b"STORED"], "memory to be free")


class Writer(threading.Thread):
    """Stores items without an end; `lines` counts the answers since forget()."""

    def __init__(self, server, exptime=0):
        super().__init__(daemon=True)
        self.client = server.connect()
        self.exptime = exptime
        self.lines = {}
        self.failure = None

    def run(self):
        begin = 0
        try:
            while True:
                for line in put_classic(self.client, numbered(begin, begin + 50), exptime=self.exptime):
                    self.lines[line] = self.lines.get(line, 0) + 1
                begin = (begin + 50) % 1_000_000
        except (Closed, OSError):
            pass
        except BaseException as error:
            self.failure = error

    def end(self):
        self.client.socket.shutdown(2)
        self.join()
        assert not self.failure, self.failure

    def wait_for(self, line, count=1000):
        self.lines = {}
        wait_until(lambda: self.lines.get(line, 0) >= count, f"{line} to be answered; it was {self.lines}")


@IO_THREADS
def test_the_limit_is_changed_while_clients_write(start, io_threads):
    server = start(io_threads=io_threads, config={"maxmemory": "60mb", "maxmemory-policy": "allkeys-lru"})
    redis = server.resp()
    writer = Writer(server)
    with Gauge(server) as gauge:
        writer.start()
        wait_until(lambda: redis.info("stats")["evicted_keys"] > 20000, "memory to be full")
        for limit in ("10mb", "30mb", "5mb", "40mb", "3mb"):
            redis.config_set("maxmemory", limit)
            writer.wait_for(b"STORED", 5000)
            wait_until(lambda: gauge.ratio() < MOST, "memory to be below the limit")
            gauge.forget()
            writer.wait_for(b"STORED", 5000)
            assert gauge.most < MOST, (limit, gauge.most)
        for policy, line in (("noeviction", NO_MEMORY), ("allkeys-lfu", b"STORED"), ("volatile-ttl", NO_MEMORY),
                             ("allkeys-random", b"STORED"), ("volatile-lru", NO_MEMORY), ("allkeys-lru", b"STORED")):
            redis.config_set("maxmemory-policy", policy)
            writer.wait_for(line)
        redis.config_set("maxmemory-policy", "noeviction")
        writer.wait_for(NO_MEMORY)
        redis.config_set("maxmemory", "0")
        writer.wait_for(b"STORED", 20000)
        redis.config_set("maxmemory", "3mb")
        writer.wait_for(NO_MEMORY)
        redis.config_set("maxmemory", "1gb")
        writer.wait_for(b"STORED")
        writer.end()


def ask_memcached(client, names, value_of):
    """Gets, and sets what is missing; returns how many were there."""
    found = client.fetch(b"get " + b" ".join(names))
    missing = [(name, value_of(name)) for name in dict.fromkeys(names) if name not in found]
    assert put_classic(client, missing) == [b"STORED"] * len(missing)
    return sum(name in found for name in names)


def ask_resp(redis, names, value_of):
    values = redis.mget(names)
    missing = {name: value_of(name) for name, value in zip(names, values) if value is None}
    pipeline = redis.pipeline(transaction=False)
    for name, value in missing.items():
        pipeline.set(name, value)
    pipeline.execute()
    return len(names) - values.count(None)


def hit_rates(server, other, value_of, requests):
    """Over memcached and over RESP, in percent, behind the first third. Side by side: the LRU's clock goes by seconds."""
    keys, hits, asked = Zipf(40000), [0, 0], 0
    with server.connect() as client, other.resp() as redis:
        for begin in range(0, requests, 100):
            names = keys.draw(100)
            found = ask_memcached(client, names, value_of), ask_resp(redis, names, value_of)
            if begin >= requests // 3:
                hits, asked = [hits[0] + found[0], hits[1] + found[1]], asked + 100
    return [100 * count / asked for count in hits]


VALUES = {"1 kB": lambda name: b"v" * 1000, "mixed": lambda name: b"v" * 2 ** (int(name[4:]) * 7919 % 13)}


@pytest.mark.parametrize("value_of", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_the_hit_rate_is_that_of_resp(start, policy, value_of):
    config = {"maxmemory": "12mb", "maxmemory-policy": policy}
    rates = hit_rates(start(config=config), start(config=config), value_of, ITEMS)
    print(f"{policy}: {rates[0]:.2f} % over memcached, {rates[1]:.2f} % over RESP")
    assert abs(rates[0] - rates[1]) < 1, rates


def flags_of(number):
    """Every tenth item has flags."""
    return number + 1 if number % 10 == 0 else 0


def count_removals(server):
    """A connection that is told what is evicted and deleted."""
    server.resp().config_set("notify-keyspace-events", "Eeg")
    listener = server.resp().pubsub()
    listener.subscribe("__keyevent@0__:evicted", "__keyevent@0__:del")
    assert listener.get_message(timeout=5)["type"] == listener.get_message(timeout=5)["type"] == "subscribe"
    return listener


def read_removals(listener):
    """How many items were evicted, how many ledgers, and how many items were swept for those."""
    evicted = evicted_ledgers = swept = 0
    while (message := listener.get_message(timeout=0.5)) is not None:
        is_ledger = message["data"].startswith(b"diglot:")
        if message["channel"].endswith(b"del"):
            swept += not is_ledger
        elif is_ledger:
            evicted_ledgers += 1
        else:
            evicted += 1
    return evicted, evicted_ledgers, swept


def loses_ledgers(server):
    """Redis 7.0 does not tell what it is about to evict."""
    facts = server.resp().info("server")
    return facts["redis_version"].startswith("7.0.") and "valkey_version" not in facts


def test_a_replica_has_what_is_left(start, start_engine):
    primary = start(config={"maxmemory": "10mb", "maxmemory-policy": "allkeys-random", "repl-backlog-size": "1mb"})
    replica = start_engine(module=False)
    replica.resp().replicaof("127.0.0.1", primary.port)
    with primary.connect() as client:
        for begin in range(0, 40000, 100):
            assert put_classic(client, numbered(begin, begin + 100, 500), flags=begin % 300) == [b"STORED"] * 100
    primary.resp().config_set("maxmemory", 0)  # every command evicts
    wait_replica(primary, replica)
    assert primary.resp().info("stats")["evicted_keys"] > 10000
    wait_until(lambda: replica.digest() == primary.digest(), "both to have the same, behind a sweep maybe")


@IO_THREADS
@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_flags_under_pressure_are_lost_with_their_items_or_are_right(start, policy, io_threads):
    """Twice as many items as there is memory for, every tenth with flags; some are overwritten over RESP."""
    server = start(io_threads=io_threads, config={"maxmemory": "30mb", "maxmemory-policy": policy})
    chance = random.Random(3)
    listener = count_removals(server)
    hits = 0
    with Gauge(server) as gauge, server.connect() as client, server.resp() as redis:
        for _ in range(ITEMS // 100):
            redis.mset({b"key:%d" % chance.randrange(60000): b"resp" * 200 for _ in range(5)})
            numbers = [chance.randrange(60000) for _ in range(50)]
            found = client.fetch(b"get " + b" ".join(b"key:%d" % number for number in numbers))
            hits += len(found)
            for key, (value, flags, _) in found.items():
                expected = (b"resp" * 200, 0) if value[:1] == b"r" else (b"%0900d" % int(key[4:]), flags_of(int(key[4:])))
                assert (value, flags) == expected, (key, flags)
            missing = [number for number in numbers if b"key:%d" % number not in found]
            for number in missing:
                client.send(b"set key:%d %d 0 900\r\n%0900d\r\n" % (number, flags_of(number), number))
            for _ in missing:
                assert client.read_line() == b"STORED"
    assert gauge.most < MOST and hits > ITEMS // 10, (gauge.most, hits)
    evicted, evicted_ledgers, swept = read_removals(listener)
    print(f"{policy}: {evicted} items evicted, {evicted_ledgers} ledgers, {swept} items swept for those")
    assert swept < 0.3 * evicted if loses_ledgers(server) else swept == 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_ledgers_stay_while_only_resp_reads_their_items(start, policy):
    """The engine's clock goes by seconds, so keys must come no faster than it can tell them apart."""
    server = start(config={"maxmemory": "10mb", "maxmemory-policy": policy, "lfu-decay-time": "0"})
    redis = server.resp()
    hot = [b"hot:%d" % i for i in range(1000)]
    with server.connect() as client:
        assert put_classic(client, [(key, b"v") for key in hot], flags=7) == [b"STORED"] * 1000
        count, rounds = len(ledgers(redis)), 0

        def fill():
            nonlocal rounds
            rounds += 1
            redis.mget(random.sample(hot, 200))
            pipeline = redis.pipeline(transaction=False)
            for i in range(20):
                pipeline.set(b"cold:%d:%d" % (rounds, i), b"x" * 1000)
            pipeline.execute()
            return redis.info("stats")["evicted_keys"] > 8000
        wait_until(fill, "many items to be evicted", patience=60)
        print(f"{len(ledgers(redis))} of {count} ledgers, {redis.exists(*hot)} of {len(hot)} items are left")
        assert len(ledgers(redis)) >= count * 0.9
        found = client.fetch(b"get " + b" ".join(hot))
        assert len(found) > 850 and all(flags == 7 for _, flags, _ in found.values())
