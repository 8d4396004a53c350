"""A key that is missing here is looked for at the old server, and what is changed here is never taken from there again."""
import threading

import pytest
import redis

from lib.servers import free_port
from lib.waiting import wait_until

EXPIRED = -1


def test_value_flags_and_time_to_live_come_along(old_memcached, bridge):
    old = old_memcached()
    with old.connect() as client:
        client.set("plain", b"value", flags=4294967295)
        client.set("short", b"soon gone", flags=1, exptime=100)
        client.set("long", b"long", exptime=2_000_000_000)
        client.set("empty", b"")
    new = bridge(old)
    with new.connect() as client:
        client.send(b"get plain short missing long empty\r\n")
        assert client.read_until(b"END\r\n") == (b"VALUE plain 4294967295 5\r\nvalue\r\nVALUE short 1 9\r\nsoon gone\r\n"
                                                 b"VALUE long 0 4\r\nlong\r\nVALUE empty 0 0\r\n\r\nEND\r\n")
    resp = new.resp()
    assert resp.get("plain") == b"value" and resp.ttl("plain") == -1
    assert 95 <= resp.ttl("short") <= 100
    assert abs(resp.expiretime("long") - 2_000_000_000) <= 2
    state = new.state()
    assert [state[name] for name in ("upstream_gets", "upstream_hits", "upstream_misses", "upstream_stored")] == ["5", "4", "1", "4"]


def test_values_of_every_size(old_memcached, bridge):
    old = old_memcached()
    sizes = [1, 100, 4096, 65_536, 65_537, 500_000, 1_048_000]
    with old.connect() as client:
        for size in sizes:
            client.set(f"size:{size}", b"x" * size, flags=size)
    with bridge(old).connect() as client:
        assert client.fetch("get " + " ".join(f"size:{size}" for size in sizes)) == {
            b"size:%d" % size: (b"x" * size, size, None) for size in sizes}


def test_more_keys_than_a_batch_holds(old_memcached, bridge):
    old = old_memcached()
    with old.connect() as client:
        client.send(b"".join(b"set key:%d %d 0 %d noreply\r\nvalue:%d\r\n" % (i, i, len(b"value:%d" % i), i) for i in range(1000)))
        client.ask(b"version")
    new = bridge(old)
    with new.connect() as client:
        items = client.fetch("gets " + " ".join(f"key:{i}" for i in range(1000)))
    assert {key: item[:2] for key, item in items.items()} == {b"key:%d" % i: (b"value:%d" % i, i) for i in range(1000)}
    assert new.count("upstream_hits") == 1000


def test_commands_find_what_the_old_server_has(old_memcached, bridge):
    old = old_memcached()
    with old.connect() as client:
        for key in ("incr", "decr", "touch", "delete"):
            client.set(key, b"10", flags=7)
        for key in ("append", "prepend", "add", "replace", "cas", "gat", "me"):
            client.set(key, b"old", flags=7)
    new = bridge(old)
    with new.connect() as client:
        assert client.ask(b"incr incr 5") == b"15"
        assert client.ask(b"decr decr 3") == b"7"
        assert client.ask(b"incr missing 3") == b"NOT_FOUND"
        assert client.ask(b"touch touch 100") == b"TOUCHED"
        assert client.ask(b"delete delete") == b"DELETED"
        assert client.ask(b"delete missing") == b"NOT_FOUND"
        assert client.store("append", "append", b"!") == b"STORED"
        assert client.store("prepend", "prepend", b"!") == b"STORED"
        assert client.store("add", "add", b"new") == b"NOT_STORED"
        assert client.store("add", "added", b"new") == b"STORED"
        assert client.store("replace", "replace", b"new") == b"STORED"
        assert client.store("replace", "missing", b"new") == b"NOT_STORED"
        assert client.cas("cas", b"new", 1) == b"EXISTS"
        assert client.cas("missing", b"new", 1) == b"NOT_FOUND"
        assert client.fetch("gat 50 gat") == {b"gat": (b"old", 7, None)}
        assert client.ask(b"me me").startswith(b"ME me exp=-1 ")
        assert client.fetch("get incr decr append prepend delete touch") == {
            b"incr": (b"15", 7, None), b"decr": (b"7", 7, None), b"append": (b"old!", 7, None),
            b"prepend": (b"!old", 7, None), b"touch": (b"10", 7, None)}
    assert 95 <= new.resp().ttl("touch") <= 100 and 45 <= new.resp().ttl("gat") <= 50


