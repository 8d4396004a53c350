"""Starting, stopping, unloading, and the states in which an engine refuses or delays writes, under load."""
import os
import signal
import socket
import threading

import pytest

from lib import servers
from lib.engine_ledger import diglot_get, ledgers
from lib.engine_load import Load
from lib.resp import RespError
from lib.waiting import wait_until

IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])
WRITES = int(os.environ.get("DIGLOT_LIFECYCLE_WRITES", "1000"))


def load_words(server, io_threads=0):
    """MODULE LOADEX with the options that the server was started with; those of its command line are used up."""
    words = ["MODULE", "LOADEX", servers.MODULE]
    for name, value in {**server.options, "io-threads": io_threads}.items():
        words += ["CONFIG", f"diglot.{name}", str(value)]
    return words


def load_module(server, io_threads=0):
    assert server.resp().execute_command(*load_words(server, io_threads)) in (b"OK", True)
    server.module = True
    wait_until(server.answers, "the memcached door")


def unload_module(server):
    """Refused is no answer: at most it has to be asked again while something is under way."""
    def is_unloaded():
        with server.resp_connection() as connection:
            try:
                return connection.call("MODULE", "UNLOAD", "diglot") == b"OK"
            except RespError:
                return False
    wait_until(is_unloaded, "MODULE UNLOAD to succeed")


# Unloading

@IO_THREADS
def test_the_module_is_unloaded_under_load_and_loaded_again(start, io_threads):
    server = start(io_threads=io_threads)
    before = None
    for round in range(4):
        with Load(server, writers=4, seed=round, before=before) as load:
            load.wait_acknowledged(WRITES)
            unload_module(server)
            load.wait_broken()
        with pytest.raises(OSError):
            server.connect()
        assert server.resp().ping() and b"diglot" not in str(server.resp().module_list()).encode()
        load_module(server, io_threads=4 - io_threads if round % 2 else io_threads)
        load.verify()
        before = load


def test_events_are_heard_from_the_command_behind_module_load_on(start):
    """While the engine starts they are not (engine/events.c); a module that a running one loads misses none."""
    server = start()
    with server.connect() as client:
        client.set(b"k", b"value", flags=7)
    unload_module(server)
    with server.resp_connection() as connection:
        connection.send(*load_words(server))
        connection.send("SET", "k", "new")
        assert [connection._read(), connection._read()] == [b"OK", b"OK"]
    wait_until(server.answers, "the memcached door")
    with server.connect() as client:
        assert client.fetch(b"get k")[b"k"][:2] == (b"new", 0)


def test_events_are_heard_from_the_first_command_behind_a_start_on(start):
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    with server.connect() as client:
        client.set(b"k", b"value", flags=7)
    server.kill()
    server.restart()
    server.resp().set("k", "new")
    with server.connect() as client:
        assert client.fetch(b"get k")[b"k"][:2] == (b"new", 0)


@IO_THREADS
def test_unloading_with_idle_connections_closes_them(start, io_threads):
    server = start(io_threads=io_threads)
    connections = [server.connect() for _ in range(50)]
    assert all(connection.ask(b"version").startswith(b"VERSION") for connection in connections)
    connections[0].send(b"set k 0 0 100\r\nonly a part of")
    unload_module(server)
    for connection in connections:
        assert connection.read_to_close() == b""
    assert server.resp().ping()
    load_module(server, io_threads)
    assert server.resp().get("k") is None


@IO_THREADS
def test_loading_and_unloading_again_and_again_leaves_nothing_behind(start, io_threads):
    server = start(io_threads=io_threads)
    counts = []
    for _ in range(20):
        with server.connect() as client:
            client.set("k", b"v", flags=6)
        unload_module(server)
        counts.append((server.descriptors(), len(os.listdir(f"/proc/{server.pid}/task"))))
        load_module(server, io_threads)
        with server.connect() as client:
            assert client.get("k") == (b"v", 6)
    (descriptors_before, threads_before), (descriptors, threads) = counts[2], counts[-1]
    assert threads <= threads_before, counts
    assert descriptors <= descriptors_before + 2, counts  # a RESP connection may be on its way; a leak is one in each round


