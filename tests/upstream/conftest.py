"""Fixtures of the migration from an old memcached.

    old_memcached(…)   starts a memcached as old server: old_memcached("1.6.18"), "1.6.45"
    old_server(…)      one in the tests' own hands (lib/old_server.py)
    bridge(*servers, **options)
                       starts an engine with the module, whose diglot.upstream names them; it waits long for them,
                       unless a test says otherwise, as machines are busy at times
"""
import pytest

from lib import servers
from lib.old_server import OldServer

OLD_VERSIONS = ("1.6.18", "1.6.45")


class Bridge(servers.Engine):
    """An engine with the module, and what its statistics say of old servers."""

    def state(self):
        with self.connect() as connection:
            return connection.stats("upstream")

    def count(self, name):
        return int(self.state()[name])

    def wait_mirrored(self):
        """Until everything that has changed is copied."""
        servers.wait_until(lambda: self.count("mirror_waiting") == 0, "the mirror to catch up")

    def configure(self, **options):
        for name, value in options.items():
            self.resp().config_set("diglot." + name.replace("_", "-"), value)


@pytest.fixture(params=OLD_VERSIONS)
def old_memcached(request, start_as):
    """One version after the other."""
    def start(**options):
        program = ["memcached"] if request.param == "1.6.18" else servers.newest_memcached()
        return start_as(servers.Memcached, program, **options)
    return start


@pytest.fixture
def old_server():
    started = []

    def start(**options):
        started.append(OldServer(**options))
        return started[-1]
    yield start
    for server in started:
        server.close()


def port_of(server):
    return server.port if isinstance(server, OldServer) else server.memcached_port


@pytest.fixture
def bridge(start_as):
    def start(*old, **options):
        names = " ".join(f"127.0.0.1:{port_of(server)}" for server in old)
        return start_as(Bridge, upstream=names, **{"upstream_timeout": 10000, **options})
    return start
