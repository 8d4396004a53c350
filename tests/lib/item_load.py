"""Memcached clients of every protocol that write all the time with every command, check every answer, and know what they
were promised: lib/item_commands.py is what they believe. A RESP client writes beside them.

Each writer has keys of its own and some requests under way on one connection. When the server dies, what is acknowledged must
be there: value, flags, marks, expiry. The requests that were open may have been executed or not, in their order.

Where an engine promises less (its AOF is synced every second, its replica follows at a distance), the bar is what RESP lost:
the Witness counts over RESP, one number after the other. A change that was acknowledged before a number was sent comes before it
in the engine's history, and must be where the number is.
"""
import itertools
import os
import random
import signal
import threading
import time
from dataclasses import replace

from lib.engine_load import Load
from lib.item_commands import EXISTS, NEVER, STORED, Item, are_same, execute, is_same
from lib.item_dialects import ALL, BARRIER, Meta
from lib.replication import is_replica
from lib.resp import HungUp, RespError
from lib.waiting import wait_until
from lib.wire import Closed

TEXT_KEYS, COUNTER_KEYS = 8, 4
MOST_OPEN = 12
WITNESS_DB, WITNESS_KEY = 1, "witness"  # where no flush_all reaches


class Step:
    """A request under way."""

    def __init__(self, number, command):
        self.number = number
        self.command = command  # None: a barrier
        self.sent_at = time.time()

    @property
    def may_fail(self):
        """A token may fail without cause, which SWAPDB gives to all."""
        return self.command and (self.command.token_holds or self.command.is_late)

    def apply(self, item):
        return (BARRIER, item) if self.command is None else execute(self.command, item, (self.sent_at, time.time()))


