"""A whole migration, as docs/migrating.md tells it, under the load of clients that know what each key must be (lib/migration.py).

DIGLOT_MIGRATION_ITEMS sets how many keys the fleet has, DIGLOT_MIGRATION_TLS_ITEMS the same with TLS, DIGLOT_MIGRATION_SAMPLE how
many there are of 1 byte to 1 MiB. `make test-migration` takes as many as a fleet that is worth the name."""
import os
import random
from collections import Counter

import pytest

from lib import servers, tool
from lib.migration import Record, Worker, World, check_everything, check_over_resp
from lib.migration_fleet import Control, Fleet, Newcomer, paused
from lib.migration_libraries import LibraryWorker
from lib.tls import TlsEngine, TlsMemcached
from lib.tool import run_tool
from lib.waiting import wait_until

ITEMS = int(os.environ.get("DIGLOT_MIGRATION_ITEMS", "20000"))
TLS_ITEMS = int(os.environ.get("DIGLOT_MIGRATION_TLS_ITEMS", "2000"))
SAMPLE = int(os.environ.get("DIGLOT_MIGRATION_SAMPLE", "600"))
WORKERS = 4
BATCHES = int(os.environ.get("DIGLOT_MIGRATION_BATCHES", "15"))  # of each client in a phase at least
LARGEST = 1024 * 1024

