"""Clients of every protocol that do the operations of lib/linearizability_model.py, one at a time.

A client is called with an operation and returns the answer. `commands` are those it can do. It raises Refused where the server
takes no such request now, so that nothing has happened, and Closed or OSError where nobody knows.
`can_write` asks by a write that changes nothing.
"""
import struct

from lib import binary
from lib.linearizability import Operation
from lib.linearizability_model import NOT_FOUND, OK, Answer
from lib.resp import HungUp, RespError
from lib.wire import Closed

ABSENT = "absent"  # nobody makes this key
FAR = 1000000  # seconds; what touch sets, so that nothing expires


class Refused(Exception):
    """The server takes no writes now."""


def refuse_if_told(text):
    """Raises where an error says what a replica says, or one that starts. EXEC puts words of its own before it."""
    if "READONLY" in text or "LOADING" in text:
        raise Refused(text)


class Client:
    """What an operation's command names is the method that does it."""

    commands = frozenset()

    def __init__(self, server):
        self.connection = self.connect(server)

    def connect(self, server):
        return server.connect()

    def close(self):
        self.connection.close()

    def __call__(self, operation):
        return getattr(self, operation.command)(operation.key.encode(), operation)

    def can_write(self):
        try:
            return self(Operation(None, ABSENT, "delete")) == NOT_FOUND
        except Refused:
            return False


LINES = {b"STORED": OK, b"DELETED": OK, b"TOUCHED": OK, b"NOT_STORED": Answer("not_stored"), b"EXISTS": Answer("exists"),
         b"NOT_FOUND": NOT_FOUND, b"HD": OK, b"NS": Answer("not_stored"), b"EX": Answer("exists"), b"NF": NOT_FOUND, b"EN": NOT_FOUND, b"END": NOT_FOUND,
         b"CLIENT_ERROR cannot increment or decrement non-numeric value": Answer("not_number")}


def answer_of_line(line):
    if line.startswith(b"SERVER_ERROR"):
        refuse_if_told(line.decode())
    assert line in LINES, f"surprising answer {line!r}"
    return LINES[line]


class TextClient(Client):
    """It can have several requests under way (`pipeline`)."""

    commands = frozenset(["get", "gets", "set", "add", "replace", "append", "delete", "touch", "cas", "incr", "decr"])
    STORES = frozenset(["set", "add", "replace", "append", "cas"])
    ARGUMENT = {"incr": lambda operation: b" %d" % operation.delta, "decr": lambda operation: b" %d" % operation.delta,
                "touch": lambda _: b" %d" % FAR}

    def __call__(self, operation):
        return next(self.pipeline([operation]))

    def pipeline(self, operations):
        """Sends them all at once, and yields the answers one by one as they come."""
        self.connection.send(b"".join(self.request(operation) for operation in operations))
        for _ in operations:
            yield self.read_answer()

    def request(self, operation):
        command, key = operation.command.encode(), operation.key.encode()
        if operation.command not in self.STORES:
            return b"%s %s%s\r\n" % (command, key, self.ARGUMENT.get(operation.command, lambda _: b"")(operation))
        token = b" %d" % operation.token if operation.command == "cas" else b""
        return b"%s %s %d 0 %d%s\r\n%s\r\n" % (command, key, operation.flags, len(operation.value), token, operation.value)

    def read_answer(self):
        line = self.connection.read_line()
        if line.isdigit():
            return Answer("ok", line)
        if not line.startswith(b"VALUE "):
            return answer_of_line(line)
        words = line.split(b" ")
        value = self.connection.read_exactly(int(words[3]) + 2)[:-2]
        assert self.connection.read_line() == b"END"
        return Answer("ok", value, int(words[2]), int(words[4]) if len(words) > 4 else None)


class MetaClient(Client):
    """Its stores and counts tell tokens, too."""

    commands = TextClient.commands
    MODES = {"set": b"S", "add": b"E", "replace": b"R", "append": b"A"}

    def ask(self, request):
        """One request whose answer is a status line, with a value behind VA."""
        words = self.connection.ask(request).split(b" ")
        value = self.connection.read_exactly(int(words[1]) + 2)[:-2] if words[0] == b"VA" else None
        if words[0] == b"VA":
            words = [b"HD", *words[2:]]
        if words[0] not in (b"HD", b"EX", b"NS", b"NF", b"EN"):
            return answer_of_line(b" ".join(words))
        told = {word[:1]: int(word[1:]) for word in words[1:]}
        answer = answer_of_line(words[0])
        return answer._replace(value=value, flags=told.get(b"f"), token=told.get(b"c")) if answer == OK else answer

    def get(self, key, _):
        return self.ask(b"mg %s v f" % key)

    def gets(self, key, _):
        return self.ask(b"mg %s c f v" % key)

    def store(self, key, operation, words=b""):
        return self.ask(b"ms %s %d c F%d %s\r\n%s" % (key, len(operation.value), operation.flags, words, operation.value))

    def mode(self, key, operation):
        return self.store(key, operation, b"M" + self.MODES[operation.command])

    set = add = replace = append = mode

    def cas(self, key, operation):
        return self.store(key, operation, b"C%d" % operation.token)

    def delete(self, key, _):
        return self.ask(b"md " + key)

    def touch(self, key, _):
        return self.ask(b"mg %s T%d" % (key, FAR))

    def incr(self, key, operation):
        return self.ask(b"ma %s D%d c v M%s" % (key, operation.delta, operation.command[:1].upper().encode()))

    decr = incr