class ItemWriter(threading.Thread):
    """Ends when told, when the connection breaks, or at the first wrong answer (`surprise`)."""

    def __init__(self, load, name, dialect, seed, before=None):
        super().__init__(daemon=True)
        self.load = load
        self.dialect = dialect(seed)
        self.random = random.Random(seed)
        self.texts = [b"%s:text%d" % (name, i) for i in range(TEXT_KEYS)]
        self.counters = [b"%s:count%d" % (name, i) for i in range(COUNTER_KEYS)]
        self.items = dict(before.items) if before else {}
        self.tokens = {}  # key -> the token of its present item
        self.spent = dict(before.spent) if before else {}  # key -> a token that it had before
        self.open = []
        self.numbers = itertools.count(1)
        self.past = list(before.past) if before else []  # (the witness' number then, {key: item before}) of each change
        self.acknowledged = 0
        self.surprise = None
        self.is_told_to_end = False
        self.turn_lock = threading.Lock()

    @property
    def keys(self):
        return self.texts + self.counters

    def run(self):
        try:
            with self.load.server.connect() as connection:
                while not self.is_told_to_end:
                    with self.turn_lock:
                        self.turn(connection)
        except (Closed, OSError):
            pass  # the server is gone
        except Exception as wrong:
            if not self.load.is_demoted():  # then it is another's data that it tells
                self.surprise = wrong

    def turn(self, connection):
        for _ in range(self.random.randint(1, MOST_OPEN)):
            self.add_step(self.draw())
        self.add_step(None)
        connection.send(b"".join(self.render(step) for step in self.open))
        while self.open:
            self.take_answer(connection)

    def render(self, step):
        return self.dialect.render(step.command, step.number) if step.command else self.dialect.barrier

    def add_step(self, command):
        self.open.append(Step(next(self.numbers), command))

    def draw(self):
        key = self.random.choice(self.texts if self.random.random() < 0.7 else self.counters)
        is_changing = any(step.command.key == key for step in self.open)
        tokens = (None if is_changing else self.tokens.get(key), self.spent.get(key))
        command = self.dialect.draw(key, key in self.counters, tokens)
        is_told = self.dialect.SAYS_ERRORS or not self.load.may_be_demoted
        return command if is_told else replace(command, is_quiet=False)

    def take_answer(self, connection):
        """The next answer; it acknowledges the silent steps before it, too."""
        number, answer, token = self.dialect.read(connection)
        self.load.note_answer()
        assert not isinstance(answer, bytes), f"{answer} to one of {[step.command for step in self.open]}"
        while not self.is_answered_by(self.open[0], number, answer):
            self.settle(None)
        step = self.open[0]
        if answer == EXISTS and step.may_fail:
            self.open.pop(0)
        else:
            self.settle(answer)
        if token is not None and step.command.key in self.items:
            self.tokens[step.command.key] = token

    def is_answered_by(self, step, number, answer):
        if answer == BARRIER:
            return step.command is None
        if number is not None:
            return step.number == number
        return step.command is None or self.dialect.answer_to(step.command, STORED) is not None

    def settle(self, answer):
        """The first open step was executed, and answered so; None: not at all."""
        command = self.open[0].command
        if command is None:
            assert answer == BARRIER, answer
        else:
            self.settle_command(command, answer)
        self.open.pop(0)
        self.acknowledged += 1

    def settle_command(self, command, answer):
        before = self.items.get(command.key)
        outcome, after = self.open[0].apply(before)
        expected = self.dialect.answer_to(command, outcome)
        assert answer == expected, f"{command} on {before}: {answer}, not {expected}"
        put(self.items, command.key, after)
        if after is not before:
            self.note_change({command.key: before})
        if after is None or before is None or (after is not before and command.verb not in ("get", "touch")):
            self.forget_token(command.key)  # a change of the expiry alone leaves it

    def note_change(self, before):
        self.past.append((self.load.witness.sent, before))

    def forget_token(self, key):
        if key in self.tokens:
            self.spent[key] = self.tokens.pop(key)

    def note_flushed(self):
        self.note_change(dict(self.items))
        for key in self.keys:
            self.forget_token(key)
        self.items = {}

    def present_states(self):
        """What the keys may be where nothing is missing that was acknowledged: {key: item}."""
        states = [self.items]
        yield from states
        for step in self.open:
            if step.command:
                states = [after for items in states for after in states_behind(step, items)]
                yield from states
        if self.load.has_open_flush:
            yield {}

    def past_states(self, witness):
        """What they were, from the last change back to those that came before the witness' number."""
        items = dict(self.items)
        for sent, before in reversed(self.past):
            if sent < witness:
                return
            for key, item in before.items():
                put(items, key, item)
            yield items


def states_behind(step, items):
    """What the keys may be when an open step has been executed."""
    after = dict(items)
    put(after, step.command.key, step.apply(items.get(step.command.key))[1])
    return [after, items] if step.may_fail else [after]


def put(items, key, item):
    if item is None:
        items.pop(key, None)
    else:
        items[key] = item


class Witness(threading.Thread):
    """Writes 1, 2, 3, … over RESP. With `replicas`, waits now and then until so many have confirmed all so far."""

    def __init__(self, server, replicas, sent):
        super().__init__(daemon=True, name="the witness")
        self.server = server
        self.replicas = replicas
        self.sent = sent
        self.acknowledged = self.confirmed = 0
        self.is_told_to_end = False

    def run(self):
        try:
            with self.server.resp_connection() as connection:
                connection.call("SELECT", WITNESS_DB)
                while not self.is_told_to_end:
                    self.turn(connection)
        except (OSError, HungUp, RespError):
            pass  # the server is gone, or a replica

    def turn(self, connection):
        self.sent += 1
        number = self.sent
        connection.call("SET", WITNESS_KEY, number)
        self.acknowledged = number
        if self.replicas and number % 20 == 0 and connection.call("WAIT", self.replicas, 5000) >= self.replicas:
            self.confirmed = number

    @staticmethod
    def saved_on(server):
        return int(server.resp(db=WITNESS_DB).get(WITNESS_KEY) or 0)


