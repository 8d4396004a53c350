"""A ledger string that is lost takes its items along: they are misses, are removed, and the slot is usable again. What is
written behind the loss stays, and no item ever comes back with flags that are not its own."""
import pytest

from lib import servers
from lib.engine_ledger import diglot_get, ledger_of, ledgers, wait_swept
from lib.waiting import wait_until

SLOT = b"{slot}"


@pytest.fixture
def redis(server):
    return server.resp()


LOSSES = {
    "DEL": lambda redis, name: redis.delete(name),
    "UNLINK": lambda redis, name: redis.unlink(name),
    "GETDEL": lambda redis, name: redis.getdel(name),
    "SET garbage": lambda redis, name: redis.set(name, "garbage"),
    "SET empty": lambda redis, name: redis.set(name, ""),
    "SET of a well-formed ledger": lambda redis, name: redis.set(name, b"\0" * 48),
    "SET of its own content": lambda redis, name: redis.set(name, redis.get(name)),
    "SETEX": lambda redis, name: redis.setex(name, 1000, redis.get(name)),
    "APPEND": lambda redis, name: redis.append(name, "x"),
    "SETRANGE": lambda redis, name: redis.setrange(name, 8, "wrong"),
    "SETBIT": lambda redis, name: redis.setbit(name, 70, 1 - redis.getbit(name, 70)),
    "BITOP": lambda redis, name: redis.bitop("NOT", name, name),
    "INCR of a number put there": lambda redis, name: redis.pipeline().set(name, "1").incr(name).execute(),
    "EXPIRE": lambda redis, name: redis.pexpire(name, 1),
    "EXPIRE into the past": lambda redis, name: redis.expire(name, -1),
    "RENAME away": lambda redis, name: redis.rename(name, "kept"),
    "RENAME away and back": lambda redis, name: (redis.rename(name, "kept"), redis.rename("kept", name)),
    "RENAME onto it": lambda redis, name: (redis.set("other", "x"), redis.rename("other", name)),
    "COPY onto it": lambda redis, name: (redis.set("other", "x"), redis.copy("other", name, replace=True)),
    "MOVE": lambda redis, name: redis.move(name, 1),
    "a hash in its place": lambda redis, name: redis.pipeline().delete(name).hset(name, "field", "value").execute(),
    "a list in its place": lambda redis, name: redis.pipeline().delete(name).rpush(name, "1").execute(),
    "a script": lambda redis, name: redis.eval("redis.call('del', KEYS[1])", 1, name),
    "a transaction": lambda redis, name: redis.pipeline().delete(name).set(name, "x").delete(name).execute(),
}


def put_items(client, redis):
    """Items in one slot: with flags, without, one written over RESP; and some elsewhere. Returns the ledger's name."""
    client.set(SLOT + b"flagged", b"v1", flags=5)
    client.set(SLOT + b"flagged2", b"v2", flags=2**32 - 1)
    client.set(SLOT + b"plain", b"v3")
    redis.set(SLOT + b"resp", "v4")
    redis.hset(SLOT + b"hash", "field", "value")
    client.set("elsewhere", b"v5", flags=9)
    redis.set("elsewhere-plain", "v6")
    return ledger_of(redis, SLOT)


LOST = [SLOT + name for name in (b"flagged", b"flagged2", b"plain", b"resp")]


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_a_lost_ledger_makes_its_items_misses_that_are_removed(client, redis, lose):
    name = put_items(client, redis)
    lose(redis, name)
    for key in LOST:
        assert client.get(key) is None, key
        assert diglot_get(redis, key) is None
    wait_swept(redis, LOST)
    assert redis.hgetall(SLOT + b"hash") == {b"field": b"value"}
    assert client.get("elsewhere") == (b"v5", 9) and redis.get("elsewhere-plain") == b"v6"
    for flags in (7, 0, 8):
        client.set(SLOT + b"flagged", b"again", flags=flags)
        assert client.get(SLOT + b"flagged") == (b"again", flags)
    redis.set(SLOT + b"resp", "again")
    assert client.get(SLOT + b"resp") == (b"again", 0)
    redis.execute_command("DEBUG", "RELOAD")
    assert client.get(SLOT + b"flagged") == (b"again", 8) and client.get(SLOT + b"resp") == (b"again", 0)


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_what_is_written_behind_the_loss_survives(client, redis, lose):
    name = put_items(client, redis)
    for i in range(3000):  # something to sweep through
        client.send(b"set filler%d 0 0 1 noreply\r\nx\r\n" % i)
    client.talk(b"")
    lose(redis, name)
    client.set(SLOT + b"new", b"n1", flags=6)
    client.set(SLOT + b"flagged", b"n2", flags=11)
    client.set(SLOT + b"plain", b"n3")
    redis.set(SLOT + b"resp", "n4")
    redis.append(SLOT + b"resp-new", "n5")
    expected = {SLOT + b"new": (b"n1", 6, None), SLOT + b"flagged": (b"n2", 11, None), SLOT + b"plain": (b"n3", 0, None),
                SLOT + b"resp": (b"n4", 0, None), SLOT + b"resp-new": (b"n5", 0, None)}
    asked = b"get " + b" ".join(expected)
    assert client.fetch(asked) == expected
    wait_swept(redis, [SLOT + b"flagged2"])
    for _ in range(100):
        assert client.fetch(asked) == expected
    assert client.get("elsewhere") == (b"v5", 9)
    redis.execute_command("DEBUG", "RELOAD")
    assert client.fetch(asked) == expected


