"""diglot.db and diglot.key-prefix: which part of the engine's data is memcached's."""
import pytest

from lib.engine_ledger import diglot_get, items_in


def test_with_a_db_only_that_database_is_memcacheds(start):
    server = start(db=3)
    zero, three = server.resp(), server.resp(db=3)
    with server.connect() as client:
        client.set("k", b"three", flags=3)
        assert three.get("k") == b"three" and zero.dbsize() == 0
        assert diglot_get(three, "k") == (b"three", 3)
        zero.set("k", "zero")
        zero.execute_command("DIGLOT.SET", "flagged", "zero", "FLAGS", 1)
        assert client.get("k") == (b"three", 3) and client.get("flagged") is None
        three.append("k", "!")
        assert client.get("k") == (b"three!", 3)
        three.set("k", "plain")
        assert client.get("k") == (b"plain", 0)
        assert client.ask(b"incr k 1").startswith(b"CLIENT_ERROR")
        assert client.ask(b"delete k") == b"DELETED"
        assert zero.get("k") == b"zero"


def test_changes_in_other_databases_touch_neither_flags_nor_data(start):
    server = start(db=3)
    zero, three = server.resp(), server.resp(db=3)
    with server.connect() as client:
        client.set("k", b"v", flags=3)
        for change in (lambda: zero.set("k", "x"), lambda: zero.delete("k"), lambda: zero.flushdb(), lambda: zero.set("k", "y"),
                       lambda: zero.rename("k", "l"), lambda: zero.copy("l", "k"), lambda: zero.hset("h", "f", "v")):
            change()
            assert client.get("k") == (b"v", 3)
        assert three.get("k") == b"v"


def test_flush_all_empties_that_database_alone(start):
    server = start(db=3)
    zero, three = server.resp(), server.resp(db=3)
    zero.set("k", "zero")
    with server.connect() as client:
        client.set("k", b"three", flags=3)
        assert client.ask(b"flush_all") == b"OK"
        assert client.get("k") is None
        assert three.dbsize() == 0 and zero.get("k") == b"zero"


def test_swapdb_and_move_bring_items_with_their_flags(start):
    server = start(db=3)
    zero, three = server.resp(), server.resp(db=3)
    with server.connect() as client:
        zero.execute_command("DIGLOT.SET", "k", "zero", "FLAGS", 1)
        client.set("k", b"three", flags=3)
        token = client.token("k")
        zero.swapdb(0, 3)
        assert client.get("k") == (b"zero", 1)
        assert client.cas("k", b"cas", token) == b"EXISTS"
        assert diglot_get(zero, "k") == (b"three", 3)
        zero.rename("k", "moved")
        assert zero.move("moved", 3)
        assert client.get("moved") == (b"three", 3)
        assert three.move("k", 0)
        assert client.get("k") is None and diglot_get(zero, "k") == (b"zero", 1)


def test_items_of_a_database_survive_a_restart(start):
    server = start(db=3, config={"appendonly": "yes", "appendfsync": "always"})
    with server.connect() as client:
        client.set("k", b"three", flags=3)
    server.kill()
    server.restart()
    with server.connect() as client:
        assert client.get("k") == (b"three", 3)
    assert server.resp().dbsize() == 0


def test_a_database_that_does_not_exist_is_refused_at_start(start):
    server = start(db=16, start=False)
    assert "diglot.db" in server.expect_refusal() or "database" in server.log().lower()


# Prefix

@pytest.fixture
def prefixed(start):
    return start(key_prefix="mc:")


def test_a_prefix_stands_before_every_key(prefixed):
    redis = prefixed.resp()
    with prefixed.connect() as client:
        client.set("k", b"v", flags=5, exptime=1000)
        assert items_in(redis) == {b"mc:k"}
        assert redis.get("mc:k") == b"v" and redis.ttl("mc:k") > 900
        assert client.fetch("gets k")[b"k"][:2] == (b"v", 5)
        assert diglot_get(redis, "mc:k") == (b"v", 5) and diglot_get(redis, "k") is None
        redis.set("k", "not ours")
        assert client.get("k") == (b"v", 5)
        redis.set("mc:k", "ours")
        assert client.get("k") == (b"ours", 0)
        assert client.ask(b"delete k") == b"DELETED"
        assert redis.get("k") == b"not ours" and not redis.exists("mc:k")


def test_every_command_goes_through_the_prefix(prefixed):
    redis = prefixed.resp()
    with prefixed.connect() as client:
        assert client.store("add", "k", b"5") == b"STORED"
        assert client.store("replace", "k", b"6", flags=2) == b"STORED"
        assert client.store("append", "k", b"1") == b"STORED"
        assert client.store("prepend", "k", b"1") == b"STORED"
        assert client.ask(b"incr k 9") == b"170"
        assert client.ask(b"decr k 70") == b"100"
        assert client.ask(b"touch k 1000") == b"TOUCHED"
        assert client.fetch("gat 2000 k absent") == {b"k": (b"100", 2, None)}
        assert client.cas("k", b"cas", client.token("k"), flags=3) == b"STORED"
        assert items_in(redis) == {b"mc:k"}
        assert diglot_get(redis, "mc:k") == (b"cas", 3)


def test_a_key_of_full_length_fits_behind_the_prefix(prefixed):
    with prefixed.connect() as client:
        client.set(b"k" * 250, b"v", flags=1)
        assert client.get(b"k" * 250) == (b"v", 1)
        assert prefixed.resp().get(b"mc:" + b"k" * 250) == b"v"
        assert client.ask(b"get " + b"k" * 251).startswith(b"CLIENT_ERROR")


def test_the_longest_prefix_works_and_a_longer_one_is_refused(start):
    server = start(key_prefix="p" * 128)
    with server.connect() as client:
        client.set(b"k" * 250, b"v", flags=1)
        assert client.get(b"k" * 250) == (b"v", 1)
        assert server.resp().get(b"p" * 128 + b"k" * 250) == b"v"
    assert "diglot.key-prefix" in start(key_prefix="p" * 129, start=False).expect_refusal()


def test_a_prefix_that_would_reach_the_ledgers_is_refused(start):
    assert "diglot.key-prefix" in start(key_prefix="diglot:", start=False).expect_refusal()


def test_with_a_prefix_flush_all_is_not_allowed(prefixed):
    redis = prefixed.resp()
    redis.set("other", "stays")
    with prefixed.connect() as client:
        client.set("k", b"v")
        assert client.ask(b"flush_all") == b"CLIENT_ERROR flush_all not allowed"
        assert client.get("k") == (b"v", 0)
    assert redis.get("other") == b"stays"


def test_flush_all_can_be_forbidden_and_allowed_while_running(start):
    server = start(flush_all="no")
    with server.connect() as client:
        client.set("k", b"v")
        assert client.ask(b"flush_all") == b"CLIENT_ERROR flush_all not allowed"
        assert client.get("k") == (b"v", 0)
        server.resp().config_set("diglot.flush-all", "yes")
        assert client.ask(b"flush_all") == b"OK"
        assert client.get("k") is None
