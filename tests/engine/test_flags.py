"""Flags: what a memcached client stores with an item comes back with it, or the item does not come back at all."""
import random
import time

import pytest
from redis import RedisError

from lib import servers
from lib.engine_ledger import diglot_get, key_slot, ledger_of, ledgers
from lib.replication import replica_of, wait_following
from lib.waiting import wait_until

LATER = int(time.time()) + 1000000
ALL_FLAGS = [1, 5, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]


@pytest.fixture
def redis(server):
    return server.resp()


def fill(server, count=100):
    """Items of many slots, with and without flags, some with a TTL. Returns {key: (value, flags)}."""
    items = {b"key%d" % i: (b"value%d" % i, 0 if i % 3 == 0 else i * 7919 % 2**32) for i in range(count)}
    with server.connect() as client:
        for i, (key, (value, flags)) in enumerate(items.items()):
            client.set(key, value, flags, exptime=LATER if i % 5 == 0 else 0)
    return items


def read(server, keys):
    with server.connect() as client:
        return {key: item[:2] for key, item in client.fetch(b"get " + b" ".join(keys)).items()}


@pytest.mark.parametrize("flags", [0, *ALL_FLAGS])
def test_flags_come_back(client, redis, flags):
    client.set("k", b"v", flags=flags)
    assert client.get("k") == (b"v", flags)
    assert diglot_get(redis, "k") == (b"v", flags)


def test_each_store_sets_the_flags_anew(client):
    for flags in [7, 8, 0, 9, 0, 0, 10]:
        client.set("k", b"v", flags=flags)
        assert client.get("k") == (b"v", flags)
        client.store("replace", "k", b"v", flags=flags + 1)
        assert client.get("k") == (b"v", flags + 1)
        client.cas("k", b"v", client.token("k"), flags=flags + 2)
        assert client.get("k") == (b"v", flags + 2)
        client.ask(b"delete k")
        client.store("add", "k", b"v", flags=flags + 3)
        assert client.get("k") == (b"v", flags + 3)


def test_items_without_flags_need_no_ledger(client, redis):
    for i in range(100):
        client.set(f"k{i}", b"v")
    client.talk(b"incr k1 1\r\nappend k2 0 0 1\r\n1\r\ndelete k3\r\n")
    assert ledgers(redis) == {}


def test_a_flagged_item_has_its_ledger_in_its_slot(client, redis):
    for key in (b"k", b"{tag}1", b"{}x", b"\xff\0"[:1], b"user:{42}:name"):
        redis.flushall()
        client.set(key, b"v", flags=1)
        assert list(ledgers(redis)) == [key_slot(key)]
        [name] = ledgers(redis).values()
        assert redis.type(name) == b"string" and redis.ttl(name) == -1
        assert redis.strlen(name) == 48


# Restarts

def test_flags_survive_save_and_restart(start):
    server = start(config={"save": "3600 1"})
    items = fill(server)
    for _ in range(2):
        server.shutdown_saving()
        server.restart()
        assert read(server, items) == items
        assert server.resp().execute_command("EXPIRETIME", "key0") == LATER


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_flags_survive_an_aof_rewrite_and_restart(start, preamble):
    server = start(config={"appendonly": "yes", "appendfsync": "always", "aof-use-rdb-preamble": preamble})
    items = fill(server)
    server.resp().bgrewriteaof()
    server.wait_background_saves()
    with server.connect() as client:
        client.set("behind", b"the rewrite", flags=9)
    items[b"behind"] = (b"the rewrite", 9)
    server.kill()
    server.restart()
    assert read(server, items) == items


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_flags_of_acknowledged_items_survive_kill_9(start, fsync):
    server = start(config={"appendonly": "yes", "appendfsync": fsync})
    items = fill(server)
    # Not with always: the engine itself puts off writing while an fsync is under way in the background.
    wait_until(lambda: server.resp().info("persistence")["aof_buffer_length"] == 0, "the AOF to be written")
    server.kill()
    server.restart()
    assert read(server, items) == items


