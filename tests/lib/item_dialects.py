"""memcached's protocols as ways to say the commands of lib/item_commands.py: each renders a command, tells what the server
should answer to an outcome (None where it says nothing), and reads an answer.

`read` returns (number of the request or None where the protocol does not tell, Outcome, token or None). `barrier` is a
request that is always answered; its answer is BARRIER."""
import random
import struct
import time

from lib import binary
from lib.item_commands import DELETED, EXISTS, NOT_FOUND, NOT_STORED, STORED, TOUCHED, Command, Outcome

FLAGS = (0, 0, 1, 5, 7, 65535, 2**31, 2**32 - 1)
FAR = int(time.time()) + 3000000  # an absolute time can be compared to the second
LONG_AGO = 1000000000
BARRIER = Outcome("barrier")
DONE = Outcome("done")  # where a protocol has one word for every success


class Dialect:
    """Draws commands, and is what they have in common. `seed` decides what is drawn."""

    OVER = -1  # an exptime
    SAYS_ERRORS = True  # of quiet commands, too

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, share):
        return self.random.random() < share

    def exptime(self):
        """Never, a date, some time from now; at times it is over already."""
        kinds = [0, FAR + self.random.randrange(1000), 1000 + self.random.randrange(100000), self.OVER]
        return self.random.choices(kinds, [4, 4, 4, 1])[0]

    def draw(self, key, is_counter, tokens):
        """A command. `tokens`: the key's present token or None, and one of before or None."""
        verbs = self.COUNTER_VERBS if is_counter else self.TEXT_VERBS
        value = b"%d" % self.some_number() if is_counter else self.some_value()
        return getattr(self, "draw_" + self.random.choice(verbs))(key, value, tokens)

    def some_number(self):
        return self.random.choice([0, self.random.randrange(1000), self.random.randrange(1000), 2**64 - 1])

    def some_value(self):
        return self.random.randbytes(self.random.choice([0, 1, 10, 100, 100, 3000]))

    def draw_store(self, key, value, _):
        verb = self.random.choice(["set", "set", "add", "replace"])
        return Command(verb, key, value, self.random.choice(FLAGS), self.exptime(), is_quiet=self.chance(0.25))

    def draw_compare(self, key, value, tokens):
        """With the present token, or with one of before, which must not hold."""
        present, spent = tokens
        token = spent if spent is not None and self.chance(0.3) else present
        if token is None:
            return self.draw_get(key)
        return Command("set", key, value, self.random.choice(FLAGS), self.exptime(), token=token, token_holds=token == present)

    def draw_join(self, key, value, _):
        return Command(self.random.choice(["append", "prepend"]), key, value[:100], is_quiet=self.chance(0.25))

    def draw_count(self, key, *_):
        operand = self.random.choice([self.random.randrange(100), self.random.randrange(100), 2**63])
        return Command(self.random.choice(["incr", "decr"]), key, operand=operand, is_quiet=self.chance(0.25))

    def draw_delete(self, key, *_):
        return Command("delete", key, is_quiet=self.chance(0.25))

    def draw_touch(self, key, *_):
        return Command("touch", key, exptime=self.exptime(), is_quiet=self.chance(0.25))

    def draw_get(self, key, *_):
        return Command("get", key)

    def draw_gat(self, key, *_):
        return Command("get", key, exptime=self.exptime())


class Classic(Dialect):
    SAYS_ERRORS = False
    TEXT_VERBS = ["store", "store", "store", "compare", "compare", "join", "join", "touch", "gat", "get", "delete"]
    COUNTER_VERBS = ["store", "count", "count", "count", "compare", "touch", "gat", "delete"]
    LINES = {b"STORED": STORED, b"NOT_STORED": NOT_STORED, b"EXISTS": EXISTS, b"NOT_FOUND": NOT_FOUND, b"DELETED": DELETED,
             b"TOUCHED": TOUCHED, b"END": NOT_FOUND, b"MN": BARRIER}
    barrier = b"mn\r\n"
    FLUSHES = [b"flush_all\r\n", b"flush_all 0\r\n", b"flush_all noreply\r\nmn\r\n"]

    def render(self, command, _):
        words = {"incr": b"%d" % command.operand, "decr": b"%d" % command.operand, "delete": b"",
                 "touch": b"%d" % (command.exptime or 0)}
        end = b" noreply\r\n" if command.is_quiet else b"\r\n"
        if command.verb == "get":
            verb = b"gets" if command.exptime is None else b"gats %d" % command.exptime
            return b"%s %s\r\n" % (verb, command.key)
        if command.verb in words:
            return b"%s %s %s" % (command.verb.encode(), command.key, words[command.verb]) + end
        verb, token = (command.verb.encode(), b"") if command.token is None else (b"cas", b" %d" % command.token)
        return b"%s %s %d %d %d%s" % (verb, command.key, command.flags, command.exptime or 0, len(command.value),
                                      token) + end + command.value + b"\r\n"

    def answer_to(self, command, outcome):
        return None if command.is_quiet else outcome

    def read(self, connection):
        line = connection.read_line()
        if line.isdigit():
            return None, Outcome("number", number=int(line)), None
        if not line.startswith(b"VALUE "):
            return None, self.LINES.get(line, line), None
        words = line.split(b" ")
        value = connection.read_exactly(int(words[3]) + 2)[:-2]
        assert connection.read_line() == b"END"
        return None, Outcome("hit", value, int(words[2])), int(words[4])


