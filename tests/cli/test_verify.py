"""diglot verify: finds what differs, and nothing else, while clients go on."""
import threading

import pytest

from lib.tool import address, fill, meta_set, run_tool


@pytest.fixture
def sides(start_engine, start_memcached):
    """Two old servers and the new one, with the same items."""
    olds, new = [start_memcached() for _ in range(2)], start_engine()
    for number, old in enumerate(olds):
        fill(old, 1000, prefix=b"user%d" % number, exptime=5000)
        fill(old, 1000, prefix=b"page%d" % number)
    assert run_tool("import", "--to", address(new), *map(address, olds)).status == 0
    return olds, new


def verify(sides, *options):
    olds, new = sides
    return run_tool("verify", *options, "--to", address(new), *map(address, olds))


def test_equal_sides_are_a_go_while_clients_write(sides):
    olds, new = sides
    ends = threading.Event()

    def write():
        """A client whose writes reach one side a little after the other."""
        with olds[0].connect() as left, new.connect() as right:
            while not ends.is_set():
                for n in range(0, 1000, 50):
                    for connection in (right, left):
                        connection.send(b"incr page0:%d 1\r\ntouch user0:%d 4000\r\n" % (n, n))
                    for connection in (right, left):
                        connection.read_line(), connection.read_line()
                ends.wait(0.01)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = verify(sides, "--json")
    finally:
        ends.set()
        writer.join()
    assert done.status == 0, done.out
    report = done.report
    assert report["go"] and report["compared"] + report["gone"] == report["listed"] == 4000 and report["gone"] < 50, done.out


def plant(sides):
    with sides[1].connect() as connection:
        connection.set(b"user0:1", b"other", flags=1, exptime=5000)
        connection.set(b"user0:2", b"2", flags=3, exptime=5000)
        connection.set(b"user1:3", b"3", flags=3, exptime=50)
        connection.set(b"page1:4", b"4", flags=4, exptime=50)
        assert connection.ask(b"delete page1:5") == b"DELETED"
        connection.set(b"only:here", b"fine")


def test_planted_differences_are_found(sides):
    plant(sides)
    done = verify(sides, "--json", "--rechecks", 2)
    assert done.status == 1
    prefixes = {row["prefix"]: row for row in done.report["prefixes"]}
    assert {name: row["kinds"] for name, row in prefixes.items()} == {
        "user0:": {"missing": 0, "value": 1, "flags": 1, "ttl": 0}, "user1:": {"missing": 0, "value": 0, "flags": 0, "ttl": 1},
        "page1:": {"missing": 1, "value": 0, "flags": 0, "ttl": 1}}
    assert sorted(prefixes["user0:"]["keys"]) == ["user0:1 (value)", "user0:2 (flags)"] and prefixes["user0:"]["compared"] == 1000
    assert done.report["differ"] == 5
    text = verify(sides, "--rechecks", 0)
    assert text.status == 1 and "5 differ (1 missing, 1 values, 1 flags, 2 ttls), by prefix:" in text.out
    assert text.out.endswith("NO GO: the sides differ\n")
    assert verify(sides, "--rechecks", 0, "--allow", 5).status == 0
    # The tolerance covers one expiry; one that never comes stays a difference.
    wide = verify(sides, "--json", "--rechecks", 0, "--tolerance", 6000).report
    assert wide["differ"] == 4
    whole = verify(sides, "--json", "--rechecks", 0, "--delimiter", "e").report["prefixes"]
    assert [(row["prefix"], row["differ"]) for row in whole] == [("use", 3), ("page", 2)]


def test_a_sample_is_a_part(sides):
    done = verify(sides, "--json", "--sample", 100)
    assert done.status == 0 and done.report["compared"] == 100 and done.report["listed"] == 4000


def test_it_cannot_be_found_out(sides, start_memcached):
    olds, new = sides
    mute = start_memcached(program=["memcached", "-X"])
    done = run_tool("verify", "--to", address(new), address(olds[0]), address(mute))
    assert done.status == 3 and "metadump not allowed" in done.out and "could not be found out" in done.out
    assert run_tool("verify", "--to", "127.0.0.1:1", address(olds[0])).status == 2


def test_an_invalidated_item_is_no_difference(start_engine, start_memcached):
    old, new = start_memcached(), start_engine()
    with old.connect() as connection:
        meta_set(connection, b"stale", b"value")
        assert connection.ask(b"md stale I T600") == b"HD"
    done = run_tool("verify", "--json", "--to", address(new), address(old))
    assert done.status == 0 and done.report["stale"] == 1
