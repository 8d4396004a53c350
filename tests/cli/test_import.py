"""diglot import: everything arrives, nothing newer is lost, whatever happens in the middle."""
import os
import random
import signal
import socketserver
import threading
import time

import pytest

from lib.access import start_guarded
from lib.servers import MIB, newest_memcached
from lib.tls import TlsEngine, TlsMemcached
from lib.tool import address, end_tool, fill, meta_get, meta_set, run_tool, start_tool
from lib.waiting import wait_until

FAR = 40 * 86400  # beyond memcached's 30 relative days
DEBIAN = ("memcached",)


def old_items(seed):
    """Keys of any bytes, values of 1 byte to almost 1 MiB, flags, expiries near and beyond 30 days."""
    dice = random.Random(seed)
    items = {b"plain:%d" % n: (b"%d" % n, n % 5, 0) for n in range(1500)}
    items.update({b"\0\1\n %d" % n: (b"binary\r\n" * n, 7, 600) for n in range(50)})
    items.update({b"\xc3\xa9t\xc3\xa9:%d" % n: (b"utf8", 2**32 - 1, 86400 + n) for n in range(50)})
    items.update({b"far:%d" % n: (dice.randbytes(200), 1, int(time.time()) + FAR + n) for n in range(100)})
    items.update({b"size:%d" % n: (dice.randbytes(1 + dice.randrange(1 << n)), 0, 3600) for n in range(20)})
    items[b"k" * 250] = (b"longest key", 3, 0)
    items[b"largest"] = (dice.randbytes(MIB - 400), 4, 0)
    return items


def load(server, items):
    with server.connect() as connection:
        for key, (value, flags, exptime) in items.items():
            meta_set(connection, key, value, flags, exptime)


def check_same(old, new, keys):
    """Value and flags are the same on both sides, the expiry but for the time between the looks: memcached's clock ticks once a second, or
    later on a busy machine."""
    with old.connect() as left, new.connect() as right:
        for key in keys:
            expected, got = meta_get(left, key), meta_get(right, key)
            assert got is not None, (key, expected)
            assert got[:2] == expected[:2], (key, got[1:], expected[1:])
            assert (got[2] < 0) == (expected[2] < 0) and abs(got[2] - expected[2]) <= 3, (key, got[1:], expected[1:])


@pytest.mark.parametrize("program", [DEBIAN, None], ids=["1.6.18", "newest"])
def test_everything_arrives(program, start_engine, start_memcached):
    olds = [start_memcached(program=program or newest_memcached()) for _ in range(2)]
    new = start_engine()
    items = [old_items(seed) for seed in (1, 2)]
    items[1] = {b"second:" + key if len(key) < 200 and key[0] > 32 else b"\2" + key[:100]: item for key, item in items[1].items()}
    for old, some in zip(olds, items):
        load(old, some)
    done = run_tool("import", "--json", "--to", address(new), *map(address, olds))
    assert done.status == 0, (done.out, done.err)
    report = done.report
    assert report["copied"] == report["listed"] == sum(map(len, items)) and report["failed"] == report["there"] == 0
    assert [server["copied"] for server in report["servers"]] == [len(some) for some in items]
    for old, some in zip(olds, items):
        check_same(old, new, some)
    # A unix time is that very second.
    for n in range(0, 100, 10):
        assert new.resp().expiretime(b"far:%d" % n) == items[0][b"far:%d" % n][2]
    again = run_tool("import", "--to", address(new), *map(address, olds))
    assert again.status == 0 and "0 items (0 MiB) copied" in again.out, again.out


def test_newer_data_stays(start_engine, start_memcached):
    old, new = start_memcached(), start_engine()
    fill(old, 2000)
    with new.connect() as connection:
        for n in range(0, 2000, 2):
            connection.set(b"key:%d" % n, b"newer", flags=9)
    report = run_tool("import", "--json", "--to", address(new), address(old)).report
    assert (report["copied"], report["there"]) == (1000, 1000)
    with new.connect() as connection:
        assert connection.get(b"key:1000") == (b"newer", 9) and connection.get(b"key:1001") == (b"1001", 1)


def test_what_is_expired_or_stale_is_not_copied(start_engine, start_memcached):
    old, new = start_memcached(), start_engine()
    with old.connect() as connection:
        for key in (b"kept", b"stale", b"dying"):
            meta_set(connection, key, b"value", exptime=2 if key == b"dying" else 0)
        assert connection.ask(b"md stale I T600") == b"HD"
        wait_until(lambda: meta_get(connection, b"dying") is None, "an item to expire")
    report = run_tool("import", "--json", "--to", address(new), address(old)).report
    assert (report["copied"], report["stale"], report["failed"]) == (1, 1, 0)
    assert sorted(new.resp().keys()) == [b"kept"]


