"""An acknowledged write is there after kill -9, with its flags and its TTL, whatever was under way.

DIGLOT_DURABILITY_ROUNDS sets how often the server is killed, DIGLOT_DURABILITY_WRITES how many answers it gives before."""
import os

import pytest

from lib import servers
from lib.engine_ledger import ledgers
from lib.engine_load import Load
from lib.waiting import wait_until

ROUNDS = int(os.environ.get("DIGLOT_DURABILITY_ROUNDS", "4"))
WRITES = int(os.environ.get("DIGLOT_DURABILITY_WRITES", "1500"))


def kill_rounds(server, rounds, writes, disturb=lambda round: None, may_lose_last=False):
    """Load, kill -9 in its midst, restart, verify; the next round goes on with what is there."""
    before = None
    for round in range(rounds):
        with Load(server, writers=4, seed=round, before=before) as load:
            load.wait_acknowledged(writes + 377 * round)
            disturb(round)
            load.wait_acknowledged(50)
            server.kill()
            load.wait_broken()
        server.restart()
        load.verify(may_lose_last)
        before = load


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("fsync", ["always", "no"])
def test_acknowledged_writes_survive_kill_9(start, io_threads, fsync):
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": fsync})
    kill_rounds(server, ROUNDS, WRITES)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_with_everysec_at_most_the_last_writes_are_missing(start, io_threads):
    """The engine itself puts off writing while an fsync is under way in the background. What is there is one moment of each
    client, values and flags together."""
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": "everysec"})
    kill_rounds(server, ROUNDS, WRITES, may_lose_last=True)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_acknowledged_writes_survive_kill_9_amid_an_aof_rewrite(start, io_threads):
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": "always", "rdb-key-save-delay": "1000",
                                                  "no-appendfsync-on-rewrite": "no"})
    kill_rounds(server, ROUNDS, WRITES // 2, lambda round: server.resp().bgrewriteaof())


@pytest.mark.parametrize("io_threads", [0, 4])
def test_acknowledged_writes_survive_while_resp_writes_the_same_keys(start, io_threads):
    """RESP clients rename, copy and overwrite keys of their own, flagged ones too, in the same ledgers."""
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": "always"})

    def disturb(round):
        redis = server.resp()
        with server.connect() as client:
            for i in range(100):
                client.set(f"{{w0:text{i % 8}}}other", b"%d" % i, flags=i)
                redis.rename(f"{{w0:text{i % 8}}}other", "renamed")
                redis.copy("renamed", f"{{w1:count{i % 4}}}copied", replace=True)
                redis.pipeline(transaction=True).set("renamed", "x").append(f"{{w2:text{i % 8}}}new", "y").execute()
    kill_rounds(server, ROUNDS, WRITES // 2, disturb)


def test_what_each_kind_of_command_acknowledged_survives(start):
    """One after the other, each killed right behind its answer."""
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    later = 2000000000  # what memcached can tell is 31 bits
    steps = [(b"set k 5 %d 1\r\n1" % later, b"STORED", (b"1", 5), later), (b"add n 6 0 1\r\n9", b"STORED", (b"1", 5), later),
             (b"append k 0 0 1\r\n2", b"STORED", (b"12", 5), later), (b"prepend k 0 0 1\r\n3", b"STORED", (b"312", 5), later),
             (b"incr k 8", b"320", (b"320", 5), later), (b"decr k 20", b"300", (b"300", 5), later),
             (b"touch k 0", b"TOUCHED", (b"300", 5), -1), (b"gat %d k" % (later + 1), b"END", (b"300", 5), later + 1),
             (b"replace k 7 0 1\r\n4", b"STORED", (b"4", 7), -1), (b"cas k 8 0 1 %d\r\n5", b"STORED", (b"5", 8), -1),
             (b"delete n", b"DELETED", (b"5", 8), -1), (b"set k 9 -1 1\r\n6", b"STORED", None, -2),
             (b"flush_all", b"OK", None, -2)]
    for request, answer, item, expiry in steps:
        with server.connect() as client:
            if b"%d" in request:
                request = request % client.token("k")
            reply = client.ask(request)
            while reply.startswith(b"VALUE"):
                client.read_line()
                reply = client.read_line()
            assert reply == answer, request
            server.kill()
        server.restart()
        with server.connect() as client:
            assert client.get("k") == item, request
            assert server.resp().execute_command("EXPIRETIME", "k") == expiry, request
    assert server.resp().dbsize() == 0 and ledgers(server.resp()) == {}


def test_a_reader_never_sees_a_write_that_a_crash_takes_back(start):
    """With appendfsync always a get that shows a value is answered behind the fsync that covers it, whoever wrote it."""
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    for round in range(5):
        with server.connect() as reader:
            redis_writer = server.resp_connection()
            for i in range(200):
                redis_writer.send("SET", "k", f"{round * 1000 + i}")  # its answer is not waited for
                seen = reader.get("k")
            server.kill()
            redis_writer.close()
        server.restart()
        with server.connect() as reader:
            assert seen is None or int(reader.get("k")[0]) >= int(seen[0])


def test_a_write_waits_for_the_disk_as_the_same_write_over_resp(start):
    """The number of fsyncs tells nothing, but the AOF does: at the answer the write is in the file."""
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    directory = os.path.join(server.directory, server.resp().config_get("appenddirname")["appenddirname"])

    def aof():
        content = b""
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), "rb") as file:
                content += file.read()
        return content
    with server.connect() as client:
        for i in range(200):
            client.set("k", b"unique-%d-unique" % i, flags=i)
            assert b"unique-%d-unique" % i in aof()


