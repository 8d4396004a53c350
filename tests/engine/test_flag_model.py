"""Random interleavings of RESP and memcached commands, with ledgers lost in between, against a model: a miss is allowed
behind the loss of a ledger, a wrong flag, mark or value never.

DIGLOT_MODEL_ROUNDS sets how many bursts each run takes, DIGLOT_MODEL_SEED where it begins."""
import os
import random

import pytest

from lib.engine_ledger import LEDGER_PREFIX, key_slot
from lib.engine_model import ABSENT, HASH, LOST, Item, Model, Wrong, is_number, memcached_view

ROUNDS = int(os.environ.get("DIGLOT_MODEL_ROUNDS", "250"))
SEED = int(os.environ.get("DIGLOT_MODEL_SEED", "1"))
DBS = (0, 1)
KEYS = [b"{%s}%d" % (tag, i) for tag in (b"a", b"b", b"c") for i in range(4)]
FLAGS = [0, 0, 1, 2, 3, 65536, 2**32 - 1]
OK = (b"OK", True)


class Player:
    """Draws operations, performs them in bursts, and tells the model what was answered. An operation is what is sent and
    a function that takes the reply."""

    def __init__(self, server, seed, uses_losses=True):
        self.random = random.Random(seed)
        self.pick = self.random.choice
        self.resp = server.resp_connection()
        self.redis = server.resp()
        self.client = server.connect()
        self.model = Model()
        self.db = 0  # of the RESP connection
        self.uses_losses = uses_losses
        self.history = []

    def close(self):
        self.resp.close()
        self.client.close()

    def value(self):
        return self.pick([b"%d" % self.random.randrange(100), b"%d" % self.random.randrange(100), b"text%d" % self.random.randrange(1000),
                          b"", b"long" * 50])

    def play(self, rounds):
        try:
            for _ in range(rounds):
                self.burst()
                self.look()
        except AssertionError as wrong:
            raise AssertionError(f"{wrong}\nlast operations:\n  " + "\n  ".join(self.history[-60:])) from None

    def burst(self):
        kind = self.pick(["resp", "resp", "transaction", "memcached", "memcached", "both"])
        if kind == "memcached":
            self.burst_memcached()
        elif kind == "both":
            self.burst_resp(False)
            self.burst_memcached()
        else:
            self.burst_resp(kind == "transaction")

    # RESP

    def burst_resp(self, is_transaction):
        """Several commands in one packet. The ledgers there now may be lost in it."""
        ledgers = {db: [] for db in DBS}
        for db in DBS:
            self.call("SELECT", db)
            ledgers[db] = self.call("KEYS", LEDGER_PREFIX + b"*")
        self.call("SELECT", self.db)
        operations = [self.draw_resp(ledgers) for _ in range(self.random.randint(1, 6))]
        if is_transaction:
            self.history.append("MULTI")
            self.resp.send("MULTI")
        for words, _ in operations:
            self.history.append(repr(words))
            self.resp.send(*words)
        if is_transaction:
            self.history.append("EXEC")
            self.resp.send("EXEC")
            for _ in range(len(operations) + 1):
                assert not isinstance(self.resp._read(), Exception)
            replies = self.resp._read()
        else:
            replies = [self.resp._read() for _ in operations]
        self.model.begin_turn()
        for (words, take), reply in zip(operations, replies):
            self.history.append(f"   {words!r:.60} -> {reply!r:.80}")
            take("error" if isinstance(reply, Exception) else reply)

    def call(self, *words):
        return self.resp.call(*words)

    def draw_resp(self, ledgers):
        make = self.pick([self.resp_set, self.resp_set, self.resp_delete, self.resp_append, self.resp_append, self.resp_incr,
                          self.resp_rename, self.resp_rename, self.resp_copy, self.resp_copy, self.resp_move, self.resp_move,
                          self.resp_getset, self.resp_hash, self.resp_expire, self.resp_setrange, self.resp_select,
                          self.resp_diglot_set, self.resp_diglot_get, self.resp_script]
                         + [self.resp_flush, self.resp_swap] * (self.random.random() < 0.15)
                         + [self.resp_lose] * 3 * self.uses_losses)
        return make(ledgers) if make == self.resp_lose else make()

    def place(self, db=None):
        return (self.db if db is None else db, self.pick(KEYS))

    def one(self, place, words, step):
        return words, lambda reply: self.model.update(place, reply, step, words)

    def resp_set(self):
        place, value = self.place(), self.value()
        mode = self.pick([[], [], ["NX"], ["XX"], ["KEEPTTL"]])

        def step(state):
            stores = not mode or mode == ["KEEPTTL"] or (state is ABSENT) == (mode == ["NX"])
            return [(b"OK", Item(value, 0))] if stores else [(None, state)]
        return self.one(place, ["SET", place[1], value, *mode], step)

    def resp_delete(self):
        place = self.place()
        return self.one(place, [self.pick(["DEL", "UNLINK"]), place[1]], lambda state: [(int(state is not ABSENT), ABSENT)])

    def resp_expire(self):
        place = self.place()
        return self.one(place, ["PEXPIRE", place[1], "-1"], lambda state: [(int(state is not ABSENT), ABSENT)])

    def resp_append(self):
        place, value = self.place(), self.value()

        def step(state):
            if state == HASH:
                return [("error", HASH)]
            joined = state._replace(value=state.value + value) if state else Item(value, 0)
            return [(len(joined.value), joined)]
        return self.one(place, ["APPEND", place[1], value], step)

    def resp_setrange(self):
        place = self.place()

        def step(state):
            if state == HASH:
                return [("error", HASH)]
            value = b"##" + (state.value[2:] if state else b"")
            return [(len(value), state._replace(value=value) if state else Item(value, 0))]
        return self.one(place, ["SETRANGE", place[1], "0", "##"], step)

    def resp_incr(self):
        place = self.place()

        def step(state):
            if state == HASH or (state and not self.counts_over_resp(state.value)):
                return [("error", state)]
            number = int(state.value) + 5 if state else 5
            value = b"%d" % number
            return [(number, state._replace(value=value) if state else Item(value, 0))]
        return self.one(place, ["INCRBY", place[1], "5"], step)

    @staticmethod
    def counts_over_resp(value):
        return is_number(value) and (value == b"0" or not value.startswith(b"0"))

    def resp_getset(self):
        place, value = self.place(), self.value()

        def step(state):
            return [("error", HASH)] if state == HASH else [(state.value if state else None, Item(value, 0))]
        return self.one(place, ["GETSET", place[1], value], step)

    def resp_hash(self):
        place = self.place()
        return self.one(place, ["HSETNX", place[1], "f", "v"],
                        lambda state: [("error", state)] if isinstance(state, Item) else [(int(state is ABSENT), HASH)])

    def resp_rename(self):
        source, target = self.place(), self.place()
        if source == target:
            target = (source[0], next(key for key in KEYS if key != source[1]))
        words = ["RENAME", source[1], target[1]]

        def step(a, b):
            return [("error", a, b)] if a is ABSENT else [(b"OK", ABSENT, a)]
        return words, lambda reply: self.model.carry(source, target, reply, step, words)

    def resp_move(self):
        source = self.place()
        target = (1 - source[0], source[1])
        words = ["MOVE", source[1], target[0]]

        def step(a, b):
            return [(0, a, b)] if a is ABSENT or b is not ABSENT else [(1, ABSENT, a)]
        return words, lambda reply: self.model.carry(source, target, reply, step, words)

    def resp_copy(self):
        """The source of a copy that is not the only one announced may be unknown: then the copy is a miss."""
        source = self.place()
        target = self.place(self.pick(DBS))
        if source == target:
            target = (source[0], next(key for key in KEYS if key != source[1]))
        replaces = self.random.random() < 0.5
        words = ["COPY", source[1], target[1]] + (["DB", target[0]] if target[0] != source[0] else []) + ["REPLACE"] * replaces

        def step(a, b):
            if a is ABSENT or (b is not ABSENT and not replaces):
                return [(0, a, b)]
            return [(1, a, a)] + ([(1, a, Item(a.value, LOST))] if isinstance(a, Item) else [])
        return words, lambda reply: self.model.carry(source, target, reply, step, words)

    def resp_select(self):
        self.db = self.pick(DBS)
        return ["SELECT", self.db], lambda reply: None

    def resp_diglot_set(self):
        place, value, flags = self.place(), self.value(), self.pick(FLAGS)
        return self.one(place, ["DIGLOT.SET", place[1], value, "FLAGS", flags], lambda state: [(b"OK", Item(value, flags))])

    def resp_diglot_get(self):
        place = self.place()
        words = ["DIGLOT.GET", place[1]]

        def take(reply):
            seen = tuple(reply[:2]) if isinstance(reply, list) else reply
            self.model.update(place, seen, lambda state: [("error" if state == HASH else memcached_view(state), state)], words)
        return words, take

    def resp_script(self):
        source, target = self.place(), self.place()
        value = self.value()
        if source == target:
            return self.one(source, ["EVAL", "redis.call('DEL', KEYS[1]); return redis.call('APPEND', KEYS[1], ARGV[1])", "1", source[1], value],
                            lambda state: [(len(value), Item(value, 0))])
        words = ["EVAL", "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('DEL', KEYS[2])", "2", source[1], target[1], value]
        return words, lambda reply: self.model.update_two(
            source, target, reply, lambda a, b: [(int(b is not ABSENT), Item(value, 0), ABSENT)], words)

    def resp_flush(self):
        words = self.pick([["FLUSHDB"], ["FLUSHALL"], ["FLUSHDB", "ASYNC"]])
        db = None if words == ["FLUSHALL"] else self.db
        return words, lambda reply: self.model.flush(db)

    def resp_swap(self):
        return ["SWAPDB", "0", "1"], lambda reply: self.model.swap(0, 1)

    def resp_lose(self, ledgers):
        """Does something to a ledger, if it is still there when its turn comes."""
        if not ledgers[self.db]:
            return self.resp_set()
        db, name = self.db, self.pick(ledgers[self.db])
        places = [(db, key) for key in KEYS if key_slot(key) == key_slot(name)]
        words = self.pick([["DEL", name], ["DEL", name], ["SET", name, b"garbage"], ["RENAME", name, b"kept"], ["PEXPIRE", name, "-1"],
                           ["SET", name, b"\0" * 48], ["APPEND", name, b"x"], ["HSET", name, "f", "v"]])
        return words, lambda reply: self.model.lose_slot(places)

    # memcached

    def burst_memcached(self):
        operations = [self.draw_memcached() for _ in range(self.random.randint(1, 6))]
        self.history.extend(repr(request) for request, _ in operations)
        self.client.send(b"".join(request for request, _ in operations))
        for request, take in operations:
            reply = self.read_answer()
            self.history.append(f"   {request!r:.60} -> {reply!r:.80}")
            take(reply)

    def read_answer(self):
        """A line, or (value, flags) of the only item of a get, or (value, flags, marks) of an mg."""
        line = self.client.read_line()
        if line.startswith(b"VA "):
            _, size, flags, *marks = line.decode().split()
            return self.client.read_exactly(int(size) + 2)[:-2], int(flags[1:]), "".join(marks)
        if not line.startswith(b"VALUE "):
            return line
        words = line.split(b" ")
        value = self.client.read_exactly(int(words[3]) + 2)[:-2]
        assert self.client.read_line() == b"END"
        return value, int(words[2])

    def draw_memcached(self):
        make = self.pick([self.store, self.store, self.store, self.join, self.count, self.delete, self.read, self.touch,
                          self.compare, self.meta_read, self.meta_read, self.meta_vivify, self.meta_invalidate,
                          self.meta_invalidate, self.meta_clear, self.meta_store_late])
        key = self.pick(KEYS)
        return make((0, key), key)

    def store(self, place, key):
        command, value, flags = self.pick([b"set", b"set", b"add", b"replace"]), self.value(), self.pick(FLAGS)

        def step(state):
            is_item = memcached_view(state) is not None
            stores = command == b"set" or (is_item if command == b"replace" else not is_item and state != HASH)
            return [(b"STORED", Item(value, flags))] if stores else [(b"NOT_STORED", state)]
        return self.one(place, b"%s %s %d 0 %d\r\n%s\r\n" % (command, key, flags, len(value), value), step)

    def join(self, place, key):
        command, value = self.pick([b"append", b"prepend"]), self.value()

        def step(state):
            if memcached_view(state) is None:
                return [(b"NOT_STORED", state)]
            return [(b"STORED", Item(state.value + value if command == b"append" else value + state.value, state.flags))]
        return self.one(place, b"%s %s 77 0 %d\r\n%s\r\n" % (command, key, len(value), value), step)

    def count(self, place, key):
        def step(state):
            if memcached_view(state) is None:
                return [(b"NOT_FOUND", state)]
            if not is_number(state.value):
                return [(b"CLIENT_ERROR cannot increment or decrement non-numeric value", state)]
            number = int(state.value) + 3
            return [(b"%d" % number, state._replace(value=b"%d" % number))]
        return self.one(place, b"incr %s 3\r\n" % key, step)

    def delete(self, place, key):
        return self.one(place, b"delete %s\r\n" % key,
                        lambda state: [(b"DELETED", ABSENT)] if memcached_view(state) is not None else [(b"NOT_FOUND", state)])

    def touch(self, place, key):
        return self.one(place, b"touch %s 0\r\n" % key,
                        lambda state: [(b"TOUCHED" if memcached_view(state) is not None else b"NOT_FOUND", state)])

    def read(self, place, key):
        return self.one(place, b"get %s\r\n" % key, lambda state: [(memcached_view(state) or b"END", state)])

    def compare(self, place, key):
        """cas with a token that has been read now; other operations of the burst may have changed the item meanwhile."""
        item = self.client.fetch(b"gets " + key).get(key)
        value, flags, token = self.value(), self.pick(FLAGS), item[2] if item else 1

        def step(state):
            if memcached_view(state) is None:
                return [(b"NOT_FOUND", state)]
            stored = [(b"STORED", Item(value, flags))] if item and memcached_view(state) == item[:2] else []
            return [(b"EXISTS", state)] + stored
        return self.one(place, b"cas %s %d 0 %d %d\r\n%s\r\n" % (key, flags, len(value), token, value), step)

    # Meta, and what it does to marks

    @staticmethod
    def step_of_reader(state):
        """What a reader is told, and the state behind it: of the readers of a stale item the first one wins."""
        if state.marks == "X":
            return [((state.value, state.flags, "XW"), state._replace(marks="ZX"))]
        return [((state.value, state.flags, state.marks), state)]

    def meta_read(self, place, key):
        return self.one(place, b"mg %s v f\r\n" % key,
                        lambda state: [(b"EN", state)] if memcached_view(state) is None else self.step_of_reader(state))

    def meta_vivify(self, place, key):
        def step(state):
            if state == HASH:
                return [(b"EN", state)]
            return [((b"", 0, "W"), Item(b"", 0, "Z"))] if memcached_view(state) is None else self.step_of_reader(state)
        return self.one(place, b"mg %s v f N0\r\n" % key, step)

    def meta_invalidate(self, place, key):
        return self.one(place, b"md %s I\r\n" % key, lambda state: [(b"NF", state)] if memcached_view(state) is None
                        else [(b"HD", state._replace(marks="X"))])

    def meta_clear(self, place, key):
        flags, is_stale = self.pick(FLAGS), self.pick([True, False])
        return self.one(place, b"md %s x F%d%s\r\n" % (key, flags, b" I" * is_stale),
                        lambda state: [(b"NF", state)] if memcached_view(state) is None
                        else [(b"HD", Item(b"", flags, "X" * is_stale))])

    def meta_store_late(self, place, key):
        """A store with a token that is older than any."""
        value, flags = self.value(), self.pick(FLAGS)

        def step(state):
            if memcached_view(state) is None:
                return [(b"NF", state)]
            return [(b"HD", Item(value, flags, "ZX" if "Z" in state.marks else "X"))]
        return self.one(place, b"ms %s %d I C1 F%d\r\n%s\r\n" % (key, len(value), flags, value), step)

    # Looking

    def look(self):
        """Every key, in both databases and languages."""
        found = self.client.fetch(b"get " + b" ".join(KEYS))
        for key in KEYS:
            self.observe((0, key), found[key][:2] if key in found else None, "memcached's get")
        for db in DBS:
            self.call("SELECT", db)
            for key in KEYS:
                self.resp.send("DIGLOT.GET", key)
                reply = self.resp._read()
                if not isinstance(reply, Exception):
                    self.observe((db, key), tuple(reply[:2]) if reply else None, "DIGLOT.GET")
                self.resp.send("GET", key)
                value = self.resp._read()
                self.model.update((db, key), "error" if isinstance(value, Exception) else value,
                                  lambda state: [("error" if state == HASH else state.value if state else None, state)], ("GET", db, key))
        self.call("SELECT", self.db)

    def observe(self, place, item, what):
        self.model.update(place, item, lambda state: [(memcached_view(state), state)], (what, place))

    def reload(self):
        """Only where nothing is lost now."""
        if self.model.is_certain([(db, key) for db in DBS for key in KEYS]):
            self.history.append("DEBUG RELOAD")
            self.redis.execute_command("DEBUG", "RELOAD")


