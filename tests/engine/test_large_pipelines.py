"""Large values at random: pipelines of all dialects, cut anywhere, by clients that read late, or go away in the middle of an answer,
while a RESP client changes the same keys. Every answer is whole, in its place, and what was written.

DIGLOT_LARGE_ROUNDS sets how many pipelines each case sends per client, DIGLOT_LARGE_SEED what they draw."""
import os
import random
import socket
import ssl

import pytest
import redis

from lib.large_clients import Client
from lib.large_values import JOINED, MIB, UNTOLD, Author
from lib.tls import TlsEngine
from lib.waiting import PATIENCE, wait_until

ROUNDS = int(os.environ.get("DIGLOT_LARGE_ROUNDS", "6"))
SEED = int(os.environ.get("DIGLOT_LARGE_SEED", "1"))
CLIENTS = 4
SHARED = [b"shared%d" % i for i in range(5)]

pytestmark = pytest.mark.seconds(120 + 4 * ROUNDS)


def open_tcp(server):
    def connect(receive_buffer):
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.connect(("127.0.0.1", server.memcached_port))
        raw.setblocking(False)
        return raw
    return connect


def open_unix(server):
    def connect(_):
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(os.path.join(server.directory, "memcached.sock"))
        raw.setblocking(False)
        return raw
    return connect


def open_tls(server):
    def connect(receive_buffer):
        raw = socket.socket()
        raw.settimeout(PATIENCE)
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.connect(("127.0.0.1", server.tls_port))
        secure = server.context.wrap_socket(raw, server_hostname="localhost")
        secure.setblocking(False)
        return secure
    return connect


class Disturber:
    """A RESP client that changes the shared keys, and flushes all where nobody asks for keys of his own."""

    def __init__(self, server, dice, author, clients):
        self.redis, self.dice, self.author, self.clients = server.resp(), dice, author, clients

    def act(self, may_flush):
        key = self.dice.choice(SHARED)
        actions = [self.set, self.set, self.overwrite, self.append, self.expire, self.redis.delete, self.redis.unlink, self.read]
        self.dice.choice(actions + [self.flush] * may_flush)(key)

    def flush(self, _):
        self.redis.flushall(asynchronous=self.dice.random() < 0.5)
        for client in self.clients:
            client.own.forget()

    def set(self, key):
        self.redis.set(key, self.author.write(key, 0), px=self.dice.choice((None, None, 3)))

    def overwrite(self, key):
        """In its place, all of what it was."""
        size = self.redis.strlen(key)
        part = self.author.write(key, UNTOLD, size)
        if size and len(part) == size:
            self.redis.eval("if redis.call('strlen', KEYS[1]) == #ARGV[1] then redis.call('setrange', KEYS[1], 0, ARGV[1]) end", 1, key, part)

    def append(self, key):
        self.redis.append(key, self.author.write(key, JOINED, self.author.draw_size(70000)))

    def expire(self, key):
        self.redis.pexpire(key, self.dice.choice((1, 5, 100000)))

    def read(self, key):
        self.author.check(key, self.redis.get(key) or b"")


def play(clients, disturber, dice):
    """A pipeline of each client, all at once."""
    shares = dice.random() < 0.4
    for client in clients:
        if dice.random() < 0.8:
            client.ask(dice.choice((1, 3, 10, 40, 140)), shares)
    for _ in range(dice.randint(0, 60)):
        client = dice.choice(clients)
        action = dice.random()
        if action < 0.55:
            client.send()
        elif action < 0.85:
            client.read(dice.choice((1, 100, 5000, MIB)))
        elif action < 0.86:
            client.reset()
            client.open()
        else:
            disturber.act(may_flush=shares)
    for client in dice.sample(clients, len(clients)):
        client.finish()


def begin(server, connect, seed):
    dice = random.Random(seed)
    author = Author(dice)
    clients = [Client(b"client%d" % i, dice, author, connect(server), SHARED) for i in range(CLIENTS)]
    return clients, Disturber(server, dice, author, clients), dice


def unload(server, clients):
    """The module goes while answers are under way that nobody reads."""
    for client in clients:
        client.ask(40, True)
        client.send()

    def is_unloaded():
        try:
            return server.resp().execute_command("MODULE", "UNLOAD", "diglot")
        except redis.ResponseError:
            return False  # requests are being executed
    wait_until(is_unloaded, "the module to be unloaded")
    assert server.resp().ping()


# How clients come, io-threads, and whether there is an append-only file. Where TCP's windows are full it lets both sides wait, which
# unix sockets do not.
CASES = {
    "unix": (open_unix, 0, "no"), "unix-threads": (open_unix, 4, "no"), "unix-aof": (open_unix, 0, "yes"),
    "tcp": (open_tcp, 0, "no"), "tls": (open_tls, 0, "no"), "tls-threads": (open_tls, 4, "no"),
}


@pytest.mark.parametrize("case", CASES)
def test_large_values_at_random(start, start_as, authority, case):
    connect, io_threads, aof = CASES[case]
    options = {"io_threads": io_threads, "max_item_size": 4 * MIB, "config": {"appendonly": aof}}
    if connect is open_unix:
        options["unixsocket"] = "memcached.sock"
    server = start_as(TlsEngine, authority, **options) if connect is open_tls else start(**options)
    clients, disturber, dice = begin(server, connect, SEED)
    for round in range(ROUNDS):
        try:
            play(clients, disturber, dice)
        except Exception as wrong:
            raise AssertionError(f"{case}, seed {SEED}, round {round}: {wrong}") from wrong
        if dice.random() < 0.1:
            server.resp().config_set("diglot.cache-size", dice.choice((0, 32 * MIB)))
    unload(server, clients)