def test_acknowledged_writes_reach_the_replica_that_wait_waited_for(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "up", "the link")
    with Load(primary, writers=4) as load:
        load.wait_acknowledged(WRITES)
        load.end()
        servers.wait_replica(primary, replica)
        primary.kill()
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    load.server = replica
    load.verify()
    for writer in load.writers:
        writer.port = replica.memcached_port
    with Load(replica, writers=4, seed=5, before=load) as load:
        load.wait_acknowledged(500)
    load.verify()


@pytest.mark.parametrize("io_threads", [0, 4])
def test_the_load_is_right_without_any_fault(start, io_threads):
    """The writers' own check: what they expect is what a quiet server does."""
    server = start(io_threads=io_threads)
    with Load(server, writers=4) as load:
        load.wait_acknowledged(WRITES * 3)
    load.verify()


MOVES = {"MOVE": [["SET", "k", "1"], ["MOVE", "k", "1"]], "COPY": [["SET", "k", "1"], ["COPY", "k", "j", "DB", "1"]],
         "MOVE of an item with flags": [["DIGLOT.SET", "k", "v", "FLAGS", "5"], ["MOVE", "k", "1"]],
         "COPY of an item with flags": [["DIGLOT.SET", "k", "v", "FLAGS", "5"], ["COPY", "k", "j", "DB", "1"]],
         "MOVE back": [["SET", "k", "1"], ["MOVE", "k", "1"], ["SELECT", "1"], ["MOVE", "k", "0"]]}


@pytest.mark.parametrize("commands", MOVES.values(), ids=MOVES)
def test_what_is_written_behind_a_move_to_another_database_is_loaded_where_it_was(start, commands):
    """Valkey 8.1 leaves a client in the database of the last event that a module heard, the one that loads the AOF, too."""
    server = start(config={"appendonly": "yes", "appendfsync": "always", "aof-use-rdb-preamble": "no"})
    with server.resp_connection() as resp:
        for words in commands:
            resp.call(*words)
        resp.call("SET", "behind", "1")
    with server.connect() as client:
        client.set("item", b"v", flags=7)
        client.set("behind", b"memcached's")
    digest = server.digest()
    for _ in range(2):
        server.kill()
        server.restart()
        assert server.digest() == digest
    with server.connect() as client:
        assert client.get("item") == (b"v", 7)
        server.resp().set("item", "resp")  # the module listens again
        assert client.get("item") == (b"resp", 0)