class Meta(Dialect):
    TEXT_VERBS = ["store", "store", "compare", "compare", "late", "join", "join", "touch", "get", "get", "vivify", "refresh",
                  "delete", "invalidate", "invalidate", "clear"]
    COUNTER_VERBS = ["store", "count", "count", "count", "compare", "touch", "refresh", "delete", "invalidate"]
    MODES = {"set": b"S", "add": b"E", "replace": b"R", "append": b"A", "prepend": b"P", "incr": b"I", "decr": b"D"}
    STATUSES = {b"HD": DONE, b"NS": NOT_STORED, b"EX": EXISTS, b"NF": NOT_FOUND, b"EN": NOT_FOUND, b"MN": BARRIER}
    barrier = b"mn\r\n"
    FLUSHES = Classic.FLUSHES

    def draw_late(self, key, value, tokens):
        spent = tokens[1]
        return Command("set", key, value, self.random.choice(FLAGS), self.exptime(), token=spent, is_late=spent is not None)

    def draw_join(self, key, value, tokens):
        command = super().draw_join(key, value, tokens)
        if self.chance(0.5):
            return command
        return Command(command.verb, key, command.value, self.random.choice(FLAGS), vivify=self.exptime())

    def draw_count(self, key, *_):
        command = super().draw_count(key)
        initial, vivify = (self.random.randrange(100), self.exptime()) if self.chance(0.4) else (None, None)
        exptime = self.exptime() if self.chance(0.3) else None
        return Command(command.verb, key, exptime=exptime, operand=command.operand, initial=initial, vivify=vivify,
                       is_quiet=command.is_quiet)

    def draw_touch(self, key, *_):
        return Command("get", key, exptime=self.exptime(), marks=True)

    def draw_get(self, key, *_):
        return Command("get", key, marks=True, is_quiet=self.chance(0.25))

    def draw_vivify(self, key, *_):
        return Command("get", key, vivify=self.exptime(), marks=True)

    def draw_refresh(self, key, *_):
        return Command("get", key, refreshes=True, marks=True)

    def draw_invalidate(self, key, *_):
        exptime = self.exptime() if self.chance(0.5) else None
        return Command("invalidate", key, exptime=exptime, is_quiet=self.chance(0.25))

    def draw_clear(self, key, *_):
        exptime = self.exptime() if self.chance(0.5) else None
        return Command("clear", key, flags=self.random.choice(FLAGS), exptime=exptime, is_late=self.chance(0.5))

    def render(self, command, number):
        words = [b"O%d" % number, *self.words(command)]
        if command.is_quiet:
            words.append(b"q")
        if command.verb in ("get", "delete", "incr", "decr", "invalidate", "clear"):
            verb = {"get": b"mg", "incr": b"ma", "decr": b"ma"}.get(command.verb, b"md")
            return b" ".join([verb, command.key, *words]) + b"\r\n"
        line = b"ms %s %d " % (command.key, len(command.value)) + b" ".join(words)
        return line + b"\r\n" + command.value + b"\r\n"

    def words(self, command):
        if command.verb in self.MODES:
            yield b"M" + self.MODES[command.verb]
        if command.verb in ("incr", "decr"):
            yield b"v c D%d" % command.operand
        elif command.verb == "get":
            yield b"v f c"
        elif command.verb not in ("delete", "invalidate"):
            yield b"F%d" % command.flags
        yield from self.words_of_time(command)
        if command.token is not None:
            yield b"C%d" % command.token
        if command.is_late or command.verb == "invalidate":
            yield b"I"
        if command.verb == "clear":
            yield b"x"

    @staticmethod
    def words_of_time(command):
        if command.exptime is not None:
            yield b"T%d" % command.exptime
        if command.vivify is not None:
            yield b"N%d" % command.vivify
        if command.initial is not None:
            yield b"J%d" % command.initial
        if command.refreshes:
            yield b"R4000000"  # whatever expires does so before

    def answer_to(self, command, outcome):
        if outcome in (STORED, DELETED, TOUCHED):
            outcome = DONE
        hidden = outcome == NOT_FOUND if command.verb == "get" else outcome.status in ("done", "number")
        return None if command.is_quiet and hidden else outcome

    def read(self, connection):
        line = connection.read_line()
        status, *words = line.split(b" ")
        if status != b"VA" and status not in self.STATUSES:
            return None, line, None
        value = connection.read_exactly(int(words.pop(0)) + 2)[:-2] if status == b"VA" else None
        told = {word[:1]: word[1:] for word in words}
        number = int(told[b"O"]) if b"O" in told else None
        token = int(told[b"c"]) if b"c" in told else None
        if value is None:
            return number, self.STATUSES[status], token
        if b"f" not in told:
            return number, Outcome("number", number=int(value)), token
        marks = frozenset(mark.decode() for mark in (b"W", b"X", b"Z") if mark in told)
        return number, Outcome("hit", value, int(told[b"f"]), marks=marks), token


