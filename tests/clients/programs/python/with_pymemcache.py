"""Everything that pymemcache offers, on one server.

    with_pymemcache.py HOST PORT ascii
"""
import sys
import threading
import time

import pymemcache
from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import MemcacheError
from steps import OBJECTS, Steps, raised, wait_gone

host, port = sys.argv[1], int(sys.argv[2])
steps = Steps()
expect = steps.expect


def connect(kind=Client, **options):
    options = {"serde": serde.pickle_serde, "default_noreply": False, "timeout": 20, "connect_timeout": 20, **options}
    return kind([(host, port)] if kind is HashClient else (host, port), **options)


def storage(client):
    expect("get absent", client.get("absent"), None)
    expect("get default", client.get("absent", "default"), "default")
    expect("set", client.set("k", "value"), True)
    expect("get", client.get("k"), "value")
    expect("add there", client.add("k", "other"), False)
    expect("add", client.add("added", "a", expire=1000), True)
    expect("replace", client.replace("added", "b"), True)
    expect("replace absent", client.replace("absent", "x"), False)
    expect("append", client.append("k", "-end"), True)
    expect("prepend", client.prepend("k", "start-"), True)
    expect("append absent", client.append("absent", "x"), False)
    expect("prepend absent", client.prepend("absent", "x"), False)
    expect("get joined", client.get("k"), "start-value-end")
    expect("delete", client.delete("k"), True)
    expect("delete again", client.delete("k"), False)
    expect("set with flags", client.set("flags", "f", flags=0), True)


def cas(client):
    client.set("k", ["one"])
    value, token = client.gets("k")
    expect("gets", (value, int(token) > 0), (["one"], True))
    expect("a token stands", client.gets("k")[1] == token, True)
    expect("gets absent", client.gets("absent"), (None, None))
    expect("cas", client.cas("k", "two", token), True)
    expect("cas again", client.cas("k", "three", token), False)
    expect("cas absent", client.cas("absent", "x", token), None)
    expect("get cas", client.get("k"), "two")
    client.set("l", "v")
    expect("gets many", {key: value for key, (value, _) in client.gets_many(["k", "l", "absent"]).items()}, {"k": "two", "l": "v"})


def counters(client):
    client.set("n", 10)
    expect("incr", client.incr("n", 5), 15)
    expect("decr", client.decr("n", 3), 12)
    expect("get counter", client.get("n"), 12)
    expect("decr below 0", client.decr("n", 100), 0)
    client.set("n", 10)
    expect("wraps", client.incr("n", 2**64 - 1), 9)
    expect("incr absent", client.incr("absent", 1), None)
    expect("decr absent", client.decr("absent", 1), None)
    client.set("text", "abc")
    expect("incr text", raised(client.incr, "text", 1), "MemcacheClientError")
    expect("text stays", client.get("text"), "abc")


def many(client):
    items = {f"many-{i}": [i] for i in range(300)}
    expect("set many", client.set_many(items, expire=1000), [])
    expect("get many", client.get_many([*items, "absent"]), items)
    expect("get many of nothing", client.get_multi([]), {})
    expect("delete many", client.delete_many(["many-1", "many-2", "absent"]), True)
    expect("get behind delete", client.get_many([f"many-{i}" for i in range(4)]), {"many-0": [0], "many-3": [3]})


def values(client):
    for name, value in OBJECTS.items():
        expect(f"set {name}", client.set("v", value), True)
        expect(f"get {name}", client.get("v"), value)
    expect("set many objects", client.set_many(OBJECTS), [])
    expect("get many objects", client.get_many(list(OBJECTS)), OBJECTS)


def quiet(client):
    for i in range(300):
        client.set(f"quiet-{i}", i, noreply=True)
    client.set("quiet-n", "50", noreply=True)
    client.incr("quiet-n", 7, noreply=True), client.decr("quiet-n", 2, noreply=True), client.delete("quiet-1", noreply=True)
    client.add("quiet-2", "no", noreply=True), client.replace("quiet-3", "new", noreply=True), client.cas("quiet-4", "no", "1", noreply=True)
    client.set("quiet-5", "5", noreply=True), client.append("quiet-5", "6", noreply=True), client.prepend("quiet-5", "4", noreply=True)
    client.touch("quiet-6", 1000, noreply=True), client.incr("quiet-absent", 1, noreply=True), client.incr("quiet-3", 1, noreply=True)
    expect("get behind quiet", client.get_many([f"quiet-{i}" for i in (1, 2, 3, 4, 5, 6, 299, "n", "absent")]),
           {"quiet-2": 2, "quiet-3": "new", "quiet-4": 4, "quiet-5": "456", "quiet-6": 6, "quiet-299": 299, "quiet-n": "55"})


