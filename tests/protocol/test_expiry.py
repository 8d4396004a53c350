"""When items end: relative and absolute times, what changes them and what does not."""
import time

import pytest

from lib.waiting import wait_until

MONTH = 30 * 24 * 3600  # what is longer is a unix time


def store_for_a_second(client, key, request, answer, flags=0):
    """And something else in the same go, so that a busy machine does not let it expire in between."""
    assert client.talk(b"set %s %d 1 1\r\n5\r\n%s\r\n" % (key, flags, request)) == b"STORED\r\n%s\r\n" % answer


def wait_gone(client, key):
    wait_until(lambda: client.get(key) is None, f"{key} to expire")


@pytest.mark.parametrize("exptime", [0, 1000, MONTH, "a unix time", 2_147_483_000])
def test_an_item_with_time_left_is_there(client, exptime):
    exptime = int(time.time()) + 1000 if exptime == "a unix time" else exptime
    client.set("key", b"value", flags=5, exptime=exptime)
    assert client.get("key") == (b"value", 5)
    assert client.store("add", "key", b"other") == b"NOT_STORED"


@pytest.mark.parametrize("exptime", [-1, -2147483648, MONTH + 1, 1_000_000_000])
def test_an_item_stored_with_a_time_in_the_past_is_stored_and_gone(client, exptime):
    client.set("key", b"old")
    assert client.store("set", "key", b"value", exptime=exptime) == b"STORED"
    assert client.get("key") is None
    assert client.ask(b"delete key") == b"NOT_FOUND"
    assert client.ask(b"touch key 100") == b"NOT_FOUND"
    assert client.ask(b"incr key 1") == b"NOT_FOUND"
    assert client.store("replace", "key", b"value") == b"NOT_STORED"
    assert client.store("append", "key", b"value") == b"NOT_STORED"
    assert client.cas(b"key", b"value", 1) == b"NOT_FOUND"
    assert client.store("add", "key", b"new") == b"STORED"
    assert client.get("key") == (b"new", 0)


def test_an_item_expires_when_its_second_has_passed_however_it_was_stored(client):
    for command in ("replace", "cas"):
        client.set(command, b"old")
    for command in ("set", "add", "replace"):
        assert client.store(command, command, b"value", exptime=1) == b"STORED"
    assert client.cas(b"cas", b"value", client.token("cas"), exptime=1) == b"STORED"
    for key in ("set", "add", "replace", "cas"):
        wait_gone(client, key)
        assert client.store("add", key, b"new") == b"STORED"


def test_an_item_expires_at_its_unix_time(client):
    client.set("key", b"value", exptime=int(time.time()) + 2)
    wait_gone(client, "key")


def test_an_item_expires_for_a_client_that_asks_all_the_time(client):
    """Whatever is cached of hot items must not outlive them."""
    client.set("key", b"value", exptime=2)
    wait_until(lambda: client.talk(b"get key\r\n" * 100).endswith(b"END\r\nEND\r\n"), "a hot item to expire")
    assert client.get("key") is None


def test_touch_ends_an_item_and_prolongs_it(client):
    store_for_a_second(client, b"key", b"touch key 0", b"TOUCHED")
    client.set("witness", b"value", exptime=2)
    wait_gone(client, "witness")
    assert client.get("key") == (b"5", 0)
    assert client.ask(b"touch key 1") == b"TOUCHED"
    wait_gone(client, "key")
    client.set("key", b"value")
    assert client.ask(b"touch key -1") == b"TOUCHED"
    assert client.get("key") is None


def test_gat_ends_an_item_and_prolongs_it(client):
    store_for_a_second(client, b"key", b"gat 0 key missing", b"VALUE key 7 1\r\n5\r\nEND", flags=7)
    client.set("witness", b"value", exptime=2)
    wait_gone(client, "witness")
    assert client.fetch("gats 1 key")[b"key"][:2] == (b"5", 7)
    wait_gone(client, "key")
    client.set("key", b"value")
    assert client.fetch("gat -1 key") == {b"key": (b"value", 0, None)}
    assert client.get("key") is None


def test_what_changes_a_value_keeps_its_time(client):
    requests = {"appended": (b"append appended 0 0 1\r\n1", b"STORED"), "prepended": (b"prepend prepended 0 1000 1\r\n1", b"STORED"),
                "raised": (b"incr raised 1", b"6"), "lowered": (b"decr lowered 1", b"4")}
    for key, (request, answer) in requests.items():
        store_for_a_second(client, key.encode(), request, answer)
    for key in requests:
        wait_gone(client, key)


