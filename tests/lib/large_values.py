"""Values that tell whose they are, so that a torn, mixed or foreign one is seen.

A value is a row of parts: what was set, and what was appended or prepended. Each part begins with a heading that tells the key,
a number never used before, the flags that were set along and the part's size; what fills it follows from the number."""
import itertools
import random
import re

MIB = 1 << 20
FILLING = random.Random(0).randbytes(4 * MIB)
HEADING = re.compile(rb"\{([^ ]+) (\d+) (-?\d+) (\d+)\}")
JOINED, UNTOLD = -1, -2  # in the place of flags: a part that was joined to others; one whose value's flags are not known
# Sizes at which something changes: the near cache's largest item and the least that is sent from where it lies, a TLS record, a
# batch's value memory that is kept and that counts as lent, a connection's share of a turn, a batch's replies and a step, an offer.
THRESHOLDS = (0, 64, 4096, 4096, 16384, 32768, 65536, 131072, 262144, 262144, 524288, MIB)


class Torn(AssertionError):
    """What was read is not what anybody has written."""


class Author:
    """Writes parts, and knows them again."""

    def __init__(self, dice):
        self.dice = dice
        self.numbers = itertools.count(1)
        self.written = {}  # number -> (key, flags, size)

    def draw_size(self, most=4 * MIB):
        near = self.dice.choice(THRESHOLDS) + self.dice.randint(-60, 60)
        size = self.dice.choice((near, near, near // 2, near // 3, self.dice.randrange(400)))
        return max(0, size if size <= most else most - self.dice.randrange(400))

    def write(self, key, flags, size=None):
        """A part of about so many bytes."""
        number = next(self.numbers)
        size = self.draw_size() if size is None else size
        size = max(size, len(b"{%s %d %d %d}" % (key, number, flags, size)) + 1)
        self.written[number] = (key, flags, size)
        return self.render(number)

    def render(self, number):
        key, flags, size = self.written[number]
        heading = b"{%s %d %d %d}" % (key, number, flags, size)
        begin = number * 977 % (len(FILLING) // 4)
        return heading + FILLING[begin:begin + size - len(heading)]

    def check(self, key, value, flags=None):
        """That the value is one of the key's, whole, and the flags are those that were set along with it."""
        position = 0
        while position < len(value):
            match = HEADING.match(value, position)
            number = int(match[2]) if match else None
            if number not in self.written or self.written[number][0] != key:
                raise Torn(f"{key} at {position} of {len(value)}: {bytes(value[position:position + 80])!r}")
            part = self.render(number)
            if value[position:position + len(part)] != part:
                raise Torn(f"{key} at {position} of {len(value)}, in the part {match[0]}: {difference(value[position:], part)}")
            told = self.written[number][1]
            if told >= 0 and flags is not None and flags != told:
                raise Torn(f"{key} has flags {flags}: {match[0]}")
            position += len(part)


def difference(value, part):
    at = next((i for i, (a, b) in enumerate(zip(value, part)) if a != b), min(len(value), len(part)))
    return f"{bytes(value[at:at + 40])!r} at {at} instead of {part[at:at + 40]!r}"
