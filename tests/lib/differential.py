"""Sends one sequence of bytes to two servers and says whether they answer the same.

A sequence is a list of steps. Almost every step is bytes. CAS tokens differ between servers, so a step that needs one
names it: Cas(key, "last") is the token that this very server gave out last for the key. In the reply streams a token is
replaced by how manieth different one of its key it is, so that two servers agree when the same changes renew it.
"""
import random
import re
import time
from dataclasses import dataclass

import pytest

from lib.wire import Closed, Connection, split_values

# Differences that are meant, each with its reason. Everything else must be equal to the byte.
KNOWN_DIFFERENCES = (
    # (pattern in one reply line or value, what takes its place in both streams)
    # The version string names the program.
    (re.compile(rb"\AVERSION .*\r\n\Z"), b"VERSION\r\n"),
    # How much memory the cache may take is the engine's to say.
    (re.compile(rb"\AMEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n\Z"), b"OK\r\n"),
)
# decr, and incr that wraps, shorten a number: memcached pads the stored data with spaces, Diglot stores the plain digits,
# which RESP's INCR can read. Trailing spaces behind a number, and the length with them, are no difference.
PADDED_NUMBER = re.compile(rb"(\d{1,20}) +\r\n")


class Step:
    """One that is not bytes alone: `render` makes bytes of it with the tokens that this server has told."""


@dataclass(frozen=True)
class Cas(Step):
    """A cas command. `token`: "last", "stale" (the first one seen), or a number to send as it is."""
    key: bytes
    token: object
    value: bytes
    flags: int = 0
    exptime: int = 0
    tail: bytes = b""

    def render(self, tokens):
        seen = tokens.get(self.key, [])
        token = self.token
        if token == "last":
            token = seen[-1] if seen else 1
        elif token == "stale":
            token = seen[0] if len(seen) > 1 else 1
        return b"cas %s %d %d %d %d%s\r\n%s\r\n" % (self.key, self.flags, self.exptime, len(self.value), token, self.tail,
                                                    self.value)


@dataclass(frozen=True)
class Sync:
    """Waits for the replies so far. Tokens that come in them can be used from here on."""


@dataclass(frozen=True)
class AfterReplies:
    """Bytes to send when the replies so far have been read. For what closes the connection or makes memcached drop replies
    that it has not sent yet: which those are would be a matter of time."""
    data: bytes


class Conversation:
    """One sequence on one server. `splits` says how its bytes are cut: the same for every server."""

    begun_line = b"\r\n"  # what ends a line that may have been begun

    def __init__(self, port, splits):
        self.connection = Connection(port)
        self.connection.socket.settimeout(5)
        self.splits = splits
        self.pipelines = splits.random() < 0.5  # send many steps at once, or each by itself
        self.unsent = b""
        self.reply = b""
        self.is_over = False

    def tokens(self):
        """Per key, the different CAS tokens seen, in the order of their first sight, and the last one at the end."""
        tokens = {}
        for _, _, match in split_values(self.reply):
            if match and match[4]:
                seen = tokens.setdefault(match[1], [])
                token = int(match[4])
                if token in seen:
                    seen.remove(token)
                seen.append(token)
        return tokens

    def add(self, data):
        self.unsent += data
        if not self.pipelines:
            self.flush()

    def flush(self):
        """Sends what waits, in one to three pieces."""
        data, self.unsent = self.unsent, b""
        count = self.splits.choice((0, 0, 0, 1, 2)) if len(data) > 1 else 0
        cuts = sorted(self.splits.randrange(1, len(data)) for _ in range(count))
        for begin, end in zip([0, *cuts], [*cuts, len(data)]):
            self.send(data[begin:end])

    def send(self, data):
        if self.is_over:
            return
        try:
            self.connection.take_input()  # so that neither side waits for the other to read
            self.connection.send(data)
        except (Closed, OSError):
            pass  # closed on us; what was answered before is read at the end

    def sync(self):
        self.flush()
        if self.is_over:
            return
        try:
            self.reply += self.connection.talk(self.begun_line)
        except (Closed, AssertionError, OSError):  # closed, or in the middle of a value: the end tells
            self.finish()

    def normalise(self):
        """The replies so far, without what may differ: a list of lines and values."""
        return normalise(self.reply)

    def finish(self):
        self.flush()
        if not self.is_over:
            self.reply += self.connection.finish()
            self.connection.close()
            self.is_over = True


def run_sequence(port, steps, seed, talk=Conversation):
    """The reply stream of one server to the sequence, normalised."""
    conversation = talk(port, random.Random(seed))
    for step in steps:
        if isinstance(step, Sync):
            conversation.sync()
        elif isinstance(step, AfterReplies):
            conversation.sync()
            conversation.add(step.data)
        elif isinstance(step, Step):
            # The length of its token differs between servers, so it is not cut.
            conversation.flush()
            conversation.send(step.render(conversation.tokens()))
        else:
            conversation.add(step)
    conversation.finish()
    return conversation.normalise()


def normalise(reply):
    """A reply stream without what may differ: a list of lines and values."""
    seen = {}
    result = []
    for line, value, match in split_values(reply):
        if match:
            padded = PADDED_NUMBER.fullmatch(value)
            if padded:
                value = padded[1] + b"\r\n"
            words = [match[1], match[2], b"%d" % (len(value) - 2)]
            if match[4]:
                tokens = seen.setdefault(match[1], [])
                if match[4] not in tokens:
                    tokens.append(match[4])
                words.append(b"token%d" % tokens.index(match[4]))
            line = b"VALUE " + b" ".join(words) + b"\r\n"
        for pattern, replacement in KNOWN_DIFFERENCES:
            if pattern.search(line):
                line = replacement
        result.append(line)
        if match:
            result.append(value)
    return result


def minimise(steps, differs, seconds=40):
    """Delta debugging: the steps without those that the difference does not need, as far as it gets in time."""
    deadline = time.monotonic() + seconds
    size = max(1, len(steps) // 2)
    while size:
        begin = 0
        while begin < len(steps) and time.monotonic() < deadline:
            shorter = steps[:begin] + steps[begin + size:]
            if shorter and differs(shorter):
                steps = shorter
            else:
                begin += size
        size //= 2
    return steps


def describe_difference(expected, actual):
    """The first place where two normalised streams differ, in words."""
    for index, (left, right) in enumerate(zip(expected + [b"(end)"], actual + [b"(end)"])):
        if left != right:
            before = b"".join(expected[max(0, index - 3):index])
            return f"behind {before[-200:]!r}\n  memcached says {left[:300]!r}\n  subject says   {right[:300]!r}"
    return "streams differ in length only"


def check_equal(compare, steps, seed):
    """Fails the test where the two servers' answers to the steps differ; `compare(steps)` says how, or None."""
    first = compare(steps)
    if first is None:
        return
    steps = minimise(steps, lambda shorter: compare(shorter) is not None)
    pytest.fail(f"seed {seed}: {compare(steps) or 'once, and not again: ' + first}\nsteps: {show_steps(steps)}", pytrace=False)


def show_steps(steps):
    """The steps as a Python expression, runs of one byte made short."""
    return re.sub(r"([^\\\d'])\1{20,}", lambda run: f"' + b'{run[1]}' * {len(run[0])} + b'", repr(steps))
