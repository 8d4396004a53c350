"""Concurrent clients on a few hot keys, and the history of what they did, for lib/linearizability.py.

A history is made on fresh keys, one for each of MIXES, and ends with reads of what is left, so that a write that got lost
shows. Times come from one monotonic clock, taken before a request is sent and behind its answer.

An era is the time that a server is primary, or the time between two crashes: no token of one may succeed in another.
"""
import random
import threading
import time

from lib.linearizability import Operation, check
from lib.linearizability_clients import Refused
from lib.linearizability_model import READS, ItemModel
from lib.waiting import PATIENCE, wait_until
from lib.wire import Closed

# How often which command is chosen, among those that the client can do.
MIXES = {
    "register": {"get": 6, "gets": 1, "set": 4, "plain_set": 3, "add": 1, "set_new": 1, "replace": 1, "append": 1, "extend": 1,
                 "swap": 2, "watched_swap": 2, "delete": 1, "take": 1, "touch": 1},
    "counter": {"get": 2, "incr": 5, "decr": 3, "count": 6, "set": 1, "plain_set": 1, "add": 1, "delete": 0.5},
    "cas": {"gets": 5, "cas": 8, "get": 1, "set": 1, "plain_set": 1, "add": 1, "set_new": 1, "append": 0.5, "watched_swap": 1,
            "touch": 1, "delete": 0.5},
}
# Where counters begin: near the ends of what is signed and unsigned, too.
NUMBERS = (b"0", b"5", b"18446744073709551610", b"9223372036854775800", b"9223372036854775807")


class Follower:
    """A client that goes to another server when its own takes no writes any longer, or is gone. A read counts only when the
    server still took writes behind it: what a replica tells may be old."""

    def __init__(self, kind, servers):
        self.kind, self.servers, self.at = kind, servers, 0
        self.commands = kind.commands
        self.era = 0
        self.client = kind(servers[0])

    def __call__(self, operation):
        try:
            answer = self.client(operation)
            if operation.command in READS and not self.client.can_write():
                raise Refused("a replica's read")
            return answer
        except (Refused, Closed, OSError):
            self.move()
            raise

    def move(self):
        """To the server that is primary now, were it the same again after a crash."""
        before = self.at
        deadline = time.monotonic() + PATIENCE
        while not self.settle():
            assert time.monotonic() < deadline, "no server takes writes"
            time.sleep(0.002)
        self.era += self.at != before or len(self.servers) == 1

    def settle(self):
        self.client.close()
        self.at = (self.at + 1) % len(self.servers)
        try:
            self.client = self.kind(self.servers[self.at])
            return self.client.can_write()
        except (Closed, OSError):
            return False

    def close(self):
        self.client.close()


class Actor(threading.Thread):
    """One client at its work. `history` is what it did; `surprise` what nobody expects."""

    def __init__(self, client, label, keys, tokens, is_enough):
        """`client` does operations (lib/linearizability_clients.py). `keys`: key -> the name of its mix. `tokens`: key -> the
        token that any client was told last, and its era. `is_enough` tells when to end: it is called with this actor."""
        super().__init__(daemon=True)
        self.client, self.label, self.keys, self.is_enough = client, label, keys, is_enough
        self.tokens, self.own_tokens = tokens, {}
        self.dice = random.Random(f"{label} {sorted(keys)}")
        self.history = []
        self.invented = 0
        self.surprise = None

    @property
    def era(self):
        return getattr(self.client, "era", 0)

    def run(self):
        try:
            while not self.is_enough(self):
                self.play()
        except BaseException as surprise:  # told by the main thread
            self.surprise = surprise

    def play(self):
        """One operation, or several under way together where the client can."""
        if hasattr(self.client, "pipeline") and self.dice.random() < 0.3:
            self.perform_all([self.invent() for _ in range(self.dice.randrange(2, 12))])
        else:
            self.perform(self.invent())

    def invent(self):
        key = self.dice.choice(list(self.keys))
        mix = {command: weight for command, weight in MIXES[self.keys[key]].items() if command in self.client.commands}
        operation = Operation(self.label, key, self.dice.choices(list(mix), list(mix.values()))[0])
        self.invented += 1
        operation.value = self.invent_value(self.keys[key])
        operation.flags = self.dice.choice([0, self.dice.randrange(1, 1 << 32)])
        operation.delta = self.dice.randrange(1, 9) * (self.dice.choice([1, -1]) if operation.command == "count" else 1)
        if operation.command == "cas":
            self.choose_token(operation)
        return operation

    def invent_value(self, mix):
        """Mostly one that tells who wrote it. Content that comes again must not be taken for content that stayed."""
        if mix == "counter":
            return self.dice.choice(NUMBERS)
        return b"again" if self.dice.random() < 0.2 else b"%d.%d," % (self.label, self.invented)

    def choose_token(self, operation):
        """Mostly its own last one; else what another client was told."""
        known = self.dice.choice([self.own_tokens, self.own_tokens, self.tokens])
        if operation.key in known:
            operation.token, operation.token_era = known[operation.key]
        else:
            operation.command = "gets"

    def perform(self, operation):
        operation.era = self.era
        operation.invoked = time.monotonic_ns()
        try:
            operation.answer = self.client(operation)
        except Refused:
            return  # nothing has happened
        except (Closed, OSError):
            if operation.command not in READS:
                self.history.append(operation)  # nobody knows
            return
        self.keep(operation)

    def perform_all(self, operations):
        """For servers that stay: what is sent is answered."""
        invoked = time.monotonic_ns()
        for operation, answer in zip(operations, self.client.pipeline(operations), strict=True):
            operation.invoked, operation.answer = invoked, answer
            self.keep(operation)

    def keep(self, operation):
        operation.returned = time.monotonic_ns()
        self.history.append(operation)
        if operation.answer.token is not None:
            self.own_tokens[operation.key] = self.tokens[operation.key] = (operation.answer.token, operation.era)


class Cast:
    """The clients of one history, each with a thread of its own, which starts at once."""

    def __init__(self, clients, name, is_enough):
        self.keys = {f"{mix}:{name}": mix for mix in MIXES}
        self.tokens = {}
        self.actors = [Actor(client, label, self.keys, self.tokens, is_enough) for label, client in enumerate(clients)]
        for actor in self.actors:
            actor.start()

    def look(self):
        for actor in self.actors:
            if actor.surprise:
                raise actor.surprise

    def wait(self, is_reached, what, patience=PATIENCE):
        """Until is_reached(actor) holds for every one of them."""
        def all_have():
            self.look()
            return all(is_reached(actor) for actor in self.actors)
        wait_until(all_have, what, patience)

    def finish(self):
        """Waits for all to end, has every client read what is left, and returns the history."""
        self.wait(lambda actor: not actor.is_alive(), "the clients to end", 3 * PATIENCE)  # disks may be slow
        for actor in self.actors:
            for key in self.keys:
                actor.perform(Operation(actor.label, key, "gets"))
        return [operation for actor in self.actors for operation in actor.history]


def make_history(clients, name, operations):
    """What these clients do with `operations` each."""
    return Cast(clients, name, lambda actor: len(actor.history) >= operations).finish()


def check_eras(history):
    """No cas succeeded with a token that another primary told, or the same before a crash."""
    for operation in history:
        is_stored = operation.command == "cas" and operation.answer is not None and operation.answer.status == "ok"
        assert not is_stored or operation.token_era == operation.era, f"a token of another era succeeded: {operation}"


def check_history(history, may_fail_without_cause=False):
    check_eras(history)
    check(history, lambda: ItemModel(may_fail_without_cause))
