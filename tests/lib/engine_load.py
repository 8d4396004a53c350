"""Memcached clients that write all the time, check every answer, and know what they were promised.

Each writer has keys of its own and a few requests under way. Its state is what its acknowledged requests have made of
its keys; the requests still open when the connection breaks may have been executed or not, in their order. So what a
server holds afterwards must be the state behind one of them.
"""
import itertools
import random
import threading
import time
from dataclasses import dataclass

from lib.waiting import wait_until
from lib.wire import Closed

FLAGS = (0, 0, 1, 5, 7, 65535, 2**31, 2**32 - 1)
TEXT_KEYS = 8
COUNTER_KEYS = 4
EXPTIME = int(time.time()) + 1000000  # far away; an absolute time can be compared to the second


@dataclass(frozen=True)
class Item:
    value: bytes
    flags: int
    expiry: int  # unix time, 0 never


@dataclass
class Step:
    """A request and what it does."""
    request: bytes
    key: bytes
    apply: object  # item or None -> (answer, item or None)
    reads: bool = False  # answered by VALUE lines
    silent: bool = False


class Writer(threading.Thread):
    """Ends when told, when the connection breaks, or at the first wrong answer (`surprise`)."""

    def __init__(self, server, name, seed, items=None):
        super().__init__(daemon=True)
        self.connect = server.connect
        self.random = random.Random(seed)
        self.texts = [b"%s:text%d" % (name, i) for i in range(TEXT_KEYS)]
        self.counters = [b"%s:count%d" % (name, i) for i in range(COUNTER_KEYS)]
        self.items = dict(items or {})
        self.tokens = {}  # key -> the token of its present item
        self.open = []  # steps without an answer
        self.past = []  # (key, item before) of each change
        self.acknowledged = 0
        self.surprise = None
        self.is_told_to_end = False

    @property
    def keys(self):
        return self.texts + self.counters

    def run(self):
        try:
            with self.connect() as connection:
                while not self.is_told_to_end:
                    self.turn(connection)
        except (Closed, OSError):
            pass  # the server is gone
        except AssertionError as wrong:
            self.surprise = wrong

    def turn(self, connection):
        for _ in range(self.random.randint(0, 11)):
            self.open.append(self.make_step())
        self.open.append(self.read(self.random.choice(self.keys), None))
        connection.send(b"".join(step.request for step in self.open))
        while self.open:
            self.take_answer(connection)

    def take_answer(self, connection):
        """The next answer; it acknowledges the silent steps before it, too."""
        silent = next(i for i, step in enumerate(self.open) if not step.silent)
        answer = self.read_answer(connection, self.open[silent])
        for _ in range(silent):
            step = self.open.pop(0)
            self.put(step.key, self.items.get(step.key), step.apply(self.items.get(step.key))[1])
        step = self.open.pop(0)
        before = self.items.get(step.key)
        expected, after = step.apply(before)
        if answer == b"EXISTS" and expected == b"STORED" and step.request.startswith(b"cas "):
            after = before  # a token may fail without cause
        else:
            assert answer == expected, f"{step.request[:80]!r} on {before!r}: {answer!r}, not {expected!r}"
        self.put(step.key, before, after)
        self.acknowledged += silent + 1

    def read_answer(self, connection, step):
        line = connection.read_line()
        if not step.reads or line == b"END":
            return line
        words = line.split(b" ")
        value = connection.read_exactly(int(words[3]) + 2)[:-2]
        end = connection.read_line()
        if len(words) == 5:
            self.tokens[step.key] = int(words[4])
        return b" ".join(words[:3]), value, end

    def put(self, key, before, after):
        self.past.append((key, before))
        if after is None:
            self.items.pop(key, None)
        else:
            self.items[key] = after
        if after is not before:  # a store of the same bytes renews the token, too
            self.tokens.pop(key, None)

    def possible_states(self):
        """What the keys may be now: {key: item}, for each number of open steps that were executed."""
        items = dict(self.items)
        yield dict(items)
        for step in self.open:
            _, after = step.apply(items.get(step.key))
            if after is None:
                items.pop(step.key, None)
            else:
                items[step.key] = after
            yield dict(items)

    def past_states(self):
        """What the keys were, from the last acknowledged change back to the beginning."""
        items = dict(self.items)
        for key, before in reversed(self.past):
            if before is None:
                items.pop(key, None)
            else:
                items[key] = before
            yield items

    # Steps

    def make_step(self):
        if self.random.random() < 0.3:
            key = self.random.choice(self.counters)
            value = b"%d" % self.random.randrange(1000)
            make = self.random.choice([self.store, self.count, self.count, self.touch, self.delete, self.read, self.compare])
        else:
            key = self.random.choice(self.texts)
            value = self.random.randbytes(self.random.choice([0, 1, 10, 100, 100, 3000]))
            make = self.random.choice([self.store, self.store, self.attach, self.touch, self.delete, self.read, self.compare])
        return make(key, value)

    def store(self, key, value):
        command = self.random.choice([b"set", b"set", b"add", b"replace"])
        flags, expiry = self.random.choice(FLAGS), self.some_expiry()
        silent = command == b"set" and self.random.random() < 0.1
        new = Item(value, flags, expiry)

        def apply(item):
            stores = {b"set": True, b"add": item is None, b"replace": item is not None}[command]
            return (b"STORED", new) if stores else (b"NOT_STORED", item)
        return Step(b"%s %s %d %d %d%s\r\n%s\r\n" % (command, key, flags, expiry, len(value),
                                                     b" noreply" if silent else b"", value), key, apply, silent=silent)

    def attach(self, key, value):
        command = self.random.choice([b"append", b"prepend"])
        value = value[:100]

        def apply(item):
            if item is None:
                return b"NOT_STORED", None
            joined = item.value + value if command == b"append" else value + item.value
            return b"STORED", Item(joined, item.flags, item.expiry)
        return Step(b"%s %s 99 0 %d\r\n%s\r\n" % (command, key, len(value), value), key, apply)

    def count(self, key, _):
        command, delta = self.random.choice([b"incr", b"incr", b"decr"]), self.random.randrange(100)

        def apply(item):
            if item is None:
                return b"NOT_FOUND", None
            number = int(item.value) + delta if command == b"incr" else max(0, int(item.value) - delta)
            return b"%d" % number, Item(b"%d" % number, item.flags, item.expiry)
        return Step(b"%s %s %d\r\n" % (command, key, delta), key, apply)

    def compare(self, key, value):
        """cas with the token of the present item, where it is known and no open step has changed it since; else gets."""
        token = self.tokens.get(key)
        if token is None or key in {step.key for step in self.open}:
            return self.read(key, value)
        flags, expiry = self.random.choice(FLAGS), self.some_expiry()

        def apply(item):
            if item is None:
                return b"NOT_FOUND", None
            if self.tokens.get(key) != token:
                return b"EXISTS", item
            return b"STORED", Item(value, flags, expiry)
        return Step(b"cas %s %d %d %d %d\r\n%s\r\n" % (key, flags, expiry, len(value), token, value), key, apply)

    def read(self, key, _):
        """get, gets or gat."""
        command, expiry = self.random.choice([b"get", b"gets", b"gets", b"gat"]), self.some_expiry()

        def apply(item):
            if item is None:
                return b"END", None
            after = Item(item.value, item.flags, expiry) if command == b"gat" else item
            return (b"VALUE %s %d" % (key, item.flags), item.value, b"END"), after
        words = b"gat %d" % expiry if command == b"gat" else command
        return Step(b"%s %s\r\n" % (words, key), key, apply, reads=True)

    def touch(self, key, _):
        expiry = self.some_expiry()

        def apply(item):
            return (b"TOUCHED", Item(item.value, item.flags, expiry)) if item else (b"NOT_FOUND", None)
        return Step(b"touch %s %d\r\n" % (key, expiry), key, apply)

    def delete(self, key, _):
        def apply(item):
            return (b"DELETED", None) if item else (b"NOT_FOUND", None)
        return Step(b"delete %s\r\n" % key, key, apply)

    def some_expiry(self):
        return self.random.choice([0, EXPTIME + self.random.randrange(1000)])


