"""Pipelines of meta and binary requests, longer than what is executed at once, with what meta and binary have beyond classic
text: opaques, keys in base64, quiet forms, marks, values that are swallowed."""
import base64

import pytest

from lib import binary
from lib.waiting import wait_until
from test_pipeline import DEEP, exchange

pytestmark = pytest.mark.diglot_only  # Debian's memcached lacks some of it


def test_ten_thousand_mn_are_answered(client):
    exchange(client, b"mn\r\n" * DEEP, b"MN\r\n" * DEEP)


def test_opaques_and_base64_keys_come_back_with_their_own_requests(client):
    keys = [base64.b64encode(b"\0 key\r\n%d" % i) for i in range(1000)]
    requests = b"".join(b"ms %s 3 b k O%d\r\n%03d\r\nmg %s k b v O%dg\r\nmg %s k b q O%dm\r\nmg %s b q k O%dh\r\n" % (
        key, i, i, key, i, base64.b64encode(b"missing%d" % i), i, key, i) for i, key in enumerate(keys))
    answers = b"".join(b"HD k%s b O%d\r\nVA 3 k%s b O%dg\r\n%03d\r\nHD k%s b O%dh\r\n" % (key, i, key, i, i, key, i)
                       for i, key in enumerate(keys))
    exchange(client, requests, answers)


def test_marks_in_the_middle_of_a_pipeline_of_gets(client):
    """Winning writes between reads of other keys, and of the same ones."""
    names = [b"%d" % i for i in range(300)]
    client.talk(b"".join(b"ms %s 1 F1 q\r\nx\r\n%s" % (name, b"md %s I q\r\n" % name if i % 7 == 3 else b"")
                         for i, name in enumerate(names)))
    requests = answers = b""
    for i, name in enumerate(names):
        for turn in range(2):
            marks = (b" X W", b" Z X")[turn] if i % 7 == 3 else b""
            requests += b"mg %s v f k\r\nget %s\r\nmg new%s N30 v\r\n" % (name, name, name)
            answers += b"VA 1 f1 k%s%s\r\nx\r\nVALUE %s 1 1\r\nx\r\nEND\r\nVA 0 %s\r\n\r\n" % (name, marks, name, (b"W", b"Z")[turn])
    exchange(client, requests, answers)


def test_keys_that_expire_in_the_middle_of_a_pipeline_are_misses(client, server):
    """Those that were there when the pipeline began and those that were not, twice each. What has expired is not removed by
    the engine by itself."""
    redis = server.resp()
    redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        client.talk(b"".join(b"ms k%d 1 F3 q\r\nx\r\n%s" % (i, b"md k%d I q\r\n" % i if i % 2 else b"") for i in range(400)))
        for i in range(0, 400, 3):
            redis.pexpire(f"k{i}", 1)
        wait_until(lambda: redis.pttl("k399") < 0, "the last one to expire")
        requests = b"".join(b"mg k%d v\r\nmg k%d v\r\n" % (i, i) for i in range(400))
        answers = b""
        for i in range(400):
            there = [b"VA 1%s\r\nx\r\n" % mark for mark in ((b" X W", b" Z X") if i % 2 else (b"", b""))]
            answers += b"EN\r\n" * 2 if i % 3 == 0 else b"".join(there)
        exchange(client, requests, answers)
    finally:
        redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_large_values_end_batches_in_the_middle(client):
    """Of requests with extras: each keeps its own."""
    value = b"v" * 200_000
    client.talk(b"".join(b"ms k%d %d q F%d\r\n%s\r\n" % (i, len(value), i, value) for i in range(20)))
    order = [(i * 7) % 20 for i in range(300)]
    requests = b"".join(b"mg k%d v f k O%d\r\nmg missing%d k v O%d\r\nmn\r\nmg k%d C1 s q O%d\r\n" % (i, n, i, n, i, n)
                        for n, i in enumerate(order))
    answers = b"".join(b"VA %d f%d kk%d O%d\r\n%s\r\nEN kmissing%d O%d\r\nMN\r\nHD s%d O%d\r\n" % (
        len(value), i, i, n, value, i, n, len(value), n) for n, i in enumerate(order))
    exchange(client, requests, answers)


def test_a_get_of_a_hundred_large_values(client):
    value = b"v" * 1_000_000
    client.talk(b"".join(b"ms k%d %d q\r\n%s\r\n" % (i, len(value), value) for i in range(10)))
    for asked in (b"get" + b" k1 k2 k3 k4 k5 k6 k7 k8 k9 k0" * 10, b"gat 100" + b" k1 k2 k3 k4 k5 k6 k7 k8 k9 k0" * 10):
        answers = b"".join(b"VALUE k%d 0 1000000\r\n%s\r\n" % (i % 10, value) for i in range(1, 101)) + b"END\r\n"
        exchange(client, asked + b"\r\n", answers)


