"""What the engine refuses or lets wait, memcached clients are refused or wait for: law 3. Each state is brought about for real,
and RESP is asked the same. Memory under load is in tests/faults/test_memory_pressure.py."""
import os
import subprocess
import threading
import time

import pytest
import redis as redis_library

from lib import binary
from lib.audience import let_a_save_fail_in_the_background
from lib.servers import Engine
from lib.waiting import wait_until

IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])
NO_MEMORY = b"SERVER_ERROR out of memory storing object"
STATUS_NO_MEMORY = 0x82


def answers(client, request):
    """All that one request is answered with."""
    client.send(request + b"\r\nversion\r\n")
    return client.read_until(b"VERSION 1.6.18\r\n")[:-len(b"VERSION 1.6.18\r\n")]


def refusal(redis, *words):
    """The first word of the error that a command is answered with; None when there is none."""
    try:
        redis.execute_command(*words)
        return None
    except redis_library.ResponseError as error:
        return "OOM" if "maxmemory" in str(error) else str(error).split(" ")[0]


# Memory

REQUESTS = [  # classic or meta, binary, and what RESP has for it
    (b"set n 0 0 1\r\n5", binary.store(binary.SET, b"n", b"5"), ("SET", "n", "5")),
    (b"add m 0 0 1\r\n5", binary.store(binary.ADD, b"m", b"5"), ("SET", "m", "5", "NX")),
    (b"replace k 0 0 1\r\n5", binary.store(binary.REPLACE, b"k", b"5"), ("SET", "k", "5", "XX")),
    (b"append k 0 0 1\r\n5", binary.Frame(binary.APPEND, b"k", value=b"5"), ("APPEND", "k", "5")),
    (b"prepend k 0 0 1\r\n5", binary.Frame(binary.PREPEND, b"k", value=b"5"), ("SET", "k", "55")),
    (b"incr k 1", binary.count(binary.INCR, b"k", 1), ("INCRBY", "k", "1")),
    (b"decr k 1", binary.count(binary.DECR, b"k", 1), ("DECRBY", "k", "1")),
    (b"ms n 1\r\n5", None, ("SET", "n", "5")),
    (b"ma k", None, ("INCR", "k")),
    (b"mg n N30", None, ("SET", "n", "", "EX", "30")),
    (b"get k", binary.Frame(binary.GET, b"k"), ("GET", "k")),
    (b"touch k 1000", binary.touch(binary.TOUCH, b"k", 1000), ("EXPIRE", "k", "1000")),
    (b"gat 1000 k", binary.touch(binary.GAT, b"k", 1000), ("GETEX", "k", "EX", "1000")),
    (b"mg k v T1000", None, ("GETEX", "k", "EX", "1000")),
    (b"delete a", binary.Frame(binary.DELETE, b"b"), ("DEL", "c")),
    (b"md d", None, ("UNLINK", "e")),
    (b"flush_all 1000", None, ("PING",)),
]


def test_at_the_limit_without_eviction_the_same_is_refused_as_over_resp(start):
    server = start(config={"maxmemory-policy": "noeviction"})
    redis = server.resp()
    with server.connect() as client, server.connect() as packets:
        for key in ("k", "a", "b", "c", "d", "e"):
            client.set(key, b"5", flags=7)
        redis.config_set("maxmemory", 1)
        for request, frame, words in REQUESTS:
            is_refused = refusal(redis, *words) == "OOM"
            assert answers(client, request).startswith(b"SERVER_ERROR out of memory") == is_refused, request
            if frame:
                assert (binary.ask(packets, frame)[0].status == STATUS_NO_MEMORY) == is_refused, frame
        assert answers(client, b"set n 0 0 1\r\n5") == NO_MEMORY + b"\r\n"
        redis.config_set("maxmemory", 0)
        assert client.get("k") == (b"5", 7)
        client.set("n", b"5")


def test_without_memory_no_mark_is_written_and_what_would_be_stale_goes(start):
    server = start(config={"maxmemory-policy": "noeviction"})
    redis = server.resp()
    with server.connect() as client:
        for key in ("stale", "cleared", "short"):
            client.set(key, b"v", exptime=20)
        client.set("marked", b"v")
        assert client.ask(b"md marked I") == b"HD"
        redis.config_set("maxmemory", 1)
        ledgers = {name: redis.get(name) for name in redis.keys("diglot:flags:*")}
        assert client.ask(b"mg short R30 s") == b"HD s1 Z"  # as if another had won
        assert client.ask(b"mg marked T0 t") == b"HD t-1 Z X"
        assert client.ask(b"mg marked t") == b"HD t-1 Z X"
        assert client.ask(b"md stale I") == b"HD" and client.ask(b"md cleared x") == b"HD"
        assert client.get("stale") is None and client.get("cleared") is None
        assert {name: redis.get(name) for name in redis.keys("diglot:flags:*")} == ledgers
        redis.config_set("maxmemory", 0)
        assert client.ask(b"mg short R30 s") == b"HD s1 W"
        assert client.ask(b"mg marked t") == b"HD t-1 X W"


