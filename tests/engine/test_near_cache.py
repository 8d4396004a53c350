"""The near cache answers reads without the engine, and nobody can tell but by the statistics: what any protocol, the engine
itself, its configuration or its users change is seen at once (docs/near-cache.md)."""
import time

import pytest

from lib import binary, servers
from lib.access import NOBODY, NO_KEY, login, setuser, start_guarded
from lib.engine_ledger import ledger_of
from lib.waiting import wait_until


def cache_hits(client):
    return int(client.stats()["cache_hits"])


def twice(client, request):
    """Asks twice at once for what is answered with one line; returns that line."""
    client.send(2 * (request + b"\r\n"))
    line = client.read_line()
    assert client.read_line() == line
    return line


def read(client, key):
    """As get() does it, but twice."""
    key = key.encode()
    item = client.fetch(b"get %s %s" % (key, key)).get(key)
    return item and item[:2]


def is_answered(client, key):
    before = cache_hits(client)
    read(client, key)
    return cache_hits(client) > before


def warm(client, *keys):
    """Reads the keys until the near cache answers for each. Entries live for some seconds, so on a slow machine one may be over
    again; what follows must hold in any case."""
    for key in keys:
        wait_until(lambda key=key: is_answered(client, key), f"the cache to keep {key}")


@pytest.fixture(params=[0, 4], ids=["one-thread", "threads"])
def server(start, request):
    return start(io_threads=request.param)


@pytest.fixture
def client(server):
    with server.connect() as client:
        client.set("k", b"value", flags=7)
        client.set("j", b"other")
        yield client


@pytest.fixture
def redis(server):
    return server.resp()


CHANGES = {
    "SET": (lambda redis: redis.set("k", "new"), (b"new", 0)),
    "SET with its own content": (lambda redis: redis.set("k", "value"), (b"value", 0)),
    "APPEND": (lambda redis: redis.append("k", "+"), (b"value+", 7)),
    "SETRANGE": (lambda redis: redis.setrange("k", 1, "A"), (b"vAlue", 7)),
    "BITOP": (lambda redis: redis.bitop("OR", "k", "j"), (b"other", 0)),
    "DEL": (lambda redis: redis.delete("k"), None),
    "GETDEL": (lambda redis: redis.getdel("k"), None),
    "RENAME away": (lambda redis: redis.rename("k", "i"), None),
    "RENAME onto it": (lambda redis: redis.rename("j", "k"), (b"other", 0)),
    "COPY onto it": (lambda redis: redis.copy("j", "k", replace=True), (b"other", 0)),
    "MOVE": (lambda redis: redis.move("k", 1), None),
    "RESTORE": (lambda redis: redis.restore("k", 0, redis.dump("j"), replace=True), (b"other", 0)),
    "a hash in its place": (lambda redis: redis.pipeline().delete("k").hset("k", "field", "v").execute(), None),
    "EXPIRE into the past": (lambda redis: redis.expire("k", -1), None),
    "FLUSHDB": (lambda redis: redis.flushdb(), None),
    "FLUSHALL": (lambda redis: redis.flushall(), None),
    "SWAPDB": (lambda redis: redis.swapdb(0, 1), None),
    "a script": (lambda redis: redis.eval("redis.call('set', KEYS[1], 'new')", 1, "k"), (b"new", 0)),
    "a transaction": (lambda redis: redis.pipeline().set("j", "1").set("k", "new").execute(), (b"new", 0)),
    "DIGLOT.SET": (lambda redis: redis.execute_command("DIGLOT.SET", "k", "new", "FLAGS", 9), (b"new", 9)),
    "DEBUG RELOAD": (lambda redis: redis.execute_command("DEBUG", "RELOAD"), (b"value", 7)),
}


@pytest.mark.parametrize("change, expected", CHANGES.values(), ids=CHANGES.keys())
def test_changes_over_resp_are_seen_at_once(start_engine, change, expected):
    server = start_engine(io_threads=2, config={"enable-debug-command": "yes"})
    redis = server.resp()
    with server.connect() as client:
        for flags in (7, 0, 0):  # with flags, the ledger changes as well
            client.set("k", b"value", flags=flags)
            client.set("j", b"other")
            warm(client, "k", "j")
            change(redis)
            now = read(client, "k")
            assert now == ((expected[0], flags) if expected and expected[1] == 7 else expected)
            redis.flushall()


def test_changes_over_memcached_are_seen_by_all_workers(server, client):
    """Each connection may be another worker's."""
    others = [server.connect() for _ in range(8)]
    number = 0
    for change, expected in ((b"set k 3 0 1\r\n1", (b"1", 3)), (b"append k 0 0 1\r\n2", (b"12", 3)), (b"incr k 1", (b"13", 3)),
                             (b"touch k -1", None), (b"add k 0 0 1\r\n1", (b"1", 0)), (b"delete k", None)):
        for other in others:
            warm(other, "k") if read(other, "k") else None
        client.ask(change)
        number += 1
        assert [read(other, "k") for other in others] == [expected] * len(others), change
    for other in others:
        other.close()


