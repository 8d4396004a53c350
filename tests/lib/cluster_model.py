"""One slot of a cluster of two nodes, and what must be found there whatever has happened: over RESP every value, over memcached
every item as it was written, or a miss; never other flags. One client at a time, so the truth is always known."""
import random
import re

from lib.engine_ledger import key_slot, ledger_name
from lib.resp import RespError

TAG = b"{model}"
SLOT = key_slot(TAG)
LEDGER = ledger_name(TAG)
FLAGS = (0, 0, 1, 7, 0xFFFFFFFF)
REDIRECTED = re.compile(r"(MOVED|ASK) \d+ [^ ]*:(\d+)$")
REFUSED = re.compile(rb"SERVER_ERROR (MOVED|ASK) ")
KEYS = [TAG + b"%d" % i for i in range(8)]


class ClusterModel:
    def __init__(self, cluster, seed, kills=0.0):
        """`kills`: the share of restarts that are real ones."""
        self.cluster = cluster
        self.kills = kills
        self.random = random.Random(seed)
        self.owner = cluster.node(cluster.nodes[0].owner_of(SLOT))
        self.other = cluster.others(self.owner)[0]
        self.is_open = False
        self.items = dict.fromkeys(KEYS)  # key: (value, flags)
        self.reach = KEYS  # what clients name
        self.count = self.hits = self.misses = 0
        self.steps = []

    def say(self, *words):
        self.steps.append(" ".join(word.decode() if isinstance(word, bytes) else str(word) for word in words))

    def story(self):
        return f"owner {self.owner.port}, other {self.other.port}:\n" + "\n".join(self.steps)

    # --- clients ---

    def call(self, *words):
        """What a RESP client of a cluster does; None, and `last_error`, where no node takes it now."""
        node, is_asked = self.owner, False
        self.last_error = None
        for _ in range(3):
            try:
                with node.resp_connection() as resp:
                    if is_asked:
                        resp.call("ASKING")
                    reply = resp.call(*words)
                self.last_error = None
                if words[0] != "GET":
                    self.say(node.port, *words, "->", reply)
                return reply
            except RespError as error:
                self.last_error = error
                redirected = REDIRECTED.search(str(error))
                self.say(node.port, *words, "->", error)
                if not redirected:
                    assert str(error).startswith(("TRYAGAIN", "ERR no such key")), (error, words)
                    return None
                is_asked = redirected[1] == "ASK"
                node = next(node for node in self.cluster.nodes if node.port == int(redirected[2]))
        return None

    def draw_key(self):
        return self.random.choice(self.reach)

    def new_value(self):
        self.count += 1
        return b"value%d" % self.count

    def resp_set(self):
        key, value = self.draw_key(), self.new_value()
        if self.call("SET", key, value) == b"OK":
            self.items[key] = (value, 0)

    def resp_append(self):
        key = self.draw_key()
        if self.call("APPEND", key, "+"):
            value, flags = self.items[key] or (b"", 0)
            self.items[key] = (value + b"+", flags)

    def resp_delete(self):
        key = self.draw_key()
        words = self.random.choice((("DEL", key), ("GETDEL", key), ("PEXPIREAT", key, 1)))
        self.call(*words)
        if self.last_error is None:
            self.items[key] = None

    def resp_rename(self):
        key, target = self.random.sample(self.reach, 2)
        if self.call("RENAME", key, target) == b"OK":
            self.items[target], self.items[key] = self.items[key], None

    def resp_copy(self):
        key, target = self.random.sample(self.reach, 2)
        if self.call("COPY", key, target, "REPLACE"):
            self.items[target] = self.items[key]

    def set(self):
        key, value, flags = self.draw_key(), self.new_value(), self.random.choice(FLAGS)
        with self.random.choice(self.cluster.nodes).connect() as door:
            reply = door.store("set", key, value, flags)
        self.say("set", key, value, flags, reply)
        assert reply == b"STORED" or REFUSED.match(reply), reply
        if reply == b"STORED":
            self.items[key] = (value, flags)

    def delete(self):
        key = self.draw_key()
        with self.random.choice(self.cluster.nodes).connect() as door:
            reply = door.ask(b"delete " + key)
        self.say("delete", key, reply)
        assert reply in (b"DELETED", b"NOT_FOUND") or REFUSED.match(reply), reply
        if not REFUSED.match(reply):
            self.items[key] = None  # one whose flags are lost goes, too

    # --- the slot ---

    def open_slot(self):
        if not self.is_open:
            self.say("open")
            self.cluster.open_slot(SLOT, self.owner, self.other)
            self.is_open = True

    def migrate(self, source, target, keys):
        """By any of the ways in which a command can come."""
        words = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        ways = ["plain", "plain", "script"] + ["multi"] * (source is self.owner)  # EXEC takes only what the node serves
        way = self.random.choice(ways)
        self.say(source.port, way, *words)
        with source.resp_connection() as resp:
            if way == "multi":
                resp.call("MULTI")
                resp.call(*words)
                reply = resp.call("EXEC")[0]
            elif way == "script":
                reply = resp.call("EVAL", "return redis.call(unpack(ARGV))", 0, *words)
            else:
                reply = resp.call(*words)
        assert reply in (b"OK", b"NOKEY"), reply

    def move_some(self):
        if not self.is_open:
            return
        keys = sorted(self.owner.keys_in(SLOT))
        if keys:
            self.migrate(self.owner, self.other, self.random.sample(keys, self.random.randint(1, len(keys))))

    def move_rest(self):
        """To the end, and the slot is the other node's."""
        if not self.is_open:
            return
        while self.owner.keys_in(SLOT):
            self.move_some()
        self.say("close")
        self.cluster.close_slot(SLOT, self.owner, self.other)
        self.owner, self.other = self.other, self.owner
        self.is_open = False

    def call_off(self):
        """What had gone comes back, in any order; some of it goes again at times."""
        if not self.is_open:
            return
        self.say("call off")
        self.owner.cluster("SETSLOT", SLOT, "STABLE")
        while gone := sorted(self.other.keys_in(SLOT)):
            self.migrate(self.other, self.owner, self.random.sample(gone, self.random.randint(1, len(gone))))
            self.change_what_is_here()
            self.check_flags()
            if self.random.random() < 0.2:
                self.say("go on")
                self.owner.cluster("SETSLOT", SLOT, "MIGRATING", self.other.id)
                return
        self.other.cluster("SETSLOT", SLOT, "STABLE")
        self.is_open = False

    def change_what_is_here(self):
        """What has not come back yet would be found in two places."""
        gone = self.other.keys_in(SLOT)
        self.reach = [key for key in KEYS if key not in gone]
        if len(self.reach) > 1:
            self.random.choice(self.CHANGES)(self)
        self.reach = KEYS

    def reload(self):
        """Memory ends, mostly without the seconds that a node takes to find its cluster again."""
        node = self.random.choice(self.cluster.nodes)
        is_killed = self.random.random() < self.kills
        self.say("kill" if is_killed else "reload", node.port)
        if not is_killed:
            node.resp().execute_command("DEBUG", "RELOAD")
            return
        node.kill()
        node.restart()
        self.cluster.wait_agreed()

    def move_at_once(self):
        if self.is_open or not self.owner.has_migrateslots():
            return
        self.say("move at once")
        self.cluster.move_atomic(SLOT, self.owner, self.other)
        self.owner, self.other = self.other, self.owner

    # --- what is found ---

    def check_flags(self):
        for node in self.cluster.nodes:
            with node.connect() as door:
                for key, item in self.items.items():
                    door.send(b"get %s\r\n" % key)
                    line = door.read_line()
                    if line == b"END" or REFUSED.match(line):
                        self.misses += line == b"END" and item is not None
                        continue
                    name, flags, size = line.split()[1:4]
                    found = (door.read_exactly(int(size) + 2)[:-2], int(flags))
                    assert door.read_line() == b"END" and name == key
                    assert found == item, f"{key} at {node.port} is {found}, not {item}\n{self.story()}"
                    self.hits += 1

    def check_values(self):
        for key, item in self.items.items():
            assert self.call("GET", key) == (item and item[0]), f"{key} is not {item}\n{self.story()}"

    def check_at_rest(self):
        """The slot is one node's, and nothing is left of it at the other."""
        if self.is_open:
            return
        self.check_values()
        here = self.owner.keys_in(SLOT)
        assert here - {LEDGER} == {key for key, item in self.items.items() if item}, self.story()
        assert not self.other.keys_in(SLOT), self.story()

    CHANGES = (set, set, set, delete, resp_set, resp_append, resp_delete, resp_rename, resp_rename, resp_copy)
    MOVES = (open_slot, move_some, move_some, move_some, move_rest, call_off, reload, move_at_once)

    def step(self):
        self.random.choice(self.CHANGES if self.random.random() < 0.75 else self.MOVES)(self)
        self.check_flags()
        self.check_values()
        self.check_at_rest()
