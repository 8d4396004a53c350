"""What the engine tells others of a write by memcached: keyspace notifications, WATCH, client tracking, MONITOR."""
import pytest

from lib.waiting import wait_until

END_MARK = b"__end__"


@pytest.fixture
def redis(server):
    return server.resp()


@pytest.fixture
def events_of(server, redis):
    """events_of(change) -> [(event, key), …] in order; works by a key of its own that ends the list."""
    redis.config_set("notify-keyspace-events", "KEA")
    connection = server.resp_connection()
    connection.call("PSUBSCRIBE", "__keyevent@0__:*")

    def events_of(change):
        change()
        redis.set(END_MARK, "1")
        events = []
        while True:
            _, _, channel, key = connection._read()
            if key == END_MARK:
                return events
            events.append((channel.split(b":", 1)[1].decode(), key.decode()))
    yield events_of
    connection.close()
    redis.config_set("notify-keyspace-events", "")


# What memcached asks, and the RESP command that does the same to the key. `k` holds 5, with `e` the same and a TTL.
SAME_EVENTS = [
    ("set", b"set k 0 0 1\r\n5", ["SET k 5"]),
    ("set of a new key", b"set new 0 0 1\r\n5", ["SET new 5"]),
    ("set with exptime", b"set k 0 1000 1\r\n5", ["SET k 5 EX 1000"]),
    ("set that clears a TTL", b"set e 0 0 1\r\n5", ["SET e 5"]),
    ("add", b"add new 0 0 1\r\n5", ["SET new 5 NX"]),
    ("add that fails", b"add k 0 0 1\r\n5", ["SET k 5 NX"]),
    ("replace", b"replace k 0 0 1\r\n5", ["SET k 5 XX"]),
    ("replace that fails", b"replace new 0 0 1\r\n5", ["SET new 5 XX"]),
    ("append", b"append k 0 0 1\r\n5", ["APPEND k 5"]),
    ("append with a TTL", b"append e 0 0 1\r\n5", ["APPEND e 5"]),
    ("incr", b"incr k 1", ["INCRBY k 1"]),
    ("incr with a TTL", b"incr e 1", ["INCRBY e 1"]),
    ("decr", b"decr k 1", ["DECRBY k 1"]),
    ("delete", b"delete k", ["DEL k"]),
    ("delete of an absent key", b"delete new", ["DEL new"]),
    ("touch", b"touch k 1000", ["EXPIRE k 1000"]),
    ("touch 0", b"touch e 0", ["PERSIST e"]),
    ("gat", b"gat 1000 k", ["EXPIRE k 1000"]),
    ("touch of an absent key", b"touch new 1000", ["EXPIRE new 1000"]),
    ("get", b"get k", ["GET k"]),
    ("gets", b"gets k e", ["MGET k e"]),
    ("set over a hash", b"set hash 0 0 1\r\n5", ["SET hash 5"]),
]


@pytest.mark.parametrize("asked, same", [case[1:] for case in SAME_EVENTS], ids=[case[0] for case in SAME_EVENTS])
def test_a_write_by_memcached_notifies_as_the_same_write_over_resp(client, redis, events_of, asked, same):
    def prepare():
        redis.delete("new", "hash")
        redis.set("k", "5")
        redis.set("e", "5", ex=5000)
        redis.hset("hash", "field", "value")
    events_of(prepare)
    expected = events_of(lambda: [redis.execute_command(command) for command in same])
    events_of(prepare)
    assert events_of(lambda: exchange(client, asked)) == expected


def exchange(client, asked):
    """Sends a request and waits for its answer, writing nothing besides."""
    client.send(asked + b"\r\nversion\r\n")
    client.read_until(b"VERSION ")
    client.read_line()


def test_prepend_notifies_as_a_write(client, redis, events_of):
    events_of(lambda: redis.set("k", "5"))
    events = events_of(lambda: exchange(client, b"prepend k 0 0 1\r\n5"))
    assert events == [("set", "k")]


