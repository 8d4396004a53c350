"""Random requests of memcached's classic text: everything that a client may send, well formed or not, one step at a time
(lib/differential.py says what a step is).
"""
import random

from lib.differential import AfterReplies, Cas, Sync

TEXT_KEYS = [b"text1", b"text2", b"text3", b"T" * 249, b"t" * 250]
COUNTER_KEYS = [b"count1", b"c", b"c" * 250]
KEYS = TEXT_KEYS + COUNTER_KEYS
BAD_KEYS = [b"b" * 251, b"b" * 300, b"b" * 1000]
ODD_KEYS = [b"tab\there", b"\x01\x02", b"\xff\xfe", b"{tag}key", b"noreply", b"0", b"key=value", b"\xc3\xa4",
            b"nul\0key"]

FLAGS = [b"0", b"0", b"0", b"1", b"5", b"65536", b"2147483648", b"4294967295", b"4294967296", b"-1", b"abc", b"1x",
         b"+3", b"18446744073709551615", b"99999999999999999999", b"0x10", b"007"]
# Nothing here comes to pass while a sequence runs: now, in the past, or long after it.
EXPTIMES = [b"0", b"0", b"0", b"-1", b"-2147483648", b"1000", b"2592000", b"2592001", b"1000000000", b"4000000000",
            b"2147483647", b"2147483648", b"-2147483649", b"abc", b"", b"10x", b"+100", b"99999999999999999999",
            b"1e5"]
LENGTHS = [b"-1", b"abc", b"", b"+3", b"03", b"3x", b"2147483647", b"2147483648", b"4294967295", b"4294967299",
           b"99999999999999999999", b"-2147483648", b"2147483646"]
DELTAS = [b"0", b"1", b"1", b"7", b"1000000000000", b"18446744073709551616", b"-1", b"abc", b"1x", b"+1", b"01",
          b"1.5", b"-9223372036854775808", b"-18446744073709551615", b"\t1", b"1\t", b"1\tx"]
# None is white space alone or has its top bit set: memcached would read on into what the memory behind the item happens
# to hold, for a digit in the one case, for a minus in the other.
NUMBERS = [b"0", b"1", b"99", b"100", b"18446744073709551616", b"900000000000000000", b"-1", b"abc", b"x", b"12 ",
           b" 12", b"+5", b"007", b"12\0x", b"5 -", b"12\t", b"12x", b"1" * 30, b"\r\n7", b"3\r\n", b"0" * 40 + b"5"]
VALUES = [b"", b"a", b"value", b"\0", b"\r\n", b"x\r\ny", b"\nget text1\r\n", b"\r", b"END\r\n", b"v" * 100,
          b"w" * 1000, bytes(range(256)), b"VALUE text1 0 1\r\n1\r\nEND\r\n"]
# Only with lines that are well formed: behind others the data is read as a line, and this is too long for one.
LONG_VALUES = [b"w" * 3000, b"q" * 20000, b"\r\n" * 5000, b"m" * 70000]
NOREPLY = [b"", b"", b"", b"", b" noreply", b" noreply", b" norepl", b" noreplyx", b" NOREPLY", b" noreply noreply",
           b" x"]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\n", b" \r\n", b"  \n", b"\t\r\n"]
UNKNOWN = [b"", b" ", b"\r", b"foo", b"GET text1", b"Get text1", b"getx text1", b"gets", b"get", b"get ", b"set",
           b"set text1", b"set text1 0", b"set text1 0 0", b"cas text1 0 0 1", b"delete", b"incr", b"incr text1",
           b"decr c", b"touch", b"touch text1", b"gat", b"gat 0", b"gats", b"gats 0", b"versio", b"versions",
           b"version x", b"verbosity", b"flush_al", b"flush_all x y z", b"\tget text1", b"get\ttext1", b"add",
           b"append text1 0 0", b"replace text1 0 0 ", b"prepend", b"quit x", b"quitx", b"a" * 2000, b"\0",
           b"get\0text1", b"set \r", b"set a b c d e f g h", b"delete a b c d", b"incr a b c d e", b"touch a b c d",
           b"shutdow", b"noreply", b"END", b"STORED"]
