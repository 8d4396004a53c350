"""pymemcache: everything that it offers, the same on memcached and here."""
import threading
import time
import zlib

import pytest

from lib.client_programs import compare
from lib.servers import is_diglot

base = pytest.importorskip("pymemcache.client.base")
from pymemcache import serde  # noqa: E402
from pymemcache.client.hash import HashClient  # noqa: E402
from pymemcache.client.retrying import RetryingClient  # noqa: E402
from pymemcache.exceptions import MemcacheClientError, MemcacheError  # noqa: E402

OBJECTS = {"text": "text", "unicode": "gr\u00fc\u00dfe \u2603", "bytes": b"\0\xff\r\n", "int": 42, "negative": -7, "large": 10**30, "float": 1.5,
           "none": None, "true": True, "list": [1, "two", b"three"], "dict": {"a": [1, {"b": None}]}, "tuple": (1, 2), "set": {1, 2},
           "empty text": "", "empty bytes": b"", "long": "x" * 200000}


def make(server, kind=base.Client, **options):
    options = {"serde": serde.pickle_serde, "default_noreply": False, "timeout": 20, "connect_timeout": 20, **options}
    if kind is HashClient:
        return HashClient([("127.0.0.1", server.memcached_port)], **options)
    return kind(("127.0.0.1", server.memcached_port), **options)


KINDS = pytest.mark.parametrize("kind", [base.Client, base.PooledClient, HashClient], ids=lambda kind: kind.__name__)


def key_of(name):
    return "key-" + name.replace(" ", "-")


def every_command(client, log):
    log.call("get absent", client.get, "absent")
    log.call("get default", client.get, "absent", "default")
    log.call("set", client.set, "k", "v")
    log.call("get", client.get, "k")
    log.call("add there", client.add, "k", "other")
    log.call("add", client.add, "added", "a")
    log.call("replace there", client.replace, "k", "replaced")
    log.call("replace absent", client.replace, "absent", "x")
    log.call("append", client.append, "k", "-end")
    log.call("append absent", client.append, "absent", "x")
    log.call("prepend", client.prepend, "k", "start-")
    log.call("prepend absent", client.prepend, "absent", "x")
    log.call("get joined", client.get, "k")
    log.call("gets absent", client.gets, "absent")
    value, token = client.gets("k")
    log.note("gets", value)
    log.call("cas", client.cas, "k", "cas", token)
    log.call("cas again", client.cas, "k", "cas2", token)
    log.call("cas absent", client.cas, "absent", "x", token)
    log.call("get cas", client.get, "k")
    log.call("set number", client.set, "n", "10")
    log.call("incr", client.incr, "n", 5)
    log.call("decr", client.decr, "n", 7)
    log.call("decr below 0", client.decr, "n", 100)
    log.call("incr wraps", client.incr, "n", 2**64 - 1)
    log.call("incr absent", client.incr, "absent", 1)
    log.call("incr text", client.incr, "k", 1)
    log.call("decr text", client.decr, "k", 1)
    log.call("touch", client.touch, "k", 1000)
    log.call("touch absent", client.touch, "absent", 1000)
    log.call("set_many", client.set_many, {f"m{i}": f"v{i}" for i in range(100)})
    log.call("get_many", client.get_many, [f"m{i}" for i in range(110)])
    log.call("get_multi nothing", client.get_many, [])
    log.call("gets_many", lambda: {key: value for key, (value, _) in client.gets_many([f"m{i}" for i in range(5)]).items()})
    log.call("delete", client.delete, "m0")
    log.call("delete absent", client.delete, "m0")
    log.call("delete_many", client.delete_many, ["m1", "m2", "absent"])
    log.call("get_many after", client.get_many, ["m0", "m1", "m2", "m3"])
    log.call("set expired", client.set, "k", "v", expire=-1)
    log.call("get expired", client.get, "k")
    log.call("set far", client.set, "k", "v", expire=int(time.time()) + 100000)
    log.call("get far", client.get, "k")
    log.call("long key", client.set, "k" * 250, "v")
    log.call("get long key", client.get, "k" * 250)
    log.call("flush_all", client.flush_all)
    log.call("get flushed", client.get_many, ["k", "n", "m5"])


@KINDS
def test_every_command_does_the_same(oracle, server, kind):
    compare(lambda one, log: every_command(make(one, kind), log), oracle, server)


def test_without_a_serde_bytes_and_flags_are_the_callers(oracle, server):
    def program(one, log):
        client = make(one, serde=None)
        for flags in (0, 1, 65535, 2**32 - 1):
            client.set("k", b"raw", flags=flags)
            log.call("raw", client.get, "k")
            log.call("on the wire", lambda: read_raw(one, b"k"))
        client.append("k", b"!")
        log.call("appended", lambda: read_raw(one, b"k"))
        client.incr("absent", 1)
    compare(program, oracle, server)


def read_raw(one, key):
    with one.connect() as connection:
        return connection.get(key)


class CompressingSerde:
    """A serde with a flag of its own, as applications write them."""
    COMPRESSED = 1 << 30

    def serialize(self, key, value):
        value, flags = serde.pickle_serde.serialize(key, value)
        value = value if isinstance(value, bytes) else value.encode()
        return (zlib.compress(value), flags | self.COMPRESSED) if len(value) > 100 else (value, flags)

    def deserialize(self, key, value, flags):
        if flags & self.COMPRESSED:
            value, flags = zlib.decompress(value), flags & ~self.COMPRESSED
        return serde.pickle_serde.deserialize(key, value, flags)