def test_a_storage_that_expires_at_once_notifies_a_removal(client, redis, events_of):
    redis.set("k", "5")
    events = events_of(lambda: exchange(client, b"set k 0 -1 1\r\n5"))
    assert events[-1] in (("del", "k"), ("expired", "k")) and redis.exists("k") == 0
    redis.set("k", "5")
    events = events_of(lambda: exchange(client, b"touch k -1"))
    assert events[-1] in (("del", "k"), ("expired", "k")) and redis.exists("k") == 0


def test_many_writes_in_one_pipeline_notify_each(client, redis, events_of):
    count = 500
    events = events_of(lambda: exchange(client, b"\r\n".join(b"set k%d 0 0 1\r\n5" % i for i in range(count))))
    assert events == [("set", f"k{i}") for i in range(count)]


# WATCH

CHANGES = [b"set k 0 0 1\r\n5", b"set k 0 0 1\r\n6", b"set k 7 0 1\r\n5", b"replace k 0 0 1\r\n6", b"append k 0 0 1\r\n6",
           b"prepend k 0 0 1\r\n6", b"incr k 1", b"decr k 1", b"delete k", b"touch k 1000", b"gat 1000 k", b"flush_all",
           b"set k 0 -1 1\r\n5", b"ms k 1\r\n6", b"ms k 1 MA q\r\n6", b"ms k 1 I C1\r\n6", b"ms k 1 T-1\r\n6", b"md k", b"md k x",
           b"md k I T1000", b"ma k q", b"mg k T1000", b"mg k v N30 T1000"]
# A mark is no part of the content.
NO_CHANGES = [b"get k", b"gets k", b"add k 0 0 1\r\n6", b"cas k 0 0 1 1\r\n6", b"get absent", b"delete absent",
              b"touch absent 100", b"incr absent 1", b"append absent 0 0 1\r\n6", b"set other 0 0 1\r\n6", b"incr text 1", b"stats",
              b"mg k v", b"mg k v N30", b"mg k v R30", b"md k I", b"md k I\r\nmg k\r\nmg k", b"mg absent", b"me k", b"ms k 1 ME\r\n6",
              b"ms k 1 C1\r\n6", b"md k C1", b"ma k C1", b"ma text", b"ma absent", b"ms absent 1 MA\r\n6"]


def execute_behind(server, client, asked):
    """What EXEC answers when the request comes between WATCH k and MULTI."""
    with server.resp_connection() as watcher:
        watcher.call("WATCH", "k")
        exchange(client, asked)
        watcher.call("MULTI")
        watcher.call("SET", "result", "done")
        return watcher.call("EXEC")


@pytest.mark.parametrize("asked", CHANGES)
def test_watch_is_invalidated_by_a_write_of_memcached(server, client, redis, asked):
    redis.set("k", "5")
    assert execute_behind(server, client, asked) is None
    assert redis.exists("result") == 0


def test_watch_is_invalidated_by_cas(server, client, redis):
    redis.set("k", "5")
    assert execute_behind(server, client, b"cas k 0 0 1 %d\r\n6" % client.token("k")) is None


@pytest.mark.parametrize("asked", [b"add k 0 0 1\r\n5", b"mg k N30", b"ma k N0", b"ms k 1 MA N30\r\n5"])
def test_watch_of_an_absent_key_is_invalidated_by_what_makes_it(server, client, asked):
    assert execute_behind(server, client, asked) is None


@pytest.mark.parametrize("asked", NO_CHANGES)
def test_watch_is_not_invalidated_by_what_changes_nothing(server, client, redis, asked):
    redis.set("k", "5")
    redis.set("text", "text")
    assert execute_behind(server, client, asked) == [b"OK"]


@pytest.mark.parametrize("flags", [0, 5])
def test_watch_of_an_item_with_flags_is_not_invalidated_by_a_get(server, client, flags):
    client.set("k", b"5", flags=flags)
    assert execute_behind(server, client, b"get k") == [b"OK"]


# Client tracking

@pytest.fixture
def tracker(server):
    connection = server.resp_connection(protocol=3)
    connection.call("CLIENT", "TRACKING", "ON")
    yield connection
    connection.close()