class BinaryClient(Client):
    """Its stores and counts tell tokens, too."""

    commands = TextClient.commands
    STORES = {"set": binary.SET, "add": binary.ADD, "replace": binary.REPLACE, "cas": binary.SET}
    # Add tells "exists" where text says NOT_STORED, Replace "not found", Append "not stored"; a cas tells the first two as they are.
    STATUSES = {0: "ok", 1: "not_found", 2: "exists", 5: "not_stored", 6: "not_number"}

    def ask(self, frame):
        self.connection.send(frame.render())
        packet = binary.read_packet(self.connection)
        if packet.status not in self.STATUSES:
            refuse_if_told(packet.value.decode())
        assert packet.status in self.STATUSES, f"surprising answer {packet}"
        return Answer(self.STATUSES[packet.status], token=packet.cas or None), packet

    def get(self, key, _):
        answer, packet = self.ask(binary.Frame(binary.GET, key))
        if answer.status != "ok":
            return NOT_FOUND
        return answer._replace(value=packet.value, flags=struct.unpack(">I", packet.extras)[0])

    gets = get

    def store(self, key, operation):
        answer, _ = self.ask(binary.store(self.STORES[operation.command], key, operation.value, operation.flags))
        return answer if answer.status == "ok" else Answer("not_stored")

    set = add = replace = store

    def cas(self, key, operation):
        return self.ask(binary.store(binary.SET, key, operation.value, operation.flags, cas=operation.token))[0]

    def append(self, key, operation):
        return self.ask(binary.Frame(binary.APPEND, key, value=operation.value))[0]

    def delete(self, key, _):
        return self.ask(binary.Frame(binary.DELETE, key))[0]

    def touch(self, key, _):
        answer, _ = self.ask(binary.touch(binary.TOUCH, key, FAR))
        return Answer(answer.status)

    def incr(self, key, operation):
        opcode = binary.INCR if operation.command == "incr" else binary.DECR
        answer, packet = self.ask(binary.count(opcode, key, operation.delta))
        return answer._replace(value=b"%d" % struct.unpack(">Q", packet.value)) if answer.status == "ok" else answer

    decr = incr


class RespClient(Client):
    commands = frozenset(["get", "gets", "set", "cas", "plain_set", "set_new", "swap", "watched_swap", "delete", "take", "touch",
                          "extend", "count"])

    def connect(self, server):
        return server.resp_connection()

    def call(self, *words):
        try:
            return self.connection.call(*words)
        except RespError as error:
            refuse_if_told(str(error))
            raise
        except HungUp:
            raise Closed(b"") from None

    def get(self, key, _):
        value = self.call("GET", key)
        return NOT_FOUND if value is None else Answer("ok", value)

    def gets(self, key, _):
        item = self.call("DIGLOT.GET", key)
        return NOT_FOUND if item is None else Answer("ok", item[0], item[1], int(item[2]))

    def set(self, key, operation):
        assert self.call("DIGLOT.SET", key, operation.value, "FLAGS", operation.flags) == b"OK"
        return OK

    def cas(self, key, operation):
        reply = self.call("DIGLOT.SET", key, operation.value, "FLAGS", operation.flags, "CAS", operation.token)
        return OK if reply == b"OK" else Answer("mismatch")

    def plain_set(self, key, operation):
        assert self.call("SET", key, operation.value) == b"OK"
        return OK

    def set_new(self, key, operation):
        return OK if self.call("SETNX", key, operation.value) else Answer("not_stored")

    def swap(self, key, operation):
        value = self.call("SET", key, operation.value, "GET")
        return Answer("created") if value is None else Answer("ok", value)

    def watched_swap(self, key, operation):
        """Where EXEC is aborted, all that has happened is the GET."""
        self.call("WATCH", key)
        value = self.call("GET", key)
        self.call("MULTI")
        self.call("SET", key, operation.value)
        if self.call("EXEC") is None:
            operation.command = "get"
            return NOT_FOUND if value is None else Answer("ok", value)
        return Answer("created") if value is None else Answer("ok", value)

    def delete(self, key, _):
        return OK if self.call("DEL", key) else NOT_FOUND

    def take(self, key, _):
        value = self.call("GETDEL", key)
        return NOT_FOUND if value is None else Answer("ok", value)

    def touch(self, key, _):
        return OK if self.call("EXPIRE", key, FAR) else NOT_FOUND

    def extend(self, key, operation):
        return Answer("ok", b"%d" % self.call("APPEND", key, operation.value))

    def count(self, key, operation):
        try:
            return Answer("ok", b"%d" % self.call("INCRBY", key, operation.delta))
        except RespError as error:
            if "not an integer" in str(error):
                return Answer("not_number")
            if "would overflow" in str(error):
                return Answer("overflow")
            raise


ALL = [TextClient, MetaClient, BinaryClient, RespClient]