@pytest.mark.parametrize("command", [("DEBUG", "RELOAD"), ("DEBUG", "LOADAOF")], ids=" ".join)
def test_flags_survive_a_reload(start, command):
    server = start(config={"appendonly": "yes"})
    items = fill(server)
    server.resp().execute_command(*command)
    assert read(server, items) == items


def test_a_ledger_of_many_is_the_same_on_a_replica_and_from_the_aof(start):
    """Its records move as others come, around its end as well, and it is rebuilt time and again."""
    primary = start(config={"appendonly": "yes", "appendfsync": "always"})
    replica = start(config=replica_of(primary))
    wait_following(replica, primary)
    for factor in 1, 0, 2:  # some go, and come again
        items = {b"{slot}%d" % i: (b"v", i * (factor if i % 3 == 0 else 1)) for i in range(600)}
        with primary.connect() as client:
            for key, (value, flags) in items.items():
                client.set(key, value, flags=flags)
        servers.wait_replica(primary, replica)
        assert read(primary, items) == read(replica, items) == items
    [name] = ledgers(primary.resp()).values()
    assert replica.resp().get(name) == primary.resp().get(name)
    digest = primary.digest()
    primary.kill()
    primary.restart()
    assert primary.digest() == digest and read(primary, items) == items


def test_flags_survive_a_start_without_the_module_in_between(start):
    server = start(config={"save": "3600 1"})
    items = fill(server)
    server.shutdown_saving()
    server.restart(module=False)
    server.shutdown_saving()
    server.restart(module=True)
    assert read(server, items) == items


# Replicas

def test_a_replica_serves_flags_and_keeps_them_when_promoted(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    items = fill(primary)
    servers.wait_replica(primary, replica)
    assert read(replica, items) == items
    with primary.connect() as client:  # changes that reach the replica as commands
        client.set("key1", b"new", flags=99)
        client.ask(b"delete key2")
        client.set("key4", b"new")
        primary.resp().set("key5", "resp")
        primary.resp().append("key7", "!")
        primary.resp().rename("key8", "key9")
    items.update({b"key1": (b"new", 99), b"key4": (b"new", 0), b"key5": (b"resp", 0),
                  b"key7": (items[b"key7"][0] + b"!", items[b"key7"][1]), b"key9": items[b"key8"]})
    del items[b"key2"], items[b"key8"]
    keys = [*items, b"key2", b"key8"]
    assert read(primary, keys) == items
    servers.wait_replica(primary, replica)
    wait_until(lambda: (servers.wait_replica(primary, replica), read(replica, keys) == items)[1], "the replica to serve the same")
    primary.kill()
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    assert read(replica, keys) == items
    with replica.connect() as client:
        client.set("key1", b"promoted", flags=5)
        assert client.get("key1") == (b"promoted", 5)
        replica.resp().set("key1", "plain")
        assert client.get("key1") == (b"plain", 0)
        assert replica.resp().rename("key4", "key1")
        assert client.get("key1") == (b"new", 0)


def test_a_replica_without_the_module_has_the_same_data(start, start_engine):
    primary = start()
    replica = start_engine(module=False, config={"replicaof": ["127.0.0.1", str(primary.port)]})
    items = fill(primary)
    redis = primary.resp()
    redis.rename("key1", "renamed"), redis.copy("key2", "copied"), redis.set("key4", "resp"), redis.append("key5", "!")
    with primary.connect() as client:
        client.talk(b"incr key1 1\r\nprepend key7 0 0 1\r\n!\r\ntouch key8 1000\r\ndelete key9\r\nset key10 3 -1 1\r\nx\r\n")
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()
    assert replica.resp().get("key2") == items[b"key2"][0]
    assert ledgers(replica.resp()) == ledgers(redis)


def test_a_full_sync_brings_the_flags(start):
    primary = start()
    items = fill(primary)
    replica = start()
    with replica.connect() as client:
        client.set("key1", b"of its own", flags=12345)
        token = client.token("key1")
        replica.resp().execute_command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "up", "the link")
        servers.wait_replica(primary, replica)
        assert read(replica, items) == items
        assert client.token("key1") != token


