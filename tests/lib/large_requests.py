"""Requests for large values in all dialects, each of which knows how to ask and how to read its answer from a stream that may not
have come as far yet. An answer is (outcome, value, flags, token); what it does not tell is None."""
import re
import struct
from dataclasses import dataclass

from lib import binary

HIT, MISS, STORED, NOT_STORED, EXISTS, NOT_FOUND, DELETED, TOUCHED, TOO_LARGE, SILENT, UNKNOWN, BARRIER = (
    "HIT", "MISS", "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "TOO_LARGE", "SILENT", "UNKNOWN",
    "BARRIER")  # silence tells a success in binary and meta, and nothing in text
VERBS = ("set", "add", "replace", "append", "prepend", "cas")
VALUE = re.compile(rb"VALUE ([^ \n]+) (\d+) (\d+)(?: (\d+))?\r\n")
META = re.compile(rb"(?:HD|VA (\d+))((?: [^ \r\n]+)*)\r\n")
LINES = {b"STORED": STORED, b"NOT_STORED": NOT_STORED, b"EXISTS": EXISTS, b"NOT_FOUND": NOT_FOUND, b"DELETED": DELETED,
         b"TOUCHED": TOUCHED, b"SERVER_ERROR object too large for cache": TOO_LARGE, b"MN": BARRIER}


class Short(Exception):
    """More has to come."""


class Stream:
    """What has come, and how far it has been read."""

    def __init__(self):
        self.data = bytearray()
        self.position = 0

    def take(self, size):
        if len(self.data) - self.position < size:
            raise Short
        taken = bytes(self.data[self.position:self.position + size])
        self.position += size
        return taken

    def peek_line(self):
        end = self.data.find(b"\r\n", self.position)
        if end < 0:
            raise Short
        return bytes(self.data[self.position:end + 2])

    def take_line(self):
        return self.take(len(self.peek_line()))

    def forget(self):
        """What has been read."""
        del self.data[:self.position]
        self.position = 0


@dataclass
class Request:
    """What is asked, of one key but for `get` in text. `value` and `flags` of what is stored."""
    verb: str
    keys: list
    value: bytes = b""
    flags: int = 0
    exptime: int = 0
    token: int = 1
    wants_token: bool = False
    is_quiet: bool = False
    number: int = 0  # told by the answer where it is quiet

    @property
    def key(self):
        return self.keys[0]


class Text:
    """Classic text."""
    MULTIGET = True

    @staticmethod
    def render(request):
        key, flags, exptime = request.key, request.flags, request.exptime
        if request.verb in ("get", "gat"):
            name = request.verb.encode() + (b"s" if request.wants_token else b"")
            return b"%s %s%s\r\n" % (name, b"%d " % exptime if request.verb == "gat" else b"", b" ".join(request.keys))
        if request.verb == "delete":
            return b"delete %s\r\n" % key
        if request.verb == "touch":
            return b"touch %s %d\r\n" % (key, exptime)
        if request.verb == "noop":
            return b"mn\r\n"
        token = b" %d" % request.token if request.verb == "cas" else b""
        noreply = b" noreply" if request.is_quiet else b""
        return b"%s %s %d %d %d%s%s\r\n%s\r\n" % (request.verb.encode(), key, flags, exptime, len(request.value), token, noreply, request.value)

    @staticmethod
    def read(request, stream):
        if request.verb in ("get", "gat"):
            return Text.read_items(request, stream)
        if request.is_quiet:
            return [(UNKNOWN, None, None, None)]
        line = stream.take_line()[:-2]
        assert line in LINES, f"{line[:200]} to {request.verb}"
        return [(LINES[line], None, None, None)]

    @staticmethod
    def read_items(request, stream):
        answers = []
        while True:
            line = stream.take_line()
            if line == b"END\r\n":
                return answers + [(MISS, None, None, None)] * (len(request.keys) - len(answers))
            match = VALUE.fullmatch(line)
            assert match, f"{line[:200]} to {request.verb} {request.keys}"
            value = stream.take(int(match[3]) + 2)
            assert value.endswith(b"\r\n"), value[-40:]
            while len(answers) < len(request.keys) and request.keys[len(answers)] != match[1]:
                answers.append((MISS, None, None, None))
            assert len(answers) < len(request.keys), f"{match[1]} to {request.verb} {request.keys}"
            answers.append((HIT, value[:-2], int(match[2]), int(match[4]) if match[4] else None))
            assert bool(match[4]) == request.wants_token


