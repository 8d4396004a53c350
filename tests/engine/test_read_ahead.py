"""Reads that come one behind the other open their keys ahead. Nobody may notice but by the clock: whatever the keys are, and
whatever changes between the reads, each answer is the one that the same read would get alone."""
import random
import threading

import pytest

from lib.engine_ledger import diglot_get, ledger_of
from lib.waiting import wait_until


@pytest.fixture
def redis(server):
    return server.resp()


def hit(key, value, flags=0):
    return b"VALUE %s %d %d\r\n%s\r\n" % (key, flags, len(value), value)


def put_all_kinds(client, redis):
    """Keys of every kind that a read may meet, more than are opened ahead at once. Returns {key: (value, flags)} of the hits."""
    hits = {b"empty": (b"", 0), b"short": (b"s", 0), b"number": (b"42", 0), b"large": (b"l" * 100000, 0)}
    for i in range(40):
        hits[b"item%d" % i] = (b"value %d" % i * (i + 1), i % 3 * 7)
    for key, (value, flags) in hits.items():
        client.set(key, value, flags)
    redis.set("counter", 7)
    redis.incr("counter")
    redis.set("embedded", "x" * 30)
    redis.hset("hash", "field", "value")
    redis.rpush("list", "value")
    return {**hits, b"counter": (b"8", 0), b"embedded": (b"x" * 30, 0)}


def test_keys_of_all_kinds_in_one_line(client, redis):
    hits = put_all_kinds(client, redis)
    keys = [*hits, *(b"absent%d" % i for i in range(10)), b"hash", b"list"]
    for seed in range(20):
        random.Random(seed).shuffle(keys)
        expected = b"".join(hit(key, *hits[key]) for key in keys if key in hits)
        assert client.talk(b"get " + b" ".join(keys) + b"\r\n") == expected + b"END\r\n"


def test_one_key_many_times(client):
    client.set("a", b"1", flags=3)
    client.set("b", b"2")
    line = b"get " + b"a a b absent " * 50 + b"\r\n"
    assert client.talk(line) == (hit(b"a", b"1", 3) * 2 + hit(b"b", b"2")) * 50 + b"END\r\n"


def test_a_key_that_expires_between_two_reads_of_it(client, redis):
    """Opening it the second time removes what the first one found."""
    line = b"get " + b"k other " * 400 + b"\r\n"
    client.set("other", b"o")
    for milliseconds in range(1, 30):
        redis.set("k", "v" * 100, px=milliseconds % 3 + 1)
        answer = client.talk(line)
        count = answer.count(b"VALUE k ")
        assert answer.replace(hit(b"k", b"v" * 100), b"") == hit(b"other", b"o") * 400 + b"END\r\n"
        assert count == 400 or count * len(hit(b"k", b"v" * 100)) == len(answer) - 400 * len(hit(b"other", b"o")) - 5


def test_expired_keys_are_misses_and_go(client, redis):
    redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    try:
        for i in range(50):
            client.set(f"k{i}", b"v", flags=i)
            if i % 2:
                redis.pexpire(f"k{i}", 1)
        wait_until(lambda: redis.exists("k1") == 0, "a key to expire")
        wait_until(lambda: not any(redis.pttl(f"k{i}") >= 0 for i in range(50)), "all keys to expire")
        found = client.fetch(b"get " + b" ".join(b"k%d" % i for i in range(50)))
        assert found == {b"k%d" % i: (b"v", i, None) for i in range(0, 50, 2)}
        assert redis.dbsize() == 25 + len(redis.keys("diglot:flags:*"))
        for i in range(1, 50, 2):
            redis.set(f"k{i}", "new")
        found = client.fetch(b"get " + b" ".join(b"k%d" % i for i in range(50)))
        assert found == {b"k%d" % i: (b"new", 0, None) if i % 2 else (b"v", i, None) for i in range(50)}
    finally:
        redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)


@pytest.mark.parametrize("loss", ["expires", "is deleted", "is overwritten"])
def test_a_ledger_that_is_lost_before_the_reads(client, redis, loss):
    """What its loss leaves to be written is written between the reads."""
    keys = [b"{s%d}%d" % (i % 4, i) for i in range(40)]
    for i, key in enumerate(keys):
        client.set(key, b"v", flags=i + 1)
    name = ledger_of(redis, b"{s1}")
    if loss == "expires":
        redis.pexpire(name, 1)
        wait_until(lambda: redis.exists(name) == 0, "the ledger to expire")
    elif loss == "is deleted":
        redis.delete(name)
    else:
        redis.set(name, "garbage")
    found = client.fetch(b"get " + b" ".join(keys))
    assert found == {key: (b"v", i + 1, None) for i, key in enumerate(keys) if i % 4 != 1}