def test_what_was_changed_here_never_comes_back(old_memcached, bridge):
    old = old_memcached()
    keys = ["deleted", "expired", "too_large", "set", "resp_del", "resp_unlink", "resp_rename", "resp_getdel", "resp_expire", "resp_eval",
            "resp_multi", "unseen"]
    with old.connect() as client:
        for key in keys:
            client.set(key, b"old")
    new = bridge(old)
    resp = new.resp()
    with new.connect() as client:
        client.fetch("get " + " ".join(keys[:-1]))
        assert client.ask(b"delete deleted") == b"DELETED"
        client.set("expired", b"new", exptime=EXPIRED)
        assert client.store("set", "too_large", b"x" * 1_100_000) == b"SERVER_ERROR object too large for cache"
        client.set("set", b"new")
        client.ask(b"delete set")
        assert resp.delete("resp_del") == 1 and resp.unlink("resp_unlink") == 1
        assert resp.rename("resp_rename", "renamed") and resp.getdel("resp_getdel") == b"old"
        assert resp.expire("resp_expire", 0)
        resp.eval("return redis.call('PEXPIRE', KEYS[1], -1)", 1, "resp_eval")
        pipeline = resp.pipeline(transaction=True)
        pipeline.expire("resp_multi", -1)
        pipeline.execute()
        client.set("unseen", b"new", exptime=EXPIRED)  # never read from the old server
        assert client.fetch("get " + " ".join(keys)) == {}
        assert client.get("renamed") == (b"old", 0)
        assert client.store("add", "deleted", b"new") == b"STORED"
        assert client.get("deleted") == (b"new", 0)


def test_what_is_evicted_is_asked_for_again_and_stays_at_the_old_server(old_server, bridge):
    """Unlike what is deleted: the engine has only made room."""
    old = old_server()
    old.items[b"k"] = (b"v", 7, -1)
    new = bridge(old, upstream_mirror="yes")
    resp = new.resp()
    with new.connect() as client:
        assert client.get("k") == (b"v", 7)
        resp.config_set("maxmemory-policy", "allkeys-random")
        resp.config_set("maxmemory", 1)
        wait_until(lambda: resp.ping() and resp.exists("k") == 0, "the item to be evicted")
        resp.config_set("maxmemory", 0)
        assert resp.info("stats")["evicted_keys"] > 0
        assert client.get("k") == (b"v", 7)
    new.wait_mirrored()
    assert b"k" in old.items


def test_flush_all_is_for_good(old_memcached, bridge):
    old = old_memcached()
    with old.connect() as client:
        client.set("a", b"old")
        client.set("b", b"old")
    new = bridge(old)
    with new.connect() as client:
        assert client.get("a") == (b"old", 0)
        assert client.ask(b"flush_all") == b"OK"
        assert client.fetch("get a b") == {}
        client.set("a", b"new")
        new.resp().flushall()
        assert client.fetch("get a b") == {}
    with old.connect() as client:  # mirroring is off: nothing was written there
        assert client.fetch("get a b") == {b"a": (b"old", 0, None), b"b": (b"old", 0, None)}


@pytest.mark.parametrize("config", [{"appendonly": "yes", "appendfsync": "always"}, {"save": "3600 1"}], ids=["aof", "rdb"])
def test_deletes_are_remembered_behind_a_restart(old_server, bridge, config):
    """With everysec, an engine that is killed may lose what it has acknowledged, where the disk is slow (docs/durability.md)."""
    old = old_server()
    old.items = {b"deleted": (b"old", 0, -1), b"flushed": (b"old", 0, -1), b"kept": (b"old", 5, -1)}
    new = bridge(old, config=config)
    with new.connect() as client:
        client.ask(b"delete deleted")
    if "appendonly" in config:
        new.kill()
    else:
        new.shutdown_saving()
    new.restart()
    with new.connect() as client:
        assert client.fetch("get deleted kept") == {b"kept": (b"old", 5, None)}
        client.ask(b"flush_all")
    if "appendonly" in config:
        new.kill()
    else:
        new.shutdown_saving()
    new.restart()
    with new.connect() as client:
        assert client.fetch("get deleted kept flushed") == {}