class Meta:
    """mg and ms, beside classic text."""
    MULTIGET = False
    STORED = {b"HD": STORED, b"NS": NOT_STORED, b"EX": EXISTS, b"NF": NOT_FOUND}
    MODES = {"set": b"S", "add": b"E", "replace": b"R", "append": b"A", "prepend": b"P", "cas": b"S"}

    @staticmethod
    def render(request):
        if request.verb in ("get", "gat"):
            flags = b" T%d" % request.exptime if request.verb == "gat" else b""
            flags += (b" c" if request.wants_token else b"") + (b" q" if request.is_quiet else b"")
            return b"mg %s v f s k O%d%s\r\n" % (request.key, request.number, flags)
        if request.verb in VERBS:
            token = b" C%d" % request.token if request.verb == "cas" else b""
            quiet = b" q" if request.is_quiet else b""
            return b"ms %s %d M%s F%d T%d O%d%s%s\r\n%s\r\n" % (request.key, len(request.value), Meta.MODES[request.verb], request.flags,
                                                             request.exptime, request.number, token, quiet, request.value)
        return Text.render(request)

    @staticmethod
    def read(request, stream):
        if request.verb not in ("get", "gat", *VERBS):
            return Text.read(request, stream)
        line = stream.peek_line()
        is_told = b"O%d" % request.number in line[:-2].split(b" ")
        if not is_told and request.is_quiet:
            return [(MISS if request.verb in ("get", "gat") else SILENT, None, None, None)]
        stream.take_line()
        if request.verb in VERBS:
            if line == b"SERVER_ERROR object too large for cache\r\n":
                return [(TOO_LARGE, None, None, None)]
            assert line[:2] in Meta.STORED and is_told, f"{line[:200]} to ms {request.key} O{request.number}"
            return [(Meta.STORED[line[:2]], None, None, None)]
        if line == b"EN k%s O%d\r\n" % (request.key, request.number):
            return [(MISS, None, None, None)]
        return [Meta.read_item(request, line, stream)]

    @staticmethod
    def read_item(request, line, stream):
        match = META.fullmatch(line)
        assert match and match[1] and is_sound_heading(request, match), f"{line[:200]} to mg {request.key} O{request.number}"
        value = stream.take(int(match[1]) + 2)
        assert value.endswith(b"\r\n"), value[-40:]
        told = {word[:1]: word[1:] for word in match[2].split()}
        return HIT, value[:-2], int(told[b"f"]), int(told[b"c"]) if request.wants_token else None


def is_sound_heading(request, match):
    told = {word[:1]: word[1:] for word in match[2].split()}
    return told.get(b"O") == b"%d" % request.number and told.get(b"k") == request.key and told.get(b"s") == match[1]


class Binary:
    """Each request has its number as the opaque."""
    MULTIGET = False
    OPCODES = {"set": (binary.SET, binary.SETQ), "add": (binary.ADD, binary.ADDQ), "replace": (binary.REPLACE, binary.REPLACEQ),
               "cas": (binary.SET, binary.SETQ), "append": (binary.APPEND, binary.APPENDQ), "prepend": (binary.PREPEND, binary.PREPENDQ),
               "delete": (binary.DELETE, binary.DELETEQ)}
    GETS = {"get": (binary.GET, binary.GETK, binary.GETQ, binary.GETKQ), "gat": (binary.GAT, binary.GATK, binary.GATQ, binary.GATKQ)}

    @staticmethod
    def render(request):
        return Binary.frame(request).render(opaque=request.number)

    @staticmethod
    def frame(request):
        verb, key = request.verb, request.key
        if verb in Binary.GETS:
            opcode = Binary.GETS[verb][2 * request.is_quiet + request.wants_token]
            return binary.Frame(opcode, key, struct.pack(">I", request.exptime) if verb == "gat" else b"")
        if verb == "touch":
            return binary.touch(binary.TOUCH, key, request.exptime)
        if verb == "noop":
            return binary.Frame(binary.NOOP)
        opcode = Binary.OPCODES[verb][request.is_quiet]
        if verb == "delete":
            return binary.Frame(opcode, key)
        if verb in ("append", "prepend"):
            return binary.Frame(opcode, key, value=request.value)
        return binary.store(opcode, key, request.value, request.flags, request.exptime, request.token if verb == "cas" else 0)

    @staticmethod
    def read(request, stream):
        header = binary.HEADER.unpack(stream.take(binary.HEADER.size))
        if header[7] != request.number and request.is_quiet:
            stream.position -= binary.HEADER.size
            return [(MISS if request.verb in Binary.GETS else SILENT, None, None, None)]
        packets, rest = binary.split_packets(binary.HEADER.pack(*header) + stream.take(header[6]))
        assert len(packets) == 1 and not rest, header
        packet = packets[0]
        assert packet.opaque == request.number and (request.verb == "noop" or packet.opcode == Binary.frame(request).opcode), header
        outcome = Binary.outcome(request, packet.status)
        if outcome != HIT:
            return [(outcome, None, None, None)]
        assert packet.key == (request.key if request.wants_token else b""), header
        return [(HIT, packet.value, struct.unpack(">I", packet.extras)[0], packet.cas)]

    @staticmethod
    def outcome(request, status):
        done = {"get": HIT, "gat": HIT, "touch": TOUCHED, "delete": DELETED, "noop": BARRIER}.get(request.verb, STORED)
        absent = MISS if request.verb in Binary.GETS else NOT_FOUND
        outcomes = {0: done, 1: absent, 2: EXISTS, 3: TOO_LARGE, 5: NOT_STORED}
        assert status in outcomes, f"{status} to {request.verb}"
        return outcomes[status]
