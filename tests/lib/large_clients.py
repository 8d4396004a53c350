"""Clients that pipeline requests for large values, cut their packets anywhere, and read when they like; all of them move in one
thread, as dice say. Each has keys of its own, of which it knows what they hold; and all share some, of which everybody knows that
they hold what somebody wrote."""
import socket
import struct
import time
from collections import deque

from lib.large_requests import (BARRIER, Binary, DELETED, EXISTS, HIT, MISS, Meta, NOT_FOUND, NOT_STORED, Request, SILENT, STORED, Short,
                                Stream, TOO_LARGE, TOUCHED, Text, UNKNOWN, VERBS)
from lib.large_values import JOINED, MIB
from lib.waiting import PATIENCE

READS = ("get", "gat") * 6
WRITES = ("set", "set", "set", "append", "prepend", "cas", "add", "replace", "delete", "touch")
LATER = 1000
MOST_JOINED = 70_000  # bytes that are appended at once
MOST_GROWN = MIB  # a value beyond this is set anew
MOST_UNREAD = 24 << 20  # bytes of replies that one pipeline asks for, about
# What may be answered to a request for a key that others change, too. Each protocol has its word for what is not stored.
REFUSED = {NOT_STORED, EXISTS, NOT_FOUND}
ALLOWED = {"get": {HIT, MISS}, "gat": {HIT, MISS}, "set": {STORED}, "add": {STORED} | REFUSED, "replace": {STORED} | REFUSED,
           "append": {STORED, TOO_LARGE} | REFUSED, "prepend": {STORED, TOO_LARGE} | REFUSED, "cas": {STORED, EXISTS, NOT_FOUND},
           "delete": {DELETED, NOT_FOUND}, "touch": {TOUCHED, NOT_FOUND}, "noop": {BARRIER}}


class Own:
    """What a client's own keys hold."""

    def __init__(self):
        self.forget()

    def forget(self):
        """All are gone."""
        self.items = {}  # key -> (value, flags)
        self.tokens = {}

    def settle(self, request, key, answer):
        """Checks an answer against what the key held, and keeps what it holds now."""
        outcome, value, flags, token = answer
        item = self.items.get(key)
        expected = self.execute(request, key, item)
        if outcome == UNKNOWN or outcome == SILENT and expected == STORED:
            return
        if expected == NOT_STORED and outcome in REFUSED:
            return
        assert outcome == expected, f"{outcome}, not {expected}, to {request.verb} {key}"
        if outcome == HIT:
            assert (len(value), flags) == (len(item[0]), item[1]), (request.verb, key, len(value), len(item[0]), flags, item[1])
            assert value == item[0], f"another value of {key}"
            if token:
                self.tokens[key] = token

    def execute(self, request, key, item):
        """The outcome; what the key holds then is noted."""
        verb, value = request.verb, request.value
        if verb in ("get", "gat"):
            return HIT if item else MISS
        if verb == "noop":
            return BARRIER
        if verb == "touch":
            return TOUCHED if item else NOT_FOUND
        if verb == "delete":
            self.put(key, None)
            return DELETED if item else NOT_FOUND
        if verb == "cas" and item and self.tokens.get(key) != request.token:
            return EXISTS
        if verb == "cas" and not item:
            return NOT_FOUND
        if verb in ("replace", "append", "prepend") and not item or verb == "add" and item:
            return NOT_STORED
        joined = {"append": lambda: (item[0] + value, item[1]), "prepend": lambda: (value + item[0], item[1])}
        self.put(key, joined.get(verb, lambda: (value, request.flags))())
        return STORED

    def put(self, key, item):
        self.tokens.pop(key, None)
        if item:
            self.items[key] = item
        else:
            self.items.pop(key, None)