def test_what_stores_a_value_without_a_time_forgets_the_old_time(client):
    for command in ("set", "replace"):
        store_for_a_second(client, command.encode(), b"%s %s 0 0 3\r\nnew" % (command.encode(), command.encode()), b"STORED")
    client.set("witness", b"value", exptime=2)
    wait_gone(client, "witness")
    assert client.fetch("get set replace") == {b"set": (b"new", 0, None), b"replace": (b"new", 0, None)}


def test_an_expired_item_is_a_miss_among_hits(client):
    client.set("short", b"value", exptime=1)
    client.set("long", b"value", exptime=1000)
    wait_gone(client, "short")
    assert client.fetch("get short long") == {b"long": (b"value", 0, None)}
    assert client.fetch("gat 1000 short long") == {b"long": (b"value", 0, None)}


@pytest.mark.parametrize("line", [b"touch key %s", b"gat %s key", b"gats %s key"])
@pytest.mark.parametrize("number", [b"x", b"1x", b"1.5", b"99999999999999999999"])
def test_a_time_that_is_no_number_is_refused(client, line, number):
    client.set("key", b"value", exptime=1000)
    assert client.ask(line % number) == b"CLIENT_ERROR invalid exptime argument"
    assert client.get("key") == (b"value", 0)


# --- the same, as the engine's own clients see it ---

def expiry_seconds(server, key):
    """The unix time at which the engine will drop the key; -1: never; -2: there is no such key."""
    return server.resp().execute_command("EXPIRETIME", key)


@pytest.mark.diglot_only
@pytest.mark.parametrize("exptime", [1, 1000, MONTH])
def test_a_relative_time_is_the_engines_ttl(server, client, exptime):
    def is_as_it_was_given():
        before = int(time.time())
        client.set("key", b"value", exptime=exptime)
        expiry = expiry_seconds(server, "key")
        assert expiry == -2 or before + exptime <= expiry <= int(time.time()) + exptime + 1
        return expiry != -2  # it may have expired before it was looked at
    wait_until(is_as_it_was_given, "the item to be there when it is looked at")


@pytest.mark.diglot_only
def test_a_unix_time_is_the_engines_expiry_to_the_second(server, client):
    for exptime in (int(time.time()) + 1000, 2_147_483_647):
        client.set("key", b"value", exptime=exptime)
        assert expiry_seconds(server, "key") == exptime
        client.set("key", b"value")
        assert expiry_seconds(server, "key") == -1
        assert client.ask(b"touch key %d" % exptime) == b"TOUCHED"
        assert expiry_seconds(server, "key") == exptime
        client.fetch("gat 0 key")
        assert expiry_seconds(server, "key") == -1
        client.fetch(f"gats {exptime} key")
        assert expiry_seconds(server, "key") == exptime
        assert client.ask(b"touch key 0") == b"TOUCHED"
        assert expiry_seconds(server, "key") == -1


@pytest.mark.diglot_only
def test_what_changes_a_value_keeps_the_engines_expiry(server, client):
    exptime = int(time.time()) + 1000
    client.set("key", b"5", flags=3, exptime=exptime)
    for request in (b"incr key 1", b"decr key 1", b"append key 0 0 1\r\n1", b"prepend key 0 0 1\r\n1", b"incr key 1"):
        client.ask(request)
        assert expiry_seconds(server, "key") == exptime, request
    assert client.get("key") == (b"152", 3)


@pytest.mark.diglot_only
def test_a_value_stored_with_a_time_in_the_past_leaves_no_key(server, client):
    client.set("key", b"old")
    client.set("key", b"value", exptime=-1)
    client.set("flagged", b"value", flags=5, exptime=-1)
    assert server.resp().exists("key", "flagged") == 0


@pytest.mark.diglot_only
def test_a_ttl_set_over_resp_is_obeyed(server, client):
    client.set("key", b"value")
    server.resp().pexpire("key", 1)
    wait_gone(client, "key")

    def is_persistent():
        client.set("key", b"value", exptime=1)
        return server.resp().persist("key")  # there was a time to take away
    wait_until(is_persistent, "the key to be there still")
    client.set("witness", b"value", exptime=2)
    wait_gone(client, "witness")
    assert client.get("key") == (b"value", 0)
