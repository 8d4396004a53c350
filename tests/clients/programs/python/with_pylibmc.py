"""Everything that pylibmc offers, on one server.

    with_pylibmc.py HOST PORT ascii|binary [USER PASSWORD]
"""
import sys
import threading
import time

import pylibmc
from steps import OBJECTS, Steps, raised, wait_gone

host, port, mode, *login = sys.argv[1:]
is_binary = mode == "binary"
steps = Steps()
expect = steps.expect


def connect(**behaviors):
    names = dict(zip(("username", "password"), login))
    client = pylibmc.Client([f"{host}:{port}"], binary=is_binary, **names)
    client.behaviors = {"tcp_nodelay": True, "cas": True, "_poll_timeout": 20000, **behaviors}
    return client


def storage(client):
    expect("get absent", client.get("absent"), None)
    expect("get default", client.get("absent", "default"), "default")
    expect("set", client.set("k", "value"), True)
    expect("get", client.get("k"), "value")
    expect("contains", ("k" in client, "absent" in client), (True, False))
    client["item"] = [1]
    expect("item", client["item"], [1])
    del client["item"]
    expect("absent item", raised(lambda: client["item"]), "KeyError")
    expect("add there", client.add("k", "other"), False)
    expect("add", client.add("added", "a", time=1000), True)
    expect("replace", client.replace("added", "b"), True)
    if is_binary:
        expect("replace absent", raised(client.replace, "absent", "x"), "NotFound")
    else:
        expect("replace absent", client.replace("absent", "x"), False)
    expect("append", client.append("k", "-end"), True)
    expect("prepend", client.prepend("k", "start-"), True)
    expect("append absent", client.append("absent", "x"), False)
    expect("get joined", client.get("k"), "start-value-end")
    expect("delete", client.delete("k"), True)
    expect("delete again", client.delete("k"), False)


def cas(client):
    client.set("k", {"one": 1})
    value, token = client.gets("k")
    expect("gets", (value, token != 0), ({"one": 1}, True))
    expect("a token stands", client.gets("k")[1] == token, True)
    expect("gets absent", client.gets("absent"), (None, None))
    expect("cas", client.cas("k", "two", token), True)
    expect("cas again", client.cas("k", "three", token), False)
    expect("get cas", client.get("k"), "two")
    expect("cas absent", raised(client.cas, "absent", "x", token), "NotFound")


def counters(client):
    client.set("n", 10)
    expect("incr", client.incr("n", 5), 15)
    expect("decr", client.decr("n", 3), 12)
    expect("get counter", client.get("n"), 12)
    expect("decr below 0", client.decr("n", 100), 0)
    expect("incr absent", raised(client.incr, "absent"), "NotFound")
    expect("decr absent", raised(client.decr, "absent"), "NotFound")
    client.set("text", "abc")
    print("incr text raises", raised(client.incr, "text"))
    expect("text stays", client.get("text"), "abc")
    client.set_multi({"a": 1, "b": 2})
    client.incr_multi(["a", "b"], delta=3)
    expect("incr many", client.get_multi(["a", "b"]), {"a": 4, "b": 5})


def many(client):
    items = {f"many-{i}": [i] for i in range(300)}
    expect("set many", client.set_multi(items, time=1000), [])
    expect("get many", client.get_multi([*items, "absent"]), items)
    expect("set many prefixed", client.set_multi({"1": "one"}, key_prefix="pre:"), [])
    expect("get many prefixed", client.get_multi(["1", "2"], key_prefix="pre:"), {"1": "one"})
    expect("get from outside", client.get("pre:1"), "one")
    print("add many =", client.add_multi({"many-1": "no", "fresh": "yes"}))
    expect("get behind add many", client.get_multi(["many-1", "fresh"]), {"many-1": [1], "fresh": "yes"})
    expect("delete many", client.delete_multi(["many-1", "many-2"]), True)
    expect("delete many with an absent one", client.delete_multi(["many-1", "many-3"]), False)
    expect("get behind delete many", client.get_multi([f"many-{i}" for i in range(5)]), {"many-0": [0], "many-4": [4]})