def test_a_chain_of_replicas_serves_flags(start):
    primary = start()
    middle = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    last = start(config={"replicaof": ["127.0.0.1", str(middle.port)]})
    items = fill(primary)
    servers.wait_replica(primary, middle)
    servers.wait_replica(middle, last)
    assert read(last, items) == items


# What RESP does to flagged items

DROPPING = {
    "SET": lambda redis: redis.set("k", "new"),
    "SET with the same value": lambda redis: redis.set("k", "5"),
    "SET KEEPTTL": lambda redis: redis.set("k", "new", keepttl=True),
    "SET XX GET": lambda redis: redis.execute_command("SET", "k", "new", "XX", "GET"),
    "SETEX": lambda redis: redis.setex("k", 1000, "new"),
    "MSET": lambda redis: redis.mset({"k": "new", "other": "new"}),
    "GETSET": lambda redis: redis.getset("k", "new"),
    "DEL, SET": lambda redis: (redis.delete("k"), redis.set("k", "new")),
    "DEL, APPEND": lambda redis: (redis.delete("k"), redis.append("k", "new")),
    "DEL, INCR": lambda redis: (redis.delete("k"), redis.incr("k")),
    "DEL, SETNX": lambda redis: (redis.delete("k"), redis.setnx("k", "new")),
    "DEL, MSETNX": lambda redis: (redis.delete("k"), redis.msetnx({"k": "new"})),
    "UNLINK, SET": lambda redis: (redis.unlink("k"), redis.set("k", "new")),
    "GETDEL, SETRANGE": lambda redis: (redis.getdel("k"), redis.setrange("k", 0, "new")),
    "EXPIRE into the past, APPEND": lambda redis: (redis.expire("k", -1), redis.append("k", "new")),
    "BITOP": lambda redis: redis.bitop("NOT", "k", "plain"),
    "RENAME of a plain key": lambda redis: redis.rename("plain", "k"),
    "COPY of a plain key": lambda redis: redis.copy("plain", "k", replace=True),
    "RENAME of a hash, DEL, APPEND": lambda redis: (redis.rename("hash", "k"), redis.delete("k"), redis.append("k", "new")),
    "RENAME away, SET": lambda redis: (redis.rename("k", "away"), redis.set("k", "new")),
    "MOVE away, APPEND": lambda redis: (redis.move("k", 1), redis.append("k", "new")),
    "RESTORE": lambda redis: redis.restore("k", 0, redis.dump("plain"), replace=True),
    "SORT STORE, DEL, APPEND": lambda redis: (redis.execute_command("SORT", "list", "STORE", "k"), redis.delete("k"),
                                              redis.append("k", "new")),
    "SINTERSTORE of nothing, APPEND": lambda redis: (redis.sinterstore("k", "nothing"), redis.append("k", "new")),
    "PFMERGE onto absent": lambda redis: (redis.delete("k"), redis.pfadd("k", "a")),
    "FLUSHALL, APPEND": lambda redis: (redis.flushall(), redis.append("k", "new")),
    "FLUSHDB, APPEND": lambda redis: (redis.flushdb(), redis.append("k", "new")),
    "FLUSHDB ASYNC, APPEND": lambda redis: (redis.flushdb(asynchronous=True), redis.append("k", "new")),
    "SWAPDB, SET": lambda redis: (redis.swapdb(0, 1), redis.append("k", "new")),
    "a script": lambda redis: redis.eval("redis.call('del', KEYS[1]); redis.call('append', KEYS[1], 'new')", 1, "k"),
    "a transaction": lambda redis: redis.pipeline(transaction=True).delete("k").append("k", "new").execute(),
}
KEEPING = {
    "APPEND": lambda redis: redis.append("k", "0"),
    "SETRANGE": lambda redis: redis.setrange("k", 3, "abc"),
    "SETBIT": lambda redis: redis.setbit("k", 100, 1),
    "BITFIELD": lambda redis: redis.execute_command("BITFIELD", "k", "SET", "u8", "8", "200"),
    "INCR": lambda redis: redis.incr("k"),
    "INCRBY": lambda redis: redis.incrby("k", 100),
    "DECR": lambda redis: redis.decr("k"),
    "INCRBYFLOAT": lambda redis: redis.incrbyfloat("k", 0.5),
    "EXPIRE": lambda redis: redis.expire("k", 1000),
    "PERSIST": lambda redis: (redis.expire("k", 1000), redis.persist("k")),
    "GETEX": lambda redis: redis.getex("k", ex=1000),
    "GET": lambda redis: redis.get("k"),
    "SET NX that fails": lambda redis: redis.set("k", "new", nx=True),
    "MSETNX that fails": lambda redis: redis.msetnx({"k": "new", "other": "new"}),
    "COPY that fails": lambda redis: redis.copy("plain", "k"),
    "RENAMENX that fails": lambda redis: redis.renamenx("plain", "k"),
    "RENAME to itself": lambda redis: redis.rename("k", "k"),
    "a script that appends": lambda redis: redis.eval("redis.call('append', KEYS[1], '0')", 1, "k"),
    "a transaction that counts": lambda redis: redis.pipeline(transaction=True).incr("k").incr("k").execute(),
    "SWAPDB there and back": lambda redis: (redis.swapdb(0, 1), redis.swapdb(0, 1)),
}


