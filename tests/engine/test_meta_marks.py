"""Stale, won and vivified items, tokens that clients choose and counters that spring from an initial value, on a real engine:
whatever happens to the server and to the keys, a mark is right or the item is a miss."""
import threading
from dataclasses import dataclass

import pytest

from lib import binary, servers
from lib.engine_ledger import LEDGER_PREFIX, ledger_of, ledgers
from lib.waiting import wait_until

IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])
TOKEN = 12345  # of the client's choice


@pytest.fixture
def redis(server):
    return server.resp()


def read_answer(client):
    """The answer to a meta request, and behind it the value where one came."""
    answer = client.read_line()
    if not answer.startswith(b"VA "):
        return answer
    return answer + b": " + client.read_exactly(int(answer.split()[1]) + 2)[:-2]


def ask(client, line, value=None):
    client.send(line + b"\r\n" + (value + b"\r\n" if value is not None else b""))
    return read_answer(client)


def make_stale(client, key, value=b"old", flags=5):
    assert ask(client, b"ms %s %d F%d" % (key, len(value), flags), value) == b"HD"
    assert ask(client, b"md %s I" % key) == b"HD"


@dataclass
class Kind:
    """A kind of item: what makes it, and what `mg KEY v f` tells the first and every later reader then."""
    make: tuple
    first: bytes
    later: bytes
    frame: object = None


KINDS = {
    b"plain": Kind(((b"ms plain 3 F7 E%d" % TOKEN, b"new"),), b"VA 3 f7: new", b"VA 3 f7: new"),
    b"stale": Kind(((b"ms stale 3 F5", b"old"), (b"md stale I",)), b"VA 3 f5 X W: old", b"VA 3 f5 Z X: old"),
    b"noflags": Kind(((b"ms noflags 3", b"old"), (b"md noflags I",)), b"VA 3 f0 X W: old", b"VA 3 f0 Z X: old"),
    b"won": Kind(((b"ms won 3 F5", b"old"), (b"md won I",), (b"mg won",)), b"VA 3 f5 Z X: old", b"VA 3 f5 Z X: old"),
    b"late": Kind(((b"ms late 1", b"1"), (b"ms late 3 I C1 F9", b"too")), b"VA 3 f9 X W: too", b"VA 3 f9 Z X: too"),
    b"cleared": Kind(((b"ms cleared 3 F5", b"old"), (b"md cleared x I F6",)), b"VA 0 f6 X W: ", b"VA 0 f6 Z X: "),
    b"timed": Kind(((b"ms timed 3 F5", b"old"), (b"md timed I T1000",)), b"VA 3 f5 X W: old", b"VA 3 f5 Z X: old"),
    b"vivified": Kind(((b"mg vivified N1000 v",),), b"VA 0 f0 Z: ", b"VA 0 f0 Z: "),
    b"recached": Kind(((b"ms recached 3 T1000", b"old"), (b"mg recached R2000",)), b"VA 3 f0 Z: old", b"VA 3 f0 Z: old"),
    b"counter": Kind(((b"ma counter N1000 J13 v",), (b"ma counter D4 v",)), b"VA 2 f0: 17", b"VA 2 f0: 17"),
    b"bincounter": Kind((), b"VA 1 f0: 7", b"VA 1 f0: 7", binary.count(binary.INCR, b"bincounter", 1, 7, 1000)),
    b"YmluIGtleQ==": Kind(((b"ms YmluIGtleQ== 3 b F5", b"old"), (b"md YmluIGtleQ== b I",)), b"VA 3 f5 X W: old", b"VA 3 f5 Z X: old"),
}


def make_items(server):
    with server.connect() as client, server.connect() as other:
        for key, kind in KINDS.items():
            for line in kind.make:
                assert ask(client, *line)[:2] in (b"HD", b"VA"), (key, line)
            if kind.frame:
                assert binary.ask(other, kind.frame)[0].status == 0


def read(client, key):
    return ask(client, b"mg %s v f%s" % (key, b" b" if key.endswith(b"==") else b""))


def check_items(server):
    """Looks at every item twice, so its first reader is told from the later ones."""
    with server.connect() as client:
        for key, kind in KINDS.items():
            assert read(client, key) == kind.first, key
            assert read(client, key) == kind.later, key
        for key in (b"counter", b"bincounter", b"timed", b"vivified", b"recached"):
            assert 900 < int(ask(client, b"mg %s t" % key).split()[1][1:]) <= 1000, key


