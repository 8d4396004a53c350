"""Where nobody hears of writes, a long pipeline of them is not propagated (engine/audience.h). Whoever begins to listen, a replica
or an append-only file, misses nothing: not what was written before, nor what is written from then on."""
import random
import threading

import pytest

from lib import servers
from lib.waiting import wait_until

PIPELINE = 100


def writes(number):
    """A pipeline of writes of all kinds, every one answered with one line. The item that incr and append are for is there."""
    at_random = random.Random(number)
    lines = [b"set n%d 0 0 1\r\n5\r\n" % (i % 8) for i in range(8)]
    while len(lines) < PIPELINE:
        key = at_random.randrange(50)
        lines.append(at_random.choice([b"set k%d %d 0 9\r\n%09d\r\n" % (key, key % 3, number), b"incr n%d 7\r\n" % (key % 8),
                                       b"set k%d 0 1000 1\r\nx\r\n" % key, b"append n%d 0 0 1\r\n1\r\n" % (key % 8),
                                       b"touch k%d 2000\r\n" % key, b"delete k%d\r\n" % key]))
    return b"".join(lines)


class Writer:
    """Writes without end, from a thread: pipelines, or one at a time."""

    def __init__(self, server, one_at_a_time=False):
        self.server = server
        self.one_at_a_time = one_at_a_time
        self.rounds = 0
        self.is_over = False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with self.server.connect() as client:
            while not self.is_over:
                if self.one_at_a_time:
                    for i in range(PIPELINE):
                        client.set(f"k{i}", b"%d" % self.rounds)
                else:
                    client.talk(writes(self.rounds))
                self.rounds += 1

    def wait_rounds(self, more):
        target = self.rounds + more
        wait_until(lambda: self.rounds >= target or not self.thread.is_alive(), "writes")

    def __enter__(self):
        self.thread.start()
        self.wait_rounds(5)
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()


def test_every_change_counts_for_save_points(start):
    server = start()
    redis = server.resp()
    with server.connect() as client:
        before = redis.info("persistence")["rdb_changes_since_last_save"]
        client.send(b"".join(b"set k%d 0 0 1\r\nx\r\n" % i for i in range(PIPELINE)))
        assert [client.read_line() for _ in range(PIPELINE)] == [b"STORED"] * PIPELINE
        assert redis.info("persistence")["rdb_changes_since_last_save"] == before + PIPELINE


def wait_calm(server):
    """In its first second nothing is taken to hold from one turn to the next (engine/calm.h)."""
    wait_until(lambda: server.resp().info("server")["uptime_in_seconds"] >= 2, "the server to have come to rest")


def join(primary, replica):
    redis = replica.resp()
    redis.execute_command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: redis.info("replication")["master_link_status"] == "up", "the link")


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_replica_that_is_kept_waiting_by_a_pause_misses_nothing(start, one_at_a_time):
    """What it has sent is run behind the pause, when nothing tells of it any more. Between its visits the backlog goes, so that
    nobody is there when it comes again."""
    primary = start(config={"repl-backlog-ttl": "1"})
    replica = start()
    wait_calm(primary)
    for milliseconds in (1, 300):
        wait_until(lambda: primary.resp().info("replication")["repl_backlog_active"] == 0, "the backlog to go")
        with Writer(primary, one_at_a_time) as writer:
            primary.resp().execute_command("CLIENT", "PAUSE", milliseconds, "ALL")
            join(primary, replica)
            writer.wait_rounds(5)
        servers.wait_replica(primary, replica)
        assert replica.digest() == primary.digest()
        replica.resp().execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize("io_threads", [0, 2])
def test_a_replica_that_joins_amid_writes_misses_none(start, io_threads):
    primary = start(io_threads=io_threads)
    replica = start()
    redis = replica.resp()
    wait_calm(primary)
    with Writer(primary) as writer:
        for _ in range(2):
            join(primary, replica)
            writer.wait_rounds(5)
            redis.execute_command("REPLICAOF", "NO", "ONE")
            writer.wait_rounds(5)
        join(primary, replica)
        writer.wait_rounds(5)
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()


def test_an_append_only_file_that_begins_amid_writes_misses_none(start):
    server = start()
    wait_calm(server)
    with Writer(server) as writer:
        server.resp().config_set("appendonly", "yes")
        writer.wait_rounds(5)
    server.wait_background_saves()
    before = server.digest()
    server.kill()
    server.config["appendonly"] = "yes"
    server.restart()
    assert server.digest() == before
