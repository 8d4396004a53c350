"""flush_all: at once, later, quietly, and where it is not allowed."""
import re
import time

import pytest

from lib.waiting import wait_until

NOT_ALLOWED = b"CLIENT_ERROR flush_all not allowed"


def with_time(line):
    """The line with NOW+n or NOW-n as the unix time that it means."""
    return re.sub(r"NOW([-+]\d+)", lambda match: str(int(time.time()) + int(match[1])), line).encode()


def fill(client, count=20):
    for i in range(count):
        client.set(f"key{i}", b"value", flags=i)


def left(client, count=20):
    return len(client.fetch("get " + " ".join(f"key{i}" for i in range(count))))


def wait_empty(client):
    wait_until(lambda: left(client) == 0, "the items to be flushed")


@pytest.mark.parametrize("line", ["flush_all", "flush_all 0", "flush_all -1", "flush_all 3000000000"])
def test_a_flush_for_now_empties_at_once(client, line):
    fill(client)
    assert client.ask(line.encode()) == b"OK"
    assert left(client) == 0
    assert client.ask(b"delete key0") == b"NOT_FOUND"
    assert client.ask(b"touch key1 0") == b"NOT_FOUND"
    assert client.store("add", "key2", b"new") == b"STORED"


@pytest.mark.diglot_only  # memcached takes times before its own start for no flush at all
@pytest.mark.parametrize("line", ["flush_all NOW-100", "flush_all 2592001", "flush_all 1000000000 noreply"])
def test_a_flush_for_the_past_empties_at_once(client, line):
    fill(client)
    client.send(with_time(line) + b"\r\nversion\r\n")
    client.read_until(b"VERSION 1.6.18\r\n")
    assert left(client) == 0


def test_what_is_stored_behind_a_flush_stays(client):
    client.send(b"set a 1 0 1\r\na\r\nflush_all\r\nset b 2 0 1\r\nb\r\nget a b\r\n")
    answer = b"STORED\r\nOK\r\nSTORED\r\nVALUE b 2 1\r\nb\r\nEND\r\n"
    assert client.read_exactly(len(answer)) == answer
    client.set("witness", b"value", exptime=2)
    wait_until(lambda: client.get("witness") is None, "time to pass")
    assert client.get("b") == (b"b", 2)


@pytest.mark.parametrize("line", ["flush_all noreply", "flush_all 0 noreply"])
def test_a_quiet_flush_empties_and_says_nothing(client, line):
    fill(client)
    client.send(line.encode() + b"\r\nversion\r\n")
    assert client.read_line().startswith(b"VERSION ")
    assert left(client) == 0


def test_a_flush_empties_for_all_clients(connect):
    one, other = connect(), connect()
    fill(one)
    assert left(other) == 20
    assert one.ask(b"flush_all") == b"OK"
    assert left(other) == 0


@pytest.mark.parametrize("line", ["flush_all 1000", "flush_all 1000 noreply", "flush_all NOW+1000",
                                  "flush_all 2147483000"])
def test_a_flush_far_ahead_empties_nothing_yet(start, line):
    with start().connect() as client:  # a server of its own: a flush under way would meet the tests behind this one
        fill(client)
        client.send(with_time(line) + b"\r\nversion\r\n")
        if "noreply" not in line:
            assert client.read_line() == b"OK"
        assert client.read_line().startswith(b"VERSION ")
        assert left(client) == 20
        client.set("witness", b"value", exptime=1)
        wait_until(lambda: client.get("witness") is None, "time to pass")
        assert left(client) == 20


@pytest.mark.parametrize("line", ["flush_all 2", "flush_all 2 noreply", "flush_all NOW+2"])
def test_a_delayed_flush_empties_when_it_is_due_and_what_comes_later_stays(start, line):
    with start().connect() as client:
        fill(client)
        client.send(with_time(line) + b"\r\n")
        if "noreply" not in line:
            assert client.read_line() == b"OK"
        wait_empty(client)

        # memcached flushes by whole seconds: what is stored in the same one goes too.
        def stays():
            fill(client)
            return left(client) == 20
        wait_until(stays, "items stored behind the flush to stay")
        client.set("witness", b"value", exptime=2)
        wait_until(lambda: client.get("witness") is None, "time to pass")
        assert left(client) == 20