@pytest.mark.parametrize("seed", range(SEED, SEED + 6))
def test_random_interleavings_without_losses(server, seed):
    player = Player(server, seed, uses_losses=False)
    for _ in range(5):
        player.play(ROUNDS // 5)
        player.reload()
    player.look()
    player.close()


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_random_interleavings_with_lost_ledgers(server, seed):
    player = Player(server, seed)
    for _ in range(5):
        player.play(ROUNDS // 5)
        player.reload()
    player.look()
    player.close()


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_random_interleavings_with_io_threads_and_aof(start, seed):
    """At the end the server is killed, and holds the same after its restart."""
    server = start(io_threads=4, config={"appendonly": "yes", "appendfsync": "always"})
    player = Player(server, seed, uses_losses=seed % 2 == 0)
    player.play(ROUNDS)
    while not player.model.is_certain([(db, key) for db in DBS for key in KEYS]):
        player.uses_losses = False
        for key in KEYS:
            player.redis.delete(key)
            player.model.states[(0, key)] = {ABSENT}
        player.redis.swapdb(0, 1)
        player.model.swap(0, 1)
    player.look()
    player.close()
    server.kill()
    server.restart()
    successor = Player(server, seed)
    successor.model = player.model
    successor.history = player.history + ["kill -9 and restart"]
    successor.look()
    successor.close()


def test_the_model_itself_finds_a_wrong_flag(server):
    """A server that lies is caught: the model is told of other flags than were stored."""
    player = Player(server, 1)
    player.client.set(KEYS[0], b"v", flags=2)
    player.model.states[(0, KEYS[0])] = {Item(b"v", 1)}
    with pytest.raises(Wrong):
        player.look()
    player.model.states[(0, KEYS[0])] = {Item(b"v", LOST)}
    with pytest.raises(Wrong):
        player.look()
    player.model.states[(0, KEYS[0])] = {Item(b"w", 2), ABSENT}
    with pytest.raises(Wrong):
        player.look()
    player.close()