class Flusher(threading.Thread):
    """flush_all now and then, in the forms of all protocols, while every writer is between two turns."""

    def __init__(self, load, seed):
        super().__init__(daemon=True, name="the flusher")
        self.load = load
        self.random = random.Random(seed)
        self.flushes = 0
        self.is_told_to_end = False

    def run(self):
        try:
            while not self.is_told_to_end:
                goal = self.load.acknowledged() + self.random.randrange(500, 3000)
                while self.load.acknowledged() < goal and not self.is_told_to_end:
                    time.sleep(0.002)
                self.flush()
        except (Closed, OSError, AssertionError):
            pass  # the server is gone, or a writer says what is wrong

    def flush(self):
        dialect = self.random.choice(ALL)(0)
        for writer in self.load.writers:
            writer.turn_lock.acquire()
        try:
            if any(writer.open or not writer.is_alive() for writer in self.load.writers):
                return
            with self.load.server.connect() as connection:
                self.load.has_open_flush = True
                connection.send(self.random.choice(dialect.FLUSHES) + dialect.barrier)
                answers = [dialect.read(connection)[1]]
                while answers[-1] != BARRIER:
                    answers.append(dialect.read(connection)[1])
            for writer in self.load.writers:
                writer.note_flushed()
            self.load.has_open_flush = False
            self.flushes += 1
        finally:
            for writer in self.load.writers:
                writer.turn_lock.release()


class Crowd(threading.Thread):
    """Reads large values without end, so that the turns of the engine's loop last: between the answer to a write and its flush
    there would be time for a kill, if the answer came first."""

    def __init__(self, server):
        super().__init__(daemon=True, name="the crowd")
        self.server = server
        self.is_told_to_end = False

    def run(self):
        try:
            with self.server.connect() as connection:
                connection.set("crowd", bytes(100000))
                while not self.is_told_to_end:
                    connection.send(b"gets crowd\r\n" * 100 + b"mn\r\n")
                    connection.read_until(b"MN\r\n")
        except (Closed, OSError):
            pass  # the server is gone


