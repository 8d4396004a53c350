"""Everything that python-memcached offers, on one server.

    with_python_memcached.py HOST PORT ascii
"""
import sys
import time

import memcache
from steps import OBJECTS, Steps, raised, wait_gone

steps = Steps()
expect = steps.expect


def connect(**options):
    return memcache.Client([f"{sys.argv[1]}:{sys.argv[2]}"], socket_timeout=20, **options)


def storage(client):
    expect("get absent", client.get("absent"), None)
    expect("set", client.set("k", "value"), True)
    expect("get", client.get("k"), "value")
    expect("add there", client.add("k", "other"), False)
    expect("add", client.add("added", "a", time=1000), True)
    expect("replace", client.replace("added", "b"), True)
    expect("replace absent", client.replace("absent", "x"), False)
    expect("append", client.append("k", "-end"), True)
    expect("prepend", client.prepend("k", "start-"), True)
    expect("append absent", client.append("absent", "x"), False)
    expect("get joined", client.get("k"), "start-value-end")
    expect("delete", client.delete("k"), 1)
    expect("get deleted", client.get("k"), None)


def cas():
    client, other = connect(cache_cas=True), connect()
    client.set("k", "one")
    expect("gets", client.gets("k"), "one")
    expect("gets absent", client.gets("absent"), None)
    expect("cas", client.cas("k", ["two"]), True)
    expect("gets again", client.gets("k"), ["two"])
    other.set("k", "other")
    expect("cas behind another's set", client.cas("k", "lost"), False)
    expect("get", client.get("k"), "other")
    client.reset_cas()
    expect("cas without gets", client.cas("k", "unconditional"), True)
    expect("get behind it", client.get("k"), "unconditional")


def counters(client):
    client.set("n", 10)
    expect("incr", client.incr("n", 5), 15)
    expect("decr", client.decr("n", 3), 12)
    expect("get counter", client.get("n"), 12)
    expect("decr below 0", client.decr("n", 100), 0)
    expect("incr absent", client.incr("absent"), None)
    expect("decr absent", client.decr("absent"), None)
    client.set("text", "abc")
    print("incr text raises", raised(client.incr, "text"))
    expect("text stays", client.get("text"), "abc")


def many(client):
    items = {f"many-{i}": [i] for i in range(300)}
    expect("set many", client.set_multi(items, time=1000), [])
    expect("get many", client.get_multi([*items, "absent"]), items)
    expect("set many prefixed", client.set_multi({"1": "one", 2: "two"}, key_prefix="pre:"), [])
    expect("get many prefixed", client.get_multi(["1", 2, "3"], key_prefix="pre:"), {"1": "one", 2: "two"})
    expect("get from outside", client.get("pre:1"), "one")
    expect("delete many", client.delete_multi(["many-1", "many-2", "absent"]), 1)
    expect("get behind delete", client.get_multi([f"many-{i}" for i in range(4)]), {"many-0": [0], "many-3": [3]})


def values(client):
    for name, value in OBJECTS.items():
        for options in ({}, {"min_compress_len": 100}):
            expect(f"set {name} {options}", client.set("v", value, **options), True)
            expect(f"get {name}", client.get("v"), value)
    expect("set many objects", client.set_multi(OBJECTS, min_compress_len=100), [])
    expect("get many objects", client.get_multi(list(OBJECTS)), OBJECTS)


def quiet(client):
    for i in range(300):
        client.set(f"quiet-{i}", i, noreply=True)
    client.set("quiet-n", 50, noreply=True), client.incr("quiet-n", 7, noreply=True), client.decr("quiet-n", 2, noreply=True)
    client.add("quiet-1", "no", noreply=True), client.replace("quiet-2", "new", noreply=True), client.delete("quiet-3", noreply=True)
    client.set("quiet-4", "4", noreply=True), client.append("quiet-4", "5", noreply=True), client.prepend("quiet-4", "3", noreply=True)
    client.touch("quiet-5", 1000, noreply=True)
    expect("get behind quiet", client.get_multi([f"quiet-{i}" for i in (1, 2, 3, 4, 5, 299, "n")]),
           {"quiet-1": 1, "quiet-2": "new", "quiet-4": "345", "quiet-5": 5, "quiet-299": 299, "quiet-n": 55})


def expiry(client):
    now = int(time.time())
    client.set("t", "v", time=1000), client.set("u", "v", time=now + 1000), client.set("p", "v", time=-1), client.set("q", "v", time=now - 1000)
    expect("get with time", [client.get(key) for key in "tupq"], ["v", "v", None, None])
    expect("touch", client.touch("t", 2000), 1)
    expect("touch absent", client.touch("absent", 10), 0)
    client.touch("u", -1)
    expect("get past touch", client.get("u"), None)
    client.set("s", "v", time=1)
    wait_gone(lambda: client.get("s"))
    expect("get behind a second", client.get("s"), None)


def keys_and_sizes(client):
    for key in ("k" * 250, "gr\u00fc\u00dfe-\u2603", "!\"$%&/()=?{[]}\\'#+*~<>|;:,._-^"):
        expect(f"set {key}", client.set(key, "odd"), True)
        expect(f"get {key}", client.get(key), "odd")
    expect("key too long", raised(client.set, "k" * 251, "v"), "MemcachedKeyLengthError")
    expect("key with a space", raised(client.set, "a b", "v"), "MemcachedKeyCharacterError")
    large = connect(server_max_value_length=10**9)
    expect("large", large.set("large", b"x" * (2**20 - 300)), True)
    expect("get large", large.get("large"), b"x" * (2**20 - 300))
    expect("too large", large.set("large", b"x" * (2**20 + 1)), False)
    expect("too large takes the old value away", connect().get("large"), None)


def server_facts(client):
    stats = client.get_stats()[0][1]
    expect("stats", int(stats["cmd_set"]) > 300 and "version" in stats and "curr_items" in stats, True)
    expect("settings", len(client.get_stats("settings")[0][1]) > 5, True)
    print("get_slab_stats raises", raised(client.get_slab_stats))
    client.disconnect_all()
    expect("get behind a disconnect", client.get("added"), "b")
    client.forget_dead_hosts()
    client.flush_all()
    expect("get flushed", client.get_multi(["added", "k", "many-5"]), {})
    expect("set behind flush", client.set("k", "v"), True)
    expect("get behind flush", client.get("k"), "v")


main = connect()
storage(main)
cas()
counters(main)
many(main)
values(main)
quiet(main)
expiry(main)
keys_and_sizes(main)
server_facts(main)
steps.finish()
