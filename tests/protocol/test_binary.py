"""The binary protocol where sequences and memcached's own answers do not reach: sizes, statistics, and the same items seen
by clients of both protocols."""
import pytest

from lib.binary import (ADD, APPEND, DELETE, FLUSH, GAT, GET, GETK, GETKQ, INCR, NOOP, QUIT, SET, SETQ,
                        STAT, TOUCH, VERBOSITY, Frame, ask, count, read_packet, split_packets, store, talk, touch)

OK, NOT_FOUND, EXISTS, TOO_LARGE, INVALID = range(5)
AUTH_ERROR, UNKNOWN_COMMAND = 0x20, 0x81


def ask_one(client, frame):
    packets = ask(client, frame)
    assert len(packets) == 1, packets
    return packets[0]


def stats(client, group=b""):
    """A group of statistics as a dictionary of texts."""
    packets = ask(client, Frame(STAT, group))
    assert packets.pop().key == b"", "the last packet has no name"
    assert all(packet.status == OK and packet.key and not packet.cas for packet in packets)
    return {packet.key.decode(): packet.value.decode() for packet in packets}


# --- both protocols, one item ---

def test_classic_text_reads_what_binary_stores(server, connect, client):
    binary = connect()
    packet = ask_one(binary, store(SET, b"key", b"a\r\n\0value", flags=4711))
    assert client.fetch("gets key") == {b"key": (b"a\r\n\0value", 4711, packet.cas)}
    assert ask_one(binary, touch(TOUCH, b"key", 100)).cas == packet.cas
    assert client.cas("key", b"other", packet.cas, flags=5) == b"STORED"
    assert ask_one(binary, store(SET, b"key", b"late", cas=packet.cas)).status == EXISTS
    packet = ask_one(binary, Frame(GETK, b"key"))
    assert (packet.key, packet.value, packet.extras) == (b"key", b"other", b"\0\0\0\5")
    assert packet.cas == client.token("key")


def test_numbers_are_the_same_in_both(server, connect, client):
    binary = connect()
    assert ask_one(binary, count(INCR, b"n", 3, initial=40, exptime=0)).value == (40).to_bytes(8, "big")
    assert client.ask(b"incr n 1") == b"41"
    packet = ask_one(binary, count(INCR, b"n", 1))
    assert packet.value == (42).to_bytes(8, "big") and packet.cas == client.token("n")


def test_a_touched_item_expires(server, connect, client):
    binary = connect()
    ask_one(binary, store(SET, b"key", b"v", flags=9))
    assert ask_one(binary, touch(GAT, b"key", 1000000000)).value == b"v"
    assert client.get("key") is None
    assert ask_one(binary, touch(GAT, b"key", 0)).status == NOT_FOUND


# --- quiet ---

def test_a_long_quiet_pipeline_is_answered_in_order(server, client):
    keys = [b"key%d" % number for number in range(1000)]
    stores = b"".join(store(SETQ, key, key).render() for key in keys[::2])
    assert talk(client, stores) == []
    packets = talk(client, b"".join(Frame(GETKQ, key).render(place) for place, key in enumerate(keys)))
    assert [(packet.opaque, packet.key, packet.value) for packet in packets] == [
        (place, key, key) for place, key in enumerate(keys) if place % 2 == 0]


# --- sizes ---

def largest_value(server, key, flags):
    low, high = 1000 * 1000, 1024 * 1024 + 100
    with server.connect() as connection:
        while high - low > 1:
            middle = (low + high) // 2
            packet = ask_one(connection, store(SET, key, b"v" * middle, flags))
            assert packet.status in (OK, TOO_LARGE)
            low, high = (middle, high) if packet.status == OK else (low, middle)
    return low


@pytest.mark.parametrize("flags", [0, 7])
@pytest.mark.parametrize("key_size", [1, 250])
def test_the_largest_value_is_as_large_as_memcacheds(oracle, server, key_size, flags):
    key = b"k" * key_size
    assert largest_value(server, key, flags) == largest_value(oracle, key, flags)


def test_a_join_beyond_the_largest_item_stores_nothing(server, client):
    ask_one(client, store(SET, b"key", b"a" * 1048000))
    assert ask_one(client, Frame(APPEND, b"key", value=b"b" * 1000)).value == b"Not stored."
    assert ask_one(client, Frame(GET, b"key")).value == b"a" * 1048000