def test_killed_in_the_middle_it_goes_on(start_engine, start_memcached, tmp_path):
    olds, new, state = [start_memcached() for _ in range(2)], start_engine(), tmp_path / "state"
    for number, old in enumerate(olds):
        fill(old, 2000, prefix=b"server%d" % number)
    words = ["import", "--json", "--state", state, "--to", address(new), *map(address, olds)]
    slow = start_tool(*words, "--rate", 1000, "--parallel", 1)
    wait_until(lambda: new.resp().dbsize() > 300, "the import to begin")
    os.kill(slow.pid, signal.SIGKILL)
    end_tool(slow)
    before = new.resp().dbsize()
    assert before < 4000
    done = run_tool(*words)
    assert done.status == 0 and done.report["there"] > 0, done.out
    assert done.report["there"] >= 100 and done.report["copied"] < 4000, (before, done.out)
    for number in range(2):
        assert new.resp().exists(*[b"server%d:%d" % (number, n) for n in range(2000)]) == 2000
    third = run_tool(*words)
    assert third.status == 0 and third.report["listed"] == 0
    assert [server["state"] for server in third.report["servers"]] == ["done before"] * 2
    other = run_tool("import", "--state", state, "--to", "127.0.0.1:1", address(olds[0]))
    assert other.status == 2


def test_interrupted_it_says_so(start_engine, start_memcached):
    old, new = start_memcached(), start_engine()
    fill(old, 5000)
    slow = start_tool("import", "--rate", 500, "--to", address(new), address(old))
    wait_until(lambda: new.resp().dbsize() > 0, "the import to begin")
    os.kill(slow.pid, signal.SIGINT)
    done = end_tool(slow)
    assert done.status == 2 and "Interrupted" in done.out


def test_a_large_item_fails_and_leaves_what_is_there(start_engine, start_memcached):
    old, new = start_memcached(max_item_size="4m"), start_engine()
    with old.connect() as connection, new.connect() as ours:
        for key in (b"large", b"larger"):
            meta_set(connection, key, b"x" * 2 * MIB)
        ours.set(b"large", b"newer")
        done = run_tool("import", "--to", address(new), address(old))
        assert done.status == 1 and "2 x larger than the target's diglot.max-item-size: " in done.out, done.out
        assert ours.get(b"large") == (b"newer", 0)


@pytest.mark.parametrize("options, says", [(["-X"], "metadump not allowed"), (["-o", "no_lru_crawler"], "lru crawler disabled")])
def test_a_server_that_cannot_list_its_keys(options, says, server, start_memcached):
    old = start_memcached(program=["memcached", *options])
    done = run_tool("import", "--to", address(server), address(old))
    assert done.status == 3 and says in done.out and "diglot.upstream-read" in done.out, done.out


