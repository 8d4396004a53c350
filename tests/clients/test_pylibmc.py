"""pylibmc, that is libmemcached, in classic text: everything that it offers, the same on memcached and here."""
import threading

import pytest

from lib.client_programs import compare
from lib.servers import is_diglot

pylibmc = pytest.importorskip("pylibmc")

OBJECTS = {"text": "text", "unicode": "gr\u00fc\u00dfe", "bytes": b"\0\xff\r\n", "int": 42, "negative": -7, "large": 10**30, "true": True,
           "false": False, "none": None, "float": 1.5, "list": [1, "two"], "dict": {"a": {"b": 1}}, "tuple": (1, 2), "empty": b"",
           "long": "abc" * 100000}
BEHAVIORS = {"plain": {}, "nodelay": {"tcp_nodelay": True}, "cas": {"cas": True}, "ketama": {"ketama": True},
             "no_block": {"no_block": True, "tcp_nodelay": True}}


def make(one, **behaviors):
    client = pylibmc.Client([f"127.0.0.1:{one.memcached_port}"], binary=False)
    client.behaviors = {"receive_timeout": 20000000, "send_timeout": 20000000, "_poll_timeout": 20000, **behaviors}
    return client


def every_command(client, log):
    log.call("get absent", client.get, "absent")
    log.call("get default", client.get, "absent", "default")
    log.call("set", client.set, "k", "v")
    log.call("get", client.get, "k")
    log.call("contains", lambda: ("k" in client, "absent" in client))
    log.call("item access", lambda: (client.__setitem__("i", 1), client["i"], client.__delitem__("i"), client.get("i")))
    log.call("add there", client.add, "k", "other")
    log.call("add", client.add, "added", "a")
    log.call("replace there", client.replace, "k", "replaced")
    log.call("replace absent", client.replace, "absent", "x")
    log.call("append", client.append, "k", "-end")
    log.call("prepend", client.prepend, "k", "start-")
    log.call("append absent", client.append, "absent", "x")
    log.call("prepend absent", client.prepend, "absent", "x")
    log.call("get joined", client.get, "k")
    log.call("set number", client.set, "n", "10")
    log.call("incr", client.incr, "n", 5)
    log.call("decr", client.decr, "n", 7)
    log.call("decr below 0", client.decr, "n", 100)
    log.call("incr absent", client.incr, "absent")
    log.call("incr text", client.incr, "k")
    log.call("decr absent", client.decr, "absent")
    log.call("set_multi", client.set_multi, {f"m{i}": i for i in range(200)})
    log.call("get_multi", client.get_multi, [f"m{i}" for i in range(210)])
    log.call("set_multi prefixed", client.set_multi, {"1": "one", "2": "two"}, key_prefix="pre:")
    log.call("get_multi prefixed", client.get_multi, ["1", "2", "3"], key_prefix="pre:")
    log.call("add_multi", client.add_multi, {"m1": "no", "fresh": "yes"})
    log.call("incr_multi", lambda: (client.set_multi({"c1": "1", "c2": "2"}), client.incr_multi(["c1", "c2"], delta=3),
                                    client.get_multi(["c1", "c2"])))
    log.call("delete", client.delete, "m0")
    log.call("delete absent", client.delete, "m0")
    log.call("delete_multi", client.delete_multi, ["m1", "m2"])
    log.call("delete_multi absent", client.delete_multi, ["m1", "m3"])
    log.call("get_multi after", client.get_multi, ["m0", "m1", "m2", "m3", "m4"])
    log.call("touch", client.touch, "k", 1000)
    log.call("touch absent", client.touch, "absent", 1000)
    log.call("set with time", client.set, "t", "v", time=1000)
    log.call("get with time", client.get, "t")
    log.call("long key", client.set, "k" * 250, "v")
    log.call("get long key", client.get, "k" * 250)
    log.call("key too long", client.set, "k" * 251, "v")
    log.call("flush_all", client.flush_all)
    log.call("get flushed", client.get_multi, ["k", "n", "m5"])


@pytest.mark.parametrize("behaviors", BEHAVIORS.values(), ids=BEHAVIORS.keys())
def test_every_command_does_the_same(oracle, server, behaviors):
    compare(lambda one, log: every_command(make(one, **behaviors), log), oracle, server)


