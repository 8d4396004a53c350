"""A model of items that both protocols write, for random tests.

Of each key the model knows the set of states that it may be in. A state is None (absent), HASH, or an Item; the flags of an
Item are LOST when its slot's ledger was lost: memcached then misses it, RESP may still see it, and it may vanish at any
moment. Each operation maps states to states and says which reply goes with which, so a reply narrows the set. What the
model never allows is a value or a flag that nobody stored."""
import itertools
from typing import NamedTuple

LOST = "lost"
HASH = "hash"
ABSENT = None


class Item(NamedTuple):
    value: bytes
    flags: object
    marks: str = ""  # X: stale; Z: somebody was told to refresh it; or both


class Wrong(AssertionError):
    """The server said what it cannot say."""


def lose(state):
    return Item(state.value, LOST) if isinstance(state, Item) else state


def memcached_view(state):
    """(value, flags), or None for a miss."""
    return (state.value, state.flags) if isinstance(state, Item) and state.flags != LOST else None


def is_number(value):
    return value.isdigit() and len(value) < 15


class Model:
    """Databases of keys. `places` are (db, key)."""

    def __init__(self):
        self.states = {}  # place -> set of states; a place that is not in it is absent
        self.carried = set()  # places whose flags are on their way: a loss of where they come from may catch them

    def begin_turn(self):
        """What was carried before has arrived."""
        self.carried = set()

    def of(self, place):
        states = set(self.states.get(place, {ABSENT}))
        if any(isinstance(state, Item) and state.flags == LOST for state in states):
            states.add(ABSENT)  # it may have been removed by now
        return states

    def update(self, place, reply, step, what):
        """step(state) -> [(reply, next state), …]: all that may come of it. Keeps what fits the reply."""
        after = {new for state in self.of(place) for answer, new in step(state) if answer == reply}
        if not after:
            raise Wrong(f"{what}: answered {reply!r:.200} on {self.of(place)!r:.500}")
        self.states[place] = after

    def update_two(self, source, target, reply, step, what):
        """The same for two places at once; which state of one goes with which of the other is forgotten."""
        pairs = {(a, b) for source_state, target_state in itertools.product(self.of(source), self.of(target))
                 for answer, a, b in step(source_state, target_state) if answer == reply}
        if not pairs:
            raise Wrong(f"{what}: answered {reply!r} on {self.of(source)!r} and {self.of(target)!r}")
        self.states[source] = {a for a, _ in pairs}
        self.states[target] = {b for _, b in pairs}

    def carry(self, source, target, reply, step, what):
        self.update_two(source, target, reply, step, what)
        self.carried.add(target)

    def lose_carried(self):
        for place in self.carried:
            self.states[place] = self.of(place) | {lose(state) for state in self.of(place)}

    def lose_slot(self, places):
        """The slot's ledger may be lost now; that its items keep their flags all the same would be no harm."""
        self.lose_carried()
        for place in places:
            self.states[place] = self.of(place) | {lose(state) for state in self.of(place)}

    def flush(self, db=None):
        self.lose_carried()
        for place in list(self.states):
            if db is None or place[0] == db:
                del self.states[place]

    def swap(self, first, second):
        renamed = {first: second, second: first}
        self.states = {(renamed.get(db, db), key): states for (db, key), states in self.states.items()}
        self.carried = {(renamed.get(db, db), key) for db, key in self.carried}

    def is_certain(self, places):
        """Nothing is lost there."""
        return not any(isinstance(state, Item) and state.flags == LOST for place in places for state in self.of(place))
