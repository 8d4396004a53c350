"""Random meta commands, well formed or not, among classic ones on the same keys, one step at a time (lib/differential.py
says what a step is). The classic ones are all well formed: in others the newest memcached differs from Debian's, which is
the one that Diglot follows there.

Left out is what memcached does by accident, or what only it can know:
  - what h, l, la and fetch tell is not compared (lib/meta_differential.py);
  - T or N with -1 beside t: it tells a time before now as a number of 32 bits;
  - an opaque too long beside T, N or ma: it is found when the item has been changed already;
  - c of ms and ma beside a T or N that is over: what has no item has no token here, and may have another already;
  - marks of a number, and T and E of an ma, where the sum has more digits than before, as incr may: memcached makes a new
    item without marks, and gives T and E to the one that it replaces;
  - x of md without I or E: memcached keeps the token of what it has emptied, Diglot never keeps one for another content;
  - E0, which ma stores as a token and ms takes for none; T- and N-, a minus without digits, which it takes for 0;
  - a key asked for with and without b: memcached tells it as the item was stored, Diglot as it was asked for;
  - N of mg, x of md and append and prepend on a key in base64: the item that memcached then makes tells its key as it is,
    line ends and all;
  - ma, incr and decr while replies with the item are under way: memcached then counts in a copy without marks, and gives
    T to the original;
  - numbers whose stored form may be padded with spaces, and how large they are.
"""
import base64
import random

from lib.differential import Sync
from lib.meta_differential import WithToken

TEXT_KEYS = [b"m1", b"m2", b"m3", b"tab\tkey", b"M" * 250]
COUNTER_KEYS = [b"n1", b"n2"]
ENCODED_KEYS = {base64.b64encode(key): key for key in (b"\0\1 \r\n", b"bin", b"\xff" * 186, b"{t} x")}
KEYS = [*TEXT_KEYS, *COUNTER_KEYS, *ENCODED_KEYS]
PLAIN_KEYS = [*TEXT_KEYS, *COUNTER_KEYS]

VALUES = [b"", b"a", b"value", b"\0", b"\r\n", b"x\r\ny", b"HD\r\n", b"VA 2 c5\r\nXY\r\n", b"v" * 100, bytes(range(256)),
          b"w" * 70000]
NUMBERS = [b"0", b"1", b"99", b"100", b"900000000000000000", b"abc", b"x"]
# In the middle of a hundred seconds, so that what is left of them is told alike for a while. The last ones are over.
EXPTIMES = [b"0", b"1050", b"100050", b"2591950"]
PAST = [b"-1", b"-2147483648", b"1000000000"]
TOKENS = ["last", "last", "last", "stale", 1, 18446744073709551614]
OWN_TOKENS = [b"3", b"9223372036854775808", b"18446744073709551615"]
DELTAS = [b"0", b"1", b"7", b"1000000000000", b"9223372036854775807"]
OPAQUES = [b"", b"1", b"opaque", b"o" * 31, b"\xff\x01", b"b", b"O"]
ENDS = [b"\r\n"] * 8 + [b"\n", b" \r\n", b"  \n"]

# What follows `mg m1 ` and the like: refused by all of them, whatever is stored.
BAD_FLAGS = [b"v v", b"z", b"z v v", b"v v z", b"!", b"z !", b"C", b"Cx", b"C-1", b"C+5", b"C18446744073709551616", b"C D",
             b"D C", b"D1x", b"J", b"Jx", b"F", b"F-1", b"F4294967296", b"F C", b"C F", b"N", b"Nx", b"T", b"T5x", b"T+5",
             b"T2147483648", b"T-2147483649", b"T000000000005", b"R", b"R1.5", b"E", b"E-1", b"S2", b"0", b"9", b"[", b"^",
             b"`", b"~", b"\x7f", b"\xff", b"\r", b"\tv", b"Ox O", b"C1 C1", b"b", b"O" + b"o" * 32 + b" z",
             b" ".join([b"z"] * 30), b"q z", b"k O1 z", b"T5\0", b"c f h k l s t u v x I L P C1 D1 E1 F1 J1 q R1"]
BAD_LINES = [b"mg", b"mg ", b"ms", b"ms m1", b"ms m1 ", b"md", b"ma", b"me", b"me  ", b"mgx m1", b"MG m1", b"mn\t", b"mz m1",
             b" mg m1", b"  mn", b"mg\tm1", b"mn\0", b"mg\0 m1", b"mg " + b"k" * 251, b"md " + b"k" * 300,
             b"ma " + b"k" * 251, b"me " + b"k" * 251, b"mg " + b"k" * 251 + b" z", b"me m1 !", b"me YQ b k",
             b"ma n1 MX", b"ma n1 M", b"ma n1 Minc", b"md m1 O" + b"o" * 32, b"md m1 q O" + b"o" * 40,
             b"mg m1 O" + b"o" * 32, b"mg nothing q O" + b"o" * 32]