class Client:
    """One connection at a time. `connect` opens a socket that does not block."""

    def __init__(self, name, dice, author, connect, shared):
        self.name, self.dice, self.author, self.connect, self.shared = name, dice, author, connect, shared
        self.generation = self.number = 0
        self.socket = None
        self.open()

    def open(self):
        """A new connection, of which nobody knows what it speaks, and new keys: what becomes of requests under way is not known."""
        self.generation += 1
        self.dialects = self.dice.choice(((Text,), (Meta, Text), (Meta, Text), (Binary,)))
        self.socket = self.connect(self.dice.choice((None, None, 30_000, 120_000)))
        self.own = Own()
        self.keys = [b"%s.%d.%d" % (self.name, self.generation, i) for i in range(6)]
        self.stream = Stream()
        self.unsent = bytearray()
        self.awaited = deque()
        self.packets = 1
        self.refused = 0

    def reset(self):
        """Goes away, with answers under way or unread: the server is told by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- asking

    def ask(self, count, shares):
        """Adds a pipeline; with `shares`, of the shared keys alone."""
        weight = 0
        for _ in range(count):
            dialect, request = self.draw(shares)
            self.add(dialect, request)
            weight += sum(self.weigh(key) for key in request.keys if request.verb in ("get", "gat"))
            if weight > MOST_UNREAD:
                break
        self.add(self.dialects[0], Request("noop", [b""]))
        self.cut()

    def weigh(self, key):
        return len(self.own.items[key][0]) if key in self.own.items else 100_000

    def add(self, dialect, request):
        self.number += 1
        request.number = self.number
        self.unsent += dialect.render(request)
        self.awaited.append((dialect, request))

    def draw(self, shares):
        dice, dialect = self.dice, self.dice.choice(self.dialects)
        key = dice.choice(self.shared if shares or dice.random() < 0.2 else self.keys)
        verb = dice.choice(READS + WRITES)
        if verb in ("get", "gat"):
            many = dialect.MULTIGET and dice.random() < 0.5
            keys = [key] + [dice.choice(self.shared if shares else self.keys) for _ in range(dice.randint(1, 12) if many else 0)]
            quiet = dialect is not Text and dice.random() < 0.4
            return dialect, Request(verb, keys, exptime=dice.choice((0, LATER)), wants_token=dice.random() < 0.3, is_quiet=quiet)
        if verb in VERBS:
            return dialect, self.draw_store(verb, key, dialect)
        return dialect, Request(verb, [key], exptime=dice.choice((0, LATER)))

    def draw_store(self, verb, key, dialect):
        dice = self.dice
        is_joined = verb in ("append", "prepend")
        if is_joined and len(self.own.items.get(key, (b"",))[0]) > MOST_GROWN:
            verb, is_joined = "set", False
        flags = JOINED if is_joined else dice.choice((0, 0, 1, 65537))
        value = self.author.write(key, flags, self.author.draw_size(MOST_JOINED) if is_joined else None)
        quiet = dice.random() < 0.2 and verb != "cas" and key in self.keys
        token = self.own.tokens.get(key, 1) if verb == "cas" else 1
        return Request(verb, [key], value, max(flags, 0), dice.choice((0, 0, LATER)), token, is_quiet=quiet)

    # --- sending and reading

    def cut(self):
        """How large its packets are from here on."""
        self.packets = self.dice.choice((MIB, MIB, MIB, 1 << 16, 3000, 17))

    def send(self):
        """One packet, or what the socket takes of it."""
        if not self.unsent:
            return 0
        drawn = self.packets if self.packets == MIB else self.dice.randint(1, self.packets)
        size = min(len(self.unsent), max(drawn, self.refused))
        try:
            sent = self.socket.send(self.unsent[:size])
        except OSError as refusal:
            if not is_full(refusal):
                raise
            self.refused = size  # TLS wants no less the next time
            return 0
        self.refused = 0
        del self.unsent[:sent]
        return sent

    def read(self, most=1 << 18):
        """What has come, and checks the answers that are whole."""
        try:
            data = self.socket.recv(most)
        except OSError as refusal:
            if not is_full(refusal):
                raise
            return 0
        assert data, f"{self.name} was closed with {len(self.awaited)} requests open"
        self.stream.data += data
        self.settle()
        return len(data)

    def settle(self):
        while self.awaited:
            dialect, request = self.awaited[0]
            begin = self.stream.position
            try:
                answers = dialect.read(request, self.stream)
            except Short:
                self.stream.position = begin
                break
            self.awaited.popleft()
            for key, answer in zip(request.keys, answers):
                self.check(request, key, answer)
        self.stream.forget()
        assert self.awaited or not self.stream.data, f"more than was asked for: {bytes(self.stream.data[:100])}"

    def check(self, request, key, answer):
        outcome, value, flags, _ = answer
        if outcome == HIT:
            self.author.check(key, value, flags)
        if key not in self.shared:
            self.own.settle(request, key, answer)
        else:
            assert outcome in ALLOWED[request.verb] | {SILENT, UNKNOWN}, f"{outcome} to {request.verb} {key}"

    def finish(self):
        """Until everything is answered."""
        self.packets = max(self.packets, len(self.unsent) // 100)
        deadline = time.monotonic() + PATIENCE
        while self.awaited:
            if self.send() or self.read(MIB):
                deadline = time.monotonic() + PATIENCE
            else:
                assert time.monotonic() < deadline, f"{self.name} waits for {len(self.awaited)} answers, {len(self.unsent)} bytes unsent"
                time.sleep(0.0005)


def is_full(refusal):
    """Whether the socket, or TLS, only has no room or nothing to read now."""
    return isinstance(refusal, BlockingIOError) or type(refusal).__name__ in ("SSLWantReadError", "SSLWantWriteError")