def test_tokens_from_the_cache_are_the_engines(client, redis):
    warm(client, "k")
    token = client.fetch(b"gets k k")[b"k"][2]
    assert int(redis.execute_command("DIGLOT.GET", "k")[2]) == token
    assert twice(client, b"mg k c") == b"HD c%d" % token
    redis.set("k", "value")
    assert client.cas("k", b"wrong", token) == b"EXISTS"


def test_all_protocols_are_answered(server, client):
    warm(client, "k")
    before = cache_hits(client)
    assert twice(client, b"mg k f s k O5 q") == b"HD f7 s5 kk O5"
    assert cache_hits(client) > before
    with server.connect() as other:
        def binary_get():
            return binary.ask(other, binary.Frame(binary.GET, b"k"))

        def is_binary_answered():
            before = cache_hits(client)
            binary_get()
            return cache_hits(client) > before
        packet = binary_get()
        wait_until(is_binary_answered, "the cache to keep k")
        assert binary_get() == packet
        assert packet[0].value == b"value" and packet[0].cas == client.token("k")


def test_pipeline_sees_its_own_writes(client):
    for number in range(200):
        warm(client, "k") if number % 50 == 0 else None
        client.send(b"get k\r\nset k 0 0 3\r\n%03d\r\nget k\r\nget j\r\ndelete j\r\nget j\r\nset j 0 0 5\r\nother\r\n" % number)
        lines = [client.read_line() for _ in range(3 + 1 + 3 + 3 + 1 + 1 + 1)]
        assert lines[3:] == [b"STORED", b"VALUE k 0 3", b"%03d" % number, b"END", b"VALUE j 0 5", b"other", b"END", b"DELETED",
                             b"END", b"STORED"]


def test_lost_ledger_is_seen_at_once(client, redis):
    warm(client, "k")
    redis.delete(ledger_of(redis, b"k"))
    assert read(client, "k") is None


def test_marks_are_seen_at_once(client):
    warm(client, "k")
    assert client.ask(b"md k I") == b"HD"
    client.send(2 * b"mg k\r\n")
    assert set(client.read_line().split()) == {b"HD", b"W", b"X"}
    assert set(client.read_line().split()) == {b"HD", b"Z", b"X"}


def test_expiry_is_kept(client, redis):
    def is_kept():
        client.set("k", b"value", exptime=1)  # each time: it may have expired before the cache had it
        return is_answered(client, "k") or is_answered(client, "k")
    wait_until(is_kept, "the cache to keep what soon expires")
    wait_until(lambda: redis.get("k") is None, "the item to expire")
    assert read(client, "k") is None


def test_new_expiry_is_told(client, redis):
    for change, told in ((lambda: redis.expire("k", 1000), b"HD t1000"), (lambda: redis.persist("k"), b"HD t-1"),
                         (lambda: redis.getex("k", ex=2000), b"HD t2000"), (lambda: client.ask(b"touch k 3000"), b"HD t3000")):
        warm(client, "k")
        change()
        assert twice(client, b"mg k t") == told


def test_evicted_items_are_gone(start_engine):
    server = start_engine(config={"maxmemory": "0"})
    redis = server.resp()
    with server.connect() as client:
        client.set("k", b"value", exptime=1000)
        warm(client, "k")
        redis.config_set("maxmemory-policy", "volatile-ttl")
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 1)
        wait_until(lambda: redis.ping() and not redis.exists("k"), "the eviction")
        assert read(client, "k") is None


def test_watchers_see_every_read(server, client):
    warm(client, "k")
    with server.connect() as watcher:
        assert watcher.ask(b"watch fetchers") == b"OK"
        for _ in range(3):
            read(client, "k")
            assert all(b"key=k " in watcher.read_until(b"\n") for _ in range(2))


def test_details_count_every_read(client):
    client.set("p:k", b"value")
    warm(client, "p:k")
    assert client.ask(b"stats detail on") == b"OK"
    for _ in range(3):
        read(client, "p:k")
    assert client.ask(b"stats detail dump") == b"PREFIX p get 6 hit 6 set 0 del 0"
    assert client.read_line() == b"END"


def test_reads_wait_in_a_pause_of_all(client, redis):
    """It ends by itself: a read that is answered has waited for most of it."""
    warm(client, "k")
    begin = time.monotonic()
    redis.execute_command("CLIENT", "PAUSE", 500, "ALL")
    assert read(client, "k") == (b"value", 7)
    assert time.monotonic() - begin > 0.4