def check_items_where_nobody_wins(server):
    """The same where nothing may be written, so nobody is the first."""
    with server.connect() as client:
        for _ in range(2):
            for key, kind in KINDS.items():
                assert read(client, key) == kind.later, key


# Restarts

def restart(server, how):
    if how == "SAVE":
        server.shutdown_saving()
    else:
        if how.startswith("rewrite"):
            server.resp().bgrewriteaof()
            server.wait_background_saves()
        if how == "rewrite, then changes":
            make_items(server)  # in the part behind the rewrite
        server.kill()
    server.restart()


RESTARTS = {"SAVE": {"save": "3600 1"}, "kill -9": {"appendonly": "yes", "appendfsync": "always"},
            "rewrite": {"appendonly": "yes", "appendfsync": "always"},
            "rewrite without preamble": {"appendonly": "yes", "appendfsync": "always", "aof-use-rdb-preamble": "no"},
            "rewrite, then changes": {"appendonly": "yes", "appendfsync": "always"}}


@pytest.mark.parametrize("how", RESTARTS)
def test_marks_survive_a_restart(start, how):
    server = start(config=RESTARTS[how])
    if how != "rewrite, then changes":
        make_items(server)
    restart(server, how)
    check_items(server)
    restart(server, how.replace(", then changes", ""))
    check_items_where_nobody_wins(server)  # who has won has won


@pytest.mark.parametrize("command", [("DEBUG", "RELOAD"), ("DEBUG", "LOADAOF")], ids=" ".join)
def test_marks_survive_a_reload(start, command):
    server = start(config={"appendonly": "yes"})
    make_items(server)
    server.resp().execute_command(*command)
    check_items(server)


def test_marks_survive_a_start_without_the_module_in_between(start):
    server = start(config={"save": "3600 1"})
    make_items(server)
    for module in (False, True):
        server.shutdown_saving()
        server.restart(module=module)
    check_items(server)


@IO_THREADS
def test_who_was_told_to_have_won_has_won_after_kill_9(start, io_threads):
    """Or two clients would refresh."""
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": "always"})
    with server.connect() as client:
        for i in range(50):
            make_stale(client, b"k%d" % i)
        client.send(b"".join(b"mg k%d\r\n" % i for i in range(50)))
        assert [client.read_line() for _ in range(25)] == [b"HD X W"] * 25
    server.kill()
    server.restart()
    with server.connect() as client:
        assert [ask(client, b"mg k%d" % i) for i in range(25)] == [b"HD Z X"] * 25


# Key prefix and database

@pytest.mark.parametrize("options", [{"key_prefix": "app:"}, {"db": 3}, {"key_prefix": "{app}", "db": 3}], ids=str)
def test_marks_with_a_prefix_and_in_another_database(start, options):
    server = start(config={"appendonly": "yes", "appendfsync": "always"}, **options)
    make_items(server)
    server.kill()
    server.restart()
    check_items(server)
    redis = server.resp(db=options.get("db", 0))
    prefix = options.get("key_prefix", "")
    assert redis.get(prefix + "stale") == b"old" and ledgers(redis)
    redis.set(prefix + "stale", "resp")
    with server.connect() as client:
        assert read(client, b"stale") == b"VA 4 f0: resp"


# Replicas