LIMIT = 5_000_000


def fill(server, count=6000):
    with server.connect() as client:
        for begin in range(0, count, 100):
            requests = b"".join(b"set key%d 0 0 1000\r\n%01000d\r\n" % (i, i) for i in range(begin, begin + 100))
            assert client.talk(requests) == b"STORED\r\n" * 100
        return client.stats()


class Unreachable(Engine):
    """Its RESP port need not answer."""

    def is_ready(self):
        return self.answers()



LISTENERS = {
    "RESET has another name": {"rename-command": ["RESET", "other"]},
    "CONFIG has another name": {"rename-command": ["CONFIG", "other"]},
    "there is a password": {"requirepass": "secret", "user": ["guest", "on", "nopass", "~*", "+@all"]},
    "it is bound elsewhere": {"bind": "127.0.0.3"},
    "there is no room for a client": {"maxclients": "1"},
    "only a socket of Unix": {"unixsocket": "engine.socket", "port": "0"},
    "a socket of Unix that is gone": {"unixsocket": "engine.socket", "port": "0"},
}


@pytest.mark.parametrize("listener", LISTENERS)
def test_the_engine_evicts_however_it_listens(start_as, listener):
    config = {"maxmemory": LIMIT, "maxmemory-policy": "allkeys-lru", **LISTENERS[listener]}
    server = start_as(Unreachable, config=config, user="guest" if "user" in config else "default")
    if listener.endswith("gone"):
        os.unlink(os.path.join(server.directory, "engine.socket"))
    stats = fill(server)
    assert int(stats["bytes"]) < LIMIT * 1.05 and int(stats["evictions"]) > 1500
    assert server.log().count("\n") < 1000  # what is asked by other means than a client is logged


def test_a_loop_that_was_kept_busy_is_no_reason_to_give_the_connection_up(start):
    server = start(config={"maxmemory": LIMIT, "maxmemory-policy": "allkeys-lru"})
    fill(server)
    redis = server.resp()
    lines = server.log().count("\n")
    for i in range(3):  # it sleeps while the module has asked, or before: both happen
        with server.connect() as client, server.resp_connection() as sleeper:
            client.send(b"".join(b"set k%d 0 0 1000\r\n%01000d\r\n" % (j, j) for j in range(2000)))
            sleeper.call("DEBUG", "SLEEP", "0.3")
            assert client.read_until(b"STORED\r\n" * 2000)
    assert server.log().count("\n") == lines
    assert redis.info("commandstats")["cmdstat_reset"]["calls"] > 10


# Waiting

def reads_and_writes(server):
    """Connections on which one of each waits to be answered, and the answers."""
    requests = {b"get k\r\n": b"VALUE k 3 1\r\nv\r\nEND\r\n", b"set k 3 0 1\r\nv\r\n": b"STORED\r\n", b"mg k v f\r\n": b"VA 1 f3\r\nv\r\n",
                b"delete none\r\n": b"NOT_FOUND\r\n", b"gat 0 k\r\n": b"VALUE k 3 1\r\nv\r\nEND\r\n"}
    connections = []
    for request, reply in requests.items():
        connection = server.connect()
        connection.send(request)
        connections.append((connection, reply))
    return connections


def check_answered(connections):
    for connection, reply in connections:
        assert connection.read_exactly(len(reply)) == reply
        connection.close()


def none_is_answered(connections):
    return not any(connection.has_input() for connection, _ in connections)


@IO_THREADS
def test_a_pause_of_all_clients_lets_reads_wait(start, io_threads):
    server = start(io_threads=io_threads)
    with server.connect() as client, server.connect() as reader:
        client.set("k", b"v", flags=3)
        begin = time.monotonic()
        with server.resp_connection() as redis:
            redis.call("CLIENT", "PAUSE", "600", "ALL")
        connections = reads_and_writes(server)
        while none_is_answered(connections):
            assert reader.ask(b"version") == b"VERSION 1.6.18"
        assert time.monotonic() - begin > 0.59  # whoever is answered has waited for its end, which comes by itself
        check_answered(connections)
        with server.resp_connection() as redis:
            redis.call("CLIENT", "PAUSE", "100000", "WRITE")
            assert reader.get("k") == (b"v", 3)
            redis.call("CLIENT", "UNPAUSE")
        client.set("k", b"v")


