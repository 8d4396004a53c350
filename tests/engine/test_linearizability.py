"""Clients of all protocols on the same few keys at the same time: for every key there is one order of what they did that
explains all answers. Text, meta, binary and RESP change registers with flags, counters and items under cas.

DIGLOT_LINEARIZABILITY_SECONDS sets how long each case lasts at least."""
import os
import threading
import time

import pytest

from lib.histories import Cast, Follower, check_history, make_history
from lib.linearizability import Violation
from lib.linearizability_clients import ALL
from lib.waiting import wait_until

SECONDS = int(os.environ.get("DIGLOT_LINEARIZABILITY_SECONDS", "2"))
CLIENTS = ALL * 2
OPERATIONS = 300  # of each client, on one set of keys
STAY = 60  # and at least on one primary, before the next takes over

pytestmark = pytest.mark.seconds(10 * SECONDS + 120)


def repeat(play):
    """Round by round on fresh keys, until the time is over."""
    end = time.monotonic() + SECONDS
    number = 0
    while number == 0 or time.monotonic() < end:
        play(number)
        number += 1


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("appendonly", ["no", "yes"])
def test_every_history_of_both_protocols_is_linearizable(start, io_threads, appendonly):
    server = start(io_threads=io_threads, config={"appendonly": appendonly, "appendfsync": "always"})
    clients = [kind(server) for kind in CLIENTS]
    repeat(lambda number: check_history(make_history(clients, number, OPERATIONS)))
    for client in clients:
        client.close()


class Stage:
    """A cast of followers that play until the context ends; then their history is checked. They take a breath between two
    operations, so that a history of seconds can be checked in seconds."""

    def __init__(self, servers, name):
        self.clients = [Follower(kind, servers) for kind in CLIENTS]
        self.curtain = threading.Event()
        self.cast = Cast(self.clients, name, lambda actor: self.curtain.wait(0.001))

    def __enter__(self):
        self.wait_era(0)
        return self

    def wait_era(self, era):
        """Until everybody has done his part with the primary of this era."""
        goals = {}

        def has_played(actor):
            if actor.era < era:
                return False
            return len(actor.history) >= goals.setdefault(actor, len(actor.history) + STAY)
        self.cast.wait(has_played, f"all clients to go on in era {era}")

    def __exit__(self, kind, *_):
        self.curtain.set()
        try:
            if kind is None:
                check_history(self.cast.finish(), may_fail_without_cause=True)
        finally:
            for client in self.clients:
                client.close()


def is_following(replica, primary):
    """As both sides see it: FAILOVER asks the primary."""
    facts = replica.resp().info("replication")
    if facts["role"] != "slave" or facts["master_port"] != primary.port or facts["master_link_status"] != "up":
        return False
    return primary.resp().info("replication").get("slave0", {}).get("state") == "online"


def hand_over(primary, replica):
    """FAILOVER: the primary holds writes back until the replica has everything, and then becomes its replica."""
    primary.resp().execute_command("FAILOVER", "TO", "127.0.0.1", replica.port)
    wait_until(lambda: is_following(primary, replica), "the failover")


@pytest.mark.parametrize("io_threads", [0, 4])
def test_a_history_through_failovers_is_linearizable(start, io_threads):
    """There and back. No acknowledged write is lost, and no token of before succeeds."""
    first = start(io_threads=io_threads)
    second = start(io_threads=io_threads, config={"replicaof": ["127.0.0.1", str(first.port)]})
    wait_until(lambda: is_following(second, first), "the link")

    def play(number):
        with Stage([first, second], number) as stage:
            hand_over(first, second)
            stage.wait_era(1)
            hand_over(second, first)
            stage.wait_era(2)
    repeat(play)


def is_split_refused(start):
    first = start()
    second = start(config={"replicaof": ["127.0.0.1", str(first.port)]})
    wait_until(lambda: is_following(second, first), "the link")
    try:
        with Stage([first, second], "split") as stage:
            second.resp().execute_command("REPLICAOF", "NO", "ONE")
            stage.wait_era(0)  # these writes are lost
            first.kill()
            stage.wait_era(1)
    except Violation:
        return True
    return False


def test_a_history_through_a_split_is_refused(start):
    """The checker finds what a replica lost that did not wait for its primary; but where everything lost happens to be
    overwritten before it is read again, there is nothing to find."""
    assert any(is_split_refused(start) for _ in range(5))


@pytest.mark.parametrize("io_threads", [0, 4])
def test_tokens_of_before_a_failover_do_not_succeed_behind_it(start, io_threads):
    """Though nobody has changed anything, and though the server that told them is primary again."""
    servers = [start(io_threads=io_threads)]
    servers.append(start(io_threads=io_threads, config={"replicaof": ["127.0.0.1", str(servers[0].port)]}))
    wait_until(lambda: is_following(servers[1], servers[0]), "the link")
    with servers[0].connect() as client:
        client.set("k", b"value", flags=3)
    tokens = []
    for at in (0, 1, 0, 1):
        with servers[at].connect() as client:
            for token in tokens:
                assert client.cas("k", b"wrong", token) == b"EXISTS"
            assert client.get("k") == (b"value", 3)
            tokens.append(client.token("k"))
        hand_over(servers[at], servers[1 - at])
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_a_history_through_crashes_is_linearizable(start, io_threads):
    """Requests that a kill -9 cuts off were done or not; what was seen or acknowledged stays."""
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": "always"})

    def play(number):
        with Stage([server], number) as stage:
            for crash in (1, 2):
                server.kill()
                server.restart()
                stage.wait_era(crash)
    repeat(play)