def test_a_replica_serves_marks_and_writes_none_until_it_is_promoted(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    make_items(primary)
    servers.wait_replica(primary, replica)
    digest = replica.digest()
    check_items_where_nobody_wins(replica)
    with replica.connect() as client:
        for line in (b"mg missing N30", b"mg stale N30", b"mg plain R30 v", b"mg plain T30", b"md stale I", b"ma counter"):
            assert ask(client, line).startswith(b"SERVER_ERROR READONLY"), line
        assert ask(client, b"ms plain 1", b"1").startswith(b"SERVER_ERROR READONLY")
        with replica.connect() as other:
            refusals = [binary.ask(other, frame)[0] for frame in (
                binary.count(binary.INCR, b"absent", 1, 5, 0), binary.touch(binary.GAT, b"plain", 5),
                binary.touch(binary.TOUCH, b"plain", 5), binary.Frame(binary.APPENDQ, b"plain", value=b"x"))]
        assert all(packet.status == 0x86 and packet.value.startswith(b"READONLY") for packet in refusals), refusals
    assert replica.digest() == digest == primary.digest()
    primary.kill()
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    check_items(replica)


def test_a_winner_at_the_primary_is_known_at_the_replica(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    make_items(primary)
    check_items(primary)
    servers.wait_replica(primary, replica)
    primary.kill()
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    check_items_where_nobody_wins(replica)
    with replica.connect() as client:
        assert ask(client, b"ms stale 3 F8", b"new") == b"HD"
        assert read(client, b"stale") == b"VA 3 f8: new"


def test_a_replica_without_the_module_has_the_same_data(start, start_engine):
    primary = start()
    replica = start_engine(module=False, config={"replicaof": ["127.0.0.1", str(primary.port)]})
    redis = primary.resp()
    make_items(primary)
    check_items(primary)
    redis.rename("stale", "renamed"), redis.copy("won", "copied"), redis.set("late", "resp"), redis.append("timed", "!")
    with primary.connect() as client:
        for line in (b"md plain x", b"md counter T5", b"ma counter N0", b"mg vivified T100", b"mg brandnew N60", b"md copied I T-1"):
            ask(client, line)
        ask(client, b"ms vivified 2 T100 F1", b"42")
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()
    assert ledgers(replica.resp()) == ledgers(redis)
    assert replica.resp().get("vivified") == b"42"


# What RESP does to marked items: the change, and the value behind it. Before it is "7" with flags 5.

KEEPING = {
    "APPEND": (lambda redis: redis.append("k", "1"), b"71"),
    "SETRANGE": (lambda redis: redis.setrange("k", 1, "2"), b"72"),
    "INCR": (lambda redis: redis.incr("k"), b"8"),
    "INCRBYFLOAT": (lambda redis: redis.incrbyfloat("k", 0.5), b"7.5"),
    "SETBIT": (lambda redis: redis.setbit("k", 7, 0), b"6"),
    "EXPIRE": (lambda redis: redis.expire("k", 1000), b"7"),
    "PERSIST": (lambda redis: (redis.expire("k", 1000), redis.persist("k")), b"7"),
    "GETEX": (lambda redis: redis.getex("k", ex=1000), b"7"),
    "RENAME there and back": (lambda redis: (redis.rename("k", "j"), redis.rename("j", "k")), b"7"),
    "MOVE there and back": (lambda redis: move_there_and_back(redis), b"7"),
    "SWAPDB twice": (lambda redis: (redis.swapdb(0, 1), redis.swapdb(1, 0)), b"7"),
}
DROPPING = {
    "SET": (lambda redis: redis.set("k", "8"), b"8"),
    "SET KEEPTTL": (lambda redis: redis.set("k", "8", keepttl=True), b"8"),
    "SET of the same": (lambda redis: redis.set("k", "7"), b"7"),
    "GETSET": (lambda redis: redis.getset("k", "8"), b"8"),
    "SETEX": (lambda redis: redis.setex("k", 1000, "8"), b"8"),
    "MSET": (lambda redis: redis.mset({"k": "8", "j": "9"}), b"8"),
    "DEL and INCR": (lambda redis: (redis.delete("k"), redis.incr("k")), b"1"),
    "DEL and INCR in a transaction": (lambda redis: redis.pipeline().delete("k").incr("k").execute(), b"1"),
    "GETDEL and APPEND": (lambda redis: (redis.getdel("k"), redis.append("k", "8")), b"8"),
    "expiry and APPEND": (lambda redis: (redis.pexpire("k", 1), wait_until(lambda: not redis.exists("k"), "k to expire"),
                                         redis.append("k", "8")), b"8"),
    "RENAME onto it": (lambda redis: (redis.set("j", "8"), redis.rename("j", "k")), b"8"),
    "RESTORE": (lambda redis: redis.restore("k", 0, redis.dump("k"), replace=True), b"7"),
    "BITOP": (lambda redis: (redis.set("j", "8"), redis.bitop("AND", "k", "j")), b"8"),
    "a script": (lambda redis: redis.eval("redis.call('set', KEYS[1], '8')", 1, "k"), b"8"),
    "DIGLOT.SET": (lambda redis: redis.execute_command("DIGLOT.SET", "k", "8"), b"8"),
    "DIGLOT.SET in a transaction": (lambda redis: redis.pipeline().append("k", "0").execute_command("DIGLOT.SET", "k", "8").execute(), b"8"),
    "a hash in its place, then SET": (lambda redis: (redis.delete("k"), redis.hset("k", "f", "v"), redis.set("k", "8")), b"8"),
}


def move_there_and_back(redis):
    redis.move("k", 1)
    redis.swapdb(0, 1)
    redis.move("k", 1)
    redis.swapdb(0, 1)


MARKS = {"stale": (b"md k I", b" X W"), "won": (b"mg k", b" Z X")}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("change, value", KEEPING.values(), ids=KEEPING)
def test_what_changes_an_item_in_place_keeps_its_marks(client, redis, change, value, mark):
    make_stale(client, b"k", b"7")
    ask(client, MARKS[mark][0])
    change(redis)
    assert read(client, b"k") == b"VA %d f5%s: %s" % (len(value), MARKS[mark][1], value)
    assert read(client, b"k") == b"VA %d f5 Z X: %s" % (len(value), value)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("change, value", DROPPING.values(), ids=DROPPING)
def test_a_new_value_over_resp_has_no_marks(client, redis, change, value, mark):
    make_stale(client, b"k", b"7")
    ask(client, MARKS[mark][0])
    change(redis)
    for _ in range(2):
        assert read(client, b"k") == b"VA %d f0: %s" % (len(value), value)
    redis.execute_command("DEBUG", "RELOAD")
    assert read(client, b"k") == b"VA %d f0: %s" % (len(value), value)


@pytest.mark.parametrize("mark", MARKS)
def test_a_copy_onto_a_marked_item_has_no_marks(start, mark):
    """On a server of its own: where thousands of COPYs have failed, it is not known any more what a copy was made of."""
    server = start()
    with server.connect() as client:
        make_stale(client, b"k", b"7")
        ask(client, MARKS[mark][0])
        server.resp().set("j", "8")
        server.resp().copy("j", "k", replace=True)
        assert read(client, b"k") == read(client, b"k") == b"VA 1 f0: 8"


def test_an_item_that_is_removed_leaves_no_mark_behind(client, redis):
    for remove in (redis.delete, redis.unlink, redis.getdel, lambda key: redis.pexpire(key, 1)):
        make_stale(client, b"k")
        remove("k")
        wait_until(lambda: not redis.exists("k"), "k to go")
        assert read(client, b"k") == b"EN"
        assert ask(client, b"mg k N100 v") == b"VA 0 W: "
        assert ask(client, b"ms k 1", b"1") == b"HD" and read(client, b"k") == b"VA 1 f0: 1"
    assert ask(client, b"md k") == b"HD"
    table = redis.get(ledger_of(redis, b"k"))
    assert all(table[at + 8:at + 16] == bytes(8) for at in range(0, len(table), 16))  # records that say nothing


def test_rename_copy_and_move_take_the_marks_along(start):
    server = start()
    redis = server.resp()
    with server.connect() as client:
        carry_marks(client, redis)


def carry_marks(client, redis):
    for name in ("renamed", "copied", "moved"):
        make_stale(client, b"k", b"old")
        if name == "copied":
            redis.copy("k", name)
        else:
            redis.rename("k", name)
        if name == "moved":
            redis.move(name, 1)
            assert read(client, b"moved") == b"EN"
            redis.swapdb(0, 1)
        assert read(client, name.encode()) == b"VA 3 f5 X W: old", name
        assert read(client, name.encode()) == b"VA 3 f5 Z X: old", name
        if name == "copied":
            assert read(client, b"k") == b"VA 3 f5 X W: old"  # each has a winner of its own
            redis.copy("k", "late")
            assert read(client, b"late") == b"VA 3 f5 Z X: old"
    redis.swapdb(0, 1)
    assert read(client, b"renamed") == b"VA 3 f5 Z X: old"


def test_classic_and_binary_clients_get_a_stale_item_as_any_other(server, client, redis):
    make_stale(client, b"k")
    with server.connect() as other:
        [packet] = binary.ask(other, binary.Frame(binary.GET, b"k"))
        assert (packet.value, packet.extras) == (b"old", b"\0\0\0\5")
        [packet] = binary.ask(other, binary.touch(binary.GAT, b"k", 1000))
        assert (packet.value, packet.extras) == (b"old", b"\0\0\0\5")
        [packet] = binary.ask(other, binary.touch(binary.TOUCH, b"k", 1000))
        assert packet.extras == b"\0\0\0\5"
    assert client.get("k") == (b"old", 5) and redis.execute_command("DIGLOT.GET", "k")[:2] == [b"old", 5]
    assert read(client, b"k") == b"VA 3 f5 X W: old"
    with server.connect() as other:
        assert binary.ask(other, binary.store(binary.SET, b"k", b"new", 9))[0].status == 0
    assert read(client, b"k") == b"VA 3 f9: new"


# Lost ledgers

LOSSES = {"DEL": lambda redis, name: redis.delete(name), "SET": lambda redis, name: redis.set(name, b"\0" * 48),
          "RENAME": lambda redis, name: redis.rename(name, "kept"), "EXPIRE": lambda redis, name: redis.expire(name, -1),
          "UNLINK": lambda redis, name: redis.unlink(name)}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_a_lost_ledger_makes_misses(server, client, redis, lose):
    marked = [key for key, kind in KINDS.items() if b" Z" in kind.later]
    for key in marked:
        make_items(server)
        lose(redis, ledger_of(redis, key if not key.endswith(b"==") else b"bin key"))
        assert read(client, key) == b"EN", key
        assert ask(client, b"md %s I%s" % (key, b" b" if key.endswith(b"==") else b"")) == b"NF", key
        if not key.endswith(b"=="):
            assert ask(client, b"mg %s N100 v" % key) == b"VA 0 W: "
            assert read(client, key) == b"VA 0 f0 Z: "


def test_eviction_shows_no_item_without_its_marks(start):
    """Every item is stale, and its flags tell its value."""
    server = start(config={"maxmemory-policy": "allkeys-lru"})
    redis = server.resp()
    count = 5000
    with server.connect() as client:
        client.send(b"".join(b"ms k%d 200 q F%d\r\n%0200d\r\nmd k%d I q\r\n" % (i, i + 1, i + 1, i) for i in range(count)) + b"mn\r\n")
        assert client.read_line() == b"MN"
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - count * 150)
        seen = 0
        for i in range(count):
            answer = read(client, b"k%d" % i)
            if answer != b"EN":
                seen += 1
                assert answer in (b"VA 200 f%d %s: %0200d" % (i + 1, marks, i + 1) for marks in (b"X W", b"Z X")), answer
    assert redis.info("stats")["evicted_keys"] > 0 and seen < count


# Who wins

PRIZES = {  # how an item is prepared, and what its readers ask
    "stale": (b"ms %s 1 q\r\nx\r\nmd %s I q\r\n", b"mg %s v q"),
    "stale, refreshed in time": (b"ms %s 1 q\r\nx\r\nmd %s I q T1000\r\n", b"mg %s v q R30"),
    "about to expire": (b"ms %s 1 q T20\r\nx\r\nmg %s q\r\n", b"mg %s v q R30"),
    "missing": (b"md %s q\r\nmd %s q\r\n", b"mg %s v N30"),
}


@IO_THREADS
@pytest.mark.parametrize("prepare, asked", PRIZES.values(), ids=PRIZES)
def test_one_reader_wins(start, io_threads, prepare, asked):
    server = start(io_threads=io_threads)
    rounds, readers = 300, 4
    keys = [b"k%d" % i for i in range(rounds)]
    with server.connect() as client:
        client.send(b"".join(prepare % (key, key) for key in keys))
        client.talk(b"")
    connections = [server.connect() for _ in range(readers)]
    gate = threading.Barrier(readers)
    winners = {key: 0 for key in keys}
    losers = dict(winners)
    failures = []

    def run(connection):
        try:
            gate.wait()
            for begin in range(0, rounds, 30):
                for key in keys[begin:begin + 30]:
                    connection.send((asked % key) + b" k\r\n")
                for key in keys[begin:begin + 30]:
                    words = connection.read_line().split()
                    connection.read_exactly(int(words[1]) + 2)
                    assert b"k" + key in words
                    (winners if b"W" in words else losers)[key] += 1
                    assert (b"W" in words) != (b"Z" in words), words
        except Exception as failure:  # told in the test's own thread
            failures.append(failure)
    threads = [threading.Thread(target=run, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert not failures, failures
    assert set(winners.values()) == {1} and set(losers.values()) == {readers - 1}


# Where the engine takes no writes

@IO_THREADS
def test_a_pause_parks_what_would_mark_and_lets_other_reads_go_on(start, io_threads):
    server = start(io_threads=io_threads)
    redis = server.resp()
    make_items(server)
    waiting = {b"mg stale v f": b"VA 3 f5 X W: old", b"mg missing N30 v": b"VA 0 W: ", b"mg timed R30 v": b"VA 3 X W: old",
               b"md plain I": b"HD", b"ma counter v": b"VA 2: 18", b"ma fresh N0 J5 v": b"VA 1: 5"}
    redis.execute_command("CLIENT", "PAUSE", 100000, "WRITE")
    parked = {line: server.connect() for line in waiting}
    for line, connection in parked.items():
        connection.send(b"mg won v\r\n" + line + b"\r\nmg won v\r\n")
        assert read_answer(connection) == b"VA 3 Z X: old"  # what stands before it is answered
    binary_client = server.connect()
    binary_client.send(binary.count(binary.INCR, b"of binary", 1, 9, 60).render())
    with server.connect() as client:
        for _ in range(200):
            assert read(client, b"won") == b"VA 3 f5 Z X: old"
            assert ask(client, b"mg plain c") == b"HD c%d" % TOKEN
            assert ask(client, b"mg nothing v") == b"EN"
            assert client.get("vivified") == (b"", 0)
    assert not any(connection.has_input() for connection in [*parked.values(), binary_client])
    redis.execute_command("CLIENT", "UNPAUSE")
    for line, connection in parked.items():
        assert read_answer(connection) == waiting[line]
        assert read_answer(connection) == b"VA 3 Z X: old"
        connection.close()
    assert binary.read_packet(binary_client).value == b"\0" * 7 + b"\x09"
    binary_client.close()


def test_with_too_few_replicas_nobody_wins(start):
    server = start(config={"min-replicas-to-write": "0"})
    redis = server.resp()
    make_items(server)
    redis.config_set("min-replicas-to-write", 1)
    digest = server.digest()
    check_items_where_nobody_wins(server)
    with server.connect() as client, server.connect() as other:
        for line in (b"mg missing N30", b"mg plain T30", b"mg stale R30", b"md stale I", b"ma counter", b"ma fresh N0"):
            assert ask(client, line).startswith(b"SERVER_ERROR NOREPLICAS"), line
        assert ask(client, b"ms plain 1 q", b"1").startswith(b"SERVER_ERROR NOREPLICAS")
        assert binary.ask(other, binary.count(binary.INCRQ, b"fresh", 1, 5, 0))[0].status == 0x86
    assert server.digest() == digest
    redis.config_set("min-replicas-to-write", 0)
    check_items(server)


def test_over_maxmemory_what_would_make_an_item_is_refused(start):
    server = start(config={"maxmemory-policy": "noeviction"})
    redis = server.resp()
    make_items(server)
    redis.config_set("maxmemory", 1)
    with server.connect() as client, server.connect() as other:
        assert ask(client, b"mg missing N30 v") == b"SERVER_ERROR out of memory"
        assert ask(client, b"ma missing N30 v") == b"SERVER_ERROR out of memory"
        assert ask(client, b"ms missing 1 q", b"1") == b"SERVER_ERROR out of memory storing object"
        assert binary.ask(other, binary.count(binary.INCRQ, b"missing", 1, 5, 0))[0].status == 0x82
        assert binary.ask(other, binary.store(binary.SETQ, b"missing", b"5"))[0].status == 0x82
        assert not redis.exists("missing")
        assert read(client, b"stale") == b"VA 3 f5 Z X: old"  # its reader could not store what he is sent for
    redis.config_set("maxmemory", 0)
    check_items(server)
    redis.config_set("maxmemory", 1)
    with server.connect() as client:
        assert ask(client, b"md plain") == b"HD" and read(client, b"plain") == b"EN"


# Tokens that clients choose

ENDS_OF_A_TOKEN = {
    "SET": lambda redis: redis.set("k", "other"),
    "SET of the same": lambda redis: redis.set("k", "value"),
    "APPEND": lambda redis: redis.append("k", "x"),
    "SETRANGE of the same": lambda redis: redis.setrange("k", 0, "v"),
    "a script": lambda redis: redis.eval("redis.call('set', KEYS[1], 'x')", 1, "k"),
    "DEL and SET": lambda redis: (redis.delete("k"), redis.set("k", "value")),
    "FLUSHALL": lambda redis: (redis.flushall(), redis.set("k", "value")),
    "FLUSHDB in a transaction": lambda redis: redis.pipeline().flushdb().set("k", "value").execute(),
    "RENAME there and back": lambda redis: (redis.rename("k", "j"), redis.rename("j", "k")),
    "SWAPDB": lambda redis: (redis.swapdb(0, 1), redis.set("k", "value")),
    "SWAPDB twice": lambda redis: (redis.swapdb(0, 1), redis.swapdb(0, 1)),
    "MOVE there and back": lambda redis: (redis.move("k", 1), redis.swapdb(0, 1)),
    "DEBUG RELOAD": lambda redis: redis.execute_command("DEBUG", "RELOAD"),
}


def assert_token_is_refused(server, token):
    """By everything that compares, and by no mark of it either."""
    with server.connect() as client, server.connect() as other:
        assert ask(client, b"ms k 1 C%d" % token, b"x") == b"EX"
        assert ask(client, b"ms k 1 MR C%d" % token, b"x") == b"EX"
        assert ask(client, b"ms k 1 MA C%d" % token, b"x") == b"EX"
        assert ask(client, b"md k C%d" % token) == b"EX" and ask(client, b"md k I C%d" % token) == b"EX"
        assert ask(client, b"ma k C%d" % token) == b"EX"
        assert client.cas("k", b"x", token) == b"EXISTS"
        for frame in (binary.store(binary.SET, b"k", b"x", cas=token), binary.store(binary.REPLACEQ, b"k", b"x", cas=token),
                      binary.Frame(binary.APPEND, b"k", value=b"x", cas=token), binary.Frame(binary.DELETE, b"k", cas=token),
                      binary.Frame(binary.PREPENDQ, b"k", value=b"x", cas=token),
                      binary.Frame(binary.DELETEQ, b"k", cas=token), binary.count(binary.INCR, b"k", 1, cas=token)):
            assert binary.ask(other, frame)[0].status == 2, frame
        assert ask(client, b"mg k C%d v" % token).startswith(b"VA ")  # not the one whose value is known


@pytest.mark.parametrize("token", [1, TOKEN, 2**63, 2**64 - 1])
@pytest.mark.parametrize("end", ENDS_OF_A_TOKEN.values(), ids=ENDS_OF_A_TOKEN)
def test_a_chosen_token_ends_with_its_content(server, client, redis, end, token):
    assert ask(client, b"ms k 5 E%d" % token, b"value") == b"HD"
    assert ask(client, b"mg k c") == b"HD c%d" % token
    end(redis)
    assert_token_is_refused(server, token)


@pytest.mark.parametrize("how", RESTARTS)
def test_a_chosen_token_ends_with_the_server(start, how):
    server = start(config=RESTARTS[how])
    with server.connect() as client:
        assert ask(client, b"ms k 5 c E%d" % TOKEN, b"value") == b"HD c%d" % TOKEN
    restart(server, how.replace(", then changes", ""))
    assert_token_is_refused(server, TOKEN)


def test_a_chosen_token_ends_with_its_primary(start):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    with primary.connect() as client:
        assert ask(client, b"ms k 5 c E%d" % TOKEN, b"value") == b"HD c%d" % TOKEN
    servers.wait_replica(primary, replica)
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    assert_token_is_refused(replica, TOKEN)
    with primary.connect() as client:  # the old one follows, and is promoted again
        primary.resp().execute_command("REPLICAOF", "127.0.0.1", replica.port)
        wait_until(lambda: primary.resp().info("replication")["master_link_status"] == "up", "the link")
        servers.wait_replica(replica, primary)
        assert ask(client, b"mg k c") != b"HD c%d" % TOKEN
        primary.resp().execute_command("REPLICAOF", "NO", "ONE")
    assert_token_is_refused(primary, TOKEN)


def test_tokens_behind_a_chosen_one_are_not_given_again_by_the_next_server(start):
    """A client that makes its tokens of the content chooses the same one again when it fills the cache anew."""
    server = start(config={"save": "3600 1"})
    tokens = []
    for _ in range(2):
        with server.connect() as client:
            far = (1 << 60) + (1 << 59) + (1 << 58)  # in the years to come, as nanoseconds
            assert ask(client, b"ms leap 1 c E%d" % far, b"x") == b"HD c%d" % far
            tokens.append([ask(client, b"ms k 1 c", b"%d" % i) for i in range(5)])
        server.shutdown_saving()
        server.restart()
    assert not set(tokens[0]) & set(tokens[1])


def test_tokens_of_a_promoted_replica_are_later_than_its_primarys(start):
    """Though its clock began earlier."""
    replica = start()
    primary = start()
    replica.resp().execute_command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "up", "the link")
    with primary.connect() as client:
        client.set("k", b"v")
        token = client.token("k")
    servers.wait_replica(primary, replica)
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")
    with replica.connect() as client:
        assert client.token("k") > token


# Binary

def test_counters_of_binary_are_plain_numbers_with_their_ttl(start):
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    redis = server.resp()
    with server.connect() as client:
        [packet] = binary.ask(client, binary.count(binary.INCR, b"n", 5, 2**64 - 3, 1000))
        assert packet.value == (2**64 - 3).to_bytes(8, "big") and packet.cas
        assert redis.get("n") == b"18446744073709551613" and 990 < redis.ttl("n") <= 1000
        [packet] = binary.ask(client, binary.count(binary.INCR, b"n", 5, 77, 5))
        assert packet.value == (2).to_bytes(8, "big") and redis.get("n") == b"2" and redis.ttl("n") > 990
        assert binary.ask(client, binary.count(binary.DECR, b"absent", 5))[0].status == 1
        assert binary.talk(client, binary.count(binary.DECRQ, b"m", 1, 40, 0).render() * 3) == []
        assert redis.get("m") == b"38" and redis.ttl("m") == -1
    server.kill()
    server.restart()
    redis = server.resp()
    assert redis.get("n") == b"2" and 900 < redis.ttl("n") <= 1000 and redis.get("m") == b"38"


def test_touch_and_gat_of_binary_tell_flags_and_set_the_ttl(start):
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    with server.connect() as client:
        assert binary.ask(client, binary.store(binary.SET, b"k", b"v", 2**32 - 1))[0].status == 0
        for opcode in (binary.TOUCH, binary.GAT, binary.GATQ, binary.GATK, binary.GATKQ):
            server.resp().persist("k")
            [packet] = binary.ask(client, binary.touch(opcode, b"k", 500))
            assert packet.extras == b"\xff" * 4 and 490 < server.resp().ttl("k") <= 500
            assert packet.value == (b"" if opcode == binary.TOUCH else b"v")
            assert packet.key == (b"k" if opcode in (binary.GATK, binary.GATKQ) else b"")
    server.kill()
    server.restart()
    with server.connect() as client:
        [packet] = binary.ask(client, binary.Frame(binary.GET, b"k"))
        assert (packet.extras, packet.value) == (b"\xff" * 4, b"v") and 400 < server.resp().ttl("k") <= 500


def test_tokens_of_binary_on_delete_and_append(client, redis):
    def token():
        return binary.ask(client, binary.Frame(binary.GET, b"k"))[0].cas
    client.send(b"")
    assert binary.ask(client, binary.store(binary.SET, b"k", b"v", 3))[0].cas == token()
    appended = binary.ask(client, binary.Frame(binary.APPEND, b"k", value=b"w", cas=token()))[0]
    assert appended.status == 0 and appended.cas == token() and redis.get("k") == b"vw"
    held = token()
    redis.append("k", "x")
    assert [binary.ask(client, binary.Frame(opcode, b"k", value=value, cas=held))[0].status for opcode, value in
            ((binary.APPEND, b"!"), (binary.APPENDQ, b"!"), (binary.DELETE, b""), (binary.DELETEQ, b""))] == [2] * 4
    assert redis.get("k") == b"vwx"
    assert binary.ask(client, binary.Frame(binary.DELETE, b"k", cas=token()))[0].status == 0 and not redis.exists("k")


@IO_THREADS
def test_quiet_pipelines_of_binary_keep_their_order(start, io_threads):
    """Of a thousand quiet requests only what failed, and what hit, is answered, in order and with its opaque."""
    server = start(io_threads=io_threads)
    server.resp().rpush("list", "x")
    data, expected = b"", []
    for i in range(1000):
        key = b"k%d" % (i % 50)
        steps = [(binary.store(binary.SETQ, key, b"%d" % i, i), None),
                 (binary.Frame(binary.GETKQ, key), (binary.GETKQ, 0, b"%d" % i)),
                 (binary.Frame(binary.GETQ, b"missing"), None),
                 (binary.store(binary.ADDQ, key, b"x"), (binary.ADDQ, 2, b"Data exists for key.")),
                 (binary.count(binary.INCRQ, b"list", 1), (binary.INCRQ, 1, b"Not found")),
                 (binary.Frame(binary.DELETEQ, key, cas=1), (binary.DELETEQ, 2, b"Data exists for key.")),
                 (binary.Frame(binary.APPENDQ, key, value=b"!"), None),
                 (binary.touch(binary.GATQ, key, 1000), (binary.GATQ, 0, b"%d!" % i))]
        for number, (frame, answer) in enumerate(steps):
            data += frame.render(opaque=i * 10 + number)
            expected += [(i * 10 + number, *answer)] if answer else []
    with server.connect() as client:
        sender = client.send_in_background(data + binary.Frame(binary.NOOP).render(opaque=2**32 - 1))
        packets = []
        while not packets or packets[-1].opcode != binary.NOOP:
            packets.append(binary.read_packet(client))
        sender.join()
    assert [(packet.opaque, packet.opcode, packet.status, packet.value) for packet in packets[:-1]] == expected
    assert not [name for name in server.resp().scan_iter() if name.startswith(LEDGER_PREFIX) and server.resp().ttl(name) != -1]