def test_a_promoted_replica_remembers_too(old_server, bridge, start_as):
    from lib.servers import wait_replica
    old = old_server()
    old.items = {b"deleted": (b"old", 0, -1), b"kept": (b"old", 5, -1)}
    new = bridge(old)
    replica = start_as(type(new), upstream=f"127.0.0.1:{old.port}", config={"replicaof": ["127.0.0.1", str(new.port)]})
    with new.connect() as client:
        client.ask(b"delete deleted")
    wait_replica(new, replica)
    with replica.connect() as client:
        assert client.fetch("get kept") == {}  # a replica stores nothing, so it asks nobody
        replica.resp().replicaof("NO", "ONE")
        wait_until(lambda: client.get("kept") == (b"old", 5), "the promoted replica to read through")
        assert client.get("deleted") is None


def test_a_lost_memory_is_written_anew(old_server, bridge):
    old = old_server()
    old.items = {b"deleted": (b"old", 0, -1)}
    new = bridge(old, config={"appendonly": "yes", "appendfsync": "always"})
    with new.connect() as client:
        client.ask(b"delete deleted")
        assert new.resp().delete(*new.resp().keys("diglot:upstream:*")) == 1
        assert client.get("deleted") is None
        wait_until(lambda: new.resp().keys("diglot:upstream:*"), "the marks to be written again")
    new.kill()
    new.restart()
    with new.connect() as client:
        assert client.get("deleted") is None
        assert client.store("set", "diglot:upstream:00", b"x") == b"SERVER_ERROR key is reserved"


def test_concurrent_misses_ask_once(old_server, bridge):
    old = old_server()
    old.items = {b"k": (b"v", 3, -1)}
    new = bridge(old, maxconns=100, upstream_timeout=20000)
    old.hold()
    clients = [new.connect() for _ in range(30)]
    for client in clients:
        client.send(b"get k k other\r\n")
    wait_until(lambda: new.count("upstream_asking") == 2, "the question")
    old.wait_asked(1)
    old.release()
    for client in clients:
        assert client.read_until(b"END\r\n") == b"VALUE k 3 1\r\nv\r\n" * 2 + b"END\r\n"
        client.close()
    assert sorted(old.asked)[:1] == [b"mg k v f t"]
    assert old.asked.count(b"mg k v f t") == 1


