"""A CAS token holds until the item changes, whichever protocol changed it, and never a moment longer."""
import pytest

from lib.waiting import wait_until


@pytest.fixture
def redis(server):
    return server.resp()


def test_a_token_holds_while_the_item_is_only_read(client, redis):
    client.set("k", b"v", flags=4)
    token = client.token("k")
    redis.get("k"), redis.ttl("k"), redis.strlen("k"), redis.exists("k"), redis.dump("k"), redis.getrange("k", 0, 1)
    redis.keys(), redis.execute_command("DIGLOT.GET", "k")
    assert client.token("k") == token
    client.set("other", b"v")
    assert client.cas("k", b"new", token, flags=5) == b"STORED"
    assert redis.get("k") == b"new" and client.get("k") == (b"new", 5)


def test_a_token_is_good_for_one_cas(client):
    client.set("k", b"v")
    token = client.token("k")
    assert client.cas("k", b"new", token) == b"STORED"
    assert client.cas("k", b"newer", token) == b"EXISTS"
    assert client.get("k") == (b"new", 0)


def test_an_item_written_over_resp_has_a_token(client, redis):
    redis.set("k", "v")
    assert client.cas("k", b"new", client.token("k")) == b"STORED"
    assert redis.get("k") == b"new"


def test_a_wrong_token_never_holds(client, redis):
    client.set("k", b"v")
    token = client.token("k")
    for wrong in (0, 1, token - 1, token + 1, 2**64 - 1):
        assert client.cas("k", b"new", wrong) == b"EXISTS"
    assert client.cas("absent", b"new", token) == b"NOT_FOUND"
    assert redis.get("k") == b"v" and redis.exists("absent") == 0


BY_RESP = {
    "SET": lambda redis: redis.set("k", "5"),
    "SET KEEPTTL": lambda redis: redis.set("k", "5", keepttl=True),
    "GETSET": lambda redis: redis.getset("k", "5"),
    "MSET": lambda redis: redis.mset({"a": "1", "k": "5"}),
    "PSETEX": lambda redis: redis.psetex("k", 1000000, "5"),
    "APPEND": lambda redis: redis.append("k", "5"),
    "SETRANGE": lambda redis: redis.setrange("k", 0, "6"),
    "SETBIT": lambda redis: redis.setbit("k", 7, 0),
    "BITFIELD": lambda redis: redis.execute_command("BITFIELD", "k", "SET", "u8", "0", "54"),
    "BITOP": lambda redis: redis.bitop("OR", "k", "same"),
    "INCR": lambda redis: redis.incr("k"),
    "DECRBY": lambda redis: redis.decrby("k", 3),
    "INCRBYFLOAT": lambda redis: redis.incrbyfloat("k", 0.5),
    "DEL and SET": lambda redis: (redis.delete("k"), redis.set("k", "5")),
    "UNLINK and SET": lambda redis: (redis.unlink("k"), redis.set("k", "5")),
    "GETDEL and SET": lambda redis: (redis.getdel("k"), redis.set("k", "5")),
    "EXPIRE into the past and SET": lambda redis: (redis.expire("k", -1), redis.set("k", "5")),
    "RENAME onto it": lambda redis: redis.rename("same", "k"),
    "RENAME away and back": lambda redis: (redis.rename("k", "away"), redis.rename("away", "k")),
    "COPY onto it": lambda redis: redis.copy("same", "k", replace=True),
    "RESTORE": lambda redis: redis.restore("k", 0, redis.dump("same"), replace=True),
    "MOVE away and back": lambda redis: move_away_and_back(redis),
    "SORT STORE and SET": lambda redis: (redis.execute_command("SORT", "list", "STORE", "k"), redis.set("k", "5")),
    "FLUSHALL and SET": lambda redis: (redis.flushall(), redis.set("k", "5")),
    "FLUSHALL ASYNC and SET": lambda redis: (redis.flushall(asynchronous=True), redis.set("k", "5")),
    "FLUSHDB and SET": lambda redis: (redis.flushdb(), redis.set("k", "5")),
    "SWAPDB": lambda redis: swap(redis),
    "SWAPDB there and back": lambda redis: (redis.swapdb(0, 1), redis.swapdb(0, 1)),
    "DEBUG RELOAD": lambda redis: redis.execute_command("DEBUG", "RELOAD"),
    "a transaction": lambda redis: redis.pipeline(transaction=True).set("k", "6").set("k", "5").execute(),
    "a script": lambda redis: redis.eval("redis.call('set', KEYS[1], '5')", 1, "k"),
    "a script that deletes and sets": lambda redis: redis.eval(
        "redis.call('del', KEYS[1]); redis.call('set', KEYS[1], '5')", 1, "k"),
    "DIGLOT.SET": lambda redis: redis.execute_command("DIGLOT.SET", "k", "5"),
}


def move_away_and_back(redis):
    redis.move("k", 1)
    with redis.pipeline(transaction=True) as transaction:
        transaction.execute_command("SELECT", 1)
        transaction.move("k", 0)
        transaction.execute_command("SELECT", 0)
        transaction.execute()


def swap(redis):
    """Database 1 gets the same key with the same value, then takes the place of database 0."""
    redis.copy("k", "k", destination_db=1)
    redis.swapdb(0, 1)