@pytest.mark.parametrize("asked", [change for change in CHANGES if change != b"flush_all"])
def test_tracking_clients_hear_of_a_write_of_memcached(client, redis, tracker, asked):
    redis.set("k", "5")
    tracker.call("GET", "k")
    exchange(client, asked)
    assert tracker.read_push() == [b"invalidate", [b"k"]]


def test_tracking_clients_hear_of_flush_all(client, redis, tracker):
    redis.set("k", "5")
    tracker.call("GET", "k")
    exchange(client, b"flush_all")
    assert tracker.read_push() == [b"invalidate", None]


def test_tracking_clients_hear_nothing_of_what_changes_nothing(client, redis, tracker):
    redis.mset({"k": "5", "text": "text", "last": "1"})
    tracker.call("MGET", "k", "text", "absent", "last")
    for asked in NO_CHANGES:
        if not asked.startswith(b"set other"):
            exchange(client, asked)
    exchange(client, b"set last 0 0 1\r\n2")
    assert tracker.read_push() == [b"invalidate", [b"last"]]


def test_broadcast_tracking_hears_of_items(server, client):
    with server.resp_connection(protocol=3) as tracker:
        tracker.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:")
        exchange(client, b"set other 0 0 1\r\n1\r\nset user:1 5 0 1\r\n1")
        assert tracker.read_push() == [b"invalidate", [b"user:1"]]
        exchange(client, b"delete user:1")
        assert tracker.read_push() == [b"invalidate", [b"user:1"]]


# MONITOR

ALL_COMMANDS = (b"set k 7 0 1\r\n5\r\nadd k 0 0 1\r\n5\r\nreplace k 9 1000 1\r\n5\r\nappend k 0 0 1\r\n5\r\nprepend k 0 0 1\r\n5\r\n"
                b"get k absent\r\ngets k\r\ncas k 0 0 1 1\r\n5\r\nincr k 1\r\ndecr k 1\r\ntouch k 100\r\ngat 100 k\r\ngats 0 k\r\n"
                b"delete k\r\nset e 3 -1 1\r\n5\r\nset k 8 0 1\r\n5\r\nflush_all\r\nstats\r\n")


@pytest.mark.parametrize("io_threads", [0, 4])
def test_nothing_breaks_while_monitor_runs(start, io_threads):
    server = start(io_threads=io_threads)
    redis = server.resp()
    with server.resp_connection() as monitor, server.connect() as client:
        monitor.call("MONITOR")
        for _ in range(50):
            exchange(client, ALL_COMMANDS)
            redis.set("k", "5")
            redis.copy("k", "copy", replace=True)
            redis.rename("copy", "renamed")
        redis.set("mark", "of-the-end")
        monitor.socket.settimeout(20)
        lines = iter(monitor.stream.readline, b"")
        assert any(b"of-the-end" in line for line in lines)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_nothing_breaks_with_every_kind_of_listener_at_once(start, io_threads):
    """Tracking, MONITOR, subscribers, WATCH and lazily expiring keys: what aborts an engine that is touched wrongly."""
    server = start(io_threads=io_threads, config={"notify-keyspace-events": "KEA"})
    redis = server.resp()
    redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    connections = [server.resp_connection(protocol) for protocol in (2, 2, 2, 3)]
    connections[0].call("MONITOR")
    connections[1].call("PSUBSCRIBE", "*")
    connections[3].call("CLIENT", "TRACKING", "ON", "BCAST")
    with server.connect() as client:
        for _ in range(30):
            redis.set("k", "5", px=1)
            redis.set("absent", "5", px=1)
            connections[2].call("WATCH", "k", "absent")
            begin = redis.time()
            wait_until(lambda: redis.time() > (begin[0], begin[1] + 3000), "the clock to move on")
            exchange(client, ALL_COMMANDS)
            connections[2].call("MULTI")
            assert connections[2].call("EXEC") is None
        assert redis.ping()
    for connection in connections:
        connection.close()