CHANGES = {
    "set": lambda client, resp: client.set("k", b"new"),
    "delete": lambda client, resp: client.send(b"delete k\r\n"),
    "resp_set": lambda client, resp: resp.set("k", "new"),
    "resp_set_and_delete": lambda client, resp: (resp.set("k", "new"), resp.delete("k")),
    "resp_lpush": lambda client, resp: resp.lpush("k", "new"),
    "flushall": lambda client, resp: resp.flushall(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_is_discarded_when_the_key_was_changed_meanwhile(old_server, bridge, change):
    old = old_server()
    old.items = {b"k": (b"old", 3, -1)}
    new = bridge(old, upstream_timeout=20000)
    resp = new.resp()
    old.hold()
    with new.connect() as reader, new.connect() as writer:
        reader.send(b"get k\r\n")
        old.wait_asked(1)
        CHANGES[change](writer, resp)
        if change == "delete":  # it waits for the same answer, and comes behind the reader
            old.release()
            assert writer.read_line() == b"DELETED"
            reader.read_until(b"END\r\n")
        else:
            old.release()
            expected = {"set": b"VALUE k 0 3\r\nnew\r\nEND\r\n", "resp_set": b"VALUE k 0 3\r\nnew\r\nEND\r\n"}
            assert reader.read_until(b"END\r\n") == expected.get(change, b"END\r\n")
        expected = {"set": (b"new", 0), "resp_set": (b"new", 0)}
        assert reader.get("k") == expected.get(change)


def test_keys_with_any_byte(old_memcached, bridge):
    from lib import binary
    old = old_memcached()
    key = b"a b\r\n\x00\xff"
    with old.connect() as client:
        client.send(b"ms YSBiDQoA/w== 5 b F9\r\nvalue\r\n")
        assert client.read_line() == b"HD"
    with bridge(old).connect() as client:
        client.send(b"mg YSBiDQoA/w== b v f\r\n")
        assert client.read_until(b"value\r\n") == b"VA 5 f9\r\nvalue\r\n"
    assert binary and key


def test_a_server_without_meta_commands(old_server, bridge):
    old = old_server(has_meta=False)
    old.items = {b"k": (b"v", 3, 50)}
    new = bridge(old, upstream_ttl=1000)
    with new.connect() as client:
        assert client.fetch("get k missing") == {b"k": (b"v", 3, None)}
        assert 995 <= new.resp().ttl("k") <= 1000
        new.configure(upstream_ttl=0)
        old.items[b"l"] = (b"", 0, -1)
        assert client.get("l") == (b"", 0)
        assert new.resp().ttl("l") == -1
    assert old.asked == [b"get k", b"get missing", b"get l"]


def test_users_ask_for_what_they_may_read(old_server, bridge):
    old = old_server()
    old.items = {b"mine": (b"v", 0, -1), b"yours": (b"v", 0, -1)}
    new = bridge(old, user="guest", config={"user": ["guest", "on", "nopass", "~mine", "+get"]})
    with new.connect() as client:
        assert client.get("mine") == (b"v", 0)
        assert client.ask(b"get yours").startswith(b"CLIENT_ERROR")
    assert old.asked == [b"mg mine v f t"]


def test_switches(old_server, bridge):
    old = old_server()
    old.items = {b"k": (b"v", 0, -1)}
    new = bridge(upstream_read="no")
    with new.connect() as client:
        new.configure(upstream=f"127.0.0.1:{old.port}")
        assert client.get("k") is None
        client.set("l", b"new")
        client.ask(b"delete l")
        old.items[b"l"] = (b"old", 0, -1)
        new.configure(upstream_read="yes")
        assert client.fetch("get k l") == {b"k": (b"v", 0, None)}  # what was changed before counts
        new.configure(upstream="")
        client.ask(b"delete k")
        assert client.get("k") is None
        new.configure(upstream=f"127.0.0.1:{old.port}")
        assert client.fetch("get k l") == {b"k": (b"v", 0, None), b"l": (b"old", 0, None)}  # another migration


def test_wrong_options_are_refused(bridge, start_engine):
    new = bridge()
    for name, value in {"upstream": "host:port", "upstream-tls-ca-cert-file": "/no/such/file"}.items():
        if name != "upstream":
            new.configure(upstream_tls="yes", upstream="localhost:1")
        with pytest.raises(Exception, match="diglot.upstream"):
            new.resp().config_set("diglot." + name, value)
    wrong = start_engine(start=False, upstream="host:0")
    assert 'diglot.upstream takes HOST:PORT[:WEIGHT], not "host:0"' in wrong.expect_refusal()


def test_nodes_of_a_cluster_refuse(start_engine):
    node = start_engine(start=False, upstream="localhost:11211", config={"cluster-enabled": "yes", "cluster-port": free_port()})
    sentence = "diglot.upstream does not work on the nodes of a cluster: migrate to one server, and make a cluster of it then"
    assert sentence in node.expect_refusal()
    node.options["upstream"] = ""
    node.start()
    with pytest.raises(redis.ResponseError, match=sentence):
        node.resp().config_set("diglot.upstream", "localhost:11211")


def test_many_clients_at_once(old_memcached, bridge):
    """Readers and writers of the same keys: nobody sees an old value behind a new one."""
    old = old_memcached()
    with old.connect() as client:
        for i in range(300):
            client.set(f"k:{i}", b"0")
    new = bridge(old)
    faults = []

    def run(number):
        with new.connect() as client:
            for i in range(300):
                key = f"k:{(i * 7 + number) % 300}"
                before = int(client.ask(b"incr %s 1" % key.encode()))
                seen = client.get(key)
                if seen is None or int(seen[0]) < before:
                    faults.append((key, before, seen))
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with new.connect() as client:
        assert {client.get(f"k:{i}") for i in range(300)} == {(b"8", 0)}