def expiry(client):
    now = int(time.time())
    client.set("t", "v", expire=1000), client.set("u", "v", expire=now + 1000), client.set("p", "v", expire=-1), client.set("q", "v", expire=now - 1000)
    expect("get with time", [client.get(key) for key in "tupq"], ["v", "v", None, None])
    expect("touch", client.touch("t", 2000), True)
    expect("touch absent", client.touch("absent", 10), False)
    if hasattr(client, "gat"):
        expect("get and touch", client.gat("t", 3000), "v")
        expect("get and touch absent", client.gat("absent", 3000, "default"), "default")
        expect("gets and touch", client.gats("t", 3000)[0], "v")
    else:
        print("gat, gats: not in this client")
    client.touch("u", -1)
    expect("get past touch", client.get("u"), None)
    client.set("s", "v", expire=1)
    wait_gone(lambda: client.get("s"))
    expect("get behind a second", client.get("s"), None)


def keys_and_sizes(client, kind):
    expect("longest key", (client.set("k" * 250, "v"), client.get("k" * 250)), (True, "v"))
    expect("key too long", raised(client.set, "k" * 251, "v"), "MemcacheIllegalInputError")
    expect("key with a space", raised(client.set, "a b", "v"), "MemcacheIllegalInputError")
    expect("unicode key", raised(client.set, "gr\u00fcn", "v"), "MemcacheIllegalInputError")
    prefixed = connect(kind, allow_unicode_keys=True, key_prefix=b"space:")
    expect("set within", prefixed.set("gr\u00fc\u00dfe-\u2603", "within"), True)
    expect("get many within", prefixed.get_many(["gr\u00fc\u00dfe-\u2603"]), {"gr\u00fc\u00dfe-\u2603": "within"})
    expect("get from outside", connect(kind, allow_unicode_keys=True).get("space:gr\u00fc\u00dfe-\u2603"), "within")
    expect("large", client.set("large", b"x" * (2**20 - 300)), True)
    expect("get large", client.get("large"), b"x" * (2**20 - 300))
    expect("too large", raised(client.set, "large", b"x" * (2**20 + 1)), "MemcacheServerError")
    expect("too large takes the old value away", client.get("large"), None)


def every_part(kind):
    print(f"--- {kind.__name__}")
    client = connect(kind)
    storage(client)
    cas(client)
    counters(client)
    many(client)
    values(client)
    quiet(client)
    expiry(client)
    keys_and_sizes(client, kind)
    expect("flush", client.flush_all(), None if kind is HashClient else True)
    expect("get flushed", client.get_many(["added", "k", "many-5"]), {})
    expect("set behind flush", client.set("k", "v"), True)
    expect("get behind flush", client.get("k"), "v")
    client.close()


def flags():
    class Flagged:
        """Stores a number's text with the number as its flags, and shows the flags that come back."""
        @staticmethod
        def serialize(key, value):
            return value, int(value)

        @staticmethod
        def deserialize(key, value, flags):
            return value, flags
    client = connect(serde=Flagged)
    for number in (0, 1, 65535, 2**31, 2**32 - 1):
        client.set("flags", b"%d" % number)
        expect(f"flags {number}", client.get("flags"), (b"%d" % number, number))
    if hasattr(serde, "CompressedSerde"):
        compressed = connect(serde=serde.CompressedSerde(min_compress_len=100))
        compressed.set("packed", "abc" * 100000)
        expect("get packed", compressed.get("packed"), "abc" * 100000)
    else:
        print("CompressedSerde: not in this pymemcache")


def many_threads():
    client = connect(PooledClient, max_pool_size=8)
    client.set("counter", 0)
    failures = []

    def work(number):
        try:
            for i in range(100):
                client.set(f"t{number}-{i}", [number, i])
                assert client.get(f"t{number}-{i}") == [number, i]
                client.incr("counter", 1)
        except Exception as failure:  # told below
            failures.append(repr(failure))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect("failures of threads", failures, [])
    expect("their counter", client.get("counter"), 600)


def server_facts():
    client = connect()
    client.set("k", "v")
    stats = client.stats()
    expect("stats", stats[b"cmd_set"] > 300 and b"curr_items" in stats and b"version" in stats, True)
    expect("settings", len(client.stats("settings")) > 5, True)
    expect("version", client.version().startswith(b"1.6."), True)
    retrying = RetryingClient(client, attempts=3, retry_for=[MemcacheError, OSError])
    client.quit()
    expect("get behind quit", retrying.get("k"), "v")
    if hasattr(client, "raw_command"):
        expect("raw command", client.raw_command("get k", "END\r\n"), b"VALUE k 16 1\r\nv\r\n")
    else:
        print("raw_command: not in this pymemcache")


print("pymemcache", pymemcache.__version__.split(".")[0])
for one in (Client, PooledClient, HashClient):
    every_part(one)
flags()
many_threads()
server_facts()
steps.finish()
