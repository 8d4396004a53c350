"""Clients of all protocols on the same few keys at the same time: for every key there is one order of what they did that
explains all answers. Text, meta, binary and RESP change registers with flags, counters and items under cas.

DIGLOT_LINEARIZABILITY_SECONDS sets how long each case lasts."""
import os
import time

import pytest

from lib.histories import Cast, Follower, check_history, make_history
from lib.linearizability_clients import ALL
from lib.waiting import wait_until

SECONDS = int(os.environ.get("DIGLOT_LINEARIZABILITY_SECONDS", "2"))
CLIENTS = ALL * 2
OPERATIONS = 300  # of each client, on one set of keys

pytestmark = pytest.mark.seconds(10 * SECONDS + 120)


def check_rounds(clients):
    """Round by round on fresh keys, until the time is over."""
    end = time.monotonic() + SECONDS
    rounds = 0
    while rounds < 2 or time.monotonic() < end:
        check_history(make_history(clients, rounds, OPERATIONS))
        rounds += 1


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("appendonly", ["no", "yes"])
def test_every_history_of_both_protocols_is_linearizable(start, io_threads, appendonly):
    server = start(io_threads=io_threads, config={"appendonly": appendonly, "appendfsync": "always"})
    clients = [kind(server) for kind in CLIENTS]
    check_rounds(clients)
    for client in clients:
        client.close()