class ItemLoad(Load):
    """Writers of all protocols, two of each. As a context it starts them, and ends them behind its block. Half of their items
    share a hash slot, and so a ledger, with some of lib/resp_noise.py's."""

    def __init__(self, server, seed=1, before=None, replicas=0, flushes=True, kill_at=None, has_crowd=False,
                 may_be_demoted=False):
        """`before`: an ended load whose settled items these writers go on with; each protocol then takes over another's.
        `replicas`: as many confirm what the witness writes. `kill_at`: the server is killed right behind this answer.
        `has_crowd`: it is busy reading besides. `may_be_demoted`: it may become a replica; that ends its writers."""
        self.server = server
        self.has_open_flush = False
        self.answers = 0
        self.answers_lock = threading.Lock()
        self.kill_at = kill_at
        self.may_be_demoted = may_be_demoted
        self.lost_by_resp = 0  # acknowledged numbers of the witness
        self.witness = Witness(server, replicas, before.witness.sent if before else 0)
        count = 2 * len(ALL)
        names = [b"w%d" % i if i % 2 else b"{noise}w%d" % i for i in range(count)]
        self.writers = [ItemWriter(self, names[i], ALL[(i + seed) % len(ALL)], seed * 1000 + i,
                                   before.writers[i] if before else None) for i in range(count)]
        self.helpers = [self.witness] + [Flusher(self, seed)] * flushes + [Crowd(server), Crowd(server)] * has_crowd

    def __enter__(self):
        for helper in self.helpers:
            helper.start()
        return super().__enter__()

    def end(self, is_failing=False):
        for helper in self.helpers:
            helper.is_told_to_end = True
        super().end(is_failing)
        for helper in self.helpers:
            helper.join(30)
            assert is_failing or not helper.is_alive(), f"{helper.name} waits for an answer that does not come"

    def note_answer(self):
        """The sharpest moment for a kill: what has just been read is acknowledged, and nothing else has happened since."""
        with self.answers_lock:
            self.answers += 1
            if self.answers == self.kill_at:
                os.kill(self.server.pid, signal.SIGKILL)

    def kill_behind(self, more):
        """Kills the server behind so many more answers."""
        with self.answers_lock:
            self.kill_at = self.answers + more

    def is_demoted(self):
        """The server has become a replica, where that may be."""
        return self.may_be_demoted and is_replica(self.server)

    def is_over(self):
        """Every writer has lost its connection, or met a replica in its server's place."""
        self.check()
        return not any(writer.is_alive() for writer in self.writers)

    def wait_answers(self, count):
        """Until so many requests have been acknowledged since the beginning."""
        self.wait_acknowledged(count - self.acknowledged())

    def wait_broken(self):
        super().wait_broken()
        for helper in self.helpers:
            helper.is_told_to_end = True
        wait_until(lambda: not any(helper.is_alive() for helper in self.helpers), "the helpers to end")

    def verify(self, may_lag=False, server=None, settles=True):
        """`server` (the load's own) holds what was acknowledged; with `may_lag`, what came before the last that it has of the
        witness. What became of the open steps is settled then, unless another server has to be verified as well. Returns how
        many acknowledged changes are gone."""
        server = server or self.server
        witness = self.witness.saved_on(server)
        least = self.witness.confirmed if may_lag else self.witness.acknowledged
        assert witness >= least, f"RESP's own write {least} is gone: {witness} is there"
        self.lost_by_resp = self.witness.acknowledged - witness
        lost = 0
        for writer in self.writers:
            found = read_items(server, writer.keys)
            lost += self.count_lost(writer, found, witness if may_lag else None)
            if settles:
                writer.items, writer.open, writer.tokens = as_read(found), [], {}
                writer.past = [(self.witness.sent, {key: item}) for key, item in found.items() if item != writer.items[key]]
        self.has_open_flush &= not settles
        return lost

    def count_lost(self, writer, found, witness):
        if any(are_same(state, found) for state in writer.present_states()):
            return 0
        for lost, state in enumerate(writer.past_states(witness) if witness is not None else [], 1):
            if are_same(state, found):
                return lost
        wrong = {key: (writer.items.get(key), found.get(key)) for key in writer.keys
                 if not is_same(writer.items.get(key), found.get(key))}
        raise AssertionError(f"acknowledged and found differ: {str(wrong)[:2000]}\n"
                             f"open were {[str(step.command)[:100] for step in writer.open]}")

    def check_follower(self, server):
        """A replica that has caught up behind `verify` has the same items."""
        for writer in self.writers:
            found = read_items(server, writer.keys)
            assert are_same(writer.items, found), f"{server}: {writer.items} and {found} differ"


def as_read(found):
    """Reading has made a winner of the first reader of each stale item."""
    return {key: replace(item, is_won=item.is_won or item.is_stale) for key, item in found.items()}


def read_items(server, keys):
    """The items of a server as both languages tell them, which must be the same."""
    pipeline = server.resp().pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
        pipeline.execute_command("PEXPIRETIME", key)
    replies = pipeline.execute()
    items = {}
    with server.connect() as connection:
        for key, value, expiry in zip(keys, replies[::2], replies[1::2]):
            connection.send(b"mg %s v f\r\n" % key)
            _, outcome, _ = Meta(0).read(connection)
            assert (value, value is None) == (outcome.value, outcome.status != "hit"), \
                f"{key!r}: RESP says {value!r:.80}, memcached {outcome!r:.80}"
            if value is not None:
                items[key] = Item(value, outcome.flags, (expiry, expiry) if expiry >= 0 else NEVER,
                                  "X" in outcome.marks, "Z" in outcome.marks)
    return items
