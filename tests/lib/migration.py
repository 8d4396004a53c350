"""Clients of a migration that know what each key must be.

Every key has one worker that changes it, and all workers read it. A change makes a new version of the key; value and flags follow
from the key and the version, so whoever reads can tell which version it was: none older than the last one acknowledged before he
asked, none newer than the last one begun when he was answered. A miss is right where one of these was an absence.
What a killed server explains is told to the world beforehand: `down` and `losses`; it explains nothing of keys that live in the new
place already (`share`).

Another fleet, the control, is told the same at the same time, and nobody migrates it: its hit rate is what the old fleet's would be.
"""
import hashlib
import random
import threading
import time
import zlib
from collections import Counter, defaultdict
from typing import Callable, NamedTuple

import xxhash

from lib.waiting import wait_until

# Seconds that an expiry may be off: memcached's clock has whole seconds, and an item may have travelled some times.
SLACK = 4
SHORT_TTLS = range(6, 20)
LONG_TTLS = (0, 3000, 100_000, 2_000_000)
BATCH = 60
# Reasons of misses. The last is a fault.
MISSES = ("absent", "expired", "lost with a server", "refused", "lost")


class Record:
    """A key: what it was told to be."""
    __slots__ = ("key", "server", "is_counter", "size", "acknowledged", "begun", "absent", "expires", "safe", "token", "home", "place",
                 "doubted", "asked")

    def __init__(self, key, server, is_counter=False, size=0):
        self.key, self.server, self.is_counter, self.size = key, server, is_counter, size
        self.acknowledged = self.begun = self.absent = 0  # versions; `absent`: the last one that was an absence
        self.expires = 0  # the moment at the latest, 0: never, None: nobody knows
        self.asked = 0    # seconds between the request for that and its answer: it may be as much earlier
        self.doubted = 0  # when it might have expired last, and was given another expiry
        self.safe = 0  # losses of its server before it was written last
        self.token = None
        self.place = (xxhash.xxh3_64_intdigest(key) >> 32) % 100  # it lives in the new place where the share is above that
        self.home = None  # the stay in which it came to the new place

    def content(self, version):
        """(value, flags)"""
        if self.is_counter:
            return b"%d" % version, 0
        digest = hashlib.md5(b"%s %d" % (self.key, version)).digest()
        flags = int.from_bytes(digest[:4], "big") if digest[4] % 3 else 0
        size = self.size or 16 + digest[5]
        return (digest * (size // 16 + 1))[:size], flags

    def is_absent(self):
        return self.absent == self.acknowledged

    def may_have_expired(self, now):
        return self.expires is None or (self.expires and now > self.expires - self.asked - SLACK)

    def expire(self, ttl, since):
        """It has another expiry, asked for at that moment. Who has asked for the key before may have met the one that it had."""
        now = time.time()
        if self.may_have_expired(now):
            self.doubted = now
        self.asked = now - since
        self.expires = now + ttl if ttl else 0

    def must_have_expired(self, now):
        return bool(self.expires) and now > self.expires + SLACK


class World:
    """All keys, what went wrong, and how often who hit."""

    def __init__(self):
        self.records = []
        self.faults = []
        self.losses = defaultdict(int)  # server -> times that it has lost what it had
        self.down = set()  # servers whose errors and misses are explained now
        self.phases = {}
        self.name = None
        self.lock = threading.Lock()
        self.counting = threading.local()  # each thread's counts, until count_up()
        self.explained = Counter()
        self.epoch = 0  # of tokens: those of another one are not used
        self.share = 0  # percent of the keys that live in the new place
        self.stay = 0   # there: ends when keys go back

    def set_share(self, share):
        """Before the share is lowered, behind its raising: nothing is taken to be in the new place that is not."""
        if share < self.share:
            self.stay += 1
        self.share = share

    def begin_phase(self, name):
        self.name = name
        self.phases[name] = Counter()

    def count(self, what, number=1):
        if not hasattr(self.counting, "counts"):
            self.counting.counts = Counter()
        self.counting.counts[what] += number

    def count_up(self):
        """What a batch has counted is the present phase's, all of it."""
        with self.lock:
            self.phases[self.name].update(self.counting.counts)
        self.counting.counts = Counter()

    def fault(self, record, what):
        self.faults.append(f"{self.name}: {record.key.decode()} at server {record.server}, versions {record.acknowledged}"
                           f"..{record.begun}, absent {record.absent}, expires {record.expires}: {what} ({time.time():.3f})")

    def is_lossy(self, record):
        if record.home == self.stay:
            return False
        return record.server in self.down or record.safe < self.losses[record.server]

    def excuse(self, record):
        """Whether a loss explains what comes of a request that begins now: of the key as it is, or as it will be."""
        was_lossy = self.is_lossy(record)
        return lambda: was_lossy or self.is_lossy(record)

    def home_of(self, record):
        """Where a key lives when it is asked for: the stay in the new place, or None."""
        return self.stay if record.place < self.share else None

    def note_home(self, record, home):
        """It was found or written there: nothing that old servers lose matters to it any more."""
        if home == self.stay:
            record.home = home

    def look(self, record):
        """What is known of a key before it is asked for: the version acknowledged, the time, whether it may be lost, its home."""
        return record.acknowledged, time.time(), self.excuse(record), self.home_of(record)

    def check(self, record, before, found):
        """`found`: (value, flags) or None; `before`: what look() told when it was asked for."""
        lowest, now, is_lossy, home = before
        later = time.time()
        self.count("gets")
        versions = range(lowest, record.begun + 1)
        if found is None:
            reason = ("absent" if record.absent >= lowest else "expired" if record.may_have_expired(later) or record.doubted >= now
                      else "lost with a server" if is_lossy() else "lost")
            self.count(reason)
            if reason == "lost":
                self.fault(record, "lost")
            return
        self.count("hits")
        self.note_home(record, home)
        if not any(found == record.content(version) for version in versions):
            older = [version for version in range(max(lowest - 50, 0), lowest) if found == record.content(version)]
            self.fault(record, f"is {found[0][:40]!r} {found[1]}, expected {record.content(lowest)[0][:40]!r} "
                               f"{record.content(lowest)[1]}; that was version {older}")
        elif record.absent == record.begun == lowest:
            self.fault(record, "is back")
        elif len(versions) == 1 and record.must_have_expired(now):
            self.fault(record, "lives on")

    def report(self):
        for name, phase in self.phases.items():
            gets = phase["gets"] or 1
            rates = {what: f"{100 * phase[what] / gets:.2f} %" for what in ("hits", "control", *MISSES) if phase[what]}
            yield f"{name}: {phase['requests']} requests, {phase['gets']} keys read: {rates}, {phase['lost tokens']} of {phase['cas']} cas failed"
        yield f"explained by the killed server: {dict(self.explained)}"


class Request(NamedTuple):
    """`take` reads the answer off a connection. `shadow` is what the control is told: of reads whether the key is there, of
    changes no answer, and no more of a value than that it is one."""
    record: Record
    data: bytes
    take: Callable
    shadow: bytes

    @property
    def is_read(self):
        return self.shadow.startswith(b"mg ")


class Worker(threading.Thread):
    """Changes its own keys, reads all. It can be repointed at another fleet, and paused, between two batches."""

    def __init__(self, world, fleet, records, seed, control=None):
        super().__init__(daemon=True)
        self.world, self.fleet, self.records = world, fleet, records
        self.wanted = fleet
        self.connections = fleet.connect()
        self.control = control
        self.dice = random.Random(seed)
        self.ends, self.may_go, self.rests = threading.Event(), threading.Event(), threading.Event()
        self.may_go.set()
        self.batches = 0

    # ---- What the test does with it ----

    def repoint(self, fleet):
        self.wanted = fleet
        wait_until(lambda: self.fleet is fleet or not self.is_alive(), "a client to be repointed")

    def pause(self):
        self.may_go.clear()
        wait_until(lambda: self.rests.is_set() or not self.is_alive(), "a client to rest")

    def go_on(self):
        self.may_go.set()

    def end(self):
        self.ends.set()
        self.may_go.set()
        self.join(20)
        assert not self.is_alive(), "a client hangs"

    def run(self):
        try:
            while not self.ends.is_set():
                if not self.may_go.is_set():
                    self.rests.set()
                    self.may_go.wait()
                    self.rests.clear()
                if self.wanted is not self.fleet:
                    self.change_fleet()
                self.work()
                self.world.count_up()
                self.batches += 1
        except BaseException as failure:  # the test looks at them
            self.world.faults.append(f"{self.world.name}: {type(self).__name__}: {failure!r}")
            raise

    def change_fleet(self):
        for connection in self.connections:
            connection.close()
        self.connections = self.wanted.connect()
        self.fleet = self.wanted
        for record in self.records:
            record.token = None

    # ---- Requests ----

    def begin(self, record):
        """What settle() is to know when the change is acknowledged."""
        record.begun += 1
        return record.begun, self.world.losses[record.server], self.world.home_of(record), time.time()

    def settle(self, record, begun, ttl):
        record.acknowledged, record.safe, home, since = begun
        record.expire(ttl, since)
        self.world.note_home(record, home)

    def refuse(self, record, answer, expected, is_lossy):
        """Something else than expected: a killed server's error, or a fault."""
        if is_lossy() and (answer.startswith(b"SERVER_ERROR") or answer in expected):
            self.world.explained[answer.decode()] += 1
            record.expires = None
        else:
            self.world.fault(record, f"answered {answer[:100]!r}")

    def choose_ttl(self):
        return self.dice.choice(SHORT_TTLS) if self.dice.random() < 0.04 else self.dice.choice(LONG_TTLS)

    def store(self, record, command=b"set", token=None):
        was_absent = record.is_absent() and record.begun == record.acknowledged
        is_lossy = self.world.excuse(record)
        may_differ = record.may_have_expired(time.time() + SLACK)
        may_fail = may_differ or len(self.connections) == 1  # docs/cas.md: without cause, at the module's door
        begun = version, *_ = self.begin(record)
        ttl = 0 if record.is_counter else self.choose_ttl()
        if 0 < ttl < 100:
            record.expires = None  # others cannot tell when
        value, flags = record.content(version)
        record.token = None

        def take(connection):
            answer = connection.read_line()
            self.world.count(command.decode())
            if answer == b"STORED":
                if command == b"add" and not was_absent and not may_differ and not is_lossy():
                    self.world.fault(record, "added over what was there")
                self.settle(record, begun, ttl)
            elif command == b"add" and answer == b"NOT_STORED" and (not was_absent or may_differ):
                record.begun = version - 1
            elif command == b"cas" and (answer == b"EXISTS" and may_fail or answer == b"NOT_FOUND" and may_differ):
                record.begun = version - 1
                self.world.count("lost tokens")
            else:
                self.refuse(record, answer, (b"EXISTS", b"NOT_FOUND") if command == b"cas" else (), is_lossy)
        exptime = ttl if ttl < 2_000_000 else int(time.time()) + ttl
        last = b" %d" % token if token is not None else b""
        data = b"%s %s %d %d %d%s\r\n%s\r\n" % (command, record.key, flags, exptime, len(value), last, value)
        shadow = b"%s %s 0 %d 1 noreply\r\n1\r\n" % (b"replace" if command == b"cas" else command, record.key, exptime)
        return Request(record, data, take, shadow)

    def add(self, record):
        return self.store(record, b"add")

    def swap(self, record):
        """The first time it looks for the token."""
        token, epoch = record.token or (0, None)
        return self.store(record, b"cas", token) if epoch == self.world.epoch else self.read(record, b"gets")

    def remove(self, record):
        was_absent, may_differ = record.is_absent(), record.may_have_expired(time.time() + SLACK)
        is_lossy = self.world.excuse(record)
        is_sure = record.begun == record.acknowledged
        begun = version, *_ = self.begin(record)
        record.absent = version
        record.token = None

        def take(connection):
            answer = connection.read_line()
            if answer == b"DELETED" or answer == b"NOT_FOUND":
                if is_sure and not may_differ and (answer == b"NOT_FOUND") != was_absent and not is_lossy():
                    self.world.fault(record, f"deleted: {answer!r}")
                self.settle(record, begun, 0)
            else:
                self.refuse(record, answer, (), is_lossy)
        return Request(record, b"delete %s\r\n" % record.key, take, b"delete %s noreply\r\n" % record.key)

    def touch(self, record):
        ttl, since = self.dice.choice(LONG_TTLS[:-1]), time.time()
        was_absent = record.is_absent() and record.begun == record.acknowledged
        is_lossy = self.world.excuse(record)
        may_differ = record.may_have_expired(time.time() + SLACK) or record.begun != record.acknowledged
        record.token = None

        def take(connection):
            answer = connection.read_line()
            if answer == b"TOUCHED" and (not was_absent or may_differ):
                record.expire(ttl, since)
            elif answer == b"NOT_FOUND" and (was_absent or may_differ):
                pass
            else:
                self.refuse(record, answer, (b"NOT_FOUND",), is_lossy)
        return Request(record, b"touch %s %d\r\n" % (record.key, ttl), take, b"touch %s %d noreply\r\n" % (record.key, ttl))

    def count(self, record):
        is_lossy = self.world.excuse(record)
        version, *since = self.begin(record)

        def take(connection):
            answer = connection.read_line()
            if answer.isdigit() and record.acknowledged < int(answer) <= version:
                record.begun = int(answer)
                self.settle(record, (int(answer), *since), 0)
            elif answer == b"NOT_FOUND" and is_lossy():
                record.begun = version - 1
                self.world.explained["counters"] += 1
            else:
                self.refuse(record, answer, (), is_lossy)
        shadow = b"add %s 0 0 1 noreply\r\n1\r\n" % record.key  # there, a killed server takes counters that live here
        return Request(record, b"incr %s 1\r\n" % record.key, take, shadow)

    def read(self, record, command=b"get"):
        before, epoch = self.world.look(record), self.world.epoch
        is_lossy = self.world.excuse(record)

        def take(connection):
            line, found = connection.read_line(), None
            if line.startswith(b"VALUE "):
                words = line.split(b" ")
                found = connection.read_exactly(int(words[3]) + 2)[:-2], int(words[2])
                if words[1] != record.key:
                    self.world.fault(record, f"another key's answer: {line!r}")
                if command == b"gets":
                    record.token = int(words[4]), epoch
                line = connection.read_line()
            if line == b"END":
                self.world.check(record, before, found)
            else:
                self.world.count("gets")
                self.world.count("refused")
                self.refuse(record, line, (), is_lossy)
        return Request(record, b"%s %s\r\n" % (command, record.key), take, b"mg %s\r\n" % record.key)

    # ---- Work ----

    def choose(self, record):
        if record.is_counter:
            is_lost = self.world.is_lossy(record) and record.server not in self.world.down
            return self.store(record) if is_lost else self.dice.choice((self.count, self.read))(record)
        kind, = self.dice.choices((self.read, self.store, self.swap, self.add, self.touch, self.remove), (30, 14, 10, 5, 5, 2))
        return kind(record)

    def work(self):
        own = self.dice.sample(self.records, min(BATCH, len(self.records)))
        requests = [self.choose(record) for record in own]
        requests += [self.read(self.dice.choice(self.world.records)) for _ in range(BATCH // 2)]
        self.talk(requests)

    def talk(self, requests):
        """All at once; each server answers in the order of its own."""
        asked = defaultdict(list)
        is_one = len(self.connections) == 1
        for request in requests:
            asked[0 if is_one else request.record.server].append(request)
        for server, part in asked.items():
            self.fleet.send(self.connections[server], [request.data for request in part])
        if self.control:
            self.world.count("control", self.control.count_hits(requests))
        for server, part in asked.items():
            for request in part:
                request.take(self.connections[server])
        self.world.count("requests", len(requests))

    def fill(self):
        """Stores most of its keys; the others are absent."""
        stored = [record for record in self.records if record.is_counter or zlib.crc32(record.key) % 100 >= 8]
        for begin in range(0, len(stored), 500):
            self.talk([self.store(record) for record in stored[begin:begin + 500]])
        self.world.count_up()


def check_everything(world, door, batch=500):
    """Each key of the world behind one door, while nobody writes: with its time to live."""
    with door.connect() as connection:
        for begin in range(0, len(world.records), batch):
            part = world.records[begin:begin + batch]
            connection.send(b"".join(b"mg %s v f t\r\n" % record.key for record in part))
            for record in part:
                words, found, expiry = connection.read_line().split(), None, None
                if words[0] == b"VA":
                    found = connection.read_exactly(int(words[1]) + 2)[:-2], int(words[2][1:])
                    expiry = int(words[3][1:])
                world.check(record, world.look(record), found)
                if found and record.expires is not None and record.begun == record.acknowledged:
                    check_expiry(world, record, expiry)


def check_expiry(world, record, seconds):
    now = time.time()
    left = record.expires - now if record.expires else -1
    is_near = left - record.asked - SLACK < seconds < left + SLACK
    if (left < 0) != (seconds < 0) and not record.may_have_expired(now) or seconds >= 0 and not is_near:
        world.fault(record, f"has {seconds} s to live, expected {left:.1f}")


def check_over_resp(world, resp, batch=1000):
    """The same values for a Redis client."""
    for begin in range(0, len(world.records), batch):
        part = world.records[begin:begin + batch]
        for record, value in zip(part, resp.mget([record.key for record in part])):
            if record.begun != record.acknowledged or record.may_have_expired(time.time()):
                continue
            expected = None if record.is_absent() else record.content(record.acknowledged)[0]
            if value != expected and not world.is_lossy(record):
                world.fault(record, f"over RESP: {value and value[:40]!r}")