def values(client):
    for name, value in OBJECTS.items():
        value = int(value) if isinstance(value, bool) else value  # that is how they come back
        for options in ({}, {"min_compress_len": 1}, {"min_compress_len": 100, "compress_level": 9}):
            expect(f"set {name} {options}", client.set("v", value, **options), True)
            expect(f"get {name}", client.get("v"), value)
    expect("set many packed", client.set_multi(OBJECTS, min_compress_len=10), [])
    expect("get many packed", client.get_multi(list(OBJECTS)), OBJECTS)


def quiet(client):
    silent = connect(_noreply=True)
    for i in range(300):
        silent.set(f"quiet-{i}", i)
    silent.delete("quiet-3")
    expect("get behind quiet", silent.get_multi([f"quiet-{i}" for i in range(300)]), {f"quiet-{i}": i for i in range(300) if i != 3})
    expect("get quiet", client.get("quiet-299"), 299)


def expiry(client):
    client.set("t", "v", time=1000)
    client.set("u", "v", time=int(time.time()) + 1000)
    client.set("p", "v", time=int(time.time()) - 1000)
    expect("get with time", [client.get(key) for key in "tup"], ["v", "v", None])
    expect("touch", client.touch("t", 2000), True)
    expect("touch absent", client.touch("absent", 10), False)
    expect("touch into the past", client.touch("u", int(time.time()) - 1000), True)
    expect("get past touch", client.get("u"), None)
    client.set("s", "v", time=1)
    wait_gone(lambda: client.get("s"))
    expect("get behind a second", client.get("s"), None)


def keys_and_sizes(client):
    for key in ("k" * 250, "gr\u00fc\u00dfe-\u2603", "!\"$%&/()=?{[]}\\'#+*~<>|;:,._-^", *(["a b"] if is_binary else [])):
        expect(f"set {key}", client.set(key, "odd"), True)
        expect(f"get {key}", client.get(key), "odd")
    expect("key too long", raised(client.set, "k" * 251, "v"), "ValueError")
    expect("large", client.set("large", b"x" * (2**20 - 300)), True)
    expect("get large", client.get("large"), b"x" * (2**20 - 300))
    expect("too large", raised(client.set, "large", b"x" * (2**20 + 1)), "TooBig")
    expect("too large takes the old value away", connect().get("large"), None)


def many_threads():
    pool = pylibmc.ThreadMappedPool(connect())
    connect().set("counter", 0)
    failures = []

    def work(number):
        try:
            with pool.reserve() as client:
                for i in range(100):
                    client.set(f"t{number}-{i}", (number, i))
                    assert client.get(f"t{number}-{i}") == (number, i)
                    client.incr("counter")
            pool.relinquish()
        except Exception as failure:  # told below
            failures.append(repr(failure))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect("failures of threads", failures, [])
    expect("their counter", connect().get("counter"), 600)
    queue = pylibmc.ClientPool(connect(), 3)
    with queue.reserve() as client:
        expect("get from a pool", client.get("counter"), 600)


def server_facts(client):
    stats = {name.decode() if isinstance(name, bytes) else name: value for name, value in client.get_stats()[0][1].items()}
    expect("stats", int(stats["cmd_set"]) > 300 and "version" in stats and "curr_items" in stats, True)
    expect("settings", len(client.get_stats("settings")[0][1]) > 5, True)
    for name, behaviors in {"ketama": {"ketama": True}, "no block": {"no_block": True}, "murmur": {"hash": "murmur"}, "no cas": {"cas": False}}.items():
        other = connect(**behaviors)
        expect(f"set with {name}", other.set("option", name), True)
        expect(f"get with {name}", other.get("option"), name)
    expect("clone", client.clone().get("added"), "b")
    client.disconnect_all()
    expect("get behind a disconnect", client.get("added"), "b")
    expect("flush", client.flush_all(), True)
    expect("get flushed", client.get_multi(["added", "k", "many-5"]), {})
    expect("set behind flush", client.set("k", "v"), True)
    expect("get behind flush", client.get("k"), "v")


main = connect()
storage(main)
cas(main)
counters(main)
many(main)
values(main)
quiet(main)
expiry(main)
keys_and_sizes(main)
many_threads()
server_facts(main)
steps.finish()