def prepare(client, redis, flags):
    redis.set("plain", "5")
    redis.hset("hash", "field", "value")
    redis.rpush("list", "1")
    client.set("k", b"5", flags=flags)
    client.set("neighbour", b"n", flags=8)


@pytest.mark.parametrize("change", DROPPING.values(), ids=DROPPING.keys())
def test_a_new_value_over_resp_has_no_flags(client, redis, change):
    prepare(client, redis, 7)
    change(redis)
    assert client.get("k") == (redis.get("k"), 0)
    assert client.get("neighbour") in ((b"n", 8), None)
    client.set("k", b"again", flags=9)
    assert client.get("k") == (b"again", 9)


@pytest.mark.parametrize("change", KEEPING.values(), ids=KEEPING.keys())
def test_what_changes_a_value_in_place_keeps_its_flags(client, redis, change):
    prepare(client, redis, 7)
    change(redis)
    assert client.get("k") == (redis.get("k"), 7)
    assert client.get("neighbour") == (b"n", 8)


@pytest.mark.parametrize("active", ["0", "1"], ids=["lazily", "actively"])
def test_an_expired_item_leaves_no_flags(client, redis, active):
    redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", active)
    try:
        client.set("k", b"v", flags=7)
        redis.pexpire("k", 1)
        begin = redis.time()
        if active == "1":
            wait_until(lambda: redis.dbsize() == 1, "the key to be removed in the background")  # the ledger stays
        else:
            wait_until(lambda: redis.time() > (begin[0], begin[1] + 5000), "the clock to move on")
        redis.append("k", "new")
        assert client.get("k") == (b"new", 0)
    finally:
        redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


@pytest.mark.parametrize("policy", ["allkeys-random", "allkeys-lru", "allkeys-lfu", "volatile-random"])
def test_an_evicted_item_leaves_no_flags(start, policy):
    """Ledgers may be evicted, too: then their items are misses."""
    server = start(config={"maxmemory-policy": policy})
    redis = server.resp()
    count, slots = 2000, 10
    keys = [b"{slot%d}%d" % (i % slots, i) for i in range(count)]
    value = b"%d" % 0 + b"x" * 200
    with server.connect() as client:
        for i, key in enumerate(keys):
            client.set(key, value, flags=i + 1, exptime=10000)
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 200000)
        redis.ping()
        wait_until(lambda: redis.info("stats")["evicted_keys"] > 100, "keys to be evicted")
        redis.config_set("maxmemory", 0)
        written = {}
        for key in keys[::2]:
            if redis.set(key, "resp", nx=True):
                written[key] = (b"resp", 0)
        assert written
        found = client.fetch(b"get " + b" ".join(keys[:50]))
        for begin in range(0, count, 50):
            found.update(client.fetch(b"get " + b" ".join(keys[begin:begin + 50])))
        for i, key in enumerate(keys):
            expected = written.get(key, (value, i + 1))
            assert key not in found or found[key][:2] == expected, key
        assert all(key in found for key in written), "an item written behind the loss is missing"