pytestmark = pytest.mark.seconds(180 + (ITEMS + TLS_ITEMS + 100 * SAMPLE) // 300)


@pytest.fixture(autouse=True)
def patient_tool(monkeypatch):
    monkeypatch.setattr(tool, "TOOL_SECONDS", 60 + ITEMS // 1000)


class Migration:
    """Three old servers, the new one, and clients. Each step ends when the clients have gone on for a while."""

    def __init__(self, old, control, engine, host, distribution, tool_options):
        self.old = Fleet(old, host, distribution)
        self.control = control
        self.new = Fleet([engine], host)
        self.newcomer = Newcomer(engine)
        self.engine = engine
        self.distribution = distribution
        self.tool_options = tool_options
        self.world = World()
        self.workers = []

    def populate(self, count, size_of=lambda dice: 0):
        dice = random.Random(count)
        records = []
        for number in range(count):
            key = b"%s:%d" % (dice.choice((b"user", b"page", b"session")), number)
            records.append(Record(key, self.old.place(key), number % 16 == 0, size_of(dice)))
        self.world.records = records
        self.workers = [Worker(self.world, self.old, records[number::WORKERS], number, Control(self.control))
                        for number in range(WORKERS)]
        self.world.begin_phase("fill")
        for worker in self.workers:
            worker.fill()

    def start(self):
        for worker in self.workers:
            worker.start()
        return self

    def end(self):
        for worker in self.workers:
            if worker.is_alive():
                worker.end()

    def is_well(self):
        assert not self.world.faults, "\n".join([f"{len(self.world.faults)} faults", *self.world.faults[:20]])
        return True

    def go_on(self):
        """Until each client has done some work more, without fault."""
        seen = [worker.batches + BATCHES for worker in self.workers]
        wait_until(lambda: self.is_well() and all(worker.batches >= enough for worker, enough in zip(self.workers, seen)),
                   "clients to go on", patience=60)

    def phase(self, name):
        self.world.begin_phase(name)

    def repoint(self, fleet):
        for worker in self.workers:
            worker.repoint(fleet)
            self.go_on()

    def share(self, share):
        if share < self.world.share:
            self.world.set_share(share)
        self.newcomer.configure(upstream_share=share)
        self.world.set_share(share)
        self.world.epoch += 1  # across a change of the share a cas fails
        self.go_on()

    def run_tool(self, command, *options, old=None):
        names = self.old.names if old is None else [self.old.names[index] for index in old]
        done = run_tool(command, "--json", *options, *self.tool_options, "--to", self.new.names[0], *names)
        self.is_well()
        return done

    def verify(self, old=None):
        done = self.run_tool("verify", old=old)
        assert done.status == 0, (self.world.name, done.out, done.err)

    def import_all(self):
        done = self.run_tool("import")
        assert done.status == 0 and done.report["failed"] == 0, (done.out, done.err)
        return done.report

    def name_old_fleet(self):
        self.newcomer.configure(upstream_distribution=self.distribution, upstream_share=0)
        self.newcomer.configure(upstream=" ".join(self.old.names))
        self.newcomer.configure(upstream_mirror="yes")

    def raise_share(self, label):
        for share in (10, 50, 100):
            self.phase(f"{label}, share {share}")
            self.share(share)
            self.verify()

    def go_back(self):
        """The share first: then both doors tell the same, and clients may go one by one."""
        self.phase("back, share 0")
        self.share(0)
        self.newcomer.wait_mirrored()
        self.phase("back, clients")
        self.repoint(self.old)
        with paused(self.workers):
            for index in range(len(self.old.members)):
                self.check_old(index)

    def check_old(self, index):
        part = World()
        part.begin_phase("")
        part.records = [record for record in self.world.records if record.server == index]
        part.losses, part.stay = self.world.losses, self.world.stay
        check_everything(part, self.old.members[index])
        self.world.faults += [f"{self.world.name}, at the old server: {fault}" for fault in part.faults]
        self.is_well()

    def kill(self, index, is_explained):
        """Where everything has come over already, nobody may notice."""
        if is_explained:
            self.world.down.add(index)
            self.control[index].kill()
        self.old.members[index].kill()
        if is_explained:
            self.world.losses[index] += 1
        self.go_on()

    @staticmethod
    def relaunch(member):
        member.launch(member.process.args)
        member.wait_ready(member.answers)

    def restart(self, index):
        """Clients find both fleets whole again at the same time: the old server is found again by a probe."""
        self.relaunch(self.old.members[index])
        self.newcomer.wait_ready(index)
        self.relaunch(self.control[index])
        self.go_on()
        self.world.down.discard(index)
        self.go_on()

    def check_end(self):
        """Everything, over both protocols."""
        self.end()
        self.is_well()
        check_everything(self.world, self.engine)
        check_over_resp(self.world, self.engine.resp())
        self.is_well()

    def check_rates(self):
        """Never a point fewer hits than the control has, and few cas failed without cause."""
        for name, phase in self.world.phases.items():
            assert phase["hits"] >= phase["control"] - phase["gets"] / 100, (name, phase)
        total = sum(self.world.phases.values(), Counter())
        assert 0 < total["cas"] and total["lost tokens"] < total["cas"] / 10, total


@pytest.fixture
def migration(start_as, authority):
    started = []

    def start(version="1.6.18", with_tls=False, distribution="ketama", engine_options=None, old_options=None):
        program = ["memcached"] if version == "1.6.18" else servers.newest_memcached()
        engine_options, old_options = engine_options or {}, old_options or {}
        options = {"upstream_timeout": 10000, **engine_options}
        control = [start_as(servers.Memcached, program, **old_options) for _ in range(3)]
        if with_tls:
            cert, key = authority.issue(f"old-{version}")
            program = [*program, "-Z", "-o", f"ssl_chain_cert={cert},ssl_key={key}"]
            old = [start_as(TlsMemcached, authority, program, **old_options) for _ in range(3)]
            engine = start_as(TlsEngine, authority, upstream_tls="yes", upstream_tls_ca_cert_file=authority.file, **options)
            words = ["--from-tls", "--to-tls", "--tls-ca", authority.file]
        else:
            old = [start_as(servers.Memcached, program, **old_options) for _ in range(3)]
            engine, words = start_as(servers.Engine, **options), []
        started.append(Migration(old, control, engine, "localhost" if with_tls else "127.0.0.1", distribution, words))
        return started[-1]
    yield start
    for migration in started:
        migration.end()
        print(*migration.world.report(), sep="\n")


def bridge(moving):
    moving.start()
    moving.phase("old fleet")
    moving.go_on()
    moving.name_old_fleet()
    moving.phase("clients come")
    moving.repoint(moving.new)
    moving.verify()


def cut_over(moving):
    moving.phase("cut over")
    moving.newcomer.configure(upstream="")
    for member in moving.old.members:
        member.kill()
    moving.go_on()
    moving.check_end()
    moving.check_rates()


def there_and_back_and_there(moving):
    """With a server that dies while it is needed, and one that dies when nobody needs it."""
    bridge(moving)
    for share in (10, 50):
        moving.phase(f"share {share}")
        moving.share(share)
        moving.verify()
    moving.phase("a server dies")
    moving.kill(0, is_explained=True)
    moving.restart(0)
    moving.verify()
    moving.phase("share 100")
    moving.share(100)
    moving.phase("import")
    moving.import_all()
    moving.verify()
    moving.go_back()
    moving.phase("clients come again")
    moving.engine.resp().flushall()  # what is here was changed there meanwhile
    moving.repoint(moving.new)
    moving.raise_share("again")
    moving.phase("import again")
    moving.import_all()
    moving.verify()
    moving.phase("a server dies that nobody needs")
    moving.kill(1, is_explained=False)
    moving.verify(old=[0, 2])
    cut_over(moving)


@pytest.mark.parametrize("version", ["1.6.18", "1.6.45"])
def test_a_whole_migration(migration, version):
    moving = migration(version)
    moving.populate(ITEMS)
    there_and_back_and_there(moving)


@pytest.mark.parametrize("version", ["1.6.18", "1.6.45"])
def test_with_tls_on_both_sides(migration, version):
    moving = migration(version, with_tls=True)
    moving.populate(TLS_ITEMS)
    there_and_back_and_there(moving)


@pytest.mark.parametrize("version", ["1.6.18", "1.6.45"])
def test_values_of_every_size(migration, version):
    moving = migration(version, engine_options={"max_item_size": 2 * LARGEST}, old_options={"max_item_size": "2m"})
    moving.populate(SAMPLE, lambda dice: int(LARGEST ** dice.random()))
    there_and_back_and_there(moving)


def test_the_share_goes_up_and_down(migration):
    """More often than anybody would: each change meets requests under way."""
    moving = migration("1.6.45")
    moving.populate(ITEMS // 4)
    bridge(moving)
    moving.phase("up and down")
    for _ in range(8):
        for share in (100, 0, 50, 10, 100, 30, 0):
            moving.share(share)
    moving.share(100)
    moving.import_all()
    cut_over(moving)


@pytest.mark.parametrize("distribution", ["ketama", "rendezvous"])
def test_with_clients_that_are_libraries(migration, distribution):
    """pylibmc and pymemcache, beside the others, there and back and there again."""
    moving = migration("1.6.45", distribution=distribution)
    moving.populate(ITEMS // 10)
    moving.workers.append(LibraryWorker(moving.world, moving.old, distribution))
    moving.workers[-1].fill()
    bridge(moving)
    moving.raise_share("forward")
    moving.go_back()
    moving.engine.resp().flushall()
    moving.repoint(moving.new)
    moving.raise_share("again")
    moving.import_all()
    cut_over(moving)
    moving.workers[-1].check_end()
    moving.is_well()
