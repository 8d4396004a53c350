"""A database of which every slot is known to have no flag ledger is read without asking for flags. It must be noticed when
that ends, whoever brings the first ledger: in each test the database is made known to be blank, and then it is not."""
import pytest

from lib import servers
from lib.engine_ledger import diglot_get, ledger_of
from lib.waiting import wait_until

KEY = b"{s}k"
EXPLORING_TURNS = 600  # each looks a few slots up


def flush(server, client):
    server.resp().flushdb()


def explore(server, client):
    for _ in range(EXPLORING_TURNS):
        assert client.get("nothing") is None


@pytest.fixture(params=[flush, explore])
def make_blank(request):
    return request.param


@pytest.fixture
def blank(server, client, make_blank):
    """The client of a server whose database 0 is known to be blank; RESP clients of databases 0 and 1."""
    make_blank(server, client)
    return client, server.resp(), server.resp(db=1)


def put_flagged(redis, flags=5, value=b"v"):
    redis.execute_command("DIGLOT.SET", KEY, value, "FLAGS", flags)


def test_memcached_stores_flags(blank):
    client, _, _ = blank
    client.set(KEY, b"v", flags=5)
    assert client.get(KEY) == (b"v", 5)
    client.set("other", b"v")
    assert client.get("other") == (b"v", 0)
    client.set(KEY, b"v", flags=0)
    assert client.get(KEY) == (b"v", 0)


def test_diglot_set_stores_flags(blank):
    client, redis, _ = blank
    put_flagged(redis)
    assert client.get(KEY) == (b"v", 5)


def test_flags_of_a_pipeline(blank):
    client, _, _ = blank
    requests = b"get a\r\nset a 0 0 1\r\n1\r\nget a\r\nset a 7 0 1\r\n2\r\nget a\r\nset a 0 0 1\r\n3\r\nget a\r\n"
    assert client.talk(requests) == (b"END\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nEND\r\nSTORED\r\nVALUE a 7 1\r\n2\r\nEND\r\n"
                                     b"STORED\r\nVALUE a 0 1\r\n3\r\nEND\r\n")


def test_restore_brings_an_item_and_its_ledger(blank):
    client, redis, other = blank
    put_flagged(other)
    name = ledger_of(other, KEY)
    redis.restore(KEY, 0, other.dump(KEY))
    assert client.get(KEY) == (b"v", 0)
    redis.restore(name, 0, other.dump(name))
    assert client.get(KEY) == (b"v", 5)


def test_move_brings_flags(blank):
    client, _, other = blank
    put_flagged(other)
    assert other.move(KEY, 0)
    assert client.get(KEY) == (b"v", 5)


def test_copy_brings_flags_or_a_miss(blank):
    client, redis, other = blank
    put_flagged(other)
    assert other.copy(KEY, "{s}copy", destination_db=0)
    assert client.get("{s}copy") in ((b"v", 5), None)
    client.set("plain", b"p")
    assert redis.copy("plain", "copy")
    assert client.get("copy") == (b"p", 0)


def test_swapdb_brings_flags_and_takes_them_away(blank):
    client, redis, other = blank
    client.set("plain", b"p")
    put_flagged(other)
    redis.swapdb(0, 1)
    assert client.get(KEY) == (b"v", 5) and client.get("plain") is None
    redis.swapdb(0, 1)
    assert client.get(KEY) is None and client.get("plain") == (b"p", 0)
    assert diglot_get(other, KEY) == (b"v", 5)


def test_a_stranger_writes_the_ledger(blank):
    """Nobody knows then which items of the slot had flags."""
    client, redis, other = blank
    client.set(KEY, b"v")
    client.set("elsewhere", b"v")
    put_flagged(other)
    redis.set(ledger_of(other, KEY), "garbage")
    assert client.get(KEY) is None
    assert client.get("elsewhere") == (b"v", 0)


def test_a_ledger_of_another_database_is_copied(blank):
    client, redis, other = blank
    client.set(KEY, b"v")
    put_flagged(other)
    other.copy(ledger_of(other, KEY), ledger_of(other, KEY), destination_db=0)
    assert client.get(KEY) is None


def test_loading_brings_flags(start, make_blank):
    server = start()
    with server.connect() as client:
        make_blank(server, client)
        client.set(KEY, b"v", flags=5)
        server.resp().execute_command("DEBUG", "RELOAD")
        assert client.get(KEY) == (b"v", 5)
        explore(server, client)
        assert client.get(KEY) == (b"v", 5)
    server.shutdown_saving()
    server.restart()
    with server.connect() as client:
        explore(server, client)
        assert client.get(KEY) == (b"v", 5)


def test_a_full_sync_brings_flags(start, make_blank):
    primary, replica = start(), start()
    with primary.connect() as client:
        client.set(KEY, b"v", flags=5)
    with replica.connect() as client:
        make_blank(replica, client)
        replica.resp().execute_command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "up", "the link")
        servers.wait_replica(primary, replica)
        assert client.get(KEY) == (b"v", 5)
        explore(replica, client)
        assert client.get(KEY) == (b"v", 5)


def test_replication_brings_flags(start, make_blank):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    servers.wait_replica(primary, replica)
    with primary.connect() as client, replica.connect() as reader:
        explore(replica, reader)
        make_blank(primary, client)
        servers.wait_replica(primary, replica)
        assert reader.get(KEY) is None
        client.set("plain", b"v")
        for flags in [5, 0, 6]:
            client.set(KEY, b"v", flags=flags)
            servers.wait_replica(primary, replica)
            assert reader.get(KEY) == (b"v", flags) and reader.get("plain") == (b"v", 0)
        primary.resp().swapdb(0, 1)
        servers.wait_replica(primary, replica)
        assert reader.get(KEY) is None
        primary.resp().swapdb(0, 1)
        servers.wait_replica(primary, replica)
        assert reader.get(KEY) == (b"v", 6)
        replica.resp().execute_command("REPLICAOF", "NO", "ONE")
        assert reader.get(KEY) == (b"v", 6)