def read_items(server, keys):
    """The items of a server as both languages tell them, which must be the same."""
    redis = server.resp()
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
        pipeline.execute_command("EXPIRETIME", key)
    replies = pipeline.execute()
    with server.connect() as connection:
        seen = connection.fetch(b"get " + b" ".join(keys))
    items = {}
    for key, value, expiry in zip(keys, replies[::2], replies[1::2]):
        assert (value is None) == (key not in seen), f"{key!r}: RESP says {value!r:.80}, memcached {seen.get(key)!r:.80}"
        if value is not None:
            assert seen[key][0] == value, f"{key!r}: RESP says {value!r:.80}, memcached {seen[key]!r:.80}"
            items[key] = Item(value, seen[key][1], max(0, expiry))
    return items


class Load:
    """Some writers on one server. As a context it starts them, and ends them behind its block."""

    def __init__(self, server, writers=4, seed=1, before=None):
        """`before`: an ended load whose settled items these writers go on with."""
        self.server = server
        self.writers = [Writer(server, b"w%d" % i, seed * 1000 + i, before.writers[i].items if before else None)
                        for i in range(writers)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, kind, *_):
        self.end(is_failing=kind is not None)

    def end(self, is_failing=False):
        for writer in self.writers:
            writer.is_told_to_end = True
        for writer in self.writers:
            writer.join(30)
        if not is_failing:
            assert not any(writer.is_alive() for writer in self.writers), "a writer waits for an answer that does not come"
            self.check()

    def check(self):
        for writer in self.writers:
            if writer.surprise:
                raise writer.surprise

    def acknowledged(self):
        return sum(writer.acknowledged for writer in self.writers)

    def wait_acknowledged(self, more):
        """Until `more` further requests have been answered."""
        goal = self.acknowledged() + more

        def is_reached():
            self.check()
            return self.acknowledged() >= goal
        wait_until(is_reached, f"{more} more answers under load")

    def wait_broken(self):
        """Until every writer has lost its connection."""
        wait_until(lambda: not any(writer.is_alive() for writer in self.writers), "all connections to end")
        self.check()

    def verify(self, may_lose_last=False):
        """The server holds what was acknowledged. Settles what became of the steps that were open."""
        for writer in self.writers:
            self.verify_writer(writer, may_lose_last)

    def verify_writer(self, writer, may_lose_last):
        found = read_items(self.server, writer.keys)
        states = itertools.chain(writer.possible_states(), writer.past_states() if may_lose_last else [])
        if any(state == found for state in states):
            writer.items, writer.open = found, []
            return
        expected = writer.items
        wrong = {key: (expected.get(key), found.get(key)) for key in writer.keys if expected.get(key) != found.get(key)}
        raise AssertionError(f"acknowledged and found differ: {str(wrong)[:2000]}\n"
                             f"open were {[step.request[:60] for step in writer.open]}")
