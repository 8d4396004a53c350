"""memcached's binary protocol, as packets on a socket."""
import itertools
import struct
from dataclasses import dataclass

HEADER = struct.Struct(">BBHBBHIIQ")
REQUEST, REPLY = 0x80, 0x81

GET, SET, ADD, REPLACE, DELETE, INCR, DECR, QUIT, FLUSH, GETQ, NOOP, VERSION, GETK, GETKQ, APPEND, PREPEND = range(0x10)
STAT, SETQ, ADDQ, REPLACEQ, DELETEQ, INCRQ, DECRQ, QUITQ, FLUSHQ, APPENDQ, PREPENDQ, VERBOSITY = range(0x10, 0x1c)
TOUCH, GAT, GATQ = range(0x1c, 0x1f)
SASL_LIST, SASL_AUTH, SASL_STEP, GATK, GATKQ = range(0x20, 0x25)

_barriers = itertools.count(0x80000000)


@dataclass(frozen=True)
class Frame:
    """A request. The sizes say the truth where they are None; `cas` may be "last" or "stale" in a sequence
    (lib/differential_binary.py)."""
    opcode: int
    key: bytes = b""
    extras: bytes = b""
    value: bytes = b""
    cas: object = 0
    magic: int = REQUEST
    key_size: object = None
    extras_size: object = None
    body_size: object = None
    data_type: int = 0
    vbucket: int = 0

    def render(self, opaque=0, cas=None):
        def said(size, truth):
            return truth if size is None else size
        body = self.extras + self.key + self.value
        header = HEADER.pack(self.magic, self.opcode, said(self.key_size, len(self.key)),
                             said(self.extras_size, len(self.extras)), self.data_type, self.vbucket,
                             said(self.body_size, len(body)), opaque, self.cas if cas is None else cas)
        return header + body


def store(opcode, key, value, flags=0, exptime=0, cas=0):
    return Frame(opcode, key, struct.pack(">II", flags, exptime), value, cas)


def count(opcode, key, delta, initial=0, exptime=0xffffffff, cas=0):
    return Frame(opcode, key, struct.pack(">QQI", delta, initial, exptime), cas=cas)


def touch(opcode, key, exptime):
    return Frame(opcode, key, struct.pack(">I", exptime))


@dataclass(frozen=True)
class Packet:
    """A reply."""
    opcode: int
    status: int
    opaque: int
    cas: int
    data_type: int
    extras: bytes
    key: bytes
    value: bytes


def split_packets(stream):
    """The packets that a reply stream begins with, and what remains: a torn one, or what is none."""
    packets = []
    while len(stream) >= HEADER.size:
        magic, opcode, key_size, extras_size, data_type, status, body_size, opaque, cas = HEADER.unpack(stream[:HEADER.size])
        end = HEADER.size + body_size
        if magic != REPLY or end > len(stream):
            break
        body, stream = stream[HEADER.size:end], stream[end:]
        packets.append(Packet(opcode, status, opaque, cas, data_type, body[:extras_size],
                              body[extras_size:extras_size + key_size], body[extras_size + key_size:]))
    return packets, stream


def read_packet(connection):
    header = connection.read_exactly(HEADER.size)
    return split_packets(header + connection.read_exactly(HEADER.unpack(header)[6]))[0][0]


def ask(connection, frame):
    """The packets that answer one request; there may be none."""
    return talk(connection, frame.render())


def talk(connection, data):
    """The packets that whole requests are answered with. A Noop behind them tells where they end."""
    barrier = next(_barriers)
    connection.send(data + Frame(NOOP).render(opaque=barrier))
    packets = []
    while True:
        packet = read_packet(connection)
        if packet.opaque == barrier:
            return packets
        packets.append(packet)
