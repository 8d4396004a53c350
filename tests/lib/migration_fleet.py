"""The servers that clients of a migration speak to: an old fleet over which they spread keys themselves, or the module's one door."""
import ctypes
from contextlib import contextmanager

from pymemcache.client.rendezvous import RendezvousHash

from lib import servers
from lib.tls import TlsConnection
from lib.wire import Closed

BEHAVIOR_KETAMA = 3


class Ketama:
    """libmemcached's own placement, as pylibmc's {"ketama": True} has it."""

    def __init__(self, names):
        self.library = ctypes.CDLL("libmemcached.so.11")
        self.library.memcached_create.restype = ctypes.c_void_p
        self.library.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
        self.library.memcached_server_add.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16]
        self.library.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self.library.memcached_generate_hash.restype = ctypes.c_uint32
        self.client = self.library.memcached_create(None)
        assert self.library.memcached_behavior_set(self.client, BEHAVIOR_KETAMA, 1) == 0
        for name in names:
            host, port = name.split(":")
            assert self.library.memcached_server_add(self.client, host.encode(), int(port)) == 0

    def place(self, key):
        return self.library.memcached_generate_hash(self.client, key, len(key))


class Rendezvous:
    """As pymemcache's HashClient has it."""

    def __init__(self, names):
        self.names = names
        self.hasher = RendezvousHash(names)

    def place(self, key):
        return self.names.index(self.hasher.get_node(key.decode()))


DISTRIBUTIONS = {"ketama": Ketama, "rendezvous": Rendezvous}


class Fleet:
    """Servers with a memcached door each. `place` tells the index of the one that has a key."""

    def __init__(self, members, host="127.0.0.1", distribution="ketama"):
        self.members = members
        self.names = [f"{host}:{getattr(member, 'tls_port', member.memcached_port)}" for member in members]
        self.place = DISTRIBUTIONS[distribution](self.names).place if len(members) > 1 else lambda key: 0

    def connect(self):
        return [member.connect() for member in self.members]

    def send(self, connection, requests):
        """All at once; with TLS in a record each: memcached 1.6.18 forgets what is left of one that it has not room for."""
        for data in requests if isinstance(connection, TlsConnection) else [b"".join(requests)]:
            connection.send(data)


class Control:
    """One client's connections to the control. Servers that are down are misses, and are tried again with each batch."""

    def __init__(self, members):
        self.members = members
        self.connections = [None] * len(members)

    def count_hits(self, requests):
        """Tells the control what clients do, and how many of the keys that they read are there."""
        return sum(self._count_hits(server, [request for request in requests if request.record.server == server])
                   for server in range(len(self.members)))

    def _count_hits(self, server, requests):
        reads = sum(request.is_read for request in requests)
        try:
            if self.connections[server] is None:
                self.connections[server] = self.members[server].connect()
            self.connections[server].send(b"".join(request.shadow for request in requests))
            return [self.connections[server].read_line() for _ in range(reads)].count(b"HD")
        except (OSError, Closed):
            self.connections[server] = None
            return 0


class Newcomer:
    """What stands at the new place: an engine with the module, whatever its clients' door is."""

    def __init__(self, engine):
        self.engine = engine

    def configure(self, **options):
        for name, value in options.items():
            self.engine.resp().config_set("diglot." + name.replace("_", "-"), value)

    def state(self):
        with self.engine.connect() as connection:
            return connection.stats("upstream")

    def wait_state(self, condition, what):
        return servers.wait_until(lambda: condition(self.state()), what)

    def wait_mirrored(self):
        self.wait_state(lambda state: state["mirror_waiting"] == "0", "the mirror to catch up")

    def wait_ready(self, index):
        self.wait_state(lambda state: "state=ready" in state[f"server_{index}"], f"old server {index} to be used again")


@contextmanager
def paused(workers):
    """Nothing under way meanwhile."""
    for worker in workers:
        worker.pause()
    yield
    for worker in workers:
        worker.go_on()