def test_what_is_left_without_the_module_is_plain_redis_data(start):
    server = start()
    with server.connect() as client:
        client.set("k", b"v", flags=5, exptime=1000)
    unload_module(server)
    redis = server.resp()
    assert redis.get("k") == b"v" and 900 < redis.ttl("k") <= 1000
    assert all(redis.type(name) == b"string" for name in redis.keys())
    with pytest.raises(Exception, match="unknown command"):
        redis.execute_command("DIGLOT.GET", "k")
    assert redis.config_get("diglot.*") == {}


def test_an_item_changed_while_the_module_was_away_has_no_wrong_token(start):
    server = start()
    with server.connect() as client:
        client.set("k", b"v", flags=5)
        token = client.token("k")
    unload_module(server)
    load_module(server)
    with server.connect() as client:
        assert client.cas("k", b"new", token) == b"EXISTS"


@IO_THREADS
def test_unload_while_writes_are_parked(start, io_threads):
    server = start(io_threads=io_threads)
    redis = server.resp()
    with server.connect() as client, server.connect() as other:
        redis.client_pause(1000000, all=False)
        client.send(b"set k 0 0 1\r\nx\r\n")
        for _ in range(20):
            assert other.get("k") is None
        unload_module(server)
        assert client.read_to_close() == b""
        redis.client_unpause()
        assert redis.get("k") is None


# Stopping

@IO_THREADS
@pytest.mark.parametrize("persistence", [{}, {"appendonly": "yes"}, {"save": "3600 1"}], ids=["nothing", "aof", "rdb"])
def test_sigterm_under_load_exits_0_and_keeps_what_was_acknowledged(start, io_threads, persistence):
    server = start(io_threads=io_threads, config=persistence)
    with Load(server, writers=4) as load:
        load.wait_acknowledged(WRITES)
        assert server.signal_and_wait(signal.SIGTERM) == 0
        load.wait_broken()
    if persistence:
        server.restart()
        load.verify()


@IO_THREADS
@pytest.mark.parametrize("words", [["SHUTDOWN", "NOSAVE"], ["SHUTDOWN", "SAVE"], ["SHUTDOWN", "NOW", "FORCE"]], ids=" ".join)
def test_shutdown_under_load_exits_0(start, io_threads, words):
    server = start(io_threads=io_threads)
    with Load(server, writers=4) as load:
        load.wait_acknowledged(WRITES)
        server.is_down = True
        with server.resp_connection() as connection:
            connection.send(*words)
            assert server.wait_end() == 0
        load.wait_broken()


@IO_THREADS
def test_shutdown_while_writes_are_parked(start, io_threads):
    server = start(io_threads=io_threads)
    with server.connect() as client:
        server.resp().client_pause(1000000, all=False)
        client.send(b"set k 0 0 1\r\nx\r\n")
        server.resp().get("k")
        assert server.signal_and_wait(signal.SIGTERM) == 0
        assert client.read_to_close() == b""