# Carrying

CARRYING = {
    "RENAME": lambda redis: redis.rename("k", "to"),
    "RENAMENX": lambda redis: redis.renamenx("k", "to"),
    "RENAME onto an item": lambda redis: redis.rename("k", "flagged"),
    "RENAME within a slot": lambda redis: redis.rename("k", "{k}to"),
    "RENAME twice": lambda redis: (redis.rename("k", "to"), redis.rename("to", "tofinal")),
    "RENAME there and back": lambda redis: (redis.rename("k", "to"), redis.rename("to", "k")),
    "COPY": lambda redis: redis.copy("k", "to"),
    "COPY onto an item": lambda redis: redis.copy("k", "flagged", replace=True),
    "COPY, then another value for the source": lambda redis: (redis.copy("k", "to"), redis.set("k", "x")),
    "COPY, then RENAME": lambda redis: (redis.copy("k", "to"), redis.rename("to", "tofinal")),
    "COPY behind a COPY that failed": lambda redis: (redis.copy("flagged", "plain"), redis.copy("k", "to")),
    "MOVE there and back": lambda redis: there_and_back(redis, "k"),
    "SWAPDB and MOVE": lambda redis: (redis.swapdb(0, 1), move_back(redis, "k")),
    "RENAME in a transaction": lambda redis: redis.pipeline().rename("k", "to").execute(),
    "COPY in a transaction": lambda redis: redis.pipeline().copy("k", "to").execute(),
    "COPY and SET in a transaction": lambda redis: redis.pipeline().copy("k", "to").set("k", "x").execute(),
    "MOVE in a transaction": lambda redis: redis.pipeline().move("k", 1).execute_command("SELECT", 1).move("k", 0)
                             .execute_command("SELECT", 0).execute(),
    "RENAME in a script": lambda redis: redis.eval("redis.call('rename', KEYS[1], KEYS[2])", 2, "k", "to"),
    "COPY in a script": lambda redis: redis.eval("redis.call('copy', KEYS[1], KEYS[2])", 2, "k", "to"),
    "COPY and DEL in a script": lambda redis: redis.eval(
        "redis.call('copy', KEYS[1], KEYS[2]); redis.call('del', KEYS[1])", 2, "k", "to"),
    "MOVE in a script": lambda redis: redis.eval(
        "redis.call('move', KEYS[1], 1); redis.call('select', 1); redis.call('move', KEYS[1], 0)", 1, "k"),
    "RENAME twice in a script": lambda redis: redis.eval(
        "redis.call('rename', KEYS[1], KEYS[2]); redis.call('rename', KEYS[2], KEYS[3])", 3, "k", "to", "tofinal"),
    "a function of three": lambda redis: redis.eval(
        "redis.call('copy', KEYS[1], 'a'); redis.call('rename', 'a', 'b'); redis.call('copy', 'b', KEYS[2])", 2, "k", "to"),
}


def move_back(redis, key):
    """MOVE from database 1 to 0, on a connection of its own."""
    other = redis.from_url(f"redis://127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/1")
    assert other.move(key, 0)
    other.close()


def there_and_back(redis, key):
    assert redis.move(key, 1)
    move_back(redis, key)