@pytest.mark.parametrize("change", BY_RESP.values(), ids=BY_RESP.keys())
def test_a_token_fails_after_a_change_over_resp(client, redis, change):
    """Even where the value is the same again afterwards."""
    redis.rpush("list", "1")
    redis.set("same", "5")
    client.set("k", b"5")
    token = client.token("k")
    change(redis)
    assert redis.exists("k") == 1
    assert client.cas("k", b"cas", token) == b"EXISTS"
    assert redis.get("k") != b"cas"
    if client.get("k"):
        assert client.cas("k", b"cas", client.token("k")) == b"STORED"


BY_MEMCACHED = [b"set k 0 0 1\r\n5", b"replace k 0 0 1\r\n5", b"append k 0 0 0\r\n", b"append k 0 0 1\r\n5", b"prepend k 0 0 1\r\n5",
                b"incr k 0", b"incr k 1", b"decr k 1", b"delete k\r\nset k 0 0 1\r\n5", b"flush_all\r\nset k 0 0 1\r\n5",
                b"set k 0 -1 1\r\n5\r\nset k 0 0 1\r\n5"]


@pytest.mark.parametrize("change", BY_MEMCACHED)
def test_a_token_fails_after_a_change_by_memcached(client, redis, change):
    client.set("k", b"5")
    token = client.token("k")
    client.talk(change + b"\r\n")
    assert redis.exists("k") == 1
    assert client.cas("k", b"cas", token) == b"EXISTS"
    assert client.cas("k", b"cas", client.token("k")) == b"STORED"


@pytest.mark.parametrize("change", [b"set k 0 0 1\r\n5", b"append k 0 0 1\r\n5", b"incr k 1", b"delete k"])
def test_diglot_set_fails_with_a_token_after_a_change_by_memcached(client, redis, change):
    client.set("k", b"5")
    token = redis.execute_command("DIGLOT.GET", "k")[2]
    client.talk(change + b"\r\n")
    assert redis.execute_command("DIGLOT.SET", "k", "cas", "CAS", token) is None
    assert redis.get("k") != b"cas"


def test_a_token_fails_after_the_item_was_removed(client, redis):
    for remove in (lambda: redis.delete("k"), redis.flushall, redis.flushdb, lambda: redis.swapdb(0, 1),
                   lambda: redis.rename("k", "away"), lambda: redis.move("k", 1), lambda: client.ask(b"delete k"),
                   lambda: client.ask(b"flush_all")):
        redis.flushall()
        client.set("k", b"v")
        token = client.token("k")
        remove()
        assert client.cas("k", b"cas", token) == b"NOT_FOUND"
        assert redis.exists("k") == 0


def test_a_token_fails_after_the_item_expired_and_was_set_again(client, redis):
    client.set("k", b"v")
    token = client.token("k")
    redis.pexpire("k", 1)
    wait_until(lambda: not redis.exists("k"), "the key to expire")
    redis.set("k", "v")
    assert client.cas("k", b"cas", token) == b"EXISTS"


def test_a_token_fails_after_the_item_was_evicted_and_set_again(start):
    server = start()
    redis = server.resp()
    with server.connect() as client:
        client.set("k", b"v")
        token = client.token("k")
        redis.config_set("maxmemory-policy", "allkeys-random")
        redis.config_set("maxmemory", 1)
        wait_until(lambda: redis.ping() and not redis.exists("k"), "the key to be evicted")
        redis.config_set("maxmemory", 0)
        redis.set("k", "v")
        assert client.cas("k", b"cas", token) == b"EXISTS"


@pytest.mark.parametrize("persistence", [{"save": "3600 1"}, {"appendonly": "yes"}], ids=["rdb", "aof"])
def test_a_token_fails_after_a_restart(start, persistence):
    server = start(config=persistence)
    with server.connect() as client:
        client.set("k", b"v", flags=6)
        token = client.token("k")
    for _ in range(2):
        server.shutdown_saving()
        server.restart()
        with server.connect() as client:
            assert client.get("k") == (b"v", 6)
            assert client.cas("k", b"cas", token) == b"EXISTS"
            assert client.token("k") > token


def test_tokens_are_never_given_twice(client, redis):
    """To one key, through all that may happen to it."""
    seen = set()
    changes = [lambda: client.set("k", b"v"), lambda: redis.set("k", "v"), lambda: (redis.flushall(), redis.set("k", "v")),
               lambda: redis.execute_command("DEBUG", "RELOAD"), lambda: (redis.delete("k"), client.set("k", b"v"))]
    for _ in range(10):
        for change in changes:
            change()
            token = client.token("k")
            assert token not in seen and token > max(seen, default=0)
            seen.add(token)


def test_a_write_that_fails_moves_no_token(client, redis):
    client.set("k", b"text")
    token = client.token("k")
    for request in (b"add k 0 0 1\r\n1", b"incr k 1", b"cas k 0 0 1 1\r\n1", b"get k", b"delete absent", b"replace absent 0 0 1\r\n1"):
        client.talk(request + b"\r\n")
    for command in (("INCR", "k"), ("LPUSH", "k", "1"), ("SET", "k", "new", "NX")):
        try:
            redis.execute_command(*command)
        except Exception:
            pass
    assert client.cas("k", b"new", token) == b"STORED"
