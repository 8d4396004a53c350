"""Writes while somebody begins to listen to them (engine/audience.h), or the engine to refuse them."""
import os
import random
import re
import signal
import threading

from lib import servers
from lib.waiting import wait_until

PIPELINE = 100
MISSED = "somebody who listens has missed a write"


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


def wait_calm(server):
    """In its first second nothing is taken to hold from one turn to the next (engine/calm.h)."""
    wait_until(lambda: server.resp().info("server")["uptime_in_seconds"] >= 2, "the server to have come to rest")


def join(primary, replica):
    redis = replica.resp()
    redis.execute_command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: redis.info("replication")["master_link_status"] == "up", "the link")


def settle(server):
    """Writes one at a time until it is known that nobody hears of them, without a word over RESP."""
    with server.connect() as client:
        for i in range(100):
            client.set("settling", b"%d" % i)


SAVER = re.compile(r"Background saving started by pid (\d+)")
FOLLOWED = {"repl-diskless-sync": "no", "hz": "100"}


class Follower:
    """Attaches by hand, as old replicas did, and reads what is propagated."""

    def __init__(self, server):
        self.server = server
        self.connection = server.resp_connection()
        self.connection.send("SYNC")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def line(self):
        return self.connection.stream.readline()

    def take_snapshot(self):
        line = self.line()
        while not line.startswith(b"$"):  # it is kept alive by empty lines until the snapshot is made
            line = self.line()
        size = int(line[1:])
        assert len(self.connection.stream.read(size)) == size

    def read_command(self):
        return [self.connection.stream.read(int(self.line()[1:]) + 2)[:-2] for _ in range(int(self.line()[1:]))]

    def check_hears(self):
        """Of every write from now on. What comes over RESP ends it."""
        keys = [b"heard%d" % i for i in range(50)]
        with self.server.connect() as client:
            for key in keys:
                client.set(key, b"v")
        self.server.resp().set("end", "")
        words, heard = [], []
        while words[:2] != [b"SET", b"end"]:
            words = self.read_command()
            heard += words[1:2] if words[:1] == [b"SET"] else []
        assert [key for key in heard if key.startswith(b"heard")] == keys, MISSED


def let_a_follower_come_behind_a_pause(server, milliseconds):
    """What it has sent is run behind the pause, when nothing tells of it any more; just before, or after, writes are that have
    waited as well, enough of them for the question whether somebody hears of them."""
    wait_calm(server)
    settle(server)
    with server.connect() as client, server.connect() as chatter, server.resp_connection() as redis:
        redis.call("CLIENT", "PAUSE", milliseconds, "ALL")
        with Follower(server) as follower:
            client.send(b"".join(b"set k%d 0 0 1\r\nx\r\n" % i for i in range(PIPELINE)))
            while not client.has_input():
                chatter.ask(b"version")  # the loop turns so often that the module is the first to see that the pause is over
            assert [client.read_line() for _ in range(PIPELINE)] == [b"STORED"] * PIPELINE
            follower.take_snapshot()
            follower.check_hears()


def check_asks_behind_a_pause(server):
    """Nobody else says a word while it lasts: that there was one is known from the loop alone. What is known
    then holds for no turn but its own, for five seconds, and there are five turns."""
    assert server.config["hz"] == "2"
    redis = server.resp()
    wait_until(lambda: redis.info("server")["uptime_in_seconds"] >= 7, "the server to have come to rest")
    before = redis.info("commandstats")["cmdstat_info"]["calls"]
    redis.execute_command("CLIENT", "PAUSE", "50", "WRITE")
    with server.connect() as client:
        client.set("waits", b"v")
        for _ in range(5):
            client.talk(b"".join(b"set k%d 0 0 1\r\nx\r\n" % i for i in range(20)))
    asked = redis.info("commandstats")["cmdstat_info"]["calls"] - before
    assert asked >= 5, "it is not asked whether anybody listens"


def let_a_replica_join_and_leave(primary, replica, times):
    redis = replica.resp()
    with Writer(primary) as writer:
        for _ in range(times):
            join(primary, replica)
            writer.wait_rounds(5)
            redis.execute_command("REPLICAOF", "NO", "ONE")
            writer.wait_rounds(5)
        join(primary, replica)
        writer.wait_rounds(5)
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest(), MISSED


def let_a_save_fail_in_the_background(server):
    """Nobody says a word over RESP until the next write is refused for it. The child that saves dies in the midst of it."""
    wait_calm(server)
    with server.connect() as client, server.resp_connection() as redis:
        client.set("k", b"v")
        redis.call("CONFIG", "SET", "rdb-key-save-delay", "100000000")  # it is at work until it is killed
        redis.call("BGSAVE")
        wait_until(lambda: SAVER.search(server.log()), "the child to start")
        settle(server)
        os.kill(int(SAVER.search(server.log())[1]), signal.SIGKILL)
        wait_until(lambda: "Background saving terminated by signal 9" in server.log(), "the save to fail")
        try:
            assert client.ask(b"set k 0 0 1\r\nx").startswith(b"SERVER_ERROR MISCONF"), "a write was taken"
        finally:
            redis.call("CONFIG", "SET", "save", "")