MANAGEMENT = [b"version", b"verbosity 0", b"verbosity 0 noreply", b"verbosity", b"verbosity x", b"verbosity 0 x",
              b"verbosity noreply", b"verbosity 0 1 2 3 4", b"flush_all", b"flush_all", b"flush_all 0",
              b"flush_all noreply", b"flush_all 0 noreply", b"flush_all -1", b"flush_all abc",
              b"flush_all abc noreply", b"flush_all 0 x", b"flush_all -x", b"flush_all 99999999999999999999",
              b"cache_memlimit", b"cache_memlimit x", b"cache_memlimit 1", b"cache_memlimit 1024",
              b"cache_memlimit 7 noreply", b"cache_memlimit noreply", b"cache_memlimit 2000000000",
              b"cache_memlimit -1", b"shutdown", b"shutdown x", b"shutdown graceful"]
HTTP = [b"GET / HTTP/1.1", b"HTTP/1.1", b"HTTP/", b" HTTP/1.1", b"PO HTTP/1.1", b"x HTTP/1.1", b"xy HTTP/1.1",
        b"x y HTTP/1.1", b"a b c HTTP/1.1", b"get text1 HTTP/1.1", b"goo HTTP/1.1", b"set HTTP/1.1",
        b"GET / HTTP/1.1 x", b"version HTTP/1.1", b"verbosity HTTP/1", b"GET /\tHTTP/1.1"]
# How a conversation ends: not, by closing, or in the middle of a request.
LAST = [b"", b"quit\r\n", b"quit\n", b"quit noreply\r\n", b"quit now please\r\n", b"get tex",
        b"set text1 0 0 10\r\nabc", b"set text1 0 0 3\r\nabc", b"set text1 0 0 3\r\nabc\r",
        *[line + b"\r\n" for line in HTTP]]


def has_key_too_long(line):
    return max(map(len, line.rstrip(b"\r\n").split(b" "))) > 250


