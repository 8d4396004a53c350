"""Random requests of memcached's binary protocol: everything that a client may send, well formed or not, one step at a time
(lib/differential_binary.py says what a step is).
"""
import random

from lib.binary import (ADD, ADDQ, APPEND, APPENDQ, DECR, DECRQ, DELETE, DELETEQ, FLUSH, FLUSHQ, GAT, GATK, GATKQ, GATQ, GET,
                        GETK, GETKQ, GETQ, INCR, INCRQ, NOOP, PREPEND, PREPENDQ, QUIT, QUITQ, REPLACE, REPLACEQ, SET,
                        SETQ, STAT, TOUCH, VERBOSITY, VERSION, Frame, count, store, touch)
from lib.differential_binary import Alone

TEXT_KEYS = [b"text1", b"text2", b"sp ace", b"\r\n\0", b"t" * 250]
COUNTER_KEYS = [b"count1", b"c", b"c" * 250]
KEYS = TEXT_KEYS + COUNTER_KEYS

FLAGS = [0, 0, 0, 1, 65536, 2147483648, 4294967295]
# Nothing here comes to pass while a sequence runs: never, in the past, or long after it.
EXPTIMES = [0, 0, 0, 1000, 2592000, 2592001, 1000000000, 4000000000, 2147483647, 2147483648, 4294967295]
NO_CREATE = 4294967295
DELTAS = [0, 1, 1, 1, 7, 1000, 10**12, 2**63 - 1, 2**63, 2**64 - 1]
INITIALS = [0, 5, 99, 10**12, 2**63, 2**64 - 1]
TOKENS = ["last", "last", "last", "last", "stale", 1, 2**64 - 1]
# As in lib/generator.py: none is white space alone or has its top bit set.
NUMBERS = [b"0", b"1", b"99", b"100", b"18446744073709551616", b"900000000000000000", b"abc", b"x", b"12 ", b"007",
           b"12x", b"1" * 30, b"0" * 40 + b"5"]
VALUES = [b"", b"a", b"value", b"\0", b"\r\n", b"v" * 100, b"w" * 1000, bytes(range(256)), b"get text1\r\n", b"\x80" * 30]
LONG_VALUES = [b"w" * 3000, b"q" * 20000, b"m" * 70000]
# Not for counters: of an item in several chunks memcached says first that it is no number, whatever the token.
LONG_TEXTS = [*LONG_VALUES, b"l" * 600000]
TOO_LARGE = b"x" * (1024 * 1024 + 1)
# Whose answers are no matter of taste, and change nothing.
GROUPS = [b"reset", b"resetting", b"detail", b"detail off", b"detail x", b"nonsense", b"conns", b"cachedump 1 1", b"k" * 250]


def malformed():
    """What memcached answers with an error, most of it closing the connection. Logins are not among it: memcached knows
    none unless it asks for them, and Diglot knows them always (tests/engine/test_access_protocols.py)."""
    for opcode in [*range(0x1f), *range(0x23, 0x26), 0x30, 0x7f, 0xff]:
        yield Frame(opcode)
        yield Frame(opcode, b"k")
        yield Frame(opcode, b"k", b"1234")
        yield Frame(opcode, b"k", b"12345678")
        yield Frame(opcode, b"k", b"1" * 20, b"v")
        yield Frame(opcode, b"", b"1" * 20)
        yield Frame(opcode, b"", b"1234")
        yield Frame(opcode, b"", b"12345678", b"v")
        yield Frame(opcode, value=b"v" * 30)
        yield Frame(opcode, b"k" * 251)
        yield Frame(opcode, b"k" * 251, b"1" * 8, b"v")
        yield Frame(opcode, b"k" * 70, body_size=1)
        yield Frame(opcode, b"k", b"1" * 8, body_size=8)
        yield Frame(opcode, b"k" * 5000)
        yield Frame(opcode, b"k", b"1" * 255)


def is_read_on(frame):
    """Where memcached loses its place in the frame and Diglot does not (src/wire/binary.c): the key and the extras of an
    unknown command are skipped twice, and what follows the key of a touch or a stat is read as a request."""
    is_unknown = frame.opcode in (VERBOSITY, 0x1f) or frame.opcode > GATKQ
    if is_unknown and len(frame.key) <= 250:
        return bool(frame.key or frame.extras)
    takes_no_value = frame.opcode in (TOUCH, GAT, GATQ, GATK, GATKQ, STAT)
    return takes_no_value and bool(frame.value) and len(frame.key) <= 250


