"""A checker of histories: is there an order of the operations, one after the other, that explains every answer?

The order must keep what real time tells: an operation that was answered before another began comes before it. An operation
without an answer (its connection broke) may have taken effect at any time from its beginning on, or never.

The search goes from a configuration to those behind one more operation: any whose beginning no other open operation's answer
precedes (Wing and Gong 1993). A client's own come in the order that it sent them, were they under way together. A
configuration is which operations are done and what the item has come to; none is looked at twice (Lowe 2017). Keys do not
touch one another, so each is checked by itself.

A model tells what operations do: `start`, the state of a key before its history; `step(state, operation)`, the state behind
an operation that was answered as it was, or None where that answer is wrong; `effect(state, operation)`, the state behind an
operation whose answer nobody knows. States are hashable.
"""
from dataclasses import dataclass

CONFIGURATIONS_MOST = 2_000_000  # what takes more to decide is a history too tangled to record


@dataclass
class Operation:
    """One request of one client; None where its order among others of that client is not to count. Times are of one monotonic
    clock; `answer` is None when it never came."""
    client: object
    key: str
    command: str
    value: bytes = b""
    flags: int = 0
    delta: int = 0
    token: object = None
    answer: object = None
    invoked: int = 0
    returned: int = 0
    era: int = 0  # of the server that it was sent to (lib/histories.py)
    token_era: int = 0  # and of the one that told its token

    def __str__(self):
        end = "never" if self.answer is None else f"{self.returned / 1e6:.3f}"
        words = [self.command, self.value if self.value else None, f"flags {self.flags}" if self.flags else None,
                 f"delta {self.delta}" if self.delta else None, f"token {self.token}" if self.token is not None else None]
        return (f"{self.invoked / 1e6:.3f} to {end} ms, client {self.client}: "
                f"{' '.join(str(word) for word in words if word is not None)} -> {self.answer}")


class Violation(AssertionError):
    """No order explains the history of a key."""


class Search:
    """The search through the orders of one key's operations."""

    def __init__(self, operations, model):
        self.model = model
        # Stable: what one client sent at one time stays in its order.
        self.known = sorted((op for op in operations if op.answer is not None), key=lambda op: op.invoked)
        self.lost = [op for op in operations if op.answer is None]
        # A configuration: all known operations before `base` are done, further ones and lost ones as the bits say.
        self.stack = [(0, 0, 0, model.start)]
        self.seen = set(self.stack)
        self.furthest = (-1, self.stack[0])

    def run(self):
        """True when an order is found."""
        while self.stack:
            configuration = self.stack.pop()
            base, done, _, _ = configuration
            if base == len(self.known):
                return True
            progress = base + done.bit_count()
            if progress > self.furthest[0]:
                self.furthest = (progress, configuration)
            self.expand(configuration)
            assert len(self.seen) < CONFIGURATIONS_MOST, "the history is too tangled to decide"
        return False

    def candidates(self, base, done):
        """The positions of the known operations that can be next, and the time by which one must have been."""
        positions, limit, waiting = [], float("inf"), set()
        for position in range(base, len(self.known)):
            if done >> (position - base) & 1:
                continue
            operation = self.known[position]
            if operation.invoked > limit:
                break
            limit = min(limit, operation.returned)
            if operation.client not in waiting:
                positions.append(position)
            if operation.client is not None:
                waiting.add(operation.client)
        return positions, limit

    def expand(self, configuration):
        """Those answered first are tried first, and lost ones last."""
        base, done, lost, state = configuration
        positions, limit = self.candidates(base, done)
        for number, operation in enumerate(self.lost):
            if operation.invoked > limit or lost >> number & 1:
                continue
            after = self.model.effect(state, operation)
            if after != state:
                self.push((base, done, lost | 1 << number, after))
        for position in sorted(positions, key=lambda position: -self.known[position].returned):
            after = self.model.step(state, self.known[position])
            if after is not None:
                self.push((*self.advance(base, done | 1 << (position - base)), lost, after))

    @staticmethod
    def advance(base, done):
        """Equal sets of done operations look equal."""
        while done & 1:
            base, done = base + 1, done >> 1
        return base, done

    def push(self, configuration):
        if configuration not in self.seen:
            self.seen.add(configuration)
            self.stack.append(configuration)

    def explain(self):
        """Where the search got stuck at its furthest."""
        progress, (base, done, _, state) = self.furthest
        positions, limit = self.candidates(base, done)
        before = [op for op in self.known if op.returned < limit][-6:]
        lines = [f"{progress} of {len(self.known)} operations can be ordered; then the state is {state}, and none of these fits:"]
        lines += [f"    {self.known[position]}" for position in positions]
        lines += ["  lost, and perhaps done:", *(f"    {op}" for op in self.lost if op.invoked <= limit)]
        lines += ["  answered before:", *(f"    {op}" for op in before)]
        return "\n".join(lines)


def check_key(operations, model):
    """Raises Violation unless the operations on one key can be explained."""
    search = Search(operations, model)
    if not search.run():
        raise Violation(f"key {operations[0].key} is not linearizable: {search.explain()}")


def check(history, make_model):
    """Checks each key of a history by itself, with a model of its own."""
    keys = {}
    for operation in history:
        keys.setdefault(operation.key, []).append(operation)
    for operations in keys.values():
        check_key(operations, make_model())
