"""What the commands of memcached's protocols make of an item, as a client can know it: `execute` is the model that the
writers of lib/item_load.py hold a server to. All protocols are one here; lib/item_dialects.py says what each calls things."""
from dataclasses import dataclass, fields, replace

NEVER = (-1, -1)
PAST = None
RELATIVE_MAX = 60 * 60 * 24 * 30


class Brief:
    """Shows what is not as usual, and of long values the beginning."""

    def __repr__(self):
        shown = [f"{field.name}={getattr(self, field.name)!r:.60}" for field in fields(self)
                 if getattr(self, field.name) != field.default]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Item(Brief):
    value: bytes
    flags: int = 0
    expiry: tuple = NEVER  # ms since the epoch: between these two
    is_stale: bool = False
    is_won: bool = False  # somebody was told to make it anew


@dataclass(frozen=True, repr=False)
class Command(Brief):
    verb: str  # set add replace append prepend incr decr get delete touch invalidate clear
    key: bytes
    value: bytes = b""
    flags: int = 0
    exptime: int = None  # None: stays as it is, or never
    operand: int = 0  # of incr and decr
    initial: int = None  # of incr and decr: what is missing is made with this
    vivify: int = None  # the exptime of what is made because it is missing
    refreshes: bool = False  # get: the first reader is told to make the item anew
    marks: bool = False  # get: is a reader that marks tell something
    token: int = None
    token_holds: bool = False  # as far as the client knows
    is_late: bool = False  # set: with a token of before; stored all the same, as stale
    is_quiet: bool = False


@dataclass(frozen=True, repr=False)
class Outcome(Brief):
    status: str  # stored not_stored exists not_found deleted touched hit number
    value: bytes = None
    flags: int = None
    number: int = None
    marks: frozenset = frozenset()  # W, X, Z as meta has them


STORED, NOT_STORED, EXISTS, NOT_FOUND, DELETED, TOUCHED = map(Outcome, (
    "stored", "not_stored", "exists", "not_found", "deleted", "touched"))


def expiry_of(exptime, moment):
    """What an exptime means to a server that saw it at a moment between these two, in seconds since the epoch."""
    if not exptime:
        return NEVER
    if exptime < 0 or RELATIVE_MAX < exptime < moment[0]:
        return PAST
    if exptime > RELATIVE_MAX:
        return exptime * 1000, exptime * 1000
    first, last = moment
    return int((first + exptime) * 1000) - 2, int((last + exptime) * 1000) + 2


def kept(item):
    return None if item.expiry is PAST else item


def execute(command, item, moment):
    """(what the server says, the item afterwards): None is no item. It came by the server at this moment."""
    return VERBS[command.verb](command, item, moment)


def made(command, moment):
    return kept(Item(command.value, command.flags, expiry_of(command.exptime, moment)))


def store(command, item, moment):
    if command.token is None:
        return STORED, made(command, moment)
    if item is None:
        return NOT_FOUND, None
    if command.is_late:
        return STORED, replace(item, value=command.value, flags=command.flags, is_stale=True)
    return (STORED, made(command, moment)) if command.token_holds else (EXISTS, item)


def add(command, item, moment):
    return (NOT_STORED, item) if item else (STORED, made(command, moment))


def change(command, item, moment):
    return (STORED, made(command, moment)) if item else (NOT_STORED, None)


def join(command, item, moment):
    if item is None and command.vivify is None:
        return NOT_STORED, None
    if item is None:
        return STORED, kept(Item(command.value, command.flags, expiry_of(command.vivify, moment)))
    parts = [item.value, command.value] if command.verb == "append" else [command.value, item.value]
    return STORED, Item(b"".join(parts), item.flags, item.expiry)


def count(command, item, moment):
    if item is None and command.initial is None:
        return NOT_FOUND, None
    if item is None:
        new = Item(b"%d" % command.initial, 0, expiry_of(command.vivify, moment))
        return Outcome("number", number=command.initial), kept(new)
    before = int(item.value)
    number = (before + command.operand) % 2**64 if command.verb == "incr" else max(0, before - command.operand)
    expiry = item.expiry if command.exptime is None else expiry_of(command.exptime, moment)
    return Outcome("number", number=number), kept(replace(item, value=b"%d" % number, expiry=expiry))


def marks_told(item, refreshes):
    told = {"X"} if item.is_stale else set()
    if item.is_won:
        return told | {"Z"}
    return told | {"W"} if item.is_stale or (refreshes and item.expiry != NEVER) else told


def get(command, item, moment):
    if item is None and command.vivify is None:
        return NOT_FOUND, None
    if item is None:
        new = Item(b"", 0, expiry_of(command.vivify, moment), is_won=True)
        return Outcome("hit", b"", 0, marks=frozenset("W")), kept(new)
    after = item if command.exptime is None else replace(item, expiry=expiry_of(command.exptime, moment))
    told = marks_told(after, command.refreshes) if command.marks else set()
    return Outcome("hit", item.value, item.flags, marks=frozenset(told)), kept(replace(after, is_won=after.is_won or "W" in told))


def delete(_, item, __):
    return (DELETED, None) if item else (NOT_FOUND, None)


def touch(command, item, moment):
    if item is None:
        return NOT_FOUND, None
    return TOUCHED, kept(replace(item, expiry=expiry_of(command.exptime, moment)))


def invalidate(command, item, moment):
    if item is None:
        return NOT_FOUND, None
    expiry = item.expiry if command.exptime is None else expiry_of(command.exptime, moment)
    return DELETED, kept(replace(item, expiry=expiry, is_stale=True, is_won=False))


def clear(command, item, moment):
    """Only the name stays. Its marks are those of `md … x I`."""
    if item is None:
        return NOT_FOUND, None
    return DELETED, kept(Item(b"", command.flags, expiry_of(command.exptime, moment), is_stale=command.is_late))


VERBS = {"set": store, "add": add, "replace": change, "append": join, "prepend": join, "incr": count, "decr": count,
         "get": get, "delete": delete, "touch": touch, "invalidate": invalidate, "clear": clear}


def is_same(expected, found):
    """Whether an item that was read with its exact expiry is the expected one."""
    if expected is None or found is None:
        return expected is found
    first, last = expected.expiry
    return replace(expected, expiry=found.expiry) == found and first <= found.expiry[0] <= last


def are_same(expected, found):
    return expected.keys() == found.keys() and all(is_same(expected[key], found[key]) for key in expected)
