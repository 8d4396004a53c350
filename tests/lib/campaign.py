"""Sends streams of damaged requests on many connections at once, takes whatever comes back, and looks after a well-behaved
client meanwhile.
"""
import random
import selectors
import socket
import ssl
import struct
import time

from lib.waiting import PATIENCE

RECEIVE_SIZE = 1 << 18
# A connection that is answered more than this is left: some requests ask for a lot.
REPLIES_MOST = 4 << 20
ABRUPT_SHARE = 0.1  # of the connections that are reset instead of ended
ENDURANCE = 2.0  # seconds, of those who do not wait for all answers
STREAMS_BETWEEN_LOOKS = 50


def random_source(dice):
    """An address of this machine: there are sixteen million of them."""
    return f"127.{dice.randrange(1, 255)}.{dice.randrange(256)}.{dice.randrange(1, 255)}", 0


def dial_tcp(port, dice):
    """Connects from an address of its own, so that ports do not run out, and throttled logins hold up nobody else."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(random_source(dice))
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def dial_unix(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    sock.setblocking(False)
    return sock


def dial_tls(port, context, dice):
    """The handshake is made by whoever sends first: the server's are slow on purpose, and nobody waits for one alone."""
    return context.wrap_socket(dial_tcp(port, dice), server_hostname="localhost", do_handshake_on_connect=False)


class Attacker:
    """One connection and what it has to send."""

    def __init__(self, sock, data, dice, patience):
        self.sock = sock
        self.data = memoryview(data)
        self.received = 0
        self.waits_to_read = False  # TLS may have to, to send
        self.is_abrupt = dice.random() < ABRUPT_SHARE
        self.begin = time.monotonic()
        self.deadline = self.begin + patience

    def events(self):
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.data and not self.waits_to_read else 0)

    def advance(self):
        """Sends and receives what is possible; True when the connection is over."""
        try:
            self.send()
            while self.receive():
                pass
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return self.is_enough()
        except OSError:
            return True
        return True

    def send(self):
        if not self.data:
            return
        self.waits_to_read = False
        try:
            while self.data:
                self.data = self.data[self.sock.send(self.data):]
        except (BlockingIOError, ssl.SSLWantWriteError):
            return
        except ssl.SSLWantReadError:
            self.waits_to_read = True
            return
        if self.is_abrupt:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionResetError
        self.say_end()

    def say_end(self):
        if not isinstance(self.sock, ssl.SSLSocket):
            self.sock.shutdown(socket.SHUT_WR)
            return
        try:
            self.sock.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # the server's answers come first

    def receive(self):
        size = len(self.sock.recv(RECEIVE_SIZE))
        self.received += size
        return size > 0 and not self.is_enough()

    def is_enough(self):
        return self.received > REPLIES_MOST


class Campaign:
    """`dial` opens a connection, `mutator` (lib/mutations.py) makes what is sent on it, `look` is called again and again and
    fails when all is not well. Where answers may take their time (`is_slow`), clients leave without them. A connection that lasts
    longer than `patience` in seconds hangs."""

    def __init__(self, dial, mutator, look, seed, is_slow=False, patience=PATIENCE):
        self.dial, self.mutator, self.look, self.is_slow, self.patience = dial, mutator, look, is_slow, patience
        self.dice = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.requests = self.bytes = self.connections = self.replies = 0

    def begin_one(self, most):
        data, count = self.mutator.stream(most)
        try:
            sock = self.dial()
        except (ConnectionError, ssl.SSLError):
            return  # refused, or dropped at once
        attacker = Attacker(sock, data, self.dice, self.patience)
        self.requests += count
        self.bytes += len(data)
        self.connections += 1
        self.selector.register(sock, attacker.events(), attacker)
        if self.connections % STREAMS_BETWEEN_LOOKS == 0:
            self.look()

    def end_one(self, attacker):
        self.replies += attacker.received
        self.selector.unregister(attacker.sock)
        attacker.sock.close()

    def turn(self):
        now = time.monotonic()
        for key, _ in self.selector.select(1):
            attacker = key.data
            if attacker.advance():
                self.end_one(attacker)
            elif attacker.events() != key.events:
                self.selector.modify(attacker.sock, attacker.events(), attacker)
        for attacker in [key.data for key in self.selector.get_map().values()]:
            if self.is_slow and now > attacker.begin + ENDURANCE:
                self.end_one(attacker)
            assert now < attacker.deadline, f"a connection neither goes on nor ends; {len(attacker.data)} bytes are unsent"

    def run(self, count, most, connections):
        """Sends `count` requests or more, up to `most` on a connection, and on so many connections at once."""
        while self.requests < count or self.selector.get_map():
            while self.requests < count and len(self.selector.get_map()) < connections:
                self.begin_one(most)
            self.turn()
        self.look()
        self.selector.close()
