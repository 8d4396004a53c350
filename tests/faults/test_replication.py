"""Replicas of a server under load, with and without the module: they end with the same data, through broken links and full
synchronizations, and their readers see whole items all the while.

DIGLOT_REPLICATION_ROUNDS sets how often each case breaks the link."""
import os
import threading

import pytest

from lib import servers
from lib.item_load import ItemLoad
from lib.replication import replica_of, syncs, wait_following
from lib.resp_noise import RespNoise
from lib.waiting import wait_until

ROUNDS = int(os.environ.get("DIGLOT_REPLICATION_ROUNDS", "5"))
IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])
MODULE = pytest.mark.parametrize("has_module", [True, False], ids=["module on both", "primary alone"])

pytestmark = pytest.mark.seconds(120 + 20 * ROUNDS)


def start_pair(start_engine, io_threads, has_module, **config):
    config = {"repl-backlog-size": "64mb", "repl-timeout": "60", **config}
    primary = start_engine(io_threads=io_threads, config=config)
    replica = start_engine(has_module, {**config, **replica_of(primary)}, io_threads=io_threads)
    wait_following(replica, primary)
    return primary, replica


def check_equal(load, primary, replica):
    load.verify()
    primary.resp().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")  # nothing goes between two digests
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()
    if replica.module:
        load.check_follower(replica)


class WholeItems(threading.Thread):
    """Writes items whose flags are their values on one server, and reads them on another: they belong together."""

    COUNT = 50

    def __init__(self, writer, reader):
        super().__init__(daemon=True)
        self.writer, self.reader = writer, reader
        self.is_told_to_end = False
        self.surprise = None
        self.seen = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_told_to_end = True
        self.join(30)
        assert self.surprise is None, self.surprise

    def run(self):
        try:
            with self.writer.connect() as writer, self.reader.connect() as reader:
                number = 0
                while not self.is_told_to_end:
                    number += 1
                    writer.set(f"whole{number % self.COUNT}", b"%d" % number, flags=number)
                    self.look(reader)
        except (AssertionError, OSError) as wrong:
            self.surprise = wrong

    def look(self, reader):
        reader.send(b"get " + b" ".join(b"whole%d" % i for i in range(self.COUNT)) + b"\r\n")
        line = reader.read_line()
        while line != b"END":
            if line.startswith(b"SERVER_ERROR LOADING"):
                return
            words = line.split(b" ")
            value = reader.read_exactly(int(words[3]) + 2)[:-2]
            assert value == words[2], f"{line} came with {value}"
            self.seen += 1
            line = reader.read_line()


def kill_link(primary, replica, number):
    """From one side or the other."""
    if number % 2:
        primary.resp().execute_command("CLIENT", "KILL", "TYPE", "replica")
    else:
        replica.resp().execute_command("CLIENT", "KILL", "TYPE", "master")


@MODULE
@IO_THREADS
def test_a_broken_link_is_mended_by_a_partial_synchronization(start_engine, io_threads, has_module):
    primary, replica = start_pair(start_engine, io_threads, has_module)
    begin = syncs(primary)
    with ItemLoad(primary, seed=1) as load, RespNoise(primary, 1) as noise:
        for number in range(ROUNDS):
            load.wait_acknowledged(1500)
            kill_link(primary, replica, number)
            wait_until(lambda: syncs(primary) >= (begin[0], begin[1] + number + 1), "a synchronization")
            wait_following(replica, primary)
        load.wait_acknowledged(1500)
        wait_until(lambda: noise.sent > 200, "some noise")
    check_equal(load, primary, replica)
    assert syncs(primary) == (begin[0], begin[1] + ROUNDS)


@MODULE
@pytest.mark.parametrize("diskless_load", ["disabled", "swapdb"])
@IO_THREADS
def test_a_full_synchronization_under_load(start_engine, io_threads, has_module, diskless_load):
    """With swapdb the replica serves what it had until it has the new data."""
    primary, replica = start_pair(start_engine, io_threads, has_module, **{"repl-diskless-load": diskless_load})
    full, _ = syncs(primary)
    with ItemLoad(primary, seed=2) as load, RespNoise(primary, 2):
        for number in range(ROUNDS):
            load.wait_acknowledged(1500)
            # the same history under another name, which no replica can go on with
            primary.resp().execute_command("DEBUG", "CHANGE-REPL-ID")
            primary.resp().execute_command("CLIENT", "KILL", "TYPE", "replica")
            wait_until(lambda: syncs(primary)[0] >= full + number + 1, "a full synchronization")
            wait_following(replica, primary)
        load.wait_acknowledged(1500)
    check_equal(load, primary, replica)


@pytest.mark.parametrize("diskless_load", ["disabled", "swapdb"])
@IO_THREADS
def test_readers_of_a_replica_see_whole_items(start_engine, io_threads, diskless_load):
    primary, replica = start_pair(start_engine, io_threads, True, **{"repl-diskless-load": diskless_load})
    with WholeItems(primary, replica) as items:
        for number in range(ROUNDS):
            goal = items.seen + 5000
            wait_until(lambda: items.seen > goal or not items.is_alive(), "the reader to read")
            full, partial = syncs(primary)
            if number % 2:
                primary.resp().execute_command("DEBUG", "CHANGE-REPL-ID")
            kill_link(primary, replica, number)
            wait_until(lambda: sum(syncs(primary)) > full + partial, "a synchronization")
            wait_following(replica, primary)


@MODULE
@IO_THREADS
def test_a_restarted_replica_goes_on_where_it_was(start_engine, io_threads, has_module):
    """What it was when it went is in its RDB; the module adds nothing to its history."""
    primary, replica = start_pair(start_engine, io_threads, has_module, save="3600 1")
    begin = syncs(primary)
    with ItemLoad(primary, seed=3) as load, RespNoise(primary, 3):
        for number in range(ROUNDS):
            load.wait_acknowledged(1500)
            replica.shutdown_saving()
            load.wait_acknowledged(500)
            replica.restart()
            wait_following(replica, primary)
        load.wait_acknowledged(500)
    check_equal(load, primary, replica)
    assert syncs(primary) == (begin[0], begin[1] + ROUNDS)


@MODULE
@IO_THREADS
def test_a_killed_replica_comes_back(start_engine, io_threads, has_module):
    primary, replica = start_pair(start_engine, io_threads, has_module, appendonly="yes")
    with ItemLoad(primary, seed=4) as load, RespNoise(primary, 4):
        for number in range(ROUNDS):
            load.wait_acknowledged(1500)
            replica.kill()
            load.wait_acknowledged(500)
            replica.restart()
            wait_following(replica, primary)
        load.wait_acknowledged(500)
    check_equal(load, primary, replica)
    replica.wait_background_saves()