class Generator:
    """Makes steps. What it draws depends on the seed alone."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def key(self, keys=KEYS):
        return self.pick(BAD_KEYS + ODD_KEYS) if self.random.random() < 0.06 else self.pick(keys)

    def often(self, usual, others, share=0.12):
        return self.pick(others) if self.random.random() < share else usual

    def line(self, *words):
        gap = self.often(b" ", [b"  ", b"   ", b"\t", b" \t"], 0.04)
        start = self.often(b"", [b" ", b"  ", b"\t"], 0.02)
        return start + gap.join(words)

    def end(self):
        return self.pick(ENDS)

    def store(self):
        """A storage command with its data, well formed or nearly so."""
        command = self.pick([b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend"])
        if self.random.random() < 0.06:
            value = self.pick(LONG_VALUES)
            # An end of line first, for what a request before it may have begun.
            key, tail = self.pick(TEXT_KEYS), self.pick([b"", b" noreply"])
            return b"\r\n%s %s 0 0 %d%s\r\n%s\r\n" % (command, key, len(value), tail, value)
        keys = TEXT_KEYS if command in (b"append", b"prepend") else KEYS
        key = self.key(keys)
        value = self.pick(VALUES if key in TEXT_KEYS else NUMBERS)
        flags, exptime = self.often(b"0", FLAGS, 0.4), self.often(b"0", EXPTIMES, 0.35)
        line = self.line(command, key, flags, exptime, b"%d" % len(value))
        return line + self.pick(NOREPLY) + self.end() + value + b"\r\n"

    def store_badly(self):
        """Data that is too short or too long for its length, or a length that is none."""
        command = self.pick([b"set", b"add", b"replace", b"append", b"prepend", b"cas"])
        tail = self.pick(NOREPLY)
        token = [b"12"] if command == b"cas" else []
        words = [command, self.key(TEXT_KEYS), b"3", b"0"]
        kind = self.random.random()
        if kind < 0.3:
            return self.line(*words, self.pick(LENGTHS), *token) + tail + b"\r\nabc\r\n"
        data, said = self.pick([(b"12345\r\n", 3), (b"12345\r\n", 4), (b"123\n", 3), (b"123\rx", 3), (b"1234567890\r\n", 0),
                                (b"12\r\n3\r\n", 2)])
        missing = max(0, said + 2 - len(data))
        return self.line(*words, b"%d" % said, *token) + tail + b"\r\n" + data + b"\r" * missing

    def get(self):
        command = self.pick([b"get", b"get", b"gets", b"gets"])
        keys = [self.key() for _ in range(self.pick([1, 1, 1, 2, 3, 7, 8, 9, 25]))]
        while sum(map(len, keys)) > 1800:  # keep the line below the length at which the network decides
            keys.pop()
        return self.get_line(command, *keys)

    def get_line(self, *words):
        """One that names a key too long makes memcached forget the replies that it has not yet sent for requests before
        it, so there must be none."""
        line = self.line(*words) + self.end()
        return AfterReplies(line) if has_key_too_long(line) else line

    def get_and_touch(self):
        keys = [self.key() for _ in range(self.pick([1, 1, 2, 4]))]
        command, exptime = self.pick([b"gat", b"gats"]), self.often(b"0", EXPTIMES, 0.5)
        line = self.get_line(command, exptime, *keys)
        if isinstance(line, AfterReplies):
            # memcached has touched the keys before the one too long when it comes to that; Diglot refuses the line as a
            # whole. So touch with what changes nothing.
            return AfterReplies(b" ".join([command, b"0", *keys, BAD_KEYS[0]]) + b"\r\n")
        return line

    def touch(self):
        line = self.line(b"touch", self.key(), self.often(b"0", EXPTIMES, 0.5))
        return line + self.pick(NOREPLY) + self.end()

    def count(self):
        line = self.line(self.pick([b"incr", b"decr"]), self.key(COUNTER_KEYS), self.often(b"1", DELTAS, 0.6))
        return line + self.pick(NOREPLY) + self.end()

    def delete(self):
        tail = self.pick([b"", b"", b"", b" 0", b" 0 noreply", b" 1", b" noreply", b" x", b" 0 x", b" noreply 0"])
        return self.line(b"delete", self.key()) + tail + self.end()

    def cas(self):
        """A gets and a cas with what it said."""
        key = self.pick(KEYS)
        value = self.pick(NUMBERS if key in COUNTER_KEYS else VALUES)
        token = self.pick(["last", "last", "last", "stale", 0, 1, 18446744073709551615])
        flags = self.pick([0, 0, 7, 4294967295])
        tail = self.pick([b"", b"", b"", b" noreply", b" x"])
        between = self.any_simple() if self.random.random() < 0.3 else []
        exptime = self.pick([0, 0, 1000, -1])
        return [b"gets " + key + b"\r\n", Sync(), *between, Cas(key, token, value, flags, exptime, tail)]

    def cas_badly(self):
        token = self.pick([b"abc", b"-1", b"", b"1x", b"99999999999999999999", b"+1", b"1 2"])
        line = self.line(b"cas", self.key(TEXT_KEYS), b"0", b"0", b"3", token)
        return line + self.pick(NOREPLY) + b"\r\nabc\r\n"

    def manage(self):
        return self.pick(MANAGEMENT) + self.end()

    def unknown(self):
        line = self.pick(UNKNOWN)
        return AfterReplies(line + self.end()) if line.startswith(b"quit") else line + self.end()

    def any_simple(self):
        make = self.random.choices(
            [self.store, self.get, self.count, self.delete, self.touch, self.get_and_touch, self.manage, self.unknown,
             self.store_badly, self.cas_badly],
            [26, 18, 12, 6, 6, 6, 4, 6, 5, 2])[0]
        steps = make()
        return steps if isinstance(steps, list) else [steps]

    def sequence(self):
        """All of one conversation."""
        steps = []
        for _ in range(self.random.randrange(10, 70)):
            steps += self.cas() if self.random.random() < 0.12 else self.any_simple()
        # What ends the conversation takes answers with it that are still on their way; hence behind them.
        steps.append(AfterReplies(self.pick(LAST)))
        return steps + [b"version\r\n", b"gets " + b" ".join(KEYS) + b"\r\n"]
