"""What both protocols do to one item, for lib/linearizability.py: a register with flags, a counter, and tokens for cas.

A token is opaque: it belongs to the content that it was first told with. `gets` tells a token of the present content; a cas
succeeds only with the token of the present content. As what a cas may hold was told to somebody before, a content of which
no token has been told yet is one whose cas must fail.
"""
import re
from typing import NamedTuple, Optional

UNSIGNED, SIGNED_MOST, SIGNED_LEAST = 1 << 64, (1 << 63) - 1, -(1 << 63)
_NUMBER = re.compile(rb"0|-?[1-9][0-9]*")

READS = frozenset(["get", "gets"])


class Answer(NamedTuple):
    """What a client was told; None where its protocol tells nothing of it.

    `status`: ok, created (no item was there before), not_stored, exists, not_found, not_number, overflow; or mismatch, which
    is exists or not_found."""
    status: str
    value: Optional[bytes] = None
    flags: Optional[int] = None
    token: Optional[int] = None


class State(NamedTuple):
    value: Optional[bytes] = None  # None: there is no item
    flags: int = 0
    token: Optional[int] = None  # of this content, as far as one was told
    told: int = 0  # bits: every token that was told so far

    def hold(self, value, flags=0):
        """A new content, even if it has the same bytes."""
        return State(value, flags, None, self.told)

    def read(self, status="ok"):
        return NOT_FOUND if self.value is None else Answer(status, self.value, self.flags)


NOT_FOUND = Answer("not_found")
OK = Answer("ok")


def _get(state, _):
    return state.read(), state


def _set(state, operation):
    return OK, state.hold(operation.value, operation.flags)


def _plain_set(state, operation):
    """SET of RESP, whose items have no flags."""
    return OK, state.hold(operation.value)


def _set_new(state, operation):
    return _plain_set(state, operation) if state.value is None else (Answer("not_stored"), state)


def _add(state, operation):
    return _set(state, operation) if state.value is None else (Answer("not_stored"), state)


def _replace(state, operation):
    return _set(state, operation) if state.value is not None else (Answer("not_stored"), state)


def _append(state, operation):
    if state.value is None:
        return Answer("not_stored"), state
    return OK, state.hold(state.value + operation.value, state.flags)


def _extend(state, operation):
    """APPEND of RESP: makes an item where there is none, and tells the size."""
    value = (state.value or b"") + operation.value
    return Answer("ok", b"%d" % len(value)), state.hold(value, state.flags)


def _swap(state, operation):
    """SET with GET: tells the old value."""
    before = Answer("created") if state.value is None else Answer("ok", state.value)
    return before, state.hold(operation.value)


def _delete(state, _):
    return (NOT_FOUND, state) if state.value is None else (OK, state.hold(None))


def _take(state, _):
    """GETDEL: tells the value that it deletes."""
    return (NOT_FOUND, state) if state.value is None else (Answer("ok", state.value), state.hold(None))


def _touch(state, _):
    return (NOT_FOUND if state.value is None else OK), state


def _cas(state, operation):
    if state.value is None:
        return NOT_FOUND, state
    return _set(state, operation) if state.token == operation.token else (Answer("exists"), state)


def _count_unsigned(state, count):
    if state.value is None:
        return NOT_FOUND, state
    if not _NUMBER.fullmatch(state.value) or not 0 <= int(state.value) < UNSIGNED:
        return Answer("not_number"), state
    value = b"%d" % count(int(state.value))
    return Answer("ok", value), state.hold(value, state.flags)


def _incr(state, operation):
    return _count_unsigned(state, lambda number: (number + operation.delta) % UNSIGNED)


def _decr(state, operation):
    return _count_unsigned(state, lambda number: max(0, number - operation.delta))


def _count(state, operation):
    """INCRBY of RESP: signed, and begins at 0 where there is no item."""
    value = b"0" if state.value is None else state.value
    if not _NUMBER.fullmatch(value) or not SIGNED_LEAST <= int(value) <= SIGNED_MOST:
        return Answer("not_number"), state
    number = int(value) + operation.delta
    if not SIGNED_LEAST <= number <= SIGNED_MOST:
        return Answer("overflow"), state
    return Answer("ok", b"%d" % number), state.hold(b"%d" % number, state.flags)


# watched_swap is GET and SET under WATCH.
COMMANDS = {
    "get": _get, "gets": _get, "set": _set, "plain_set": _plain_set, "add": _add, "set_new": _set_new, "replace": _replace,
    "append": _append, "extend": _extend, "swap": _swap, "watched_swap": _swap, "delete": _delete, "take": _take,
    "touch": _touch, "cas": _cas, "incr": _incr, "decr": _decr, "count": _count,
}


def execute(state, operation):
    """The answer that is right, without its token, and the state behind it: the same object where nothing changes."""
    return COMMANDS[operation.command](state, operation)


class ItemModel:
    """One key. `may_fail_without_cause`: a token need not last as long as its content does, as law 2 has it; else nothing
    but a change of the content ends it."""

    start = State()

    def __init__(self, may_fail_without_cause=False):
        self.may_fail_without_cause = may_fail_without_cause
        self.bits = {}  # token -> its bit in State.told

    def step(self, state, operation):
        told = operation.answer
        right, after = execute(state, operation)
        if not self.agrees(told, right):
            if operation.command != "cas" or not self.is_causeless(told, state):
                return None
            after = state
        return after if told.token is None else self.learn(after, told.token)

    def effect(self, state, operation):
        return execute(state, operation)[1]

    @staticmethod
    def agrees(told, right):
        if told.status == "mismatch":
            return right.status in ("exists", "not_found")
        return (told.status == right.status and told.value in (None, right.value) and told.flags in (None, right.flags))

    def is_causeless(self, told, state):
        return self.may_fail_without_cause and told.status in ("exists", "mismatch") and state.value is not None

    def learn(self, state, token):
        """A token is told with this content: its own, or one that was never told before."""
        if state.token == token:
            return state
        if state.token is not None and not self.may_fail_without_cause:
            return None
        bit = self.bits.setdefault(token, 1 << len(self.bits))
        return None if state.told & bit else state._replace(token=token, told=state.told | bit)
