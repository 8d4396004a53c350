"""However the network cuts a request into pieces, the answer is the same."""
import re

import pytest

from lib import binary
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

# The meta commands. Besides, `stale` is "old" with flags 9, which nobody is told to refresh yet.
META_REQUESTS = [
    ("mg", b"mg key v f k Oab\r\n", b"VA 5 f5 kkey Oab\r\nvalue\r\n"),
    ("mg with bare line feed", b"mg key v\n", b"VA 5\r\nvalue\r\n"),
    ("mg of nothing", b"mg missing v\r\nmg missing v q\r\n", b"EN\r\n"),
    ("mg in base64", b"mg a2V5 b k v\r\n", b"VA 5 ka2V5 b\r\nvalue\r\n"),
    ("mg that vivifies", b"mg missing N30 t v k\r\nmg missing v\r\n", b"VA 0 t30 kmissing W\r\n\r\nVA 0 Z\r\n\r\n"),
    ("mg that wins", b"mg stale f v\r\nmg stale f\r\n", b"VA 3 f9 X W\r\nold\r\nHD f9 Z X\r\n"),
    ("ms", b"ms key 3 F7 k O1\r\nnew\r\nmg key f v\r\n", b"HD kkey O1\r\nVA 3 f7\r\nnew\r\n"),
    ("ms of line ends", b"ms key 6 q\r\n\r\n\r\n\n\r\r\nmg key v\r\n", b"VA 6\r\n\r\n\r\n\n\r\r\n"),
    ("ms of nothing", b"ms key 0\r\n\r\n", b"HD\r\n"),
    ("ms that appends", b"ms key 2 MA\r\n!?\r\nmg key s\r\n", b"HD\r\nHD s7\r\n"),
    ("ms refused", b"ms key 2 z\r\nmn\r\nmn\r\n", b"CLIENT_ERROR invalid flag\r\nMN\r\n"),
    ("ms with a bad chunk", b"ms key 3\r\nlonger\r\nmn\r\n", b"CLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n"),
    ("ms with a bad length", b"ms key x\r\nmn\r\n", b"CLIENT_ERROR bad command line format\r\nMN\r\n"),
    ("ms with a bad mode", b"ms key 2 MX\r\nmn\r\nmn\r\n", b"CLIENT_ERROR invalid mode for ms M token\r\nMN\r\n"),
    ("md", b"md key q\r\nmd key k\r\n", b"NF kkey\r\n"),
    ("md that marks", b"md key I T100\r\nmg key t v\r\n", b"HD\r\nVA 5 t100 X W\r\nvalue\r\n"),
    ("ma", b"ma number D5 MD v t\r\nma missing N0 J7 v\r\n", b"VA 1 t-1\r\n5\r\nVA 1\r\n7\r\n"),
    ("me of nothing", b"me missing\r\n", b"EN\r\n"),
    ("mn", b"mn\r\n\nmn\n", b"MN\r\nERROR\r\nMN\r\n"),
]
META_NAMES = [name for name, *_ in META_REQUESTS]
META_PREPARE = b"ms stale 3 F9 q\r\nold\r\nmd stale I q\r\n"