class OldServer(socketserver.ThreadingTCPServer):
    """memcached 1.4.31 and later, as far as an import goes: a list of keys, and no meta commands."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, lists=True, stores=None):
        super().__init__(("127.0.0.1", 0), OldConnection)
        self.lists = lists
        self.stores, self.total = stores, 100  # items that are stored between two looks at the statistics; None: it has none
        self.listed = 0
        self.items = {b"one": (b"1", 5, 0), b"two words": (b"2", 0, 0), b"soon": (b"3", 6, int(time.time()) + 5000)}
        self.memcached_port = self.server_address[1]


class OldConnection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            words = line.split()
            self.wfile.write(self.answer(*words))

    def answer(self, command, *words):
        if command == b"version":
            return b"VERSION 1.4.31\r\n"
        if command == b"get":
            value, flags, _ = self.server.items.get(words[0], (None, 0, 0))
            return b"END\r\n" if value is None else b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (words[0], flags, len(value), value)
        if command == b"stats" and self.server.stores is not None:
            self.server.total += self.server.stores
            return b"STAT curr_items %d\r\nSTAT total_items %d\r\nEND\r\n" % (len(self.server.items), self.server.total)
        if command == b"lru_crawler" and self.server.lists and words[1] == b"all":
            self.server.listed += 1
            lines = [b"key=%s exp=%d la=1 cas=1 fetch=no\n" % (key.replace(b" ", b"%20"), expiry)
                     for key, (_, _, expiry) in self.server.items.items()]
            return b"".join(lines) + b"END\r\n"
        return b"ERROR\r\n"


@pytest.fixture
def start_old():
    started = []

    def start(kind=OldServer, **options):
        started.append(kind(**options))
        threading.Thread(target=started[-1].serve_forever, args=(0.05,), daemon=True).start()
        return started[-1]
    yield start
    for old in started:
        old.shutdown()
        old.server_close()


class CountingTarget(OldServer):
    """A new one that takes everything and notes when."""

    def __init__(self):
        super().__init__()
        self.stored = []
        self.RequestHandlerClass = CountingConnection


class CountingConnection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            words = line.split()
            if words[0] == b"ms":
                self.rfile.read(int(words[2]) + 2)
                self.server.stored.append(time.monotonic())
            self.wfile.write({b"ms": b"HD\r\n", b"version": b"VERSION 1.6.18\r\n", b"stats": b"END\r\n"}.get(words[0], b"ERROR\r\n"))


def test_the_rate_is_kept(start_memcached, start_old):
    """At no moment has the target got more than was due since the tool was started."""
    olds, new = [start_memcached() for _ in range(2)], start_old(kind=CountingTarget)
    for number, old in enumerate(olds):
        fill(old, 300, prefix=b"server%d" % number)
    begun = time.monotonic()
    report = run_tool("import", "--json", "--rate", 600, "--to", address(new), *map(address, olds)).report
    assert report["copied"] == len(new.stored) == 600 and report["seconds"] >= 1.0
    early = [(n, moment - begun) for n, moment in enumerate(new.stored, 1) if moment - begun < n / 600]
    assert not early, early


class StallingServer(OldServer):
    """Its list goes on when the target has got something of it."""

    def __init__(self, target):
        super().__init__()
        self.target = target
        self.items = {b"key:%d" % n: (b"%d" % n, 0, 0) for n in range(3000)}
        self.RequestHandlerClass = StallingConnection


class StallingConnection(OldConnection):
    def answer(self, command, *words):
        answer = super().answer(command, *words)
        if command != b"lru_crawler" or not answer.endswith(b"END\r\n"):
            return answer
        half = answer.index(b"\n", len(answer) // 2) + 1
        self.wfile.write(answer[:half])
        wait_until(lambda: self.server.target.stored, "the import to copy what it knows already")
        return answer[half:]


def test_copying_begins_before_the_list_ends(start_old):
    new = start_old(kind=CountingTarget)
    report = run_tool("import", "--json", "--to", address(new), address(start_old(kind=StallingServer, target=new))).report
    assert report["copied"] == report["listed"] == len(new.stored) == 3000


@pytest.mark.parametrize("stores, lists", [(0, 1), (1, 2)])
def test_a_list_is_taken_once_where_it_is_known_to_be_whole(server, start_old, stores, lists):
    old = start_old(stores=stores)
    assert run_tool("import", "--to", address(server), address(old)).status == 1  # a key with a blank
    assert old.listed == lists


def test_a_server_without_meta_commands(server, start_old):
    old = start_old()
    report = run_tool("import", "--json", "--to", address(server), address(old)).report
    assert (report["copied"], report["failed"]) == (2, 1) and report["failures"][0]["keys"] == ["two%20words"]
    with server.connect() as connection:
        assert connection.get(b"one") == (b"1", 5) and connection.get(b"soon") == (b"3", 6)
    assert server.resp().expiretime("soon") == old.items[b"soon"][2] and server.resp().ttl("one") == -1


def test_a_server_older_than_lists(server, start_old):
    done = run_tool("import", "--to", address(server), address(start_old(lists=False)))
    assert done.status == 3 and "cannot list its keys (it says: ERROR)" in done.out


def test_nobody_there(server):
    done = run_tool("import", "--to", address(server), "127.0.0.1:1")
    assert done.status == 2 and "127.0.0.1:1: Connection refused" in done.out
    assert run_tool("import", "--to", "127.0.0.1:1", "127.0.0.1:1").err == "diglot: 127.0.0.1:1: Connection refused\n"
    assert run_tool("import").status == run_tool("import", "--rate", "x", "a").status == run_tool("nothing").status == 2


def test_with_tls_on_both_sides(start_as, start_memcached, authority):
    new = start_as(TlsEngine, authority)
    cert, key = authority.issue("old")
    program = ["memcached", "-Z", "-o", f"ssl_chain_cert={cert},ssl_key={key}"]
    old = start_as(TlsMemcached, authority, program)
    with old.connect() as connection:
        for key, item in list(old_items(3).items())[-60:]:
            meta_set(connection, key, *item)
    words = ["import", "--json", "--from-tls", "--to-tls", "--to", f"localhost:{new.tls_port}", f"localhost:{old.memcached_port}"]
    refused = run_tool(*words)
    assert refused.status == 2 and "certificate" in refused.err, refused.err
    done = run_tool(*words, "--tls-ca", authority.file)
    assert done.status == 0 and done.report["copied"] == 60, (done.out, done.err)
    fill(old, 3000, prefix=b"long" * 20)  # more than the old server reads at once: what it keeps of a record it answers when more comes
    for command in ("import", "verify"):
        done = run_tool(command, *words[1:], "--tls-ca", authority.file, "--timeout", "5")
        assert done.status == 0, (done.out, done.err)
    assert done.report["compared"] == 3060


def test_with_logins_on_both_sides(start_engine, start_memcached, tmp_path):
    users = tmp_path / "users"
    users.write_text("reader:secret\n")
    new = start_guarded(start_engine)
    old = start_memcached(program=["memcached", "-Y", str(users)], wants_login=True)
    words = ["import", "--json", "--to", address(new), address(old)]
    passwords = {"DIGLOT_FROM_USER": "reader", "DIGLOT_FROM_PASSWORD": "secret", "DIGLOT_REDIS_PASSWORD": "master"}
    assert run_tool(*words, **passwords).status == 0
    wrong = run_tool(*words, **{**passwords, "DIGLOT_FROM_PASSWORD": "guess"})
    assert wrong.status == 2 and "refuses the login of reader" in wrong.out
    silent = run_tool(*words)
    assert silent.status == 2 and "asks for a login" in silent.err


class ThroughTarget(OldServer):
    """A new one that reads through: it has every key that it is asked for but those that were removed there."""

    def __init__(self, removed):
        super().__init__()
        self.removed = removed
        self.asked, self.stored = [], []
        self.RequestHandlerClass = ThroughConnection


class ThroughConnection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            words = line.split()
            if words[:2] == [b"stats", b"upstream"]:
                answer = b"STAT upstream yes\r\nSTAT upstream_read yes\r\nSTAT upstream_share 100\r\nEND\r\n"
            elif words[0] == b"mg":
                self.server.asked.append(words[1])
                answer = b"EN\r\n" if words[1] in self.server.removed else b"HD\r\n"
            else:
                if words[0] == b"ms":
                    self.rfile.readline()
                    self.server.stored.append(line)
                answer = {b"ms": b"HD\r\n", b"version": b"VERSION 1.6.18\r\n", b"stats": b"END\r\n"}.get(words[0], b"ERROR\r\n")
            self.wfile.write(answer)


def test_a_target_that_reads_through_fetches_by_itself(start_memcached, start_old):
    old, new = start_memcached(), start_old(kind=ThroughTarget, removed={b"key:7", b"key:9"})
    fill(old, 100)
    done = run_tool("import", "--json", "--to", address(new), address(old))
    report = done.report
    assert done.status == 0 and report["through"]
    assert (report["copied"], report["withheld"], report["gone"], report["failed"]) == (98, 2, 0, 0)
    assert sorted(new.asked) == sorted(b"key:%d" % n for n in range(100)) and not new.stored


def test_adding_from_outside_can_be_asked_for(start_memcached, start_old):
    old, new = start_memcached(), start_old(kind=ThroughTarget, removed=set())
    fill(old, 10)
    report = run_tool("import", "--json", "--add", "--to", address(new), address(old)).report
    assert not report["through"] and report["copied"] == 10 and len(new.stored) == 10 and not new.asked


def test_what_was_deleted_in_a_bridge_stays_deleted(start_engine, start_memcached):
    old, new = start_memcached(), start_engine()
    fill(old, 1000)
    new.resp().config_set("diglot.upstream", address(old))
    with new.connect() as connection:
        assert connection.ask(b"delete key:7") == b"DELETED"
        connection.set(b"key:8", b"newer", flags=9)
        done = run_tool("import", "--json", "--to", address(new), address(old))
        assert done.status == 0 and (done.report["copied"], done.report["withheld"]) == (999, 1), done.out
        assert connection.get(b"key:7") is None and connection.get(b"key:8") == (b"newer", 9)
        assert connection.get(b"key:999") == (b"999", 7)
    assert new.resp().exists(*[b"key:%d" % n for n in range(1000)]) == 999