def test_values_that_are_read_in_several_goes_are_not_looked_up_for_each(client, server):
    """Keys are opened ahead, and batches of large values end in the middle: the engine counts how often a key is used. A turn that ends
    in time, as they do where everything is slow, closes the few that a part of a batch has opened."""
    redis = server.resp()
    value = b"v" * 200_000
    client.talk(b"".join(b"ms k%d %d q\r\n%s\r\n" % (i, len(value), value) for i in range(100)))
    before = redis.info("stats")["keyspace_hits"]
    client.fetch(b"get " + b" ".join(b"k%d" % i for i in range(100)))
    assert 100 <= redis.info("stats")["keyspace_hits"] - before <= 500


def test_what_is_refused_takes_nothing_of_what_follows(client, connect):
    """Values of a refused ms, of an unknown command in binary and of what is too large, each full of commands."""
    hidden = b"set hidden 0 0 1\r\nx\r\n" * 100
    refusals = {b"ms k %d z": b"CLIENT_ERROR invalid flag", b"ms k %d MX": b"CLIENT_ERROR invalid mode for ms M token",
                b"ms %s %%d" % (b"k" * 251): b"CLIENT_ERROR bad command line format",
                b"ms k %d v v": b"CLIENT_ERROR duplicate flag", b"ms ! %d b": b"CLIENT_ERROR error decoding key"}
    requests = b"".join(line % len(hidden) + b" q\r\n" + hidden + b"\r\nmn\r\n" for line in refusals)
    exchange(client, requests * 30, b"".join(answer + b"\r\nMN\r\n" for answer in refusals.values()) * 30)
    large = b"get hidden\r\n" * 100_000
    exchange(client, (b"ms k %d q\r\n" % len(large) + large + b"\r\nmg k v\r\n") * 3, b"SERVER_ERROR object too large for cache\r\nEN\r\n" * 3)
    other = connect()
    frame = binary.Frame(0x44, value=binary.store(binary.SET, b"hidden", b"x").render() * 50).render()
    packets = binary.talk(other, (frame + binary.Frame(binary.NOOP).render()) * 200)
    assert [packet.status for packet in packets] == [0x81, 0] * 200
    assert client.get("hidden") is None


def test_quiet_meta_requests_answer_errors_alone(client):
    client.set("word", b"abc")
    quiet = (b"ms a 1 q\r\nx\r\nmg a q s k\r\nmg missing q v k\r\nmd missing q O1\r\nmd a q\r\nma word q\r\nma n q N0 J5 v\r\nms a 1 q MR\r\nx\r\n"
             b"ms a 1 q C5\r\nx\r\nmg a q z\r\nmn\r\nmd n q\r\n")
    answers = (b"HD s1 ka\r\nNF O1\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\nNS\r\nNF\r\nCLIENT_ERROR invalid flag\r\nMN\r\n")
    exchange(client, quiet * 500, answers * 500)


def test_clients_of_all_protocols_share_a_server_in_one_turn(client, connect):
    """Batches of several connections are executed one behind the other, on the same keys."""
    others = [connect() for _ in range(6)]
    client.talk(b"ms k 5 F5 q\r\nvalue\r\nmd k I q\r\n")
    for round in range(20):
        for i, other in enumerate(others):
            other.send([b"mg k v\r\n" * 100 + b"mn\r\n", b"get k k k\r\n" * 100 + b"mn\r\n",
                        binary.Frame(binary.GETK, b"k").render() * 100 + binary.Frame(binary.NOOP).render()][i % 3])
        winners = 0
        for i, other in enumerate(others):
            if i % 3 == 2:
                packets = [binary.read_packet(other) for _ in range(101)]
                assert all((packet.key, packet.value) == (b"k", b"value") for packet in packets[:100])
            else:
                text = other.read_until(b"MN\r\n")
                assert text.count(b"value\r\n") == (100 if i % 3 == 0 else 300)
                winners += text.count(b" W")
        assert winners == (1 if round == 0 else 0)


@pytest.mark.parametrize("data", [b"ms k 100\r\nshort", b"mg k v\r\nms k 10 q\r\n", b"mg k v" + b" k" * 9, b"ms k 3000000\r\n" + b"x" * 70000,
                                  b"mg k N30 v\r\n" * 500 + b"ms", binary.store(binary.SET, b"k", b"x" * 1000).render()[:-1],
                                  binary.Frame(binary.GETQ, b"k").render() * 500 + b"\x80",
                                  binary.Frame(0x66, value=b"x" * 70000).render()[:-5]], ids=range(8))
def test_a_client_that_leaves_in_the_middle_harms_nobody(client, connect, data):
    before = int(client.stats()["curr_connections"])
    for _ in range(30):
        for ends_writing in (False, True):
            other = connect()
            other.send(data)
            if ends_writing:
                other.finish()
            other.close()
    wait_until(lambda: int(client.stats()["curr_connections"]) <= before, "what they left behind to be executed")
    client.set("k", b"v")
    assert client.ask(b"mn") == b"MN" and client.get("k") == (b"v", 0)