@pytest.mark.parametrize("change", CARRYING.values(), ids=CARRYING.keys())
@pytest.mark.parametrize("flags", [7, 0])
def test_flags_go_where_their_item_goes(client, redis, change, flags):
    redis.set("plain", "p")
    client.set("flagged", b"f", flags=99)
    client.set("k", b"carried", flags=flags)
    change(redis)
    seen = client.fetch(b"get k to tofinal {k}to flagged plain")
    carried = [key for key, (value, _, _) in seen.items() if value == b"carried"]
    assert carried, "the item is a miss everywhere"
    for key in carried:
        assert seen[key][1] == flags, key
    assert seen.get(b"flagged", (b"carried",))[0] == b"carried" or seen[b"flagged"][1] == 99
    assert all(seen[key][1] == 0 for key in seen if seen[key][0] in (b"p", b"x"))


def test_flags_go_along_where_memory_is_full(start):
    """RENAME and MOVE are taken where the engine has no memory for more; so is the ledger's part of them."""
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    redis = server.resp()
    with server.connect() as door:
        for i in range(6):
            door.set(b"flagged%d" % i, b"%d" % i, i + 1)
            door.set(b"plain%d" % i, b"plain %d" % i)
        redis.config_set("maxmemory", 1)
        assert door.ask(b"set x 0 0 1\r\ny") == b"SERVER_ERROR out of memory storing object"
        for i in (0, 1):  # to a slot without a ledger, and over items that have other flags, or none
            assert redis.rename(f"flagged{i}", f"elsewhere{i}")
        assert redis.rename("flagged2", "flagged3") and redis.rename("flagged4", "plain4") and redis.rename("plain5", "flagged5")
        assert redis.move("elsewhere1", 1)
        with pytest.raises(RedisError, match="OOM"):
            redis.copy("elsewhere0", "copied")
    expected = {b"elsewhere0": (b"0", 1), b"flagged3": (b"2", 3), b"plain4": (b"4", 5), b"flagged5": (b"plain 5", 0)}

    def check():
        assert read(server, [*expected, b"flagged0", b"flagged2", b"flagged4", b"plain5", b"elsewhere1"]) == expected
        assert diglot_get(server.resp(1), "elsewhere1") == (b"1", 2)
    check()
    server.kill()
    server.restart()
    check()


def test_a_moved_item_has_its_flags_in_the_other_database(server, client, redis):
    other = server.resp(db=1)
    client.set("k", b"v", flags=7)
    assert redis.move("k", 1)
    assert diglot_get(other, "k") == (b"v", 7) and client.get("k") is None
    redis.set("k", "new")
    assert client.get("k") == (b"new", 0) and diglot_get(other, "k") == (b"v", 7)
    redis.swapdb(0, 1)
    assert client.get("k") == (b"v", 7) and diglot_get(other, "k") == (b"new", 0)


@pytest.mark.parametrize("flags", [8, 0])
def test_a_copy_in_another_database_has_its_flags_or_is_a_miss(server, client, redis, flags):
    """The engine does not tell from which database a copy comes."""
    other = server.resp(db=1)
    for name in ("k", "to"):
        client.set("k", b"copied", flags=flags)
        other.execute_command("DIGLOT.SET", name, "old", "FLAGS", 1)
        assert redis.copy("k", name, destination_db=1, replace=True)
        assert diglot_get(other, name) in ((b"copied", flags), None)
        assert client.get("k") == (b"copied", flags)
        other.set(name, "again")
        assert diglot_get(other, name) == (b"again", 0)
        other.execute_command("DIGLOT.SET", name, "again", "FLAGS", 2)
        assert diglot_get(other, name) == (b"again", 2)


def test_a_copy_without_flags_in_another_database_is_no_miss(server, client, redis):
    other = server.resp(db=1)
    redis.set("plain", "p")
    redis.copy("plain", "to", destination_db=1)
    assert diglot_get(other, "to") == (b"p", 0)


