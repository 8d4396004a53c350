"""Random sequences of meta commands, sent to the newest memcached and to the subject alike: the answers must be the same.

DIGLOT_DIFF_ROUNDS and DIGLOT_DIFF_SEED are those of test_differential.py. What may differ is listed, with reasons, in
lib/meta_differential.py; what is not generated, in lib/meta_generator.py. Debian's memcached lacks some of the flags, so
where memcached is the subject, it is the newest one twice.
"""
import os

import pytest

from lib.differential import check_equal, describe_difference, run_sequence
from lib.meta_differential import MetaConversation
from lib.meta_generator import BAD_FLAGS, BAD_LENGTHS, BAD_LINES, ENCODED_KEYS, ODD_BASE64, PLAIN_KEYS, MetaGenerator
from lib.servers import STILL, is_diglot, newest_memcached

ROUNDS = int(os.environ.get("DIGLOT_DIFF_ROUNDS", "1200"))
SEED = int(os.environ.get("DIGLOT_DIFF_SEED", "1"))
BATCHES = 6


class Talk(MetaConversation):
    encoded = ENCODED_KEYS


@pytest.fixture
def subject(server, start_memcached):
    return server if is_diglot(server) else start_memcached(newest_memcached(), tuning=STILL)


def clear(server):
    """The state that every sequence starts from. A few stores, so that no token is as small as those that clients choose."""
    with server.connect() as connection:
        connection.talk(b"set m1 0 0 0\r\n\r\n" * 8 + b"flush_all\r\n"
                        + b"".join(b"md " + key + b" q\r\n" for key in [*PLAIN_KEYS, b"nothing", b"a", b"key"])
                        + b"".join(b"md " + key + b" b q\r\n" for key in ENCODED_KEYS))


def compare(oracle, subject, steps, seed):
    clear(oracle)
    clear(subject)
    expected = run_sequence(oracle.memcached_port, steps, seed, Talk)
    actual = run_sequence(subject.memcached_port, steps, seed, Talk)
    return None if expected == actual else describe_difference(expected, actual)


def check_sequence(oracle, subject, steps, seed=0):
    check_equal(lambda steps: compare(oracle, subject, steps, seed), steps, seed)


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.seconds(max(120, ROUNDS // 4))
def test_random_meta_sequences_are_answered_like_memcached_answers_them(newest_oracle, subject, batch):
    for seed in range(SEED + batch, SEED + ROUNDS, BATCHES):
        check_sequence(newest_oracle, subject, MetaGenerator(seed).sequence(), seed)


@pytest.mark.parametrize("command", [b"mg m1 ", b"md m1 ", b"ma n1 ", b"ms m1 4 ", b"mg " + b"k" * 251 + b" "],
                         ids=["mg", "md", "ma", "ms", "long key"])
def test_refused_flags_are_refused_in_memcacheds_words(newest_oracle, subject, command):
    behind = b"\r\nmn z\r\n" if command.startswith(b"ms") else b"\r\n"
    for flags in BAD_FLAGS:
        check_sequence(newest_oracle, subject, [command + flags + behind, b"mn\r\n"])


def test_refused_lines_are_refused_in_memcacheds_words(newest_oracle, subject):
    for line in BAD_LINES:
        check_sequence(newest_oracle, subject, [line + b"\r\n", b"mn\r\n"])
    for length in BAD_LENGTHS:
        check_sequence(newest_oracle, subject, [b"ms m1 " + length + b"\r\n", b"mn\r\n"])


def test_base64_is_decoded_as_memcached_decodes_it(newest_oracle, subject):
    for text in ODD_BASE64:
        check_sequence(newest_oracle, subject, [b"mg " + text + b" b k\r\n", b"md " + text + b" k O1 b\r\n"])


@pytest.mark.parametrize("mode", [b"", b" MS", b" ME", b" MA", b" MP", b" MR", b" C1", b" MR C1", b" q k", b" z", b" MX"])
def test_a_value_too_large_is_swallowed_and_removes_the_old_one(newest_oracle, subject, mode):
    too_large = b"x" * (1024 * 1024 + 1)
    check_sequence(newest_oracle, subject, [b"ms m1 3 F3\r\nold\r\n",
                                            b"ms m1 %d%s\r\n%s\r\n" % (len(too_large), mode, too_large), b"mg m1 v f\r\n"])


def test_append_beyond_the_largest_item_is_answered_like_memcached_answers_it(newest_oracle, subject):
    steps = [b"ms m1 1048000\r\n" + b"a" * 1048000 + b"\r\n", b"ms m1 400 MA k s\r\n" + b"b" * 400 + b"\r\n",
             b"ms m1 1000 MA k s c\r\n" + b"c" * 1000 + b"\r\n", b"ms m1 1000 MP N5\r\n" + b"d" * 1000 + b"\r\n",
             b"mg m1 s v\r\n"]
    check_sequence(newest_oracle, subject, steps)
