"""Random sequences of classic text, sent to memcached and to the subject alike: the answers must be the same bytes.

DIGLOT_DIFF_ROUNDS sets how many sequences run, DIGLOT_DIFF_SEED where they begin. What may differ is listed, with
reasons, in lib/differential.py. Not generated are commands whose answer is a matter of taste (stats, lru, slabs, watch,
shutdown), the meta commands, and lines over 2048 bytes, which memcached treats as the network happens to cut them.
"""
import os

import pytest

from lib.differential import check_equal, describe_difference, run_sequence
from lib.generator import KEYS, ODD_KEYS, Generator

ROUNDS = int(os.environ.get("DIGLOT_DIFF_ROUNDS", "2400"))
SEED = int(os.environ.get("DIGLOT_DIFF_SEED", "1"))
BATCHES = 12

STORING = ["set", "add", "replace", "append", "prepend", "cas"]
KEYED = ["incr", "decr", "touch", "gat", "gats", "delete", "get", "gets"]
KEYLESS = ["flush_all", "verbosity", "cache_memlimit", "version", "quit"]

# Only in the memory of a memcached that has never held a minus.
LARGE_NUMBERS = [b"9223372036854775807", b"9223372036854775808", b"18446744073709551614", b"18446744073709551615",
                 b"0", b"10", b"+18446744073709551615", b"018446744073709551615", b"9223372036854775808 -"]
LARGE_DELTAS = [b"0", b"1", b"2", b"9223372036854775807", b"9223372036854775808", b"18446744073709551614",
                b"18446744073709551615"]


def clear(server):
    """The state that every sequence starts from."""
    with server.connect() as connection:
        connection.talk(b"flush_all\r\n" + b"".join(b"delete " + key + b"\r\n" for key in KEYS + ODD_KEYS))


def compare(oracle, server, steps, seed):
    clear(oracle)
    clear(server)
    expected = run_sequence(oracle.memcached_port, steps, seed)
    actual = run_sequence(server.memcached_port, steps, seed)
    return None if expected == actual else describe_difference(expected, actual)


def check_sequence(oracle, server, steps, seed):
    check_equal(lambda steps: compare(oracle, server, steps, seed), steps, seed)


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.seconds(max(120, ROUNDS // 4))
def test_random_sequences_are_answered_like_memcached_answers_them(oracle, server, batch):
    for seed in range(SEED + batch, SEED + ROUNDS, BATCHES):
        check_sequence(oracle, server, Generator(seed).sequence(), seed)


@pytest.mark.parametrize("command", STORING + KEYED + KEYLESS)
def test_every_count_of_arguments_is_answered_like_memcached_answers_it(oracle, server, command):
    for count in range(10):
        words = [command, *["text1"] * (command not in KEYLESS), *["0"] * count]
        for tail in ("", " noreply", " "):
            line = (" ".join(words[:count + 1]) + tail).encode()
            # An empty line behind it is the data of zero bytes if the line was a storage command, else another request.
            check_sequence(oracle, server, [line + b"\r\n\r\n", b"get text1\r\n"], 0)


def test_counting_near_the_ends_of_64_bits_is_like_memcacheds(start_memcached, server):
    oracle = start_memcached()  # one whose memory is clean
    for number in LARGE_NUMBERS:
        for delta in LARGE_DELTAS:
            for command in (b"incr", b"decr"):
                steps = [b"set count1 0 0 %d\r\n%s\r\n" % (len(number), number), b"%s count1 %s\r\n" % (command, delta),
                         b"get count1\r\n"]
                check_sequence(oracle, server, steps, 0)


@pytest.mark.diglot_only  # memcached reads on behind the value
@pytest.mark.parametrize("value", [b"", b" ", b"\r\n", b"\t\t", b"\n"])
def test_white_space_alone_is_no_number(client, value):
    client.set("key", value)
    for command in (b"incr", b"decr"):
        assert client.ask(command + b" key 1") == b"CLIENT_ERROR cannot increment or decrement non-numeric value"
    assert client.get("key") == (value, 0)


def largest_value(server, key, flags, exptime=0):
    """The largest value that a server stores under this key, by bisection."""
    low, high = 1000 * 1000, 1024 * 1024 + 100
    with server.connect() as connection:
        while low < high:
            middle = (low + high + 1) // 2
            reply = connection.store("set", key, b"x" * middle, flags, exptime)
            assert reply in (b"STORED", b"SERVER_ERROR object too large for cache"), reply
            low, high = (middle, high) if reply == b"STORED" else (low, middle - 1)
    return low


@pytest.mark.parametrize("key_size", [1, 7, 8, 100, 250])
@pytest.mark.parametrize("flags", [0, 1, 4294967295])
def test_the_largest_value_is_memcacheds_to_the_byte(oracle, server, key_size, flags):
    key = "k" * key_size
    assert largest_value(server, key, flags) == largest_value(oracle, key, flags)


@pytest.mark.parametrize("command", STORING)
def test_a_value_too_large_is_swallowed_and_only_set_removes_the_old_one(oracle, server, command):
    too_large = b"x" * (1024 * 1024 + 1)
    tail = b" 1" if command == "cas" else b""
    for noreply in (b"", b" noreply"):
        steps = [b"set text1 3 0 3\r\nold\r\n",
                 command.encode() + b" text1 0 0 %d%s%s\r\n%s\r\n" % (len(too_large), tail, noreply, too_large),
                 b"get text1\r\n"]
        check_sequence(oracle, server, steps, 0)


def test_append_beyond_the_largest_item_is_answered_like_memcached_answers_it(oracle, server):
    steps = [b"set text1 0 0 1048000\r\n" + b"a" * 1048000 + b"\r\n", b"append text1 0 0 400\r\n" + b"b" * 400 + b"\r\n",
             b"append text1 0 0 1000\r\n" + b"c" * 1000 + b"\r\n", b"prepend text1 0 0 1000\r\n" + b"d" * 1000 + b"\r\n",
             b"get text1\r\n"]
    check_sequence(oracle, server, steps, 0)
