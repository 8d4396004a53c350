"""`watch`: memcached 1.6.45's lines (docs/observing.md); its order of one client's lines is that of the commands."""
import re
import socket

import pytest

from lib.waiting import wait_until

pytestmark = pytest.mark.diglot_only

SPOKEN = [  # what is sent, and the lines without time, number and descriptor
    (b"set k%20 7 100 3\r\nabc\r\n", ["item_get key=k%2520 status=not_found clsid=0 size=0",
                                     "item_store key=k%2520 status=stored cmd=set ttl=100 clsid=1 size=3"]),
    (b"get k%20 miss\r\n", ["item_get key=k%2520 status=found clsid=1 size=3",
                            "item_get key=miss status=not_found clsid=0 size=0"]),
    (b"gat 50 k%20\r\n", ["item_get key=k%2520 status=found clsid=1 size=3"]),
    (b"touch k%20 9\r\n", ["item_get key=k%2520 status=found clsid=1 size=3"]),
    (b"add k%20 0 0 1\r\n1\r\n", ["item_get key=k%2520 status=found clsid=1 size=3",
                                 "item_store key=k%2520 status=not_stored cmd=add ttl=0 clsid=1 size=1"]),
    (b"append k%20 0 0 1\r\n1\r\n", ["item_get key=k%2520 status=found clsid=1 size=3",
                                    "item_store key=k%2520 status=stored cmd=append ttl=9 clsid=1 size=4"]),
    (b"prepend miss 0 0 1\r\n1\r\n", ["item_get key=miss status=not_found clsid=0 size=0",
                                     "item_store key=miss status=not_stored cmd=prepend ttl=0 clsid=1 size=1"]),
    (b"cas k%20 0 0 1 99\r\n1\r\n", ["item_get key=k%2520 status=found clsid=1 size=4",
                                    "item_store key=k%2520 status=exists cmd=cas ttl=0 clsid=1 size=1"]),
    (b"cas miss 0 0 1 99\r\n1\r\n", ["item_get key=miss status=not_found clsid=0 size=0",
                                    "item_store key=miss status=not_found cmd=cas ttl=0 clsid=1 size=1"]),
    (b"set n 0 0 2 noreply\r\n10\r\nincr n 1\r\n", ["item_get key=n status=not_found clsid=0 size=0",
                                                  "item_store key=n status=stored cmd=set ttl=0 clsid=1 size=2",
                                                  "item_get key=n status=found clsid=1 size=2"]),
    (b"delete n\r\n", ["item_get key=n status=found clsid=1 size=2", "deleted key=n cmd=delete clsid=1 size=2"]),
    (b"delete n\r\n", ["item_get key=n status=not_found clsid=0 size=0"]),
]
LINE = re.compile(r"ts=\d+\.\d{1,6} gid=(\d+) type=(.*?)( cfd=(\d+))?( size=\d+)?")


def watch(connect, streams):
    watcher = connect()
    assert watcher.ask(b"watch " + streams) == b"OK"
    return watcher


def read_lines(watcher, last):
    """Parsed lines up to the first that has `last` in it: (number, text, descriptor)."""
    lines = []
    while not lines or last not in lines[-1][1]:
        line = watcher.read_until(b"\n").decode().removesuffix("\n")
        match = LINE.fullmatch(line)
        assert match, line
        lines.append((int(match[1]), match[2] + (match[5] or ""), match[4]))
    return lines


def test_what_each_command_tells(connect):
    watcher, client = watch(connect, b"fetchers mutations deletions"), connect()
    expected = []
    for request, lines in SPOKEN:
        client.send(request)
        expected += lines
    client.send(b"get the-last\r\n")
    lines = read_lines(watcher, "the-last")
    assert [text for _, text, _ in lines[:-1]] == expected
    assert all(first[0] < second[0] for first, second in zip(lines, lines[1:]))
    assert len({descriptor for _, _, descriptor in lines if descriptor}) == 1


@pytest.mark.parametrize("streams, types", [(b"fetchers", {"item_get"}), (b"mutations", {"item_store"}), (b"", {"item_get"}),
                                            (b"deletions", {"deleted"}), (b"fetchers deletions", {"item_get", "deleted"})])
def test_only_what_was_asked_for_is_told(connect, streams, types):
    watcher, client = watch(connect, streams), connect()
    for key in (b"a", b"last"):
        client.talk(b"set %s 0 0 1\r\n1\r\nget %s\r\ndelete %s\r\n" % (key, key, key))
    client.talk(b"set last 0 0 1\r\n1\r\nget last\r\ndelete last\r\n")
    assert {text.split()[0] for _, text, _ in read_lines(watcher, "key=last")} == types


