"""Random sequences of binary requests, sent to memcached and to the subject alike: the answers must be the same packets.

The oracle is the newest memcached that scripts/engine.sh knows, or Debian's where that cannot be fetched: to what is sent
here they answer alike. DIGLOT_DIFF_ROUNDS sets how many sequences run, DIGLOT_DIFF_SEED where they begin. What may differ
is said, with reasons, in lib/differential_binary.py and in lib/generator_binary.py. Not generated are statistics, which are
a matter of taste.
"""
import os

import pytest

from lib import servers
from lib.binary import DELETEQ, FLUSHQ, GETK, NOOP, Frame, talk
from lib.differential import check_equal, describe_difference
from lib.differential_binary import Alone, run_sequence
from lib.generator_binary import KEYS, MALFORMED, Generator

ROUNDS = int(os.environ.get("DIGLOT_DIFF_ROUNDS", "2400")) // 2
SEED = int(os.environ.get("DIGLOT_DIFF_SEED", "1"))
BATCHES = 8


@pytest.fixture(scope="module")
def newest_oracle(fleet):
    return fleet.add(servers.Memcached(program=servers.newest_memcached()))


def clear(server):
    """The state that every sequence starts from."""
    with server.connect() as connection:
        talk(connection, Frame(FLUSHQ).render() + b"".join(Frame(DELETEQ, key).render() for key in KEYS))


def compare(oracle, server, steps, seed):
    clear(oracle)
    clear(server)
    look = [Frame(GETK, key) for key in KEYS]
    for sequence in (steps, look):
        expected = run_sequence(oracle.memcached_port, sequence, seed)
        actual = run_sequence(server.memcached_port, sequence, seed)
        if expected != actual:
            return describe_difference(expected, actual)
    return None


def check_sequence(oracle, server, steps, seed):
    check_equal(lambda steps: compare(oracle, server, steps, seed), steps, seed)


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.seconds(max(120, ROUNDS // 4))
def test_random_sequences_are_answered_like_memcached_answers_them(newest_oracle, server, batch):
    for seed in range(SEED + batch, SEED + ROUNDS, BATCHES):
        check_sequence(newest_oracle, server, Generator(seed).sequence(), seed)


def test_every_malformed_request_is_answered_like_memcached_answers_it(newest_oracle, server):
    for frame in MALFORMED:
        check_sequence(newest_oracle, server, [Frame(NOOP), Alone(frame)], 0)