class Binary(Dialect):
    OVER = LONG_AGO  # there is no sign
    TEXT_VERBS = Classic.TEXT_VERBS
    COUNTER_VERBS = Classic.COUNTER_VERBS
    barrier = binary.Frame(binary.NOOP).render()
    FLUSHES = [binary.Frame(binary.FLUSH).render(), binary.Frame(binary.FLUSH, extras=bytes(4)).render(),
               binary.Frame(binary.FLUSHQ).render() + barrier]
    OPCODES = {"set": (binary.SET, binary.SETQ), "add": (binary.ADD, binary.ADDQ), "replace": (binary.REPLACE, binary.REPLACEQ),
               "append": (binary.APPEND, binary.APPENDQ), "prepend": (binary.PREPEND, binary.PREPENDQ),
               "incr": (binary.INCR, binary.INCRQ), "decr": (binary.DECR, binary.DECRQ),
               "delete": (binary.DELETE, binary.DELETEQ), "get": (binary.GETK, binary.GETQ), "gat": (binary.GAT, binary.GATQ)}
    READS = (binary.GET, binary.GETQ, binary.GETK, binary.GETKQ, binary.GAT, binary.GATQ)
    STATUSES = {0: DONE, 1: NOT_FOUND, 2: EXISTS, 5: NOT_STORED}

    def draw_count(self, key, *_):
        command = super().draw_count(key)
        initial, vivify = (self.random.randrange(100), self.exptime()) if self.chance(0.4) else (None, None)
        return Command(command.verb, key, operand=command.operand, initial=initial, vivify=vivify, is_quiet=command.is_quiet)

    def draw_touch(self, key, *_):
        return Command("touch", key, exptime=self.exptime())

    def draw_gat(self, key, *_):
        return Command("get", key, exptime=self.exptime(), is_quiet=self.chance(0.5))

    def render(self, command, number):
        return self.frame(command).render(opaque=number)

    def frame(self, command):
        exptime = command.exptime or 0
        if command.verb == "touch":
            return binary.touch(binary.TOUCH, command.key, exptime)
        name = "gat" if command.verb == "get" and command.exptime is not None else command.verb
        opcode = self.OPCODES[name][command.is_quiet]
        if name == "gat":
            return binary.touch(opcode, command.key, exptime)
        if name in ("set", "add", "replace"):
            return binary.store(opcode, command.key, command.value, command.flags, exptime, command.token or 0)
        if name in ("incr", "decr"):
            made = 0xffffffff if command.initial is None else command.vivify
            return binary.count(opcode, command.key, command.operand, command.initial or 0, made)
        return binary.Frame(opcode, command.key, value=command.value)

    def answer_to(self, command, outcome):
        if command.is_quiet and (outcome == NOT_FOUND if command.verb == "get" else outcome.status in (
                "stored", "deleted", "number")):
            return None
        if outcome == NOT_STORED and command.verb in ("add", "replace"):
            return EXISTS if command.verb == "add" else NOT_FOUND
        return DONE if outcome in (STORED, DELETED, TOUCHED) else outcome

    def read(self, connection):
        packet = binary.read_packet(connection)
        if packet.opcode == binary.NOOP:
            return None, BARRIER, None
        outcome = self.STATUSES.get(packet.status, packet)
        if outcome == DONE and packet.opcode in self.READS:
            outcome = Outcome("hit", packet.value, struct.unpack(">I", packet.extras)[0])
        elif outcome == DONE and packet.opcode in (binary.INCR, binary.DECR):
            outcome = Outcome("number", number=struct.unpack(">Q", packet.value)[0])
        is_store = packet.status == 0 and packet.opcode not in (binary.DELETE, binary.TOUCH)
        return packet.opaque, outcome, packet.cas if is_store else None


ALL = [Classic, Meta, Binary]
