"""Clients that go on reading and writing while slots move from node to node, over both protocols, and remember every
acknowledged write.

Each key is one client's alone, so what it must hold is known. A value that a memcached client wrote begins with its flags,
which tells a wrong flag wherever it is read. What a node refuses (another one serves the key) has no effect: the client goes
on, at another node the next time."""
import random
import re
import threading

from lib.resp import RespConnection, RespError

REFUSED = re.compile(rb"SERVER_ERROR (MOVED|ASK|CLUSTERDOWN) ")
PORT = re.compile(r"(?:MOVED|ASK) \d+ [^ ]*:(\d+)$")


class WrongAnswer(AssertionError):
    """An answer that no promise allows."""


class Client(threading.Thread):
    """One client with keys of its own, at whatever nodes it is told to ask."""

    def __init__(self, nodes, keys, seed, flags=(0, 1, 7, 0xFFFFFFFF)):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.doors = {node.port: node.connect() for node in nodes}
        self.resp = {node.port: RespConnection(node.port) for node in nodes}
        self.at = self.random.choice(list(self.doors))
        self.flags = flags
        self.items = {key: None for key in keys}  # key: (value, flags) as last acknowledged
        self.done = self.refused = self.missed = self.asked = 0
        self.count = 0
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step()
        except BaseException as failure:  # told by whoever joins
            self.failure = failure

    def finish(self):
        self.stopping.set()
        self.join(30)
        for connection in [*self.doors.values(), *self.resp.values()]:
            connection.close()
        if self.failure:
            raise self.failure

    def step(self):
        key = self.random.choice(list(self.items))
        self.random.choice((self.set, self.set, self.get, self.get, self.delete, self.resp_set, self.resp_append,
                            self.resp_delete, self.resp_get))(key)
        self.done += 1

    # --- memcached ---

    def is_refused(self, reply):
        if not REFUSED.match(reply):
            return False
        self.refused += 1
        self.at = self.random.choice(list(self.doors))
        return True

    def new_value(self, flags):
        self.count += 1
        return b"%d:%d." % (flags, self.count)

    def set(self, key):
        flags = self.random.choice(self.flags)
        value = self.new_value(flags)
        reply = self.doors[self.at].store("set", key, value, flags)
        if self.is_refused(reply):
            return
        self.expect(reply == b"STORED", key, reply)
        self.items[key] = (value, flags)

    def delete(self, key):
        reply = self.doors[self.at].ask(b"delete " + key)
        if self.is_refused(reply):
            return
        self.expect(reply in (b"DELETED", b"NOT_FOUND"), key, reply)
        self.missed += reply == b"NOT_FOUND" and self.items[key] is not None
        self.items[key] = None  # one whose flags are lost goes, too

    def get(self, key):
        door = self.doors[self.at]
        door.send(b"get %s\r\n" % key)
        line = door.read_line()
        if self.is_refused(line):
            return
        if line == b"END":
            self.missed += self.items[key] is not None
            return
        _, name, flags, size = line.split()
        value = door.read_exactly(int(size) + 2)[:-2]
        self.expect(door.read_line() == b"END" and name == key, key, line)
        self.expect((value, int(flags)) == self.items[key], key, (value, int(flags)))

    # --- RESP, as a cluster's client does it ---

    def call(self, *words):
        """With MOVED and ASK followed; None where no node takes it now."""
        port = self.at
        asking = False
        for _ in range(5):
            try:
                if asking:
                    self.resp[port].call("ASKING")
                return True, self.resp[port].call(*words)
            except RespError as error:
                moved = PORT.search(str(error))
                if not moved and not str(error).startswith(("TRYAGAIN", "CLUSTERDOWN")):
                    raise
                if not moved:
                    break
                asking = str(error).startswith("ASK")
                self.asked += asking
                port = int(moved[1])
        return False, None

    def resp_set(self, key):
        value = self.new_value(0)
        is_done, reply = self.call("SET", key, value)
        if is_done:
            self.expect(reply == b"OK", key, reply)
            self.items[key] = (value, 0)

    def resp_append(self, key):
        if self.items[key]:
            value, flags = self.items[key]
            is_done, reply = self.call("APPEND", key, "+")
            if is_done:
                self.expect(reply == len(value) + 1, key, reply)
                self.items[key] = (value + b"+", flags)

    def resp_delete(self, key):
        is_done, reply = self.call("DEL", key)
        if is_done:
            self.expect(reply == (self.items[key] is not None), key, reply)
            self.items[key] = None

    def resp_get(self, key):
        is_done, reply = self.call("GET", key)
        if is_done:
            self.expect(reply == (self.items[key] and self.items[key][0]), key, reply)

    def expect(self, is_right, key, answer):
        if not is_right:
            raise WrongAnswer(f"{key!r} at {self.at}: {answer!r}, acknowledged was {self.items[key]!r}")


class ClusterLoad:
    """Some clients; their keys have the hash tag `tag`, so they are all of one slot."""

    def __init__(self, nodes, tag, clients=3, keys=40, seed=0):
        self.clients = [Client(nodes, [b"{%s}%d.%d" % (tag, seed + i, j) for j in range(keys)], seed + i)
                        for i in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.finish()

    def check_alive(self):
        for client in self.clients:
            if client.failure:
                raise client.failure

    def total(self, what):
        self.check_alive()
        return sum(getattr(client, what) for client in self.clients)

    def items(self):
        return {key: item for client in self.clients for key, item in client.items.items()}