def test_copies_that_were_only_announced_never_lend_their_flags(server, client, redis):
    """COPY is seen when it is queued, and its event names no source: neither a discarded nor a failed nor a competing one
    may tell the flags of another. A miss is allowed."""
    def check(key, value, flags):
        assert client.get(key) in ((value, flags), None)

    client.set("a", b"a", flags=1)
    client.set("b", b"b", flags=2)
    with server.resp_connection() as one, server.resp_connection() as two:
        for words in (["MULTI"], ["COPY", "a", "k"], ["DISCARD"]):
            one.call(*words)
        redis.copy("b", "k")
        check("k", b"b", 2)

        for words in (["WATCH", "b"], ["MULTI"], ["COPY", "a", "k", "REPLACE"]):
            one.call(*words)
        redis.expire("b", 1000)
        assert one.call("EXEC") is None
        redis.copy("b", "k", replace=True)
        check("k", b"b", 2)

        assert not redis.copy("a", "k")
        redis.copy("b", "k", replace=True)
        check("k", b"b", 2)

        for words in (["MULTI"], ["COPY", "a", "k", "REPLACE"]):
            one.call(*words)
        for words in (["MULTI"], ["COPY", "b", "k", "REPLACE"]):
            two.call(*words)
        two.call("EXEC")
        check("k", b"b", 2)
        one.call("EXEC")
        check("k", b"a", 1)

        for words in (["MULTI"], ["COPY", "a", "k", "REPLACE"], ["COPY", "b", "k", "REPLACE"], ["EXEC"]):
            one.call(*words)
        check("k", b"b", 2)

        for words in (["MULTI"], ["COPY", "a", "k", "REPLACE"]):
            one.call(*words)
        redis.execute_command("DIGLOT.SET", "a", "a", "FLAGS", 3)
        one.call("EXEC")
        check("k", b"a", 3)
    client.set("k", b"again", flags=5)
    assert client.get("k") == (b"again", 5)


def test_many_copies_at_once_keep_their_flags_apart(client, redis):
    """More than any table of announced copies can hold."""
    count = 1500
    for i in range(count):
        client.set(f"from{i}", b"%d" % i, flags=i + 1)
    pipeline = redis.pipeline(transaction=True)
    for i in range(count):
        pipeline.copy(f"from{i}", f"to{i}")
    pipeline.execute()
    found = 0
    for i in range(count):
        item = client.get(f"to{i}")
        assert item in ((b"%d" % i, i + 1), None)
        found += item is not None
    for i in range(count):
        redis.copy(f"from{i}", f"later{i}")
        item = client.get(f"later{i}")
        assert item in ((b"%d" % i, i + 1), None)
    assert found > 0


# Whole databases

def test_swapdb_swaps_the_flags_too(server, client, redis):
    other = server.resp(db=1)
    client.set("k", b"zero", flags=10)
    client.set("only", b"zero", flags=20)
    other.execute_command("DIGLOT.SET", "k", "one", "FLAGS", 11)
    redis.swapdb(0, 1)
    assert client.get("k") == (b"one", 11) and client.get("only") is None
    assert diglot_get(other, "k") == (b"zero", 10) and diglot_get(other, "only") == (b"zero", 20)
    client.set("only", b"new")
    redis.swapdb(1, 0)
    assert client.get("k") == (b"zero", 10) and client.get("only") == (b"zero", 20)
    assert diglot_get(other, "only") == (b"new", 0)


def test_flushdb_of_one_database_leaves_the_flags_of_others(server, client, redis):
    other = server.resp(db=1)
    client.set("k", b"zero", flags=10)
    other.execute_command("DIGLOT.SET", "k", "one", "FLAGS", 11)
    other.flushdb()
    other.set("k", "new")
    assert client.get("k") == (b"zero", 10) and diglot_get(other, "k") == (b"new", 0)
    other.execute_command("DIGLOT.SET", "k", "one", "FLAGS", 12)
    client.ask(b"flush_all")
    redis.set("k", "new")
    assert client.get("k") == (b"new", 0) and diglot_get(other, "k") == (b"one", 12)
    redis.flushall()
    assert redis.dbsize() == 0 and other.dbsize() == 0