def test_writes_that_wait_for_no_answer_arrive(oracle, server):
    def program(one, log):
        client = make(one, _noreply=True)
        for i in range(500):
            client.set(f"k{i}", i)
        client.delete("k3")
        log.call("all", client.get_multi, [f"k{i}" for i in range(500)])
        log.call("one", client.get, "k499")
    compare(program, oracle, server)


@pytest.mark.parametrize("compression", [{}, {"min_compress_len": 100}, {"min_compress_len": 1, "compress_level": 9}],
                         ids=["none", "from 100 bytes", "always"])
def test_python_objects_come_back_as_they_were(oracle, server, compression):
    def program(one, log):
        client = make(one)
        for name, value in OBJECTS.items():
            log.call(f"set {name}", client.set, name, value, **compression)
            found = client.get(name)
            assert found == value, name
            log.note(f"type of {name}", type(found))
            with one.connect() as connection:
                log.note(f"on the wire {name}", connection.get(name))
        log.call("set_multi", client.set_multi, OBJECTS, **compression)
        log.call("get_multi", client.get_multi, list(OBJECTS))
    log = dict(compare(program, oracle, server))
    flags = {name: log[f"on the wire {name}"][1] for name in OBJECTS}
    assert len({flags["bytes"], flags["int"], flags["list"], flags["text"]}) == 4, "the types' flags are all the same"
    if compression:
        assert len(log["on the wire long"][0]) < 10000, "nothing was compressed"


def test_gets_and_cas(oracle, server):
    def program(one, log):
        client = make(one, cas=True)
        client.set("k", "v")
        value, token = client.gets("k")
        log.note("gets", value)
        log.call("gets absent", client.gets, "absent")
        log.call("cas", client.cas, "k", {"new": 1}, token)
        log.call("cas again", client.cas, "k", "newer", token)
        log.call("get", client.get, "k")
        log.call("cas absent", client.cas, "absent", "x", token)
        for i in range(50):
            value, token = client.gets("k")
            log.call(f"cas {i}", client.cas, "k", i, token)
        log.call("last", client.get, "k")
    compare(program, oracle, server)


def test_a_pool_in_many_threads(oracle, server):
    def program(one, log):
        pool = pylibmc.ThreadMappedPool(make(one))
        failures = []
        make(one).set("counter", "0")

        def work(number):
            try:
                with pool.reserve() as client:
                    for i in range(200):
                        client.set(f"t{number}:{i}", (number, i))
                        assert client.get(f"t{number}:{i}") == (number, i)
                        client.incr("counter")
                pool.relinquish()
            except Exception as failure:
                failures.append(repr(failure))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        log.note("failures", failures)
        log.call("counter", make(one).get, "counter")
    log = dict(compare(program, oracle, server))
    assert log["failures"] == [] and log["counter"] in ("1200", b"1200", 1200)


def test_large_values(oracle, server):
    def program(one, log):
        client = make(one)
        for size in (0, 1, 65536, 2**20 - 300, 2**20 + 1):
            log.call(f"set {size}", client.set, "k", b"x" * size)
            log.note(f"get {size}", len(client.get("k") or b"miss"))
            log.call("set behind it", client.set, "l", "v")
            log.call("get behind it", client.get, "l")
    compare(program, oracle, server)


def test_stats(server):
    client = make(server)
    client.set("k", "v"), client.get("k")
    [(name, stats)] = client.get_stats()
    assert str(server.memcached_port) in (name if isinstance(name, str) else name.decode())
    values = {key if isinstance(key, str) else key.decode(): value for key, value in stats.items()}
    assert int(values["cmd_get"]) >= 1 and "version" in values and "curr_items" in values
    assert client.get_stats("settings")


def test_types_are_kept_over_resp_changes(server):
    if not is_diglot(server):
        return
    redis, client = server.resp(), make(server)
    client.set("number", 41), client.set("object", {"a": 1}), client.set("packed", "z" * 10000, min_compress_len=100)
    redis.incr("number"), redis.copy("object", "copied"), redis.rename("packed", "renamed")
    assert client.get("number") == 42 and client.get("copied") == {"a": 1} and client.get("renamed") == "z" * 10000
