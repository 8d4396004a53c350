"""A server in the tests' own memory that does what lib/linearizability_model.py says, and some that do not: what the checker
has to find. Their clients are called as those of lib/linearizability_clients.py are."""
import random
import threading
import time
from dataclasses import replace

from lib.linearizability_model import COMMANDS, OK, State, execute

COUNTS = ("incr", "decr", "count")


class MemoryServer:
    """Right in all it does. Subclasses override one step each; `is_struck` says when."""

    commands = frozenset(COMMANDS) - {"watched_swap"}
    rarity = 10  # one in so many goes wrong

    def __init__(self):
        self.lock = threading.Lock()
        self.items = {}  # key -> State; its token is this server's own version of the content
        self.pasts = {}  # key -> the states before
        self.changes = 0
        self.dice = random.Random(1)

    def __call__(self, operation):
        """Requests overlap: they travel for a while, and so do their answers."""
        time.sleep(self.dice.random() / 5000)
        with self.lock:
            answer = self.serve(operation)
        time.sleep(self.dice.random() / 5000)
        return answer

    def is_struck(self):
        return self.dice.randrange(self.rarity) == 0

    def serve(self, operation):
        state = self.items.get(operation.key, State())
        answer, after = execute(state, operation)
        if after is not state:
            self.put(operation.key, after)
        return self.tell(operation, answer, self.items.get(operation.key))

    @staticmethod
    def tell(operation, answer, state):
        is_told = operation.command == "gets" and answer.status == "ok"
        return answer._replace(token=state.token) if is_told else answer

    def put(self, key, state):
        self.pasts.setdefault(key, []).append(self.items.get(key, State()))
        self.items[key] = state._replace(token=self.next_token())

    def next_token(self):
        self.changes += 1
        return self.changes


class StaleReads(MemoryServer):
    """A cache that does not hear of every change."""

    def serve(self, operation):
        past = self.pasts.get(operation.key, [])
        if operation.command == "get" and len(past) >= 10 and self.is_struck():
            return past[-10].read()
        return super().serve(operation)


class EarlyAnswers(MemoryServer):
    """Says that it has stored, and stores when it has been asked twenty times more."""

    def __init__(self):
        super().__init__()
        self.late = []

    def serve(self, operation):
        self.late = [(wait - 1, late) for wait, late in self.late]
        while self.late and self.late[0][0] <= 0:
            super().serve(self.late.pop(0)[1])
        if operation.command == "set" and self.is_struck():
            self.late.append((20, operation))
            return OK
        return super().serve(operation)


class LostWrites(MemoryServer):
    """Acknowledges what a crash takes back."""

    def serve(self, operation):
        before = self.items.get(operation.key, State())
        answer = super().serve(operation)
        if operation.command == "set" and self.is_struck():
            self.items[operation.key] = before
        return answer


class DoubledCounts(MemoryServer):
    """Executes a request again that it has answered, as a retry over another connection would."""

    def serve(self, operation):
        answer = super().serve(operation)
        if operation.command in COUNTS and self.is_struck():
            super().serve(operation)
        return answer


class TornCounts(MemoryServer):
    """Reads a number, and writes the sum when others may have written, too."""

    def serve(self, operation):
        if operation.command not in COUNTS:
            return super().serve(operation)
        state = self.items.get(operation.key, State())
        answer, after = execute(state, operation)
        self.lock.release()
        time.sleep(self.dice.random() / 5000)
        self.lock.acquire()
        if after is not state:
            self.put(operation.key, after)
        return answer


class CarelessCas(MemoryServer):
    """Stores at times though the token has gone."""

    def serve(self, operation):
        state = self.items.get(operation.key, State())
        if operation.command == "cas" and self.is_struck():
            return super().serve(replace(operation, token=state.token))
        return super().serve(operation)


class CasByContent(MemoryServer):
    """A token that tells the bytes, not the change: what was deleted and stored again looks the same."""

    def __init__(self):
        super().__init__()
        self.contents = {}

    def put(self, key, state):
        super().put(key, state)
        token = self.contents.setdefault((state.value, state.flags), len(self.contents))
        self.items[key] = state._replace(token=token)


class SpentTokens(MemoryServer):
    """Tells tokens again that it has told of other contents."""

    def next_token(self):
        return super().next_token() % 7


class KeptFlags(MemoryServer):
    """RESP's SET leaves the flags of the item that it overwrites."""

    def serve(self, operation):
        before = self.items.get(operation.key, State())
        answer = super().serve(operation)
        if operation.command == "plain_set" and before.flags:
            self.items[operation.key] = self.items[operation.key]._replace(flags=before.flags)
        return answer


class NeedlessExists(MemoryServer):
    """Refuses a cas whose token holds."""

    def serve(self, operation):
        if operation.command == "cas" and self.is_struck():
            return super().serve(replace(operation, token=-1))
        return super().serve(operation)


FAULTY = [StaleReads, EarlyAnswers, LostWrites, DoubledCounts, TornCounts, CarelessCas, CasByContent, SpentTokens, KeptFlags,
          NeedlessExists]