def test_connections_that_come_and_go(server, connect):
    watcher = watch(connect, b"connevents")
    with server.connect() as client:
        assert client.ask(b"version")
        port = client.socket.getsockname()[1]
        new = read_lines(watcher, f"rport={port}")[-1]
        assert new[1] == f"conn_new rip=127.0.0.1 rport={port} transport=tcp"
    closed = read_lines(watcher, f"rport={port}")[-1]
    assert closed[1] == f"conn_close rip=127.0.0.1 rport={port} transport=tcp reason=normal"
    assert closed[2] == new[2]


def test_a_reset_connection_is_told_or_a_normal_end(server, connect):
    watcher = watch(connect, b"connevents")
    with server.connect() as client:
        assert client.ask(b"version")
        port = client.socket.getsockname()[1]
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    closed = [text for _, text, _ in read_lines(watcher, f"conn_close rip=127.0.0.1 rport={port}")][-1]
    assert closed.endswith("reason=error")


@pytest.mark.parametrize("line, reply", [
    (b"watch nonsense\r\nversion\r\n", b"ERROR\r\nVERSION"),
    (b"watch fetchers nonsense\r\n", b"ERROR\r\n"),
    (b"watch Fetchers\r\n", b"ERROR\r\n"),
    (b"watch sysevents\r\n", b"ERROR\r\n"),
    (b"watch proxyreqs\r\n", b"ERROR\r\n"),
    (b"version\r\nwatch\r\nversion\r\n", b"VERSION 1.6.18\r\nERROR cannot pipeline other commands before watch\r\nVERSION"),
])
def test_refusals_leave_an_ordinary_connection(client, line, reply):
    client.send(line)
    assert client.read_exactly(len(reply)) == reply
    client.send(b"\r\nget end\r\n")
    client.read_until(b"END\r\n")


def test_a_watcher_takes_no_more_commands(connect):
    watcher, client = connect(), connect()
    watcher.send(b"watch fetchers rawcmds\r\nset no 0 0 1\r\n1\r\n")
    assert watcher.read_line() == b"OK"
    watcher.send(b"set no 0 0 1\r\n1\r\n" * 1000)
    client.fetch("get k")
    assert read_lines(watcher, "key=k")[0][1].startswith("item_get key=k ")
    assert client.get("no") is None


def test_no_more_than_twenty_watchers(connect):
    watchers = [watch(connect, b"evictions") for _ in range(20)]
    late = connect()
    assert late.ask(b"watch fetchers") == b"WATCHER_TOO_MANY log watcher limit reached"
    assert late.ask(b"version").startswith(b"VERSION")
    watchers.pop().close()
    wait_until(lambda: late.ask(b"watch fetchers") == b"OK", "a place for another watcher")


def test_a_watcher_that_does_not_read_misses_lines_and_is_told_how_many(server, connect):
    watcher = connect(receive_buffer=4096)
    assert watcher.ask(b"watch fetchers") == b"OK"
    client = connect()
    key = b"k" * 200
    asked = 0

    def has_skipped():
        nonlocal asked
        client.send(b"get " + b" ".join([key] * 1000) + b"\r\n")
        client.read_until(b"END\r\n")
        asked += 1000
        return int(client.stats()["log_watcher_skipped"]) > 0
    wait_until(has_skipped, "lines to be skipped")
    told = skipped = 0
    while True:
        client.fetch("get last")  # a line that finds room, once enough has been read
        line = watcher.read_until(b"\n")
        if b"key=last" in line and skipped:
            break
        match = re.fullmatch(rb"skipped=(\d+)\n", line)
        if match:
            skipped += int(match[1])
        else:
            told += b"key=" + key in line
    assert skipped and told + skipped >= asked


def test_watchers_that_leave_cost_nothing(server, connect):
    client = connect()
    for _ in range(50):
        with server.connect() as watcher:
            assert watcher.ask(b"watch fetchers mutations connevents") == b"OK"
            client.set("k", b"x")
    wait_until(lambda: client.stats()["log_watchers"] == "0", "the watchers to be gone")
    assert client.get("k") == (b"x", 0)


def test_idle_watchers_are_not_kicked(start):
    server = start(idle_timeout=1)
    with server.connect() as watcher, server.connect() as idle:
        assert watcher.ask(b"watch evictions") == b"OK"
        idle.read_to_close()
        with server.connect() as client:
            assert client.stats()["log_watchers"] == "1"
