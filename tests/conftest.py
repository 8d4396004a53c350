"""Fixtures of the black-box tests. Whatever a test does, all servers must be well behind it (servers_stay_well).

    server           the shared server under test, emptied before the test and left by the clients of those before
    client           one connection to it (lib/wire.py); connect(**options) opens more, all are closed behind the test
    oracle           Debian's memcached, shared by the whole run
    newest_oracle    the newest memcached, the same (fetched by scripts/engine.sh when it is missing)
    start(**options) starts a server under test of this test alone; the options are the module's: start(write_timeout=1)
    start_engine(module=True, config={...}, start=True, **options)
                     the same, and engines without the module, with options of the engine, not started yet (lib/servers.py)
    start_as(KIND, …)        the same with another class of server, as TlsEngine (lib/tls.py); authority signs certificates
    start_memcached(**options)
                     a memcached of this test alone

Markers: diglot_only (memcached has no such thing), seconds(n) (may take longer than TEST_SECONDS), fetched (needs what
`make client-deps` fetches from elsewhere than Debian 12).

Environment: ENGINE (default redis-server), DIGLOT_MODULE (build/diglot.so), DIGLOT_IO_THREADS (0) for all servers that do
not say otherwise; DIGLOT_SUBJECT=memcached runs the protocol tests against memcached itself, which checks the tests.
"""
import shutil
import signal

import pytest

from lib import servers

TEST_SECONDS = 120  # a test that takes longer hangs


class Fleet:
    """All servers of this run."""

    def __init__(self):
        self.servers = []

    def add(self, server):
        self.servers.append(server)
        return server

    def check(self):
        for server in self.servers:
            server.check_health()

    def retire(self, server):
        """Stops a server, looks at its log a last time and removes its files."""
        self.servers.remove(server)
        try:
            server.stop()
            server.check_health()
        finally:
            shutil.rmtree(server.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def fleet():
    fleet = Fleet()
    yield fleet
    for server in list(fleet.servers):
        fleet.retire(server)


@pytest.fixture(scope="session")
def oracle(fleet):
    """Debian's memcached."""
    return fleet.add(servers.Memcached())


@pytest.fixture(scope="session")
def newest_oracle(fleet):
    """The newest memcached that scripts/engine.sh knows."""
    return fleet.add(servers.Memcached(servers.newest_memcached(), tuning=servers.STILL))


@pytest.fixture(scope="session")
def shared_server(fleet):
    return fleet.add(servers.start_subject())


@pytest.fixture
def server(shared_server):
    """The shared server, empty, and without the clients of the test before, which would count."""
    shared_server.wait_alone()
    shared_server.empty()
    return shared_server


@pytest.fixture
def connect(server):
    """Opens connections to the shared server, closed behind the test."""
    connections = []

    def connect(**options):
        connections.append(server.connect(**options))
        return connections[-1]
    yield connect
    for connection in connections:
        connection.close()


@pytest.fixture
def client(connect):
    """One connection to the shared server."""
    return connect()


def _starter(fleet, make):
    started = []

    def start(*arguments, **options):
        started.append(fleet.add(make(*arguments, **options)))
        return started[-1]
    yield start
    for server in reversed(started):
        fleet.retire(server)


@pytest.fixture
def start(fleet):
    """Starts subjects that live for one test."""
    yield from _starter(fleet, servers.start_subject)


@pytest.fixture
def start_as(fleet):
    """Starts servers of the given kind that live for one test: start_as(TlsEngine, authority, tls_min_version="1.3")."""
    yield from _starter(fleet, lambda kind, *arguments, **options: kind(*arguments, **options))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Signs the certificates of the tests."""
    from lib.tls import Authority  # only where it is needed: the parts without TLS need no such packages
    return Authority(str(tmp_path_factory.mktemp("certificates")))


@pytest.fixture
def start_engine(fleet):
    """Starts engines that live for one test; module=False starts one without the module."""
    yield from _starter(fleet, servers.Engine)


@pytest.fixture
def start_memcached(fleet):
    """Starts memcacheds that live for one test."""
    yield from _starter(fleet, servers.Memcached)


@pytest.fixture(autouse=True)
def servers_stay_well(fleet):
    """Behind each test: every server is alive and no log holds a crash report."""
    yield
    fleet.check()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails by itself."""
    def give_up(*_):
        raise AssertionError(f"the test took more than {TEST_SECONDS} s")
    marker = item.get_closest_marker("seconds")
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(marker.args[0] if marker else TEST_SECONDS)
    yield
    signal.alarm(0)


def pytest_configure(config):
    config.addinivalue_line("markers", "diglot_only: speaks of what memcached does not have")
    config.addinivalue_line("markers", "seconds(n): may take so long")
    config.addinivalue_line("markers", "fetched: needs what `make client-deps` fetches")


def pytest_collection_modifyitems(config, items):
    """Where memcached is the subject, tests of the engine and of options that it lacks are not selected."""
    if not servers.SUBJECT_IS_MEMCACHED:
        return
    def is_ours(item):
        return item.get_closest_marker("diglot_only") or "/engine/" in str(item.path)
    config.hook.pytest_deselected(items=[item for item in items if is_ours(item)])
    items[:] = [item for item in items if not is_ours(item)]


def pytest_terminal_summary(terminalreporter):
    """Nothing is left out silently."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"NOT RUN: {report.nodeid}: {report.longrepr[2]}")