# Binary: (name, frames, what is answered as opcode, status, extras, key and value). Before each, `key` is "value" with flags 5
# and `number` is 10.
BINARY_REQUESTS = [
    ("get", [binary.Frame(binary.GETK, b"key"), binary.Frame(binary.GETQ, b"missing")],
     [(binary.GETK, 0, b"\0\0\0\5", b"key", b"value")]),
    ("set", [binary.store(binary.SETQ, b"key", b"\x80new\r\n", 7), binary.Frame(binary.GET, b"key")],
     [(binary.GET, 0, b"\0\0\0\7", b"", b"\x80new\r\n")]),
    ("add", [binary.store(binary.ADDQ, b"key", b"x")], [(binary.ADDQ, 2, b"", b"", b"Data exists for key.")]),
    ("cas", [binary.store(binary.REPLACE, b"key", b"x", cas=1)], [(binary.REPLACE, 2, b"", b"", b"Data exists for key.")]),
    ("append", [binary.Frame(binary.APPENDQ, b"key", value=b"!"), binary.Frame(binary.GETKQ, b"key")],
     [(binary.GETKQ, 0, b"\0\0\0\5", b"key", b"value!")]),
    ("incr", [binary.count(binary.INCR, b"number", 2**32), binary.count(binary.DECR, b"missing", 1, 9, 0)],
     [(binary.INCR, 0, b"", b"", (2**32 + 10).to_bytes(8, "big")), (binary.DECR, 0, b"", b"", b"\0" * 7 + b"\x09")]),
    ("delete", [binary.Frame(binary.DELETEQ, b"key"), binary.Frame(binary.DELETE, b"key")],
     [(binary.DELETE, 1, b"", b"", b"Not found")]),
    ("touch", [binary.touch(binary.TOUCH, b"key", 100), binary.touch(binary.GATK, b"missing", 100)],
     [(binary.TOUCH, 0, b"\0\0\0\5", b"", b""), (binary.GATK, 1, b"", b"missing", b"")]),
    ("unknown command", [binary.Frame(0x77, value=b"\x80" * 40), binary.Frame(binary.VERBOSITY)],
     [(0x77, 0x81, b"", b"", b"Unknown command"), (binary.VERBOSITY, 0x81, b"", b"", b"Unknown command")]),
]
BINARY_NAMES = [name for name, *_ in BINARY_REQUESTS]


def cut_in_two(data):
    return [[data[:cut], data[cut:]] for cut in range(1, len(data))]


def bytes_of(data):
    return [data[i:i + 1] for i in range(len(data))]


def answer(client, pieces, prepare=PREPARE):
    client.talk(prepare)
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


def answer_binary(classic, client, pieces):
    classic.talk(PREPARE)
    for piece in pieces:
        client.send(piece)
        wait_taken(client.socket)
    return [(packet.opcode, packet.status, packet.extras, packet.key, packet.value) for packet in binary.talk(client, b"")]


@pytest.mark.diglot_only  # Debian's memcached lacks some of it
@pytest.mark.parametrize("name, request_bytes, expected", META_REQUESTS, ids=META_NAMES)
def test_a_meta_request_in_pieces_is_answered_as_a_whole_one(client, name, request_bytes, expected):
    for pieces in [*cut_in_two(request_bytes), bytes_of(request_bytes)]:
        assert answer(client, pieces, PREPARE + META_PREPARE) == expected, pieces


@pytest.mark.parametrize("name, frames, expected", BINARY_REQUESTS, ids=BINARY_NAMES)
def test_a_binary_request_in_pieces_is_answered_as_a_whole_one(client, connect, name, frames, expected):
    data = b"".join(frame.render() for frame in frames)
    other = connect()
    for pieces in [*cut_in_two(data), bytes_of(data)]:
        assert answer_binary(client, other, pieces) == expected, pieces


def test_the_swallowed_values_of_meta_and_binary_may_come_in_pieces(client, connect):
    size = 1048577
    line, value = b"ms large %d q\r\n" % size, b"mn\r\n" * (size // 4) + b"\x80"
    data = line + value + b"\r\nmn\r\n"
    edges = [0, 5, len(line) - 1, len(line), len(line) + 1, 500001, len(data) - 7, len(data) - 6, len(data) - 5, len(data)]
    pieces = [data[begin:end] for begin, end in zip(edges, edges[1:])]
    assert answer(client, pieces) == b"SERVER_ERROR object too large for cache\r\nMN\r\n"
    data = binary.store(binary.SETQ, b"large", value).render() + binary.store(binary.ADD, b"large", value).render()
    edges = [0, 23, 24, 37, 38, 500001, len(data) // 2 - 1, len(data) // 2, len(data) // 2 + 1, len(data) - 1, len(data)]
    pieces = [data[begin:end] for begin, end in zip(edges, edges[1:])]
    assert answer_binary(client, connect(), pieces) == [(binary.SETQ, 3, b"", b"", b"Too large."),
                                                        (binary.ADD, 3, b"", b"", b"Too large.")]


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