# Undecodable, or of a wrong length. 1.6.45 passes over what is not in the alphabet.
ODD_BASE64 = [b"YQ=", b"YQ", b"Y", b"YWJ", b"YQ==YQ==", b"YQ==x", b"Y=Q=", b"=YQ=", b"====", b"Y===", b"YQ=Q", b"YR==",
              b"YWJ=", b"YW!I=", b"YWI!=", b"-_-_", b"YWJj====", b"YWJjZA==ZA==", b"!", b"YQ==" + b"!" * 246,
              base64.b64encode(b"q" * 187), b"YQ\0==", b"Y\tQ=="]
NOTHING = [b"mn", b"mn", b"mn x", b"mn !"]
BAD_LENGTHS = [b"-1", b"+2", b"2x", b"x", b"S2", b"2147483646", b"99999999999999999999", b"2\t", b"0x2", b"000000000002"]


class MetaGenerator:
    """Makes steps. What it draws depends on the seed alone."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def chance(self, share):
        return self.random.random() < share

    def some(self, flags, least=0):
        return self.random.sample(flags, self.random.randint(least, len(flags)))

    def expiry(self, letter, may_be_past):
        times = EXPTIMES + PAST if may_be_past and self.chance(0.2) else EXPTIMES
        return letter + self.pick(times)

    def line(self, command, key, flags, length=None):
        """The words of a line, its flags in any order, with b where the key needs it."""
        flags = list(flags) + ([b"b"] if key in ENCODED_KEYS else [])
        if command != b"mg" and any(flag[:1] in (b"T", b"N") and flag[1:] in PAST for flag in flags):
            flags = [flag for flag in flags if flag != b"c"]
        self.random.shuffle(flags)
        words = [command, key] + ([b"%d" % length] if length is not None else []) + flags
        gap = b"  " if self.chance(0.03) else b" "
        return gap.join(words)

    def common(self):
        """Flags that every command takes."""
        flags = [b"k"] if self.chance(0.6) else []
        flags += [b"O" + self.pick(OPAQUES)] if self.chance(0.2) else []
        flags += [b"q"] if self.chance(0.2) else []
        flags += self.some([b"P1", b"L"], 1) if self.chance(0.05) else []
        return flags

    def compare(self, key, line, behind=b"", share=0.25):
        """The line with a C in it, at times. Waits first, so that a token can be one told just now."""
        end = self.pick(ENDS)
        if not self.chance(share):
            return [line + end + behind]
        return [Sync(), WithToken(ENCODED_KEYS.get(key, key), self.pick(TOKENS), line + b" C", end + behind)]

    def get(self):
        key = self.pick(KEYS)
        is_counter = key in COUNTER_KEYS
        may_be_made = key in TEXT_KEYS
        flags = self.common() + self.some([b"v", b"v", b"c", b"f", b"h", b"l", b"u"] + ([] if is_counter else [b"s"]))
        flags = list(dict.fromkeys(flags))
        kind = self.random.random()
        if kind < 0.2:
            flags += [b"t"]
        elif kind < 0.35:
            flags += [self.expiry(b"T", may_be_past=True)]
        elif kind < 0.5:
            flags += [self.expiry(b"T", may_be_past=False), b"t"]
        elif kind < 0.65 and may_be_made:
            flags += [self.expiry(b"N", may_be_past=False), b"t"]
        elif kind < 0.75 and may_be_made:
            flags += [self.expiry(b"N", may_be_past=False), self.expiry(b"T", may_be_past=False)] + self.some([b"t"])
        if self.chance(0.25) and not is_counter:
            flags += [b"R" + self.pick([b"0", b"1100", b"100100", b"-1"])]
        if self.chance(0.1):
            flags += [b"E" + self.pick(OWN_TOKENS)]
        flags += self.some([b"x", b"I", b"M", b"F5", b"D1", b"J1"], 1) if self.chance(0.03) else []
        return self.compare(key, self.line(b"mg", key, flags), share=0.12)

    def set(self):
        key = self.pick(KEYS)
        is_counter = key in COUNTER_KEYS
        value = self.pick(NUMBERS if is_counter else VALUES)
        flags = self.common() + self.some([b"c"] + ([] if is_counter else [b"s"]))
        flags += [self.expiry(b"T", may_be_past=True)] if self.chance(0.4) else []
        flags += [b"F" + self.pick([b"0", b"5", b"4294967295"])] if self.chance(0.4) else []
        flags += [b"E" + self.pick(OWN_TOKENS)] if self.chance(0.1) else []
        flags += [b"I"] if self.chance(0.25) and not is_counter else []
        if self.chance(0.5):
            flags += [b"M" + self.pick([b"S", b"E", b"R", b"Set"] + ([b"A", b"P", b"A", b"P", b"Add"] if key in TEXT_KEYS else []))]
        flags += [self.expiry(b"N", may_be_past=True)] if self.chance(0.2) else []
        flags += self.some([b"t", b"f", b"h", b"l", b"u", b"v", b"x"], 1) if self.chance(0.03) else []
        line = self.line(b"ms", key, flags, len(value))
        return self.compare(key, line, value + b"\r\n", share=0.3)

    def set_badly(self):
        kind = self.random.random()
        if kind < 0.3:
            return [b"ms m1 " + self.pick(BAD_LENGTHS) + b"\r\nmd nothing\r\n"]
        if kind < 0.5:
            return [b"ms m1 2" + self.pick([b"", b" q", b" k"]) + b"\r\nXYmnmn\r\n"]
        if kind < 0.6:
            return [b"ms " + b"k" * 251 + b" 4\r\nmn z\r\n"]
        if kind < 0.7:
            return [b"ms m1 4 " + self.pick([b"MX", b"M", b"Ms", b"q MX", b"M+ O" + b"o" * 40]) + b"\r\nmn z\r\n"]
        if kind < 0.8:
            return [b"ms m1 4 O" + b"o" * 32 + b"\r\nmn z\r\n"]
        flags = self.pick(BAD_FLAGS)
        return [b"ms m1 12 " + flags + b"\r\nmd nothingxy\r\n"]

    def delete(self):
        key = self.pick(KEYS)
        flags = self.common()
        flags += [b"I"] if self.chance(0.6) and key not in COUNTER_KEYS else []
        flags += [b"x"] if self.chance(0.25) and key in TEXT_KEYS else []
        flags += [self.expiry(b"T", may_be_past=True)] if self.chance(0.4) else []
        needs_token = b"x" in flags and b"I" not in flags
        flags += [b"E" + self.pick(OWN_TOKENS)] if needs_token or self.chance(0.1) else []
        flags += [b"F" + self.pick([b"0", b"5"])] if self.chance(0.1) else []
        flags += self.some([b"t", b"f", b"c", b"s", b"v", b"u", b"M", b"N5"], 1) if self.chance(0.05) else []
        return self.compare(key, self.line(b"md", key, flags))

    def count(self):
        key = self.pick(COUNTER_KEYS)
        flags = self.common() + self.some([b"v", b"c"])
        flags += [b"D" + self.pick(DELTAS)] if self.chance(0.5) else []
        flags += [b"J" + self.pick(DELTAS)] if self.chance(0.3) else []
        kind = self.random.random()
        if kind < 0.3:
            flags += [self.expiry(b"N", may_be_past=True)]
        elif kind < 0.5:
            flags += [self.expiry(b"N", may_be_past=False), b"t"]
        elif kind < 0.8:
            flags += [self.pick([b"MD", b"M-", b"MDecr"]), self.expiry(b"T", may_be_past=kind < 0.6)]
            flags += [b"t"] if kind >= 0.6 else []
            flags += [b"E" + self.pick(OWN_TOKENS)] if self.chance(0.3) else []
        if kind < 0.5 and self.chance(0.5):
            flags += [b"M" + self.pick([b"I", b"+", b"D", b"-", b"Incr"])]
        return [Sync(), *self.compare(key, self.line(b"ma", key, flags))]

    def debug(self):
        key = self.pick([*TEXT_KEYS, *ENCODED_KEYS])
        # A flag more than b, without which 1.6.45 does not see it.
        return [b"me " + key + (b" b q" if key in ENCODED_KEYS else b"") + self.pick(ENDS)]

    def classic(self):
        """Another protocol's commands change the same items."""
        key = self.pick(PLAIN_KEYS)
        value = self.pick(NUMBERS if key in COUNTER_KEYS else VALUES)
        kind = self.random.random()
        if kind < 0.3:
            return [b"set %s 7 1050 %d\r\n%s\r\n" % (key, len(value), value)]
        if kind < 0.4 and key in TEXT_KEYS:
            return [self.pick([b"append", b"prepend"]) + b" %s 0 0 2\r\nAB\r\n" % key]
        lines = [b"get " + key, b"gets " + key, b"delete " + key, b"touch %s 1050" % key, b"gat 100050 " + key]
        if key in COUNTER_KEYS and self.chance(0.3):
            return [Sync(), self.pick([b"incr", b"decr"]) + b" %s 5\r\n" % key]
        return [self.pick(lines) + b"\r\n"]

    def badly(self):
        kind = self.random.random()
        if kind < 0.5:
            command = self.pick([b"mg m1 ", b"md m1 ", b"ma n1 ", b"mg " + b"k" * 251 + b" "])
            return [command + self.pick(BAD_FLAGS) + b"\r\n"]
        if kind < 0.8:
            return [self.pick(BAD_LINES) + b"\r\n"]
        return [self.pick([b"mg ", b"md "]) + self.pick(ODD_BASE64) + b" b\r\n"]

    def nothing(self):
        return [self.pick(NOTHING) + b"\r\n"]

    def any(self):
        make = self.random.choices(
            [self.get, self.set, self.delete, self.count, self.debug, self.classic, self.badly, self.set_badly, self.nothing],
            [30, 24, 12, 12, 3, 10, 8, 4, 2])[0]
        return make()

    def sequence(self):
        """All of one conversation; at its end every item is looked at."""
        steps = []
        for _ in range(self.random.randrange(10, 70)):
            steps += self.any()
        for key in KEYS:
            flags = [b"k", b"v", b"c", b"t", b"f"] + ([b"b"] if key in ENCODED_KEYS else [])
            steps.append(b"mg " + key + b" " + b" ".join(flags) + b"\r\n")
        return steps