def is_well_formed(frame):
    """All statistics, and a flush at a time in the past, which memcached takes for none."""
    return (frame.opcode == STAT and not frame.key and not frame.extras
            or frame.opcode in (FLUSH, FLUSHQ) and not frame.key and not frame.value and len(frame.extras) == 4)


MALFORMED = [frame for frame in malformed() if not is_read_on(frame) and not is_well_formed(frame)]
# How a conversation ends: not, by closing, by what is no request, or in the middle of one.
LAST = [b"", Frame(QUIT), Frame(QUITQ), Frame(QUIT, value=b"x"), b"get text1\r\n", b"\x81" + bytes(23), b"\x80",
        Frame(NOOP).render()[:23], Frame(GET, b"text1").render()[:-1], store(SET, b"text1", b"value").render()[:-1]]


class Generator:
    """Makes steps. What it draws depends on the seed alone."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def cas(self, share=0.25):
        return self.pick(TOKENS) if self.random.random() < share else 0

    def value(self, key):
        if self.random.random() < 0.03:
            return self.pick(LONG_VALUES if key in COUNTER_KEYS else LONG_TEXTS)
        return self.pick(NUMBERS if key in COUNTER_KEYS else VALUES)

    def store(self):
        key = self.pick(KEYS)
        opcode = self.pick([SET, SET, SET, SETQ, ADD, ADDQ, REPLACE, REPLACEQ])
        return store(opcode, key, self.value(key), self.pick(FLAGS), self.pick(EXPTIMES), self.cas())

    def store_too_much(self):
        opcode = self.pick([SET, SETQ, ADD, ADDQ, REPLACE, REPLACEQ])
        return store(opcode, self.pick(TEXT_KEYS), TOO_LARGE, cas=self.cas())

    def join(self):
        value = TOO_LARGE if self.random.random() < 0.02 else self.value(b"")
        return Frame(self.pick([APPEND, APPENDQ, PREPEND, PREPENDQ]), self.pick(TEXT_KEYS), value=value, cas=self.cas())

    def get(self):
        return Frame(self.pick([GET, GETQ, GETK, GETKQ]), self.pick(KEYS), cas=self.cas(0.05), vbucket=self.pick([0, 0, 7]),
                     data_type=self.pick([0, 0, 3]))

    def touch(self):
        return touch(self.pick([TOUCH, GAT, GATQ, GATK, GATKQ]), self.pick(KEYS), self.pick(EXPTIMES))

    def count(self):
        exptime = self.pick([NO_CREATE, NO_CREATE, *EXPTIMES])
        return count(self.pick([INCR, INCRQ, DECR, DECRQ]), self.pick(COUNTER_KEYS), self.pick(DELTAS), self.pick(INITIALS),
                     exptime, self.cas())

    def delete(self):
        return Frame(self.pick([DELETE, DELETEQ]), self.pick(KEYS), cas=self.cas())

    def manage(self):
        return self.pick([Frame(NOOP), Frame(NOOP, cas=3), Frame(VERSION), Frame(FLUSH), Frame(FLUSH, extras=bytes(4)),
                          Frame(FLUSHQ), Frame(STAT, self.pick(GROUPS))])

    def unknown(self):
        return Frame(self.pick([VERBOSITY, 0x1f, 0x25, 0x3d, 0x80, 0xff]), value=self.pick([b"", b"", b"x" * 30, b"y" * 5000]))

    def step(self):
        return self.random.choices([self.store, self.get, self.count, self.join, self.touch, self.delete, self.manage,
                                    self.unknown, self.store_too_much],
                                   [30, 25, 14, 10, 10, 7, 4, 3, 1])[0]()

    def sequence(self):
        """All of one conversation."""
        steps = [self.step() for _ in range(self.random.randrange(10, 70))]
        steps.append(Alone(self.pick(MALFORMED if self.random.random() < 0.5 else LAST)))
        return steps