def test_a_ledgers_own_name_among_the_keys(client, redis):
    client.set("{s}a", b"1", flags=5)
    client.set("{s}b", b"2", flags=6)
    name = ledger_of(redis, b"{s}")
    line = b"get {s}a " + name + b" {s}b " + name + b" {s}a\r\n"
    expected = hit(b"{s}a", b"1", 5) + hit(b"{s}b", b"2", 6) + hit(b"{s}a", b"1", 5) + b"END\r\n"
    assert client.talk(line) == expected
    redis.pexpire(name, 1)
    wait_until(lambda: redis.exists(name) == 0, "the ledger to expire")
    assert client.talk(line) == b"END\r\n"


def test_with_a_key_prefix(start):
    server = start(key_prefix="app:")
    redis = server.resp()
    with server.connect() as client:
        for i in range(40):
            client.set(f"k{i}", b"ours%d" % i, flags=i)
            redis.set(f"k{i}", "not ours")
        assert diglot_get(redis, "app:k7") == (b"ours7", 7)
        found = client.fetch(b"get " + b" ".join(b"k%d" % i for i in range(45)))
        assert found == {b"k%d" % i: (b"ours%d" % i, i, None) for i in range(40)}


def test_each_add_of_a_pipeline_has_its_own_key_with_a_prefix(start):
    """An add that finds its item opens it twice; the second time the next one's key is open already."""
    server = start(key_prefix="app:")
    redis = server.resp()
    with server.connect() as client:
        client.set("there", b"old", flags=7)
        adds = b"".join(b"add %s 0 0 3\r\nnew\r\n" % key for key in (b"first", b"there", b"absent"))
        assert client.talk(adds) == b"STORED\r\nNOT_STORED\r\nSTORED\r\n"
        assert redis.mget("app:there", "app:absent") == [b"old", b"new"]
        assert diglot_get(redis, "app:there") == (b"old", 7)


def test_with_a_db(start):
    server = start(db=5)
    redis = server.resp()
    with server.connect() as client:
        for i in range(40):
            client.set(f"k{i}", b"five", flags=i)
            redis.set(f"k{i}", "zero")
        found = client.fetch(b"get " + b" ".join(b"k%d" % i for i in range(40)))
        assert found == {b"k%d" % i: (b"five", i, None) for i in range(40)}


class Model:
    """What a few keys hold, and what each request is answered with."""

    def __init__(self):
        self.items = {}

    def get(self, keys):
        return b"".join(hit(key, *self.items[key]) for key in keys if key in self.items) + b"END\r\n"

    def set(self, key, value, flags):
        self.items[key] = (value, flags)
        return b"STORED\r\n"

    def append(self, key, value):
        if key not in self.items:
            return b"NOT_STORED\r\n"
        self.items[key] = (self.items[key][0] + value, self.items[key][1])
        return b"STORED\r\n"

    def delete(self, key):
        return b"DELETED\r\n" if self.items.pop(key, None) else b"NOT_FOUND\r\n"


@pytest.mark.parametrize("seed", range(10))
def test_reads_among_writes_keep_their_order(client, seed):
    chance, model = random.Random(seed), Model()
    names = [b"key%d" % i for i in range(8)]
    for _ in range(20):
        requests, answers = b"", b""
        for number in range(100):
            key, value = chance.choice(names), b"%d" % number * chance.randrange(1, 30)
            kind = chance.randrange(12)
            if kind == 0:
                flags = chance.choice([0, 0, 9])
                requests += b"set %s %d 0 %d\r\n%s\r\n" % (key, flags, len(value), value)
                answers += model.set(key, value, flags)
            elif kind == 1:
                requests += b"append %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)
                answers += model.append(key, value)
            elif kind == 2:
                requests += b"delete %s\r\n" % key
                answers += model.delete(key)
            else:
                keys = chance.choices(names, k=chance.choice([1, 1, 1, 3, 20]))
                requests += b"get " + b" ".join(keys) + b"\r\n"
                answers += model.get(keys)
        assert client.talk(requests) == answers