def test_a_move_followed_by_a_flush_in_one_transaction_gives_no_wrong_flag(server, client, redis):
    other = server.resp(db=1)
    client.set("k", b"v", flags=7)
    redis.pipeline(transaction=True).move("k", 1).flushdb().execute()
    assert diglot_get(other, "k") in ((b"v", 7), None)
    client.set("k", b"v", flags=8)
    redis.pipeline(transaction=True).copy("k", "l").rename("k", "m").flushdb().append("l", "x").append("m", "y").execute()
    assert client.fetch("get k l m") == {b"l": (b"x", 0, None), b"m": (b"y", 0, None)}


# Many items in one slot

@pytest.mark.parametrize("count", [5000])
def test_one_slot_holds_thousands_of_flagged_items(client, redis, count):
    random.seed(3)
    expected = {}

    def write(keys, make):
        requests = []
        for i in keys:
            key, value, flags = b"{one}%d" % i, *make(i)
            expected[key] = (value, flags)
            requests.append(b"set %s %d 0 %d\r\n%s\r\n" % (key, flags, len(value), value))
        assert client.talk(b"".join(requests)) == b"STORED\r\n" * len(requests)

    def check():
        keys = [b"{one}%d" % i for i in range(count)]
        for begin in range(0, count, 100):
            found = client.fetch(b"get " + b" ".join(keys[begin:begin + 100]))
            assert {key: item[:2] for key, item in found.items()} \
                == {key: expected[key] for key in keys[begin:begin + 100] if key in expected}

    write(range(count), lambda i: (b"first%d" % i, i + 1))
    check()
    write(range(0, count, 2), lambda i: (b"second%d" % i, i * 31 % 2**32))
    check()
    for i in range(0, count, 3):
        client.send(b"delete {one}%d noreply\r\n" % i)
        expected.pop(b"{one}%d" % i, None)
    client.talk(b"")
    check()
    pipeline = redis.pipeline(transaction=False)
    for i in range(1, count, 3):
        pipeline.set(f"{{one}}{i}", "resp")
        expected[b"{one}%d" % i] = (b"resp", 0)
    pipeline.execute()
    check()
    for _ in range(5):  # records are reused: the ledger does not grow with what is gone
        write(random.sample(range(count), count // 2), lambda i: (b"again%d" % i, random.choice([0, 1, 2**32 - 1])))
        for i in random.sample(range(count), count // 3):
            client.send(b"delete {one}%d noreply\r\n" % i)
            expected.pop(b"{one}%d" % i, None)
        client.talk(b"")
    check()
    name = ledger_of(redis, b"{one}")
    assert redis.strlen(name) <= 16 * count * 8
    redis.execute_command("DEBUG", "RELOAD")
    check()


def test_a_ledger_does_not_grow_with_items_that_come_and_go(client, redis):
    client.set("{one}keeper", b"v", flags=1)
    name = ledger_of(redis, b"{one}")
    for i in range(5000):
        client.send(b"set {one}%d 7 0 1 noreply\r\nx\r\ndelete {one}%d noreply\r\n" % (i, i))
    client.talk(b"")
    assert redis.strlen(name) <= 16 * 1024
    assert client.get("{one}keeper") == (b"v", 1)


def test_copies_that_fail_by_the_hundred_spoil_none_later(start_engine):
    """Each is noted before it is known to fail; what they leave is forgotten, but not while somebody has a COPY queued."""
    server = start_engine()
    redis = server.resp()
    with server.connect() as client, server.resp_connection() as queueing:
        client.set("source", b"value", flags=5)
        client.set("other", b"other", flags=6)
        queueing.call("MULTI")
        queueing.call("COPY", "other", "queued")
        for i in range(600):
            redis.execute_command("COPY", "absent", f"target-{i}")
        queueing.call("EXEC")
        assert client.get("queued") in (None, (b"other", 6))

        def copies_well():
            redis.execute_command("COPY", "source", "copy", "REPLACE")
            return client.get("copy") == (b"value", 5)
        wait_until(copies_well, "copies to be trusted again")
        for i in range(600):
            redis.execute_command("COPY", "source", f"target-{i}")
        assert all(client.get(f"target-{i}") in (None, (b"value", 5)) for i in range(600))