@pytest.mark.diglot_only  # 1.6.18 waits for what will not come
@pytest.mark.parametrize("opcode", [SET, ADD, 0x30])
@pytest.mark.parametrize("size", [2**30 + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_body_beyond_all_measure_closes(server, client, opcode, size):
    client.send(Frame(opcode, b"key", b"\0" * 8, body_size=size).render())
    packets, rest = split_packets(client.read_to_close())
    assert [packet.value for packet in packets] == [b"Invalid arguments"] and not rest


def test_a_value_too_large_is_swallowed_as_it_comes(server, client):
    size = 3 * 1024 * 1024
    ask_one(client, store(SET, b"key", b"old"))
    sender = client.send_in_background(store(SETQ, b"key", b"x" * size).render() + Frame(GET, b"key").render())
    assert [read_packet(client).status for _ in range(2)] == [TOO_LARGE, NOT_FOUND]
    sender.join()


# --- frames that lie or make no sense ---

@pytest.mark.diglot_only  # memcached skips the key and the extras twice
@pytest.mark.parametrize("opcode", [VERBOSITY, 0x1f, 0x25, 0xff])
def test_an_unknown_command_is_skipped_exactly(server, client, opcode):
    for parts in ({"key": b"key"}, {"extras": b"extras"}, {"key": b"k", "extras": b"\0" * 4, "value": b"v" * 5000}):
        assert ask_one(client, Frame(opcode, **parts)).status == UNKNOWN_COMMAND


@pytest.mark.diglot_only  # memcached takes the value for the next request
@pytest.mark.parametrize("frame", [touch(TOUCH, b"key", 0), touch(GAT, b"key", 0), Frame(STAT, b"items")])
def test_no_request_hides_in_the_value_of_another(server, client, frame):
    client.set("key", b"value")
    hidden = Frame(FLUSH).render()
    with server.connect() as binary:
        binary.send(Frame(frame.opcode, frame.key, frame.extras, hidden).render())
        packets, _ = split_packets(binary.read_to_close())
    assert [(packet.opcode, packet.status) for packet in packets] == [(frame.opcode, INVALID)]
    assert client.get("key") == (b"value", 0)


def test_what_was_asked_before_is_answered_before_closing(server, client):
    client.send(store(SET, b"key", b"value").render() + Frame(GET, b"key").render() + Frame(NOOP, b"x").render())
    packets, rest = split_packets(client.read_to_close())
    assert [(packet.opcode, packet.status) for packet in packets] == [(SET, OK), (GET, OK), (NOOP, INVALID)] and not rest


def test_a_connection_speaks_one_protocol(server, client):
    ask_one(client, Frame(NOOP))
    client.send(b"get a key that is as long as a header\r\n")
    assert client.read_to_close() == b""


def test_quit_is_answered_and_closes(server, client):
    client.send(Frame(QUIT).render(7) + Frame(GET, b"key").render(8))
    packets, rest = split_packets(client.read_to_close())
    assert [(packet.opaque, packet.status) for packet in packets] == [(7, OK)] and not rest


# --- the server ---

def test_statistics_are_those_of_classic_text(server, connect, client):
    binary = connect()
    for group in ("", "settings"):
        expected = client.stats(group)
        assert list(stats(binary, group.encode())) == list(expected) and expected
    assert stats(binary)["pid"] == client.stats()["pid"]
    assert ask_one(binary, Frame(STAT, b"nonsense")).status == NOT_FOUND


def test_statistics_count_binary_requests(server, client):
    assert [(packet.key, packet.value) for packet in ask(client, Frame(STAT, b"reset"))] == [(b"", b"")]
    talk(client, store(SETQ, b"key", b"v").render() + Frame(GETKQ, b"key").render() + Frame(GETKQ, b"none").render())
    ask_one(client, touch(GAT, b"key", 0))
    ask_one(client, Frame(DELETE, b"none"))
    told = stats(client)
    assert [told[name] for name in ("cmd_set", "cmd_get", "get_hits", "get_misses", "cmd_touch", "touch_hits",
                                    "delete_misses")] == ["1", "2", "1", "1", "1", "1", "1"]


def test_statistics_by_prefix_are_none(server, client):
    assert stats(client, b"detail off") == {}
    assert stats(client, b"detail dump") == {"detailed": "END\r\n"}


def test_a_forbidden_flush_is_an_authentication_error(start):
    server = start(flush_all="no")
    with server.connect() as client:
        assert ask_one(client, Frame(FLUSH)).status == AUTH_ERROR