def put_twins(redis, kinds):
    """Keys of every kind that a write may meet, each twice: one for the pipeline, one for the single requests."""
    for i, kind in enumerate(kinds):
        for twin in "ps":
            key = f"{twin}{i}"
            if kind == "hash":
                redis.hset(key, "field", "value")
            elif kind == "expired":
                redis.set(key, "5", px=1)
            elif kind != "absent":
                redis.set(key, {"number": "7", "short": "x", "long": "x" * 300, "empty": ""}[kind], ex=1000 if i % 3 == 0 else None)


def writes_of(chance, count, key_count):
    """Requests that answer with lines alone, and what gets behind them would tell; %s is the twin."""
    for number in range(count):
        key, value = chance.randrange(key_count), b"%d" % number * chance.choice([1, 1, 5, 40])
        flags, exptime = chance.choice([0, 0, 0, 9]), chance.choice([0, 0, 500, -1])
        verb = chance.choice([b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend", b"incr", b"decr", b"delete",
                              b"touch", b"get"])
        if verb in (b"incr", b"decr"):
            yield b"%s %%s%d 3\r\n" % (verb, key)
        elif verb == b"touch":
            yield b"touch %%s%d %d\r\n" % (key, exptime)
        elif verb in (b"delete", b"get"):
            yield b"%s %%s%d\r\n" % (verb, key)
        else:
            yield b"%s %%s%d %d %d %d\r\n%s\r\n" % (verb, key, flags, exptime, len(value), value)


def state_of(redis, twin, count):
    """What RESP sees, and the flags."""
    state = []
    for i in range(count):
        key = f"{twin}{i}"
        kind = redis.type(key)
        value = redis.get(key) if kind == b"string" else None
        flags = diglot_get(redis, key)[1] if kind == b"string" else None
        state.append((kind, value, flags, redis.ttl(key) >= 0))
    return state


@pytest.mark.parametrize("seed", range(6))
def test_writes_in_a_pipeline_do_what_they_do_alone(client, redis, seed):
    chance, count = random.Random(seed), [3, 20, 60][seed % 3]
    put_twins(redis, [chance.choice(["number", "short", "long", "empty", "hash", "expired", "absent"]) for _ in range(count)])
    wait_until(lambda: all(redis.pttl(f"{twin}{i}") > 100 or redis.ttl(f"{twin}{i}") < 0 for twin in "ps" for i in range(count)),
               "the keys to expire")
    for _ in range(10):
        requests = list(writes_of(chance, 120, count))
        together = client.talk(b"".join(request.replace(b"%s", b"p", 1) for request in requests))
        alone = b"".join(client.talk(request.replace(b"%s", b"s", 1)) for request in requests)
        assert together.replace(b"VALUE p", b"VALUE s") == alone
        assert state_of(redis, "p", count) == state_of(redis, "s", count)


# Long enough for every connection to have sent its requests when the loop goes on.
BUSY_SCRIPT = "for i = 1, 4e6 do end return 1"


@pytest.mark.parametrize("seed", range(3))
def test_requests_of_many_connections_in_one_turn_do_what_they_do_alone(connect, client, redis, seed):
    """Each connection has keys of its own, and the keys of all are opened ahead together."""
    chance, count = random.Random(seed), 40
    connections = [connect() for _ in range(count)]
    put_twins(redis, [chance.choice(["number", "short", "long", "empty", "hash", "absent"]) for _ in range(count)])
    for _ in range(4):
        asked, answers = [b""] * count, [b""] * count
        for request in writes_of(chance, 80, count):
            alone = request.replace(b"%s", b"s", 1)
            number = int(alone.split()[1][1:])
            asked[number] += request.replace(b"%s", b"p", 1)
            answers[number] += client.talk(alone).replace(b"VALUE s", b"VALUE p")
        busy = threading.Thread(target=redis.eval, args=(BUSY_SCRIPT, 0))
        busy.start()
        for connection, requests in zip(connections, asked):
            connection.send(requests)
        for connection, answer in zip(connections, answers):
            assert connection.read_exactly(len(answer)) == answer
        busy.join()
        assert state_of(redis, "p", count) == state_of(redis, "s", count)