def test_conditional_commands_treat_a_lost_item_as_absent(client, redis):
    """Asked at once behind the loss, and in any order."""
    requests = [(b"replace %s 0 0 1\r\nx", b"NOT_STORED"), (b"append %s 0 0 1\r\nx", b"NOT_STORED"), (b"incr %s 1", b"NOT_FOUND"),
                (b"delete %s", b"NOT_FOUND"), (b"touch %s 100", b"NOT_FOUND"), (b"cas %s 0 0 1 1\r\nx", b"NOT_FOUND"),
                (b"gat 100 %s", b"END"), (b"add %s 4 0 1\r\nx", b"STORED"), (b"append %s 0 0 1\r\ny", b"STORED")]
    client.set(SLOT + b"k", b"5", flags=3)
    redis.delete(ledger_of(redis, SLOT))
    for request, answer in requests:
        assert client.ask(request % (SLOT + b"k")) == answer, request
        client.talk(b"")
    assert client.get(SLOT + b"k") == (b"xy", 4)


def test_several_losses_in_a_row(client, redis):
    for round in range(20):
        client.set(SLOT + b"a", b"a%d" % round, flags=round + 1)
        client.set(SLOT + b"b", b"b%d" % round, flags=round + 2)
        redis.delete(ledger_of(redis, SLOT))
        client.set(SLOT + b"b", b"behind", flags=99)
        assert client.get(SLOT + b"a") is None
        assert client.get(SLOT + b"b") == (b"behind", 99)


def test_a_loss_in_the_middle_of_a_transaction(client, redis):
    client.set(SLOT + b"a", b"a", flags=1)
    client.set(SLOT + b"b", b"b", flags=2)
    name = ledger_of(redis, SLOT)
    redis.pipeline(transaction=True).append(SLOT + b"a", "x").delete(name).set(SLOT + b"b", "new").copy(
        SLOT + b"a", SLOT + b"c").rename(SLOT + b"a", "outside").execute()
    assert client.get(SLOT + b"a") is None and client.get(SLOT + b"c") is None and client.get("outside") is None
    assert client.get(SLOT + b"b") == (b"new", 0)


def test_flags_that_were_carried_out_before_the_loss_stay_right(client, redis):
    client.set(SLOT + b"a", b"a", flags=1)
    name = ledger_of(redis, SLOT)
    redis.pipeline(transaction=True).rename(SLOT + b"a", "outside").delete(name).execute()
    assert client.get("outside") in ((b"a", 1), None)  # a miss is allowed, another flag is not
    assert client.get(SLOT + b"a") is None


def test_a_loss_in_another_database(server, client, redis):
    other = server.resp(db=1)
    other.execute_command("DIGLOT.SET", SLOT + b"k", "one", "FLAGS", 11)
    client.set(SLOT + b"k", b"zero", flags=10)
    other.delete(ledger_of(other, SLOT))
    assert diglot_get(other, SLOT + b"k") is None and client.get(SLOT + b"k") == (b"zero", 10)
    redis.swapdb(0, 1)
    assert client.get(SLOT + b"k") is None
    wait_swept(redis, [SLOT + b"k"])
    assert diglot_get(other, SLOT + b"k") == (b"zero", 10)


@pytest.mark.parametrize("before", ["RENAME", "MOVE"])
@pytest.mark.parametrize("loss", ["RENAME", "MOVE"])
def test_a_ledger_renamed_or_moved_leaves_alone_the_flags_of_items_renamed_or_moved_before(client, redis, before, loss):
    client.set("a", b"first", flags=1)
    redis.rename("a", "b") if before == "RENAME" else redis.move("a", 1)
    client.set("a", b"second", flags=7)
    client.set(SLOT + b"other", b"v", flags=5)
    name = ledger_of(redis, SLOT)
    redis.rename(name, "kept") if loss == "RENAME" else redis.move(name, 1)
    assert client.get("a") == (b"second", 7)


def test_the_loss_of_all_ledgers_at_once(client, redis):
    count = 2000
    for i in range(count):
        client.send(b"set k%d %d 0 1 noreply\r\nx\r\n" % (i, i + 1))
    client.talk(b"")
    redis.set("plain", "stays")  # in a slot without a ledger, if it is one
    names = ledgers(redis)
    redis.delete(*names.values())
    assert client.fetch(b"get " + b" ".join(b"k%d" % i for i in range(200))) == {}
    wait_swept(redis, [b"k%d" % i for i in range(count)])
    for i in range(0, count, 7):
        client.set(f"k{i}", b"new", flags=i + 3)
    assert all(client.get(f"k{i}") == (b"new", i + 3) for i in range(0, count, 7))