def test_size_is_live(server, client, redis):
    warm(client, "k")
    assert int(client.stats()["cache_items"]) >= 1
    redis.config_set("diglot.cache-size", "0")
    with server.connect() as other:
        wait_until(lambda: read(other, "k") and int(other.stats()["cache_items"]) == 0, "all caches to be empty")
    assert not any(is_answered(client, "k") for _ in range(5))
    redis.config_set("diglot.cache-size", "1mb")
    warm(client, "k")


def test_reads_are_counted(client):
    warm(client, "k")
    before = client.stats()
    for _ in range(10):
        read(client, "k")
    client.get("absent")
    after = client.stats()
    counted = {name: int(after[name]) - int(before[name]) for name in ("cmd_get", "get_hits", "get_misses")}
    assert counted == {"cmd_get": 21, "get_hits": 20, "get_misses": 1}
    assert int(after["cache_hits"]) > int(before["cache_hits"])


# --- users ---

@pytest.mark.parametrize("change, answer", [
    (("resetkeys", "~other*"), None), (("-get",), None), (("resetkeys",), None), (("off",), "value")])
@pytest.mark.parametrize("in_transaction", [False, True])
def test_what_users_lose_they_lose_at_once(start_engine, change, answer, in_transaction):
    server = start_guarded(start_engine, io_threads=2)
    redis = server.resp()
    with login(server, "app") as client:
        client.set("k", b"value")
        warm(client, "k")
        words = ["ACL", "SETUSER", "app", *change]
        redis.pipeline(transaction=in_transaction).execute_command(*words).execute()
        client.send(b"get k k\r\n")
        said = client.read_line()
        assert said == b"VALUE k 0 5" if answer else b"NOPERM" in said


def test_removed_user_reads_nothing(start_engine):
    server = start_guarded(start_engine, io_threads=2)
    with login(server, "app") as client:
        client.set("k", b"value")
        warm(client, "k")
        server.resp().execute_command("ACL", "DELUSER", "app")
        assert client.ask(b"get k k") == NOBODY


def test_who_may_read_no_more_learns_it_while_a_script_keeps_the_engine_busy(start):
    """The change is answered before the engine's loop has its next turn: another client's script runs right behind it."""
    server = start(io_threads=2, config={"busy-reply-threshold": "1"})
    slow = "local begin = redis.call('TIME') repeat local now = redis.call('TIME') " \
           "until (now[1] - begin[1]) * 1000000 + now[2] - begin[2] > 200000"
    with server.connect() as client, server.resp_connection() as sleeper, server.resp_connection() as admin, \
            server.resp_connection() as busy:
        client.set("k", b"value")
        warm(client, "k")
        sleeper.send("DEBUG", "SLEEP", "0.05")
        admin.send("ACL", "SETUSER", "default", "resetkeys", "~other")
        busy.send("EVAL", slow, 0)
        assert admin.stream.readline() == b"+OK\r\n"
        client.send(b"get k k\r\n")
        assert client.read_line() == NO_KEY


def test_who_may_read_some_keys_is_not_answered_for_others(start_engine):
    server = start_guarded(start_engine, io_threads=0)
    setuser(server, "some", "on", ">secret", "+@all", "~some*")
    with login(server, "app") as client:
        client.set("k", b"value")
        warm(client, "k")
        with login(server, "some", "secret") as other:
            assert NO_KEY in other.ask(b"get k k")


# --- roles ---

def test_replica_follows(start_engine):
    """Its cache hears of what its primary does: values, flags that come behind them, marks, expiry."""
    primary = start_engine()
    replica = start_engine(io_threads=2, config={"replicaof": ["127.0.0.1", str(primary.port)]})
    with primary.connect() as writer, replica.connect() as reader:
        for number in range(10):
            writer.set("k", b"%d" % number, flags=number % 3)
            servers.wait_replica(primary, replica)
            assert read(reader, "k") == (b"%d" % number, number % 3)
            warm(reader, "k")
        writer.ask(b"md k I")
        servers.wait_replica(primary, replica)
        assert set(twice(reader, b"mg k").split()) == {b"HD", b"Z", b"X"}
        writer.set("k", b"value", flags=1)
        servers.wait_replica(primary, replica)
        warm(reader, "k")
        primary.resp().flushall()
        servers.wait_replica(primary, replica)
        assert read(reader, "k") is None


def test_replica_without_its_primary_may_not_answer(start_engine):
    primary = start_engine()
    replica = start_engine(config={"replicaof": ["127.0.0.1", str(primary.port)], "replica-serve-stale-data": "no"})
    with primary.connect() as writer, replica.connect() as reader:
        writer.set("k", b"value")
        servers.wait_replica(primary, replica)
        warm(reader, "k")
        primary.stop()
        wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "down", "the link to go down")
        assert b"MASTERDOWN" in reader.ask(b"get k k")