@KINDS
@pytest.mark.parametrize("kind_of_serde", [serde.pickle_serde, CompressingSerde()], ids=["pickle", "compressed"])
def test_python_objects_come_back_as_they_were(oracle, server, kind, kind_of_serde):
    def program(one, log):
        client = make(one, kind, serde=kind_of_serde)
        for name, value in OBJECTS.items():
            log.call(f"set {name}", client.set, key_of(name), value)
            assert client.get(key_of(name)) == value and type(client.get(key_of(name))) is type(value)
        log.call("all", client.get_many, [key_of(name) for name in OBJECTS])
        for name in OBJECTS:
            log.note(f"flags of {name}", read_raw(one, key_of(name).encode())[1])
            value, token = client.gets(key_of(name))
            log.call(f"cas {name}", client.cas, key_of(name), [value], token)
            log.call(f"get {name}", client.get, key_of(name))
    log = dict(compare(program, oracle, server))
    assert log["flags of int"] != log["flags of text"] != log["flags of list"], "the serde's flags are all the same"


def test_noreply_commands_are_done_all_the_same(oracle, server):
    def program(one, log):
        client = make(one, default_noreply=True)
        client.set("k", "v"), client.add("a", "1"), client.append("k", "!"), client.prepend("k", "?"), client.replace("a", "2")
        client.touch("k", 1000), client.set_many({f"m{i}": i for i in range(50)}), client.delete("m1"), client.delete_many(["m2", "m3"])
        client.set("n", "5"), client.incr("n", 3, noreply=True), client.decr("n", 1, noreply=True)
        client.cas("k", "x", "1")
        client.add("k", "no"), client.replace("absent", "no"), client.incr("k", 1, noreply=True)  # all fail silently
        log.call("everything", client.get_many, ["k", "a", "n", *[f"m{i}" for i in range(50)]])
        client.flush_all()
        log.call("flushed", client.get, "k")
    compare(program, oracle, server)


def test_errors_are_the_same(oracle, server):
    def program(one, log):
        client = make(one)
        log.call("key too long", client.set, "k" * 251, "v")
        log.call("key with space", client.get, "a b")
        log.call("too large", client.set, "k", "v" * (2 * 1024 * 1024))
        log.call("get behind it", client.get, "k")
        log.call("incr by a negative", client.incr, "k", -1)
        log.call("set behind errors", client.set, "k", "v")
        log.call("get behind errors", client.get, "k")
        log.call("negative delay", client.flush_all, -1)
    compare(program, oracle, server)


def test_unicode_keys_and_prefixes(oracle, server):
    def program(one, log):
        client = make(one, allow_unicode_keys=True, key_prefix=b"prefix:")
        for key in ("gr\u00fcn", "\u2603" * 40, "plain"):
            log.call(key, client.set, key, key)
            log.call(key, client.get, key)
        log.call("many", client.get_many, ["gr\u00fcn", "plain", "absent"])
        log.note("raw", read_raw(one, "prefix:gr\u00fcn".encode()))
    compare(program, oracle, server)


def test_values_of_every_size_near_the_limit(oracle, server):
    def program(one, log):
        client = make(one, serde=None)
        for size in (0, 1, 1023, 1024, 16383, 65536, 2**20 - 300, 2**20 - 250, 2**20 + 1):
            log.call(f"set {size}", client.set, "k", b"x" * size)
            log.note(f"get {size}", len(client.get("k") or b"miss"))
    compare(program, oracle, server)


def test_stats_and_version(server):
    client = make(server)
    assert client.version()
    client.set("k", "v"), client.get("k"), client.get("absent")
    stats = client.stats()
    for name in (b"pid", b"uptime", b"time", b"version", b"curr_connections", b"cmd_get", b"cmd_set", b"get_hits", b"get_misses", b"bytes",
                 b"curr_items", b"limit_maxbytes", b"threads", b"evictions"):
        assert name in stats
    assert stats[b"get_hits"] >= 1 and stats[b"get_misses"] >= 1 and stats[b"cmd_set"] >= 1
    assert client.stats("settings")


def test_clients_in_many_threads_share_a_pool(oracle, server):
    def program(one, log):
        client = make(one, base.PooledClient, max_pool_size=8)
        failures = []

        def work(number):
            try:
                for i in range(200):
                    client.set(f"t{number}:{i}", [number, i])
                    assert client.get(f"t{number}:{i}") == [number, i]
                    client.incr("counter", 1)
            except Exception as failure:
                failures.append(repr(failure))
        client.set("counter", "0")
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        log.note("failures", failures)
        log.call("counter", client.get, "counter")
        client.close()
    log = dict(compare(program, oracle, server))
    assert log["failures"] == []


def test_a_retrying_client_survives_a_reconnect(server):
    client = RetryingClient(make(server), attempts=3, retry_for=[MemcacheError, OSError])
    assert client.set("k", "v")
    client.quit()
    assert client.get("k") == "v"


def test_a_client_that_speaks_nonsense_gets_an_error(server):
    with pytest.raises(MemcacheClientError):
        make(server).incr("k" * 251, 1)


def test_flags_are_kept_over_resp_changes(server):
    """A counter and a text that RESP changes in place come back as the types that were stored."""
    if not is_diglot(server):
        return
    redis, client = server.resp(), make(server)
    client.set("number", 41), client.set("text", "abc"), client.set("object", {"a": 1})
    redis.incr("number"), redis.append("text", "def"), redis.rename("object", "renamed")
    assert client.get("number") == 42 and client.get("text") == "abcdef" and client.get("renamed") == {"a": 1}
    redis.set("text", "plain")
    assert client.get("text") == b"plain"  # no flags: pymemcache gives bytes