@IO_THREADS
def test_debug_reload_under_load_loses_nothing(start, io_threads):
    server = start(io_threads=io_threads)
    with Load(server, writers=4) as load:
        for _ in range(5):
            load.wait_acknowledged(WRITES // 5)
            assert server.resp().execute_command("DEBUG", "RELOAD") in (b"OK", True)
        load.wait_acknowledged(WRITES)
    load.verify()


@IO_THREADS
def test_snapshots_and_rewrites_under_load_hold_whole_items(start, io_threads):
    """Flags and values of one moment: a server started from a snapshot taken under load shows no wrong flag."""
    server = start(io_threads=io_threads, config={"save": "3600 1"})
    keys = [b"{slot%d}%d" % (i % 3, i) for i in range(30)]
    is_over = threading.Event()

    def write():
        with server.connect() as client:
            number = 0
            while not is_over.is_set():
                number += 1
                value = b"%d" % number
                client.talk(b"".join(b"set %s %d 0 %d\r\n%s\r\n" % (key, number, len(value), value) for key in keys))
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        with server.connect() as client:
            wait_until(lambda: client.get(keys[-1]), "the writer to begin")
        for _ in range(5):
            server.resp().bgsave()
            server.wait_background_saves()
            copy = start(start=False, config={"save": ""})
            with open(f"{server.directory}/dump.rdb", "rb") as source, open(f"{copy.directory}/dump.rdb", "wb") as target:
                target.write(source.read())
            copy.start()
            with copy.connect() as client:
                found = client.fetch(b"get " + b" ".join(keys))
                assert len(found) == len(keys)
                assert all(value == b"%d" % flags for value, flags, _ in found.values())
            copy.stop()
    finally:
        is_over.set()
        writer.join(30)
    assert not writer.is_alive()


# Refusing to start

def sentence_about(log, *words):
    """The one line of the log that says what is wrong."""
    lines = [line for line in log.splitlines() if all(word.lower() in line.lower() for word in words)]
    assert lines, f"no line with {words}:\n{log}"
    return lines[0]


def test_a_port_in_use_is_refused_with_its_number(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        log = start(port=port, start=False).expect_refusal()
        sentence_about(log, "diglot", str(port), "in use")


@pytest.mark.parametrize("address", ["192.0.2.1", "not-an-address.invalid", "1.2.3.4.5", "127.0.0.1 192.0.2.1"])
def test_a_bad_bind_address_is_refused_with_its_name(start, address):
    log = start(bind=address, start=False).expect_refusal()
    sentence_about(log, "diglot", address.split()[-1])


def test_an_optional_bind_address_may_be_missing(start):
    server = start(bind="127.0.0.1 -192.0.2.1")
    assert server.answers()


def test_an_unknown_option_is_refused(start):
    """By the engine itself, in its own words; not every version names the option."""
    log = start(nonsense="1", start=False).expect_refusal()
    assert "diglot.nonsense" in log or sentence_about(log, "module configuration", "aborting")


@pytest.mark.parametrize("option, value", [("port", "65536"), ("port", "-1"), ("port", "abc"), ("io_threads", "65"), ("io_threads", "-1"),
                                           ("maxconns", "0"), ("max_item_size", "100"), ("max_item_size", "1gb"), ("db", "-1"),
                                           ("flush_all", "perhaps"), ("idle_timeout", "-1"), ("write_timeout", "0"), ("bind", ""),
                                           ("key_prefix", "x" * 200), ("key_prefix", "diglot:flags:")])
def test_a_bad_option_value_is_refused_with_its_name(start, option, value):
    log = start(**{option: value}, start=False).expect_refusal()
    sentence_about(log, "diglot." + option.replace("_", "-"))


def test_a_failed_load_into_a_running_server_leaves_it_as_it_was(start, start_engine):
    server = start_engine(module=False)
    taken = start()
    words = ["MODULE", "LOADEX", servers.MODULE, "CONFIG", "diglot.bind", "127.0.0.1", "CONFIG", "diglot.port"]
    for io_threads in (0, 4):
        for bad in (str(taken.memcached_port), "99999", "abc"):
            with server.resp_connection() as connection, pytest.raises(RespError):
                connection.call(*words, bad, "CONFIG", "diglot.io-threads", str(io_threads))
        assert server.resp().ping() and b"diglot" not in [module[b"name"] for module in server.resp().module_list()]
    port = servers.free_port()
    assert server.resp().execute_command(*words, str(port), "CONFIG", "diglot.io-threads", "2") in (b"OK", True)
    server.memcached_port = port
    wait_until(server.answers, "the memcached door")
    with server.resp_connection() as connection, pytest.raises(RespError):  # a second time
        connection.call(*words, str(servers.free_port()))
    assert server.answers()


def test_options_can_be_set_live_or_say_that_they_cannot(start):
    server = start()
    redis = server.resp()
    for name, value in (("maxconns", "5"), ("max-item-size", "2048"), ("flush-all", "no"), ("idle-timeout", "100"), ("write-timeout", "5")):
        redis.config_set(f"diglot.{name}", value)
        assert redis.config_get(f"diglot.{name}") == {f"diglot.{name}": value}
    for name, value in (("port", "1"), ("bind", "::1"), ("io-threads", "1"), ("db", "1"), ("key-prefix", "x")):
        before = redis.config_get(f"diglot.{name}")
        with pytest.raises(Exception):
            redis.config_set(f"diglot.{name}", value)
        assert redis.config_get(f"diglot.{name}") == before
    for name, value in (("maxconns", "0"), ("maxconns", "x"), ("max-item-size", "1"), ("flush-all", "2")):
        with pytest.raises(Exception):
            redis.config_set(f"diglot.{name}", value)
    assert server.answers()


# Where writes are refused or wait

def test_a_replica_refuses_writes_and_serves_reads(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    with primary.connect() as client, replica.connect() as reader:
        client.set("k", b"5", flags=3)
        servers.wait_replica(primary, replica)
        for request in (b"set k 0 0 1\r\n6", b"add n 0 0 1\r\n6", b"replace k 0 0 1\r\n6", b"append k 0 0 1\r\n6", b"prepend k 0 0 1\r\n6",
                        b"cas k 0 0 1 1\r\n6", b"incr k 1", b"decr k 1", b"delete k", b"touch k 100", b"gat 100 k", b"flush_all"):
            assert reader.ask(request).startswith(b"SERVER_ERROR "), request
        assert reader.get("k") == (b"5", 3)
        assert reader.fetch("gets k absent")[b"k"][:2] == (b"5", 3)
        assert replica.digest() == primary.digest()
        replica.resp().execute_command("REPLICAOF", "NO", "ONE")
        assert reader.ask(b"incr k 1") == b"6"
        assert reader.get("k") == (b"6", 3)
        primary.resp().execute_command("REPLICAOF", "127.0.0.1", replica.port)
        wait_until(lambda: client.ask(b"set k 0 0 1\r\n7").startswith(b"SERVER_ERROR "), "the old primary to refuse writes")


def test_an_expired_item_is_a_miss_on_a_replica(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    primary.resp().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    with primary.connect() as client, replica.connect() as reader:
        client.set("k", b"v", flags=3, exptime=1)
        servers.wait_replica(primary, replica)
        wait_until(lambda: reader.get("k") is None, "the item to expire on the replica")


@IO_THREADS
def test_client_pause_write_parks_writes_and_lets_reads_of_others_go_on(start, io_threads):
    server = start(io_threads=io_threads)
    redis = server.resp()
    with server.connect() as writer, server.connect() as reader:
        writer.set("k", b"old", flags=1)
        redis.client_pause(1000000, all=False)
        writer.send(b"set k 2 0 3\r\nnew\r\nget k\r\nincr absent 1\r\n")
        for _ in range(50):
            assert reader.get("k") == (b"old", 1)
            assert redis.get("k") == b"old"
        assert not writer.has_input()
        redis.client_unpause()
        assert writer.read_line() == b"STORED"
        assert writer.read_line() == b"VALUE k 2 3"
        assert writer.read_until(b"END\r\n") == b"new\r\nEND\r\n"
        assert writer.read_line() == b"NOT_FOUND"
        assert reader.get("k") == (b"new", 2)


@IO_THREADS
def test_load_goes_on_through_pauses(start, io_threads):
    server = start(io_threads=io_threads)
    with Load(server, writers=4) as load:
        for _ in range(5):
            load.wait_acknowledged(WRITES // 5)
            server.resp().client_pause(1000000, all=False)
            server.resp().client_unpause()
        server.resp().client_pause(50, all=False)  # ends by itself
        load.wait_acknowledged(WRITES)
    load.verify()


@IO_THREADS
def test_a_client_that_leaves_while_its_write_is_parked_harms_nobody(start, io_threads):
    server = start(io_threads=io_threads)
    redis = server.resp()
    redis.client_pause(1000000, all=False)
    for i in range(20):
        client = server.connect()
        client.send(b"set k%d 7 0 1\r\nx\r\n" % i)
        client.close()
    with server.connect() as client:
        assert client.get("k0") is None
        redis.client_unpause()
        client.set("k", b"v", flags=1)
        assert client.get("k") == (b"v", 1)
        assert all(client.get(f"k{i}") in ((b"x", 7), None) for i in range(20))


def test_over_maxmemory_without_eviction_writes_are_refused(start):
    server = start(config={"maxmemory-policy": "noeviction"})
    redis = server.resp()
    with server.connect() as client:
        client.set("k", b"5", flags=4)
        redis.config_set("maxmemory", 1)
        for request in (b"set new 0 0 1\r\n6", b"add new 0 0 1\r\n6"):
            assert client.ask(request) == b"SERVER_ERROR out of memory storing object", request
        for request in (b"append k 0 0 1\r\n6", b"incr k 1"):
            assert client.ask(request).startswith(b"SERVER_ERROR out of memory"), request
        assert client.get("k") == (b"5", 4) and client.get("new") is None
        assert client.ask(b"touch k 1000") == b"TOUCHED"
        assert client.ask(b"delete k") == b"DELETED"
        redis.config_set("maxmemory", 0)
        client.set("new", b"v", flags=5)
        assert client.get("new") == (b"v", 5)


@IO_THREADS
@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_over_maxmemory_with_eviction_memory_stays_bounded(start, io_threads, policy):
    server = start(io_threads=io_threads, config={"maxmemory-policy": policy})
    redis = server.resp()
    limit = redis.info("memory")["used_memory"] + 5000000
    redis.config_set("maxmemory", limit)
    with server.connect() as client:
        for begin in range(0, 20000, 200):
            reply = client.talk(b"".join(b"set key%d %d 0 1000\r\n%01000d\r\n" % (i, i, i) for i in range(begin, begin + 200)))
            assert reply == b"STORED\r\n" * 200
        assert redis.info("stats")["evicted_keys"] > 5000
        assert redis.info("memory")["used_memory"] < limit * 1.1
        seen = 0
        for i in range(20000):
            if i % 50 == 0:
                found = client.fetch(b"get " + b" ".join(b"key%d" % j for j in range(i, i + 50)))
                seen += len(found)
                assert all(value == b"%01000d" % flags for value, flags, _ in found.values())
        assert seen > 100


def test_min_replicas_to_write_is_obeyed(start):
    server = start()
    with server.connect() as client:
        client.set("k", b"v", flags=1)
        server.resp().config_set("min-replicas-to-write", 1)
        assert client.store("set", "k", b"new").startswith(b"SERVER_ERROR ")
        assert client.ask(b"delete k").startswith(b"SERVER_ERROR ")
        assert client.get("k") == (b"v", 1)
        server.resp().config_set("min-replicas-to-write", 0)
        client.set("k", b"new")


# Replication and files

@IO_THREADS
@pytest.mark.parametrize("has_module", [True, False], ids=["with the module", "without"])
def test_a_replica_attached_under_load_ends_with_the_same_data(start, start_engine, io_threads, has_module):
    primary = start(io_threads=io_threads)
    with Load(primary, writers=4) as load:
        load.wait_acknowledged(WRITES)
        config = {"replicaof": ["127.0.0.1", str(primary.port)]}
        replica = start(config=config, io_threads=io_threads) if has_module else start_engine(module=False, config=config)
        wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "up", "the link")
        load.wait_acknowledged(WRITES)
        primary.resp().execute_command("CLIENT KILL", "TYPE", "replica")  # and once more, by a partial or full sync
        load.wait_acknowledged(WRITES)
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()
    load.verify()
    if has_module:
        load.server = replica
        load.verify()


@pytest.mark.parametrize("persistence", [{"save": "3600 1"}, {"appendonly": "yes", "aof-use-rdb-preamble": "yes"},
                                         {"appendonly": "yes", "aof-use-rdb-preamble": "no"}], ids=["rdb", "aof", "plain aof"])
def test_files_open_without_the_module(start, persistence):
    server = start(config=persistence)
    with Load(server, writers=2) as load:
        load.wait_acknowledged(WRITES)
    expected = {key: item for writer in load.writers for key, item in writer.items.items()}
    if "appendonly" in persistence:
        server.resp().bgrewriteaof()
        server.wait_background_saves()
    server.shutdown_saving()
    server.restart(module=False)
    redis = server.resp()
    for key, item in expected.items():
        assert redis.get(key) == item.value
        assert max(0, redis.execute_command("EXPIRETIME", key)) == item.expiry
    assert redis.dbsize() == len(expected) + len(ledgers(redis))


def test_a_server_that_loads_a_large_file_answers_when_it_is_done(start):
    server = start(config={"save": "3600 1"})
    with server.connect() as client:
        for i in range(20000):
            client.send(b"set key%d %d 0 20 noreply\r\n%020d\r\n" % (i, i, i))
        client.talk(b"")
    server.shutdown_saving()
    server.launch(server.command())
    connection = []

    def reach():
        try:
            connection.append(server.connect())
            return True
        except OSError:
            return False
    wait_until(reach, "the memcached door to open")
    answer = connection[0].get("key19999")
    assert answer in ((b"%020d" % 19999, 19999), None)
    server.wait_ready(server.is_ready)
    assert connection[0].get("key19999") == (b"%020d" % 19999, 19999)
    assert diglot_get(server.resp(), "key1") == (b"%020d" % 1, 1)
