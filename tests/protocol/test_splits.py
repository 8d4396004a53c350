"""However the network cuts a request into pieces, the answer is the same."""
import re

import pytest

from lib.kernel import wait_taken

# (name, what is sent, what is answered). Before each, `key` is "value" with flags 5 and `number` is 10.
REQUESTS = [
    ("get", b"get key\r\n", b"VALUE key 5 5\r\nvalue\r\nEND\r\n"),
    ("get with bare line feed", b"get key\n", b"VALUE key 5 5\r\nvalue\r\nEND\r\n"),
    ("get of many", b"get key missing key  number\r\n",
     b"VALUE key 5 5\r\nvalue\r\nVALUE key 5 5\r\nvalue\r\nVALUE number 0 2\r\n10\r\nEND\r\n"),
    ("gets", b"gets key\r\n", b"VALUE key 5 5 TOKEN\r\nvalue\r\nEND\r\n"),
    ("gat", b"gat 100 key missing\r\n", b"VALUE key 5 5\r\nvalue\r\nEND\r\n"),
    ("gats", b"gats 0 key\r\n", b"VALUE key 5 5 TOKEN\r\nvalue\r\nEND\r\n"),
    ("set", b"set key 1 0 3\r\nnew\r\n", b"STORED\r\n"),
    ("set with bare line feed", b"set key 1 0 3\nnew\r\n", b"STORED\r\n"),
    ("set of nothing", b"set key 1 0 0\r\n\r\n", b"STORED\r\n"),
    ("set of line ends", b"set key 1 0 6\r\n\r\n\r\n\n\r\r\nget key\r\n",
     b"STORED\r\nVALUE key 1 6\r\n\r\n\r\n\n\r\r\nEND\r\n"),
    ("set that looks like commands", b"set key 0 0 16\r\nget key\r\nquit\r\n\0\r\nget key\r\n",
     b"STORED\r\nVALUE key 0 16\r\nget key\r\nquit\r\n\0\r\nEND\r\n"),
    ("set with noreply", b"set key 1 0 3 noreply\r\nnew\r\nget key\r\n", b"VALUE key 1 3\r\nnew\r\nEND\r\n"),
    ("add", b"add key 1 0 3\r\nnew\r\n", b"NOT_STORED\r\n"),
    ("replace", b"replace missing 1 0 3\r\nnew\r\n", b"NOT_STORED\r\n"),
    ("append", b"append key 9 9 1\r\n!\r\nget key\r\n", b"STORED\r\nVALUE key 5 6\r\nvalue!\r\nEND\r\n"),
    ("prepend", b"prepend key 9 9 1\r\n!\r\nget key\r\n", b"STORED\r\nVALUE key 5 6\r\n!value\r\nEND\r\n"),
    ("cas", b"cas key 1 0 3 18446744073709551615\r\nnew\r\n", b"EXISTS\r\n"),
    ("cas of nothing", b"cas missing 1 0 3 1\r\nnew\r\n", b"NOT_FOUND\r\n"),
    ("incr", b"incr number 4294967296\r\n", b"4294967306\r\n"),
    ("decr", b"decr number 3\r\n", b"7\r\n"),
    ("incr of a word", b"incr key 3\r\n", b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
    ("delete", b"delete key\r\ndelete key 0\r\n", b"DELETED\r\nNOT_FOUND\r\n"),
    ("touch", b"touch key 100\r\ntouch missing 100\r\n", b"TOUCHED\r\nNOT_FOUND\r\n"),
    ("flush_all", b"flush_all\r\nget key\r\n", b"OK\r\nEND\r\n"),
    ("verbosity", b"verbosity 0\r\n", b"OK\r\n"),
    ("unknown command", b"obtain key\r\n", b"ERROR\r\n"),
    ("empty lines", b"\r\n\n\r\n", b"ERROR\r\nERROR\r\nERROR\r\n"),
    ("wrong arity", b"set key 0 0\r\nget\r\n", b"ERROR\r\nERROR\r\n"),
    ("long key", b"get " + b"k" * 250 + b"\r\n", b"END\r\n"),
    ("key too long", b"get " + b"k" * 251 + b"\r\n", b"CLIENT_ERROR bad command line format\r\n"),
    ("bad data chunk", b"set key 0 0 3\r\nlonger\r\nget missing\r\n",
     b"CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n"),
    ("bad length", b"set key 0 0 x\r\nget missing\r\n", b"CLIENT_ERROR bad command line format\r\nEND\r\n"),
    ("pipeline", b"get key\r\nset a 0 0 1\r\n1\r\nget a key\r\ndelete a\r\nincr number 1\r\nget a\r\n",
     b"VALUE key 5 5\r\nvalue\r\nEND\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nVALUE key 5 5\r\nvalue\r\nEND\r\n"
     b"DELETED\r\n11\r\nEND\r\n"),
]
NAMES = [name for name, *_ in REQUESTS]
PREPARE = b"delete missing\r\ndelete a\r\nset key 5 0 5\r\nvalue\r\nset number 0 0 2\r\n10\r\n"


def answer(client, pieces):
    client.talk(PREPARE)
    for piece in pieces:
        client.send(piece)
        wait_taken(client.socket)
    return re.sub(rb"(VALUE \S+ \d+ \d+) \d+\r\n", rb"\1 TOKEN\r\n", client.talk(b""))


@pytest.mark.parametrize("name, request_bytes, expected", REQUESTS, ids=NAMES)
def test_a_request_cut_in_two_anywhere_is_answered_as_a_whole_one(client, name, request_bytes, expected):
    for cut in range(1, len(request_bytes)):
        assert answer(client, [request_bytes[:cut], request_bytes[cut:]]) == expected, f"cut at {cut}"


@pytest.mark.parametrize("name, request_bytes, expected", REQUESTS, ids=NAMES)
def test_a_request_byte_by_byte_is_answered_as_a_whole_one(client, name, request_bytes, expected):
    assert answer(client, [request_bytes[i:i + 1] for i in range(len(request_bytes))]) == expected


def test_a_large_value_in_many_pieces_is_stored_whole(client):
    value = bytes(range(256)) * 2000
    data = b"set large 7 0 %d\r\n%s\r\n" % (len(value), value)
    edges = [0, 1, 15, 16, 17, 18, 1000, 16384, 65536, 262144, len(data) - 3, len(data) - 2, len(data) - 1, len(data)]
    assert answer(client, [data[begin:end] for begin, end in zip(edges, edges[1:])]) == b"STORED\r\n"
    assert client.get("large") == (value, 7)


def test_the_swallowed_data_of_a_value_too_large_may_come_in_pieces(client):
    data = b"set large 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\n"
    edges = [0, 5, 22, 23, 24, 25, 500000, len(data) - 2, len(data) - 1, len(data)]
    pieces = [data[begin:end] for begin, end in zip(edges, edges[1:])]
    assert answer(client, pieces) == b"SERVER_ERROR object too large for cache\r\n"


def test_a_long_get_line_in_pieces_is_answered_as_a_whole_one(client):
    client.set("key", "value".encode(), 5)
    line = b"get " + b" ".join([b"missing"] * 2000 + [b"key"]) + b"\r\n"
    edges = [0, 2, 4, 2047, 2048, 2049, 2050, 4096, 9000, len(line) - 4, len(line) - 2, len(line) - 1, len(line)]
    pieces = [line[begin:end] for begin, end in zip(edges, edges[1:])]
    assert answer(client, pieces) == b"VALUE key 5 5\r\nvalue\r\nEND\r\n"