@IO_THREADS
def test_behind_a_long_script_all_are_answered(start, io_threads):
    server = start(io_threads=io_threads, config={"busy-reply-threshold": "20"})
    redis = server.resp()
    with server.connect() as client:
        client.set("k", b"v", flags=3)

    def run():
        assert "killed" in str(pytest.raises(redis_library.ResponseError, server.resp().eval, "while true do end", 0).value)
    script = threading.Thread(target=run)
    script.start()
    wait_until(lambda: refusal(redis, "GET", "k") == "BUSY" or "BUSY" in str(refusal(redis, "GET", "k")), "the script to be long")
    connections = reads_and_writes(server)
    for _ in range(20):
        refusal(redis, "GET", "k")
        assert none_is_answered(connections)
    redis.script_kill()
    script.join()
    check_answered(connections)


# Refusals

class Limited(Engine):
    """Its files can be kept from growing."""

    def command(self):
        return ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", *super().command()]

    def limit_files(self, size):
        subprocess.run(["prlimit", "--pid", str(self.pid), f"--fsize={size}:unlimited"], check=True)


def check_writes(server, word):
    """Writes are refused with the engine's word, or taken; reads are answered."""
    redis = server.resp()
    with server.connect() as client, server.connect() as packets:
        for request in (b"set k 0 0 1\r\nv", b"delete none", b"touch none 0", b"incr none 1", b"flush_all 1000", b"md none", b"mg none N0"):
            reply = answers(client, request)
            assert reply.startswith(b"SERVER_ERROR " + (word or "").encode()) if word else b"ERROR" not in reply, (request, reply)
        assert (binary.ask(packets, binary.store(binary.SET, b"k", b"v"))[0].status == 0) == (word is None)
        assert refusal(redis, "SET", "k", "v") == word
        assert client.get("k") is not None


def test_writes_that_cannot_be_saved_are_refused(start_as):
    server = start_as(Limited, config={"save": "3600 1000000"})
    redis = server.resp()
    redis.set("k", "v" * 100)
    server.limit_files(1)
    redis.bgsave()
    wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", "a snapshot to fail")
    check_writes(server, "MISCONF")
    redis.config_set("stop-writes-on-bgsave-error", "no")
    check_writes(server, None)
    redis.config_set("stop-writes-on-bgsave-error", "yes")
    server.limit_files("unlimited")
    redis.bgsave()
    wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "ok", "a snapshot to succeed")
    check_writes(server, None)


def test_a_save_that_fails_in_the_background_is_noticed_by_those_who_write_on(start):
    let_a_save_fail_in_the_background(start(config={"save": "3600 1000000"}))


def test_writes_are_refused_while_the_append_only_file_cannot_be_written(start_as):
    server = start_as(Limited, config={"appendonly": "yes"})
    redis = server.resp()
    redis.set("k", "v")
    server.limit_files(1)
    redis.set("k", "w")
    wait_until(lambda: redis.info("persistence")["aof_last_write_status"] == "err", "the file to be full")
    check_writes(server, "MISCONF")
    server.limit_files("unlimited")
    wait_until(lambda: redis.info("persistence")["aof_last_write_status"] == "ok", "the file to be written again")
    check_writes(server, None)


def test_a_replica_without_its_primary_may_have_to_refuse_reads(start):
    primary, replica = start(), start(config={"replica-serve-stale-data": "no"})
    primary.resp().set("k", "v")
    redis = replica.resp()
    redis.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: redis.info("replication")["master_link_status"] == "up", "the replica to be ready")
    with replica.connect() as client:
        wait_until(lambda: client.get("k"), "the item to come")
        primary.stop()
        wait_until(lambda: redis.info("replication")["master_link_status"] == "down", "the replica to notice")
        assert refusal(redis, "GET", "k") == "MASTERDOWN"
        for request in (b"get k", b"mg k v", b"gets k"):
            assert answers(client, request).startswith(b"SERVER_ERROR MASTERDOWN"), request
        redis.config_set("replica-serve-stale-data", "yes")
        assert client.get("k") == (b"v", 0)
