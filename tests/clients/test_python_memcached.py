"""python-memcached: everything that it offers, the same on memcached and here."""
import pytest

from lib.client_programs import compare
from lib.servers import is_diglot

memcache = pytest.importorskip("memcache")

OBJECTS = {"text": "text", "unicode": "gr\u00fc\u00dfe", "bytes": b"\0\xff\r\n", "int": 42, "negative": -7, "large": 10**30, "float": 1.5, "none": None,
           "list": [1, "two"], "dict": {"a": {"b": 1}}, "tuple": (1, 2), "empty": "", "long": "abc" * 100000}


def make(one, **options):
    return memcache.Client([f"127.0.0.1:{one.memcached_port}"], socket_timeout=20, **options)


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
    log.call("get joined", client.get, "k")
    log.call("set number", client.set, "n", 10)
    log.call("incr", client.incr, "n")
    log.call("incr more", client.incr, "n", 50)
    log.call("decr", client.decr, "n", 7)
    log.call("get number", client.get, "n")
    log.call("decr below 0", client.decr, "n", 1000)
    log.call("incr absent", client.incr, "absent")
    log.call("decr absent", client.decr, "absent")
    log.call("set_multi", client.set_multi, {f"m{i}": i for i in range(200)}, time=1000)
    log.call("get_multi", client.get_multi, [f"m{i}" for i in range(210)])
    log.call("set_multi prefixed", client.set_multi, {"1": "one", 2: "two"}, key_prefix="pre:")
    log.call("get_multi prefixed", client.get_multi, ["1", 2, "3"], key_prefix="pre:")
    log.call("delete", client.delete, "m0")
    log.call("delete absent", client.delete, "m0")
    log.call("delete noreply", client.delete, "m9", noreply=True)
    log.call("delete_multi", client.delete_multi, ["m1", "m2", "absent"])
    log.call("get_multi after", client.get_multi, ["m0", "m1", "m2", "m3", "m9"])
    log.call("touch", client.touch, "k", 1000)
    log.call("touch absent", client.touch, "absent", 1000)
    log.call("set noreply", client.set, "quiet", "v", noreply=True)
    log.call("get noreply", client.get, "quiet")
    log.call("set expired", client.set, "k", "v", time=-1)
    log.call("get expired", client.get, "k")
    log.call("long key", client.set, "k" * 250, "v")
    log.call("get long key", client.get, "k" * 250)
    log.call("key too long", client.set, "k" * 251, "v")
    log.call("key with space", client.set, "a b", "v")
    log.call("flush_all", client.flush_all)
    log.call("get flushed", client.get_multi, ["k", "n", "m5"])


def test_every_command_does_the_same(oracle, server):
    compare(lambda one, log: every_command(make(one), log), oracle, server)


@pytest.mark.parametrize("compression", [{}, {"min_compress_len": 100}], ids=["plain", "compressed"])
def test_python_objects_come_back_as_they_were(oracle, server, compression):
    def program(one, log):
        client = make(one)
        for name, value in OBJECTS.items():
            log.call(f"set {name}", client.set, name, value, **compression)
            assert client.get(name) == value
            with one.connect() as connection:
                log.note(f"on the wire {name}", connection.get(name))
        log.call("set_multi", client.set_multi, OBJECTS, **compression)
        log.call("get_multi", client.get_multi, list(OBJECTS))
    log = dict(compare(program, oracle, server))
    flags = {name: log[f"on the wire {name}"][1] for name in ("bytes", "text", "int", "list")}
    assert len(set(flags.values())) == 4, f"the types' flags are all the same: {flags}"


def test_gets_and_cas(oracle, server):
    def program(one, log):
        client, other = make(one, cache_cas=True), make(one, cache_cas=True)
        client.set("k", "v")
        log.call("gets", client.gets, "k")
        log.call("gets absent", client.gets, "absent")
        log.call("cas", client.cas, "k", [1])
        log.call("gets again", client.gets, "k")
        other.set("k", "other")
        log.call("cas behind another's set", client.cas, "k", "lost")
        log.call("get", client.get, "k")
        client.reset_cas()
        log.call("cas without gets", client.cas, "k", "unconditional")
        log.call("get after", client.get, "k")
    compare(program, oracle, server)


def test_large_values(oracle, server):
    def program(one, log):
        client = make(one, server_max_value_length=10**9)
        for size in (0, 1, 65536, 2**20 - 300, 2**20 + 1):
            log.call(f"set {size}", client.set, "k", b"x" * size)
            log.note(f"get {size}", len(client.get("k") or b"miss"))
    compare(program, oracle, server)


def test_dead_servers_and_forgetting(oracle, server):
    def program(one, log):
        client = make(one)
        client.set("k", "v")
        client.disconnect_all()
        log.call("get behind a reconnect", client.get, "k")
        client.forget_dead_hosts()
        log.call("and again", client.get, "k")
    compare(program, oracle, server)


def test_stats(server):
    client = make(server)
    client.set("k", "v"), client.get("k")
    [(name, stats)] = client.get_stats()
    assert str(server.memcached_port) in name
    assert int(stats["cmd_get"]) >= 1 and int(stats["cmd_set"]) >= 1 and "version" in stats
    assert client.get_stats("settings")[0][1]
    client.get_stats("items"), client.get_stats("slabs")
    assert client.get("k") == "v"


def test_types_are_kept_over_resp_changes(server):
    if not is_diglot(server):
        return
    redis, client = server.resp(), make(server)
    client.set("number", 41), client.set("object", {"a": 1}), client.set("text", "abc")
    redis.incr("number"), redis.copy("object", "copied"), redis.append("text", "def")
    assert client.get("number") == 42 and client.get("copied") == {"a": 1} and client.get("text") == "abcdef"