@pytest.mark.parametrize("io_threads", [0, 4])
def test_a_loss_while_clients_write_never_shows_a_wrong_flag(start, io_threads):
    """Every value tells its own flags."""
    server = start(io_threads=io_threads)
    redis = server.resp()
    keys = [SLOT + b"%d" % i for i in range(20)]
    with server.connect() as client:
        for round in range(60):
            requests = [b"set %s %d 0 %d\r\n%d\r\n" % (key, flags, len(b"%d" % flags), flags)
                        for key in keys for flags in [round * 1000 + int(key[6:]) + 1]]
            client.send(b"".join(requests))
            for name in ledgers(redis).values():
                redis.delete(name)
            asked = b"".join(b"get %s\r\n" % key for key in keys)
            answers = client.talk(asked)
            seen = server.connect().fetch(b"get " + b" ".join(keys))
            for value, flags, _ in seen.values():
                assert value == b"%d" % flags
            for line, value in zip(answers.split(b"\r\n"), answers.split(b"\r\n")[1:]):
                if line.startswith(b"VALUE"):
                    assert line.split()[2] == value


def test_a_replica_treats_the_items_of_a_lost_ledger_as_misses(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    redis = primary.resp()
    with primary.connect() as client, replica.connect() as reader:
        name = put_items(client, redis)
        servers.wait_replica(primary, replica)
        assert reader.get(SLOT + b"flagged") == (b"v1", 5)
        redis.delete(name)
        client.set(SLOT + b"new", b"n", flags=6)
        wait_until(lambda: reader.get(SLOT + b"new"), "the replica to catch up")
        assert reader.get(SLOT + b"new") == (b"n", 6)
        assert reader.get(SLOT + b"flagged") is None and reader.get(SLOT + b"plain") is None
        wait_swept(redis, LOST)
        servers.wait_replica(primary, replica)
        assert replica.digest() == primary.digest()
        assert reader.get("elsewhere") == (b"v5", 9)
        client.set(SLOT + b"flagged", b"again", flags=7)
        wait_until(lambda: reader.get(SLOT + b"flagged") == (b"again", 7), "the slot to be usable on the replica")


def test_a_replica_promoted_amid_a_loss_shows_no_wrong_flag(start):
    """The primary dies between the loss and the removal of the last item."""
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    redis = primary.resp()
    keys = [SLOT + b"%d" % i for i in range(20000)]
    with primary.connect() as client:
        for i, key in enumerate(keys):
            client.send(b"set %s %d 0 %d noreply\r\n%d\r\n" % (key, i + 1, len(b"%d" % (i + 1)), i + 1))
        client.talk(b"")
    servers.wait_replica(primary, replica)
    name = ledger_of(redis, SLOT)
    size = redis.strlen(name)
    redis.delete(name)
    wait_until(lambda: replica.resp().strlen(name) < size, "the loss to reach the replica")
    primary.kill()
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    with replica.connect() as client:
        for begin in range(0, len(keys), 100):
            for value, flags, _ in client.fetch(b"get " + b" ".join(keys[begin:begin + 100])).values():
                assert value == b"%d" % flags


@pytest.mark.parametrize("end", ["kill -9", "SHUTDOWN SAVE", "DEBUG RELOAD", "BGSAVE in the transaction"])
def test_a_restart_amid_a_loss_shows_no_wrong_flag(start, end):
    """The server ends between the loss and the removal of the last item."""
    config = {"save": "3600 1"} if "SAVE" in end else {"appendonly": "yes", "appendfsync": "always"}
    server = start(config=config)
    redis = server.resp()
    keys = [SLOT + b"%d" % i for i in range(20000)]
    with server.connect() as client:
        for i, key in enumerate(keys):
            client.send(b"set %s %d 0 %d noreply\r\n%d\r\n" % (key, i + 1, len(b"%d" % (i + 1)), i + 1))
        client.talk(b"")
    name = ledger_of(redis, SLOT)
    if end == "BGSAVE in the transaction":
        redis.pipeline(transaction=True).delete(name).bgsave().execute()
        server.wait_background_saves()
        server.kill()
        server.restart()
    elif end == "DEBUG RELOAD":
        with server.resp_connection() as connection:
            connection.send("DEL", name)
            assert connection._read() == 1
            connection.send("DEBUG", "RELOAD")
            assert connection._read() == b"OK"
    elif end == "kill -9":
        redis.delete(name)
        server.kill()
        server.restart()
    else:
        redis.delete(name)
        server.shutdown_saving()
        server.restart()
    with server.connect() as client:
        for begin in range(0, len(keys), 100):
            for key, (value, flags, _) in client.fetch(b"get " + b" ".join(keys[begin:begin + 100])).items():
                assert value == b"%d" % flags, f"{key!r} came back with flags {flags}"