def test_a_delayed_flush_takes_what_was_stored_between_the_command_and_its_time(start):
    with start().connect() as client:
        assert client.ask(b"flush_all 3") == b"OK"
        fill(client)
        wait_empty(client)


def test_a_delayed_flush_is_replaced_by_the_next_one(start):
    with start().connect() as client:
        assert client.ask(b"flush_all 3") == b"OK"
        assert client.ask(b"flush_all 1000") == b"OK"
        fill(client)
        client.set("witness", b"value", exptime=4)
        wait_until(lambda: client.get("witness") is None, "the time of the first flush to pass")
        assert left(client) == 20


def test_a_delayed_flush_is_forgotten_when_all_is_flushed_at_once(start):
    with start().connect() as client:
        assert client.ask(b"flush_all 3") == b"OK"
        assert client.ask(b"flush_all") == b"OK"
        fill(client)
        client.set("witness", b"value", exptime=4)
        wait_until(lambda: client.get("witness") is None, "the time of the first flush to pass")
        assert left(client) == 20


@pytest.mark.diglot_only
def test_a_delayed_flush_needs_no_client_to_come_to_pass(start):
    server = start()
    with server.connect() as client:
        fill(client)
        assert client.ask(b"flush_all 1") == b"OK"
    wait_until(lambda: server.resp().dbsize() == 0, "the database to be emptied")


@pytest.mark.parametrize("line", ["flush_all x", "flush_all 1x", "flush_all x noreply", "flush_all 99999999999999999999"])
def test_a_flush_with_a_bad_time_is_answered_like_memcached_answers_it(oracle, server, line):
    with oracle.connect() as theirs, server.connect() as ours:
        fill(ours)
        assert ours.talk(line.encode() + b"\r\n") == theirs.talk(line.encode() + b"\r\n")
        assert left(ours) == 20


@pytest.mark.parametrize("line", ["flush_all", "flush_all 0", "flush_all 100", "flush_all 0 x"])
def test_a_flush_that_is_switched_off_is_refused(start, line):
    with start(flush_all="no").connect() as client:
        fill(client)
        assert client.ask(line.encode()) == NOT_ALLOWED
        assert client.talk(b"flush_all noreply\r\n") == b""
        assert left(client) == 20


@pytest.mark.diglot_only
def test_flush_all_may_be_switched_while_the_server_runs(start):
    server = start()
    with server.connect() as client:
        fill(client)
        server.resp().config_set("diglot.flush-all", "no")
        assert client.ask(b"flush_all") == NOT_ALLOWED
        server.resp().config_set("diglot.flush-all", "yes")
        assert client.ask(b"flush_all") == b"OK"
        assert left(client) == 0


@pytest.mark.diglot_only
def test_a_flush_is_refused_where_items_share_the_database_by_a_key_prefix(start):
    server = start(key_prefix="cache:")
    server.resp().set("other", "not an item")
    with server.connect() as client:
        fill(client)
        assert client.ask(b"flush_all") == NOT_ALLOWED
        assert client.ask(b"flush_all 1") == NOT_ALLOWED
        assert client.talk(b"flush_all noreply\r\n") == b""
        assert left(client) == 20
    assert server.resp().get("other") == b"not an item"
    assert server.resp().get("cache:key0") == b"value"


@pytest.mark.diglot_only
def test_a_flush_empties_the_items_database_and_no_other(start):
    server = start(db=3)
    server.resp(0).set("other", "stays")
    with server.connect() as client:
        fill(client)
        assert server.resp(3).get("key0") == b"value"
        assert client.ask(b"flush_all") == b"OK"
        assert left(client) == 0
    assert server.resp(0).get("other") == b"stays"
    assert server.resp(3).dbsize() == 0


@pytest.mark.diglot_only
def test_a_flush_over_resp_empties_for_memcached_clients(server, client):
    fill(client)
    token = client.token("key0")
    server.resp().flushall()
    assert left(client) == 0
    assert client.cas(b"key0", b"value", token) == b"NOT_FOUND"
    client.set("key0", b"value")
    assert client.get("key0") == (b"value", 0)  # no flags of old
    assert client.cas(b"key0", b"value", token) == b"EXISTS"
