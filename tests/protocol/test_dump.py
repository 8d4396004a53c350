"""lru_crawler metadump and mgdump: the bytes of memcached 1.6.45, whose answers are quoted here; Debian's older memcached
tells the same fields but the flags, and knows no mgdump."""
import base64
import re
import time
import urllib.parse

import pytest

from lib.waiting import wait_until

pytestmark = pytest.mark.diglot_only

LINE = re.compile(rb"key=(\S+) exp=(-?\d+) la=(\d+) cas=(\d+) fetch=(yes|no) cls=1 size=(\d+) flags=(\d+) \n")


def metadump(client, what=b"all"):
    """Name -> (exp, la, cas, fetch, size, flags)."""
    client.send(b"lru_crawler metadump " + what + b"\r\n")
    assert client.read_line() == b"OK"
    reply = client.read_until(b"END\r\n").removesuffix(b"END\r\n")
    lines = reply.splitlines(keepends=True)
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    return {urllib.parse.unquote_to_bytes(m[1]): m.groups()[1:] for m in matches}


@pytest.mark.parametrize("what", [b"all", b"hash", b"1", b"1,5,63"])
def test_every_field_is_told(client, what):
    now = int(time.time())
    client.send(b"set a 0 0 1\r\n1\r\nset b%c 5 1000 300\r\n" + b"x" * 300 + b"\r\nset \x01\xffb 4294967295 0 0\r\n\r\n")
    for _ in range(3):
        assert client.read_line() == b"STORED"
    items = metadump(client, what)
    assert set(items) == {b"a", b"b%c", b"\x01\xffb"}
    assert [items[name][5] for name in (b"a", b"b%c", b"\x01\xffb")] == [b"0", b"5", b"4294967295"]
    assert [items[name][4] for name in (b"a", b"b%c", b"\x01\xffb")] == [b"61", b"366", b"66"]
    assert items[b"a"][0] == b"-1" and 0 <= int(items[b"b%c"][0]) - now - 1000 <= 5
    assert 0 <= int(items[b"a"][1]) - now + 2 <= 7
    assert int(items[b"a"][2]) == int(client.token("a"))


def test_mgdump_gives_requests(client):
    client.send(b"set a 0 0 1\r\n1\r\nset \x01\xffb 0 0 0\r\n\r\n")
    assert client.read_line() == client.read_line() == b"STORED"
    client.send(b"lru_crawler mgdump all\r\n")
    assert client.read_line() == b"OK"
    lines = client.read_until(b"EN\r\n").split(b"\r\n")[:-2]
    assert sorted(lines) == [b"mg \x01\xffb", b"mg a"]


def test_a_key_that_no_line_can_hold_is_told_in_base64(server, client):
    server.resp().set("a b\r\n", "x")
    client.send(b"lru_crawler mgdump hash\r\n")
    assert client.read_until(b"EN\r\n") == b"OK\r\nmg " + base64.b64encode(b"a b\r\n") + b" b\r\nEN\r\n"


def test_an_empty_server_has_an_empty_dump(client):
    assert client.talk(b"lru_crawler metadump all\r\n") == b"OK\r\nEND\r\n"


def test_keys_of_other_kinds_are_not_told(server, client):
    resp = server.resp()
    resp.lpush("list", "x")
    resp.set("n" * 251, "x")
    client.set("flagged", b"x", flags=7)  # has a ledger
    assert set(metadump(client)) == {b"flagged"}


@pytest.mark.parametrize("request_bytes, reply", [
    (b"lru_crawler metadump\r\n", b"ERROR\r\n"),
    (b"lru_crawler mgdump\r\n", b"ERROR\r\n"),
    (b"lru_crawler metadump 0\r\n", b"BADCLASS invalid class id\r\n"),
    (b"lru_crawler metadump 64\r\n", b"BADCLASS invalid class id\r\n"),
    (b"lru_crawler metadump x\r\n", b"BADCLASS invalid class id\r\n"),
    (b"lru_crawler metadump 1,x\r\n", b"BADCLASS invalid class id\r\n"),
    (b"lru_crawler mgdump ALL\r\n", b"BADCLASS invalid class id\r\n"),
    (b"lru_crawler metadump ,\r\n", b"NOTSTARTED no items to crawl\r\n"),
    (b"lru_crawler metadump 7\r\n", b"NOTSTARTED no items to crawl\r\n"),
    (b"lru_crawler metadump all x\r\n", b"ERROR\r\n"),
    (b"get a\r\nlru_crawler mgdump all\r\nget a\r\n", b"END\r\nERROR cannot pipeline other commands before mgdump\r\nEND\r\n"),
    (b"set a 0 0 1 noreply\r\n1\r\nlru_crawler metadump hash\r\n", b"ERROR cannot pipeline other commands before metadump\r\n"),
    (b"lru_crawler metadump all\r\nlru_crawler metadump all\r\n",
     b"OK\r\nEND\r\nERROR cannot pipeline other commands before metadump\r\n"),
    (b"lru_crawler mgdump all\r\nget a\r\nnonsense\r\n", b"OK\r\nEN\r\nEND\r\nERROR\r\n"),
])
def test_answers(client, request_bytes, reply):
    assert client.talk(request_bytes) == reply


def test_a_dump_touches_nothing(server, client):
    client.set("key", b"123")
    resp = server.resp()
    before = resp.object("encoding", "key")
    metadump(client)
    assert resp.object("encoding", "key") == before  # reading the value would have changed it


def test_only_keys_with_the_prefix_are_told_and_without_it(start):
    server = start(key_prefix="p:")
    with server.connect() as client:
        client.set("key", b"x")
        server.resp().set("other", "x")
        assert set(metadump(client)) == {b"key"}


def test_a_client_that_does_not_read_costs_nothing(server, connect):
    resp = server.resp()
    pipeline = resp.pipeline(transaction=False)
    for i in range(20_000):
        pipeline.set(f"key:{i:0200}", "x")
    pipeline.execute()
    slow, other = connect(), connect()
    slow.send(b"lru_crawler metadump all\r\n")
    wait_until(slow.has_input, "the dump to begin")
    other.set("key", b"x")
    for _ in range(100):
        assert other.get("key") == (b"x", 0)
    reply = slow.read_until(b"END\r\n")
    assert len(set(re.findall(rb"key=(key%3A\d+) ", reply))) == 20_000
