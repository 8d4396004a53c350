"""Clients of a migration that are real libraries. Their flags tell types: a wrong flag is a wrong value."""
import pylibmc
from pymemcache.client.hash import HashClient
from pymemcache.serde import pickle_serde

from lib.migration import Worker

KEYS = 300


class Libmemcached:
    """pylibmc with {"ketama": True}"""

    def __init__(self, names):
        self.client = pylibmc.Client(names, behaviors={"ketama": True})
        self.read = self.client.get_multi
        self.store, self.delete, self.count = self.client.set, self.client.delete, self.client.incr


class Pymemcache:
    """pymemcache's HashClient"""

    def __init__(self, names):
        self.client = HashClient(names, serde=pickle_serde, default_noreply=False)
        self.read = self.client.get_many
        self.store, self.delete, self.count = self.client.set, self.client.delete, self.client.incr


LIBRARIES = {"ketama": Libmemcached, "rendezvous": Pymemcache}


class LibraryWorker(Worker):
    """Has keys of its own, which nobody else looks at. Of no use where servers die."""

    def __init__(self, world, fleet, library):
        super().__init__(world, fleet, [], library)
        self.library, self.client = LIBRARIES[library], None
        self.expected = {}
        self.change_fleet()

    def change_fleet(self):
        super().change_fleet()
        self.client = self.library(self.fleet.names)

    def fill(self):
        for _ in range(KEYS):
            self.work()
        self.world.count_up()

    def fault(self, what):
        self.world.faults.append(f"{self.world.name}: {self.library.__name__}: {what}")

    def choose_value(self):
        number = self.dice.randrange(1_000_000)
        return self.dice.choice((number, str(number), b"%d" % number, {"pickled": number}))

    def work(self):
        key = f"library:{self.dice.randrange(KEYS)}"
        had = self.expected.get(key)
        if type(had) is int and self.dice.random() < 0.5:
            self.expected[key] = had + 1
            if (counted := self.client.count(key, 1)) != had + 1:
                self.fault(f"{key} is {counted!r}, expected {had + 1}")
        elif self.dice.random() < 0.1:
            if bool(self.client.delete(key)) != (self.expected.pop(key, None) is not None):
                self.fault(f"{key} was deleted, or was not, wrongly: {had!r}")
        else:
            self.expected[key] = self.choose_value()
            if not self.client.store(key, self.expected[key], self.dice.choice((0, 5000))):
                self.fault(f"{key} is not stored")
        self.look([f"library:{self.dice.randrange(KEYS)}" for _ in range(20)])

    def look(self, keys):
        found = self.client.read(keys)
        self.world.count("requests", 2)
        for key in keys:
            if found.get(key) != self.expected.get(key) or type(found.get(key)) is not type(self.expected.get(key)):
                self.fault(f"{key} is {found.get(key)!r}, expected {self.expected.get(key)!r}")

    def check_end(self):
        self.look([f"library:{number}" for number in range(KEYS)])
