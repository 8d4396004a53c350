"""Requests that have been damaged, by the hundred thousand: what the generators and the fuzzers' corpora hold, cut, doubled,
bent, and put together in streams. What is made depends on the seed alone.
"""
import os
import random
import struct

from lib.access import token
from lib.binary import HEADER, SASL_AUTH, SASL_LIST, SASL_STEP, Frame
from lib.differential import AfterReplies, Step, Sync
from lib.differential_binary import Alone
from lib.generator import Generator
from lib.generator_binary import Generator as BinaryGenerator
from lib.meta_generator import MetaGenerator
from lib.servers import ROOT

SEED_SEQUENCES = 60  # of a generator; a sequence has some tens of requests
SEED_SIZE_MAX = 20000  # larger ones would be most of the bytes
LEFT_WHOLE = 0.35  # so that items are there and conversations go on
GROWN_SIZE = 4000

TOKENS = [b"\r\n", b"\n", b"\r", b" ", b"  ", b"\0", b"\t", b"noreply", b" noreply\r\n", b"-1", b"0", b"4294967295", b"4294967296",
          b"2147483645", b"2147483648", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"1" * 40,
          b"get ", b"gats 0 ", b"set k 0 0 ", b"ms k ", b"mg k v\r\n", b"mn\r\n", b" b", b" k q O1", b" T-1", b" S5", b"k" * 250,
          b"k" * 251, b"\x80", b"\x81", b"\xff" * 8, b"HTTP/1.1", b"quit\r\n"]
SIZES = {"B": [0, 1, 4, 8, 20, 0x7f, 0x80, 0xff], "H": [0, 1, 250, 251, 0x7fff, 0x8000, 0xffff],
         "I": [0, 1, 3, 8, 23, 1048576, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff]}
# Where the numbers of a binary header stand: opcode, key size, extras size, data type, body size.
HEADER_FIELDS = [(1, "B"), (2, "H"), (4, "B"), (5, "B"), (8, "I"), (8, "I"), (8, "H")]


def plain(step):
    """The bytes of a generator's step; a token that a server would have told is 1."""
    if isinstance(step, AfterReplies):
        return step.data
    if isinstance(step, Alone):
        step = step.frame
    if isinstance(step, Step):
        return step.render({})
    if isinstance(step, Frame):
        return step.render(cas=1 if isinstance(step.cas, str) else None)
    return b"" if isinstance(step, Sync) else step


def generated(kind):
    requests = []
    for seed in range(SEED_SEQUENCES):
        requests += [plain(step) for step in kind(seed).sequence()]
    return [request for request in requests if 0 < len(request) <= SEED_SIZE_MAX]


def corpus(name):
    folder = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
    contents = []
    for file_name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file_name), "rb") as file:
            contents.append(file.read())
    return [content for content in contents if 0 < len(content) <= SEED_SIZE_MAX]


def logins():
    """Right ones, wrong ones, and others' requests, in both protocols."""
    def plain_sasl(user, password):
        return Frame(SASL_AUTH, b"PLAIN", value=b"\0" + user + b"\0" + password).render()
    text = [token("app"), token("app", "wrong"), token("nobody", "x" * 1000), b"set t 0 0 0\r\n\r\n", b"set t 0 0 16384\r\n",
            b"get k\r\n", b"ms login 3\r\na b\r\n", b"mn\r\n", b"version\r\n", b"quit\r\n"]
    packets = [Frame(SASL_LIST).render(), plain_sasl(b"app", b"secret"), plain_sasl(b"app", b"no"), plain_sasl(b"", b""),
               Frame(SASL_AUTH, b"PLAIN").render(), Frame(SASL_AUTH, b"CRAM-MD5", value=b"x").render(),
               Frame(SASL_STEP, b"PLAIN", value=b"\0app\0secret").render(), Frame(0, b"k").render()]
    return corpus("login") + text * 3, packets * 3


def tls_records():
    """What a client says first, and records of every kind."""
    import ssl  # only where it is needed
    hellos = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = context.maximum_version = version
        outgoing = ssl.MemoryBIO()
        try:
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        except ssl.SSLWantReadError:
            hellos.append(outgoing.read())
    records = [struct.pack(">BHH", kind, 0x0303, len(body)) + body
               for kind in (20, 21, 22, 23, 24) for body in (b"\1", b"\2\x28", b"\x10\0\0\x21\x20" + b"k" * 32, b"d" * 500)]
    return hellos * 8 + records


SEEDS = {
    "classic": lambda: (generated(Generator) + corpus("ascii"), []),
    "meta": lambda: (generated(MetaGenerator) + corpus("meta"), []),
    "binary": lambda: ([], generated(BinaryGenerator) + corpus("binary")),
    "login": logins,
    "tls-records": lambda: (tls_records(), []),
}


class Mutator:
    """Draws requests of one kind; of "all" kinds but TLS records. None has the word that is left out, before it is damaged."""

    def __init__(self, kind, seed, leaves_out=None):
        self.random = random.Random(seed)
        names = ["classic", "meta", "binary"] if kind == "all" else [kind]
        pools = [[request for request in pool if leaves_out is None or leaves_out not in request]
                 for name in names for pool in SEEDS[name]()]
        self.pools = [pool for pool in pools if pool]
        self.binary = [pool for pool in pools[1::2] if pool]
        self.changes = [self.flip, self.cut, self.double, self.insert, self.overwrite, self.splice, self.truncate, self.grow]

    def place(self, data):
        return int(self.random.random() * len(data))

    def flip(self, data, _):
        at = self.place(data)
        return data[:at] + bytes([data[at] ^ 1 << int(self.random.random() * 8)]) + data[at + 1:]

    def cut(self, data, _):
        at = self.place(data)
        return data[:at] + data[at + 1 + int(self.random.random() * 8):]

    def double(self, data, _):
        at = self.place(data)
        end = at + 1 + int(self.random.random() * 30)
        return data[:end] + data[at:end] + data[end:]

    def insert(self, data, _):
        at = self.place(data)
        return data[:at] + self.random.choice(TOKENS) + data[at:]

    def overwrite(self, data, _):
        at = self.place(data)
        word = self.random.choice(TOKENS)
        return data[:at] + word + data[at + len(word):]

    def splice(self, data, pool):
        other = self.random.choice(pool)
        return data[:self.place(data)] + other[self.place(other):]

    def truncate(self, data, _):
        return data[:self.place(data)]

    def grow(self, data, _):
        at = self.place(data)
        part = data[at:at + 1 + int(self.random.random() * 20)] or data
        return data[:at] + part * (1 + int(self.random.random() * GROWN_SIZE / len(part))) + data[at:]

    def bend_header(self, data, _):
        if len(data) < HEADER.size:
            return data
        at, form = self.random.choice(HEADER_FIELDS)
        return data[:at] + struct.pack(">" + form, self.random.choice(SIZES[form])) + data[at + struct.calcsize(form):]

    def request(self, pool):
        data = self.random.choice(pool)
        if self.random.random() < LEFT_WHOLE:
            return data
        changes = [*self.changes, self.bend_header, self.bend_header] if pool in self.binary else self.changes
        for _ in range(1 if self.random.random() < 0.7 else 3):
            data = self.random.choice(changes)(data, pool) or data
        return data

    def stream(self, most):
        """What one connection sends: (bytes, number of requests). The first byte decides what a connection speaks, so they are
        all of one protocol."""
        pool = self.random.choice(self.pools)
        count = 1 + int(self.random.random() * most)
        return b"".join(self.request(pool) for _ in range(count)), count
