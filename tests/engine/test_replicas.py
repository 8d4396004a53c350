"""A replica's memcached door: it reads, and says of every write why it is refused."""
import time

import pytest

from lib import binary, servers
from lib.engine_ledger import ledgers
from lib.replication import follow, promote, replica_of, wait_following
from lib.waiting import wait_until

READONLY = b"SERVER_ERROR READONLY You can't write against a read only replica."
MASTERDOWN = b"SERVER_ERROR MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."

CLASSIC = [b"set k 1 0 1\r\n6", b"set k 1 -1 1\r\n6", b"add n 0 0 1\r\n6", b"replace k 0 0 1\r\n6", b"append k 0 0 1\r\n6",
           b"prepend k 0 0 1\r\n6", b"cas k 0 0 1 1\r\n6", b"incr k 1", b"decr k 1", b"incr n 1", b"delete k", b"delete n",
           b"touch k 100", b"touch k -1", b"gat 100 k", b"gats 0 k", b"flush_all", b"flush_all 100"]
META = [b"ms k 1\r\n6", b"ms k 1 ME\r\n6", b"ms k 1 MA\r\n6", b"ms k 1 MP N100\r\n6", b"ms k 1 MR\r\n6", b"ms k 1 C1\r\n6",
        b"ms k 1 C1 I\r\n6", b"ms k 1 q\r\n6", b"md k", b"md k q", b"md k I", b"md k x", b"ma k", b"ma k MD v", b"ma n N0 J5",
        b"ma k q", b"mg k T100 v", b"mg n N100 v", b"mg k R100 T100"]
BINARY = [binary.store(binary.SET, b"k", b"6"), binary.store(binary.SETQ, b"k", b"6"), binary.store(binary.ADD, b"n", b"6"),
          binary.store(binary.REPLACE, b"k", b"6"), binary.store(binary.REPLACEQ, b"k", b"6", cas=5),
          binary.Frame(binary.APPEND, b"k", value=b"6"), binary.Frame(binary.PREPENDQ, b"k", value=b"6"),
          binary.Frame(binary.DELETE, b"k"), binary.Frame(binary.DELETEQ, b"k"), binary.count(binary.INCR, b"k", 1),
          binary.count(binary.DECRQ, b"k", 1), binary.count(binary.INCR, b"n", 1, 5, 100), binary.touch(binary.TOUCH, b"k", 100),
          binary.touch(binary.GAT, b"k", 100), binary.touch(binary.GATQ, b"k", 100), binary.Frame(binary.FLUSH),
          binary.Frame(binary.FLUSHQ)]
SILENT = [b"set k 1 0 1 noreply\r\n6\r\n", b"incr k 1 noreply\r\n", b"delete k noreply\r\n", b"touch k 9 noreply\r\n",
          b"flush_all noreply\r\n"]


@pytest.fixture(params=[0, 4], ids=["0", "4"])
def pair(request, start):
    primary = start(io_threads=request.param)
    replica = start(io_threads=request.param, config=replica_of(primary))
    wait_following(replica, primary)
    with primary.connect() as client:
        client.set("k", b"5", flags=3)
        client.set("stale", b"old", flags=4)
        assert client.ask(b"md stale I") == b"HD"
    servers.wait_replica(primary, replica)
    return primary, replica


def test_every_write_is_refused_and_changes_nothing(pair):
    primary, replica = pair
    with replica.connect() as client, replica.connect() as packets:
        for request in CLASSIC + META:
            assert client.ask(request) == READONLY, request
        for request in SILENT:
            client.send(request)
        for frame in BINARY:
            answer = binary.ask(packets, frame)
            assert [(packet.status, packet.value) for packet in answer] == [(0x86, READONLY[13:])], frame
        assert client.get("k") == (b"5", 3) and client.get("n") is None
    assert replica.digest() == primary.digest()


def test_every_read_is_served(pair):
    """Nobody is told to refresh a stale item, as that would have to be written down; nothing is vivified."""
    _, replica = pair
    with replica.connect() as client, replica.connect() as packets:
        assert client.fetch("gets k n stale").keys() == {b"k", b"stale"}
        for _ in range(2):
            assert client.ask(b"mg stale s f") == b"HD s3 f4 Z X"
        assert client.ask(b"mg n v") == b"EN"
        assert client.ask(b"me k").startswith(b"ME k exp=-1 ")
        assert binary.ask(packets, binary.Frame(binary.GETK, b"k"))[0].value == b"5"
        client.send(b"lru_crawler metadump all\r\n")
        assert client.read_until(b"END\r\n").count(b"key=") == 2


def test_an_open_connection_follows_the_server_through_its_roles(pair):
    first, second = pair
    with first.connect() as client, second.connect() as other:
        token, before = client.token("k"), time.time_ns()
        promote(second)
        assert int(other.token("k")) > before, "the first may have given it out"
        assert other.ask(b"set k 6 0 1\r\n6") == b"STORED"
        follow(first, second)
        servers.wait_replica(second, first)
        assert client.get("k") == (b"6", 6)
        assert client.ask(b"incr k 1") == READONLY
        assert other.cas("k", b"7", token) == b"EXISTS" and client.cas("k", b"7", token) == READONLY
        assert ledgers(first.resp()) == ledgers(second.resp())


def test_where_stale_data_is_not_served_reads_are_refused_while_the_link_is_down(pair):
    primary, replica = pair
    replica.resp().config_set("replica-serve-stale-data", "no")
    with replica.connect() as client:
        assert client.get("k") == (b"5", 3)
        primary.kill()
        wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "down", "the link to break")
        assert client.ask(b"get k") == MASTERDOWN and client.ask(b"mg k v") == MASTERDOWN
        assert client.ask(b"set k 0 0 1\r\n6") in (READONLY, MASTERDOWN)
        promote(replica)
        assert client.get("k") == (b"5", 3)


def test_a_replica_that_resp_may_write_refuses_memcached_writes_all_the_same(pair):
    """What is written there, the primary does not know; its ledgers would be overwritten by the primary's."""
    _, replica = pair
    replica.resp().config_set("replica-read-only", "no")
    with replica.connect() as client:
        assert client.ask(b"set k 0 0 1\r\n6") == READONLY
        replica.resp().set("own", "value")
        assert client.get("own") == (b"value", 0)


def test_what_is_appended_travels_alone(pair):
    """As with APPEND: neither the link nor the append-only file sees what was there before. Whatever the engine keeps a value as."""
    primary, replica = pair
    redis, large = primary.resp(), b"v" * 500_000
    values = {"large": large, "number": b"12345", "short": b"text", "empty": b"", "raw": b"r" * 100}
    with primary.connect() as client:
        for key, value in values.items():
            client.set(key, value, flags=8, exptime=1000)
        before = redis.info("replication")["master_repl_offset"]
        for round in range(3):
            for key in values:
                assert client.ask(b"append %s 0 0 1\r\n%d" % (key.encode(), round)) == b"STORED"
            assert client.ask(b"append large 0 0 0\r\n") == b"STORED"
        assert redis.info("replication")["master_repl_offset"] - before < 20_000
        assert {key: client.get(key) for key in values} == {key: (value + b"012", 8) for key, value in values.items()}
    servers.wait_replica(primary, replica)
    assert all(redis.ttl(key) > 900 for key in values)
    assert replica.digest() == primary.digest()
