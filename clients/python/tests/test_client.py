"""The client's operations, with the module and without."""
import time

import pytest

from diglot import Client, PylibmcSerde, RawSerde


@pytest.fixture
def client(engine):
    with Client(engine.resp()) as client:
        yield client


def test_values_come_back_as_they_were(client):
    for value in ("text", "grüß", b"bytes\0\r\n", 42, -1, 2**70, True, None, 1.5, {"a": [1, 2]}, ""):
        assert client.set("key", value)
        read = client.get("key")
        assert read == value and type(read) is type(value)
    assert client.get("absent") is None and client.get("absent", 7) == 7


def test_add_and_replace(client):
    assert client.replace("key", "x") is False and client.get("key") is None
    assert client.add("key", "first") is True
    assert client.add("key", b"second") is False
    assert client.get("key") == "first"
    assert client.replace("key", b"third") is True
    assert client.get("key") == b"third"


def test_many(client):
    assert client.set_many({"a": 1, "b": "two"}) == []
    assert client.get_many(["a", "absent", "b"]) == {"a": 1, "b": "two"}
    assert client.delete_many(["a", "absent"]) is True
    assert client.get_multi(["a", "b"]) == {"b": "two"}
    assert client.get_many([]) == {}


def test_append_and_prepend_keep_the_flags(client):
    assert client.append("key", "x") is False and client.prepend("key", "x") is False
    client.set("key", "middle")
    assert client.append("key", " end") and client.prepend("key", "begin ")
    assert client.get("key") == "begin middle end"


def test_counters(client):
    assert client.incr("absent") is None and client.decr("absent") is None
    client.set("n", 10)
    assert client.incr("n", 5) == 15 and client.decr("n") == 14
    assert client.get("n") == 14
    assert client.decr("n", 100) == 0
    client.set("n", 2**53 + 1)
    assert client.incr("n", 2) == 2**53 + 3
    client.set("text", "text")
    with pytest.raises(Exception, match="non-numeric"):
        client.incr("text")


def test_cas(client):
    assert client.cas("key", "new", b"1") is None
    client.set("key", "old")
    value, token = client.gets("key")
    assert value == "old"
    assert client.cas("key", "new", token) is True
    assert client.cas("key", "newer", token) is False
    assert client.get("key") == "new"
    assert client.gets("absent") == (None, None)
    assert client.gets_many(["key", "absent"])["key"][0] == "new"


def test_expiry(client, engine):
    ttl = engine.resp().ttl
    client.set("key", "x", expire=100)
    assert 98 <= ttl("key") <= 100
    client.set("key", "x", expire=int(time.time()) + 40 * 86400)
    assert 39 * 86400 < ttl("key") <= 40 * 86400
    client.set("key", "x")
    assert ttl("key") == -1
    assert client.touch("key", 50) is True and 48 <= ttl("key") <= 50
    assert client.touch("key") is True and ttl("key") == -1
    assert client.touch("absent", 50) is False and client.touch("absent") is False
    assert client.gat("key", 60) == "x" and 58 <= ttl("key") <= 60
    assert client.set("key", "x", expire=-1) and client.get("key") is None
    assert client.set("key", "x", expire=31 * 86400) and client.get("key") is None  # a unix time of 1970


def test_keys(client):
    for key in ("", b"k" * 251):
        with pytest.raises(ValueError):
            client.get(key)
    assert client.set("k" * 250, "x") and client.get(b"k" * 250) == "x"


def test_delete_and_flush(client):
    client.set("key", "x")
    assert client.delete("key") is True and client.delete("key") is False
    client.set("key", "x")
    assert client.flush_all() is True and client.get("key") is None


def test_a_key_of_another_type_is_a_miss(client, engine):
    engine.resp().lpush("list", "x")
    client.set("key", "x")
    assert client.get("list") is None
    assert client.get_many(["list", "key"]) == {"key": "x"}


def test_a_prefix_stands_before_every_key(engine):
    client = Client(engine.resp(), key_prefix="app:")
    client.set("key", "x")
    assert engine.resp().get("app:key") == b"x" and client.get("key") == "x"
    with pytest.raises(ValueError):
        client.flush_all()


def test_other_serializers(engine):
    client = Client(engine.resp(), serde=PylibmcSerde(compress_from=100))
    client.set("key", "x" * 1000)
    assert engine.resp().strlen("key") < 100 and client.get("key") == "x" * 1000
    raw = Client(engine.resp(), serde=RawSerde())
    raw.set("n", 7)
    assert raw.get("n") == b"7"
