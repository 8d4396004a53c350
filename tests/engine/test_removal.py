"""The module is taken out as docs/removing.md says, in its own words, and what stays is plain data."""
import os
import re
import subprocess

import pytest

from lib import servers
from lib.engine_ledger import LEDGER_PREFIX
from lib.replication import hand_over, replica_of, wait_following
from lib.saved_files import data_of

DOCUMENT = os.path.join(servers.ROOT, "docs", "removing.md")
ITEMS = {b"plain": (b"v", 0, 0), b"flagged": (b"f" * 3000, 5, 0), b"timed": (b"t", 0, 2000000000), b"both": (b"", 7, 2000000001)}
PERSISTENCE = {"RDB": {"save": "3600 1"}, "AOF": {"appendonly": "yes", "appendfsync": "always"}}


class ConfiguredEngine(servers.Engine):
    """With a configuration file, as operators have it."""

    def __init__(self, config):
        super().__init__(config=config, start=False)
        self.path = os.path.join(self.directory, "redis.conf")
        words = super().command()[len(servers.ENGINE):]
        lines = " ".join(f'"{word}"' if not word or " " in word else word for word in words).split("--")[1:]
        with open(self.path, "w") as file:
            file.writelines(f"{line.strip()}\n" for line in lines)
        self.start()

    def command(self):
        return [*servers.ENGINE, self.path]

    def lines(self):
        with open(self.path) as file:
            return file.read().splitlines()


def all_documented(pattern):
    """The lines of the document's commands that hold this."""
    with open(DOCUMENT) as file:
        return [line.strip() for line in file if line.startswith("    ") and pattern in line]


def documented(pattern):
    [line] = all_documented(pattern)
    return line


def run(line, server):
    """A command of the document; redis-cli finds this server, and the file is this one's."""
    line = re.sub(r"redis-cli", f"redis-cli -p {server.port}", line).replace("redis.conf", server.path)
    subprocess.run(line, shell=True, check=True, cwd=server.directory, stdout=subprocess.DEVNULL)


def fill(server):
    with server.connect() as client:
        for key, (value, flags, exptime) in ITEMS.items():
            client.set(key, value, flags=flags, exptime=exptime)
        for i in range(200):
            client.set(f"many{i}", b"%d" % i, flags=i)
        for i in range(0, 200, 3):
            client.ask(b"incr many%d 1" % i)
    redis = server.resp()
    redis.rename("many1", "renamed")
    return data_of(server)


def check_removed(server, data):
    redis = server.resp()
    assert b"diglot" not in [module[b"name"] for module in redis.module_list()]
    assert redis.config_get("diglot.*") == {}
    assert data_of(server) == data
    for key, (value, _, exptime) in ITEMS.items():
        assert redis.get(key) == value and redis.execute_command("EXPIRETIME", key) == (exptime or -1)
    redis.set("diglot:upstream:deleted", b"what a migration leaves")
    assert redis.dbsize() > len(data) + 1
    for line in all_documented("--scan"):
        run(line, server)
    assert redis.dbsize() == len(data) and not list(redis.scan_iter(LEDGER_PREFIX + b"*"))
    assert data_of(server) == data


@pytest.mark.parametrize("persistence", PERSISTENCE)
def test_by_a_restart(start_as, persistence):
    server = start_as(ConfiguredEngine, PERSISTENCE[persistence])
    data = fill(server)
    server.stop()
    run(documented("sed -i"), server)
    server.restart(module=False)
    check_removed(server, data)


@pytest.mark.parametrize("persistence", PERSISTENCE)
def test_without_a_restart(start_as, persistence):
    """And what the engine has written into its configuration then is enough to start with."""
    server = start_as(ConfiguredEngine, PERSISTENCE[persistence])
    data = fill(server)
    client = server.connect()
    run(documented("MODULE UNLOAD"), server)
    assert client.read_to_close() == b""
    run(documented("CONFIG REWRITE"), server)
    assert not [line for line in server.lines() if re.match(r"loadmodule|diglot", line)]
    server.stop()
    server.restart(module=False)
    check_removed(server, data)


def test_half_a_removal_is_refused_by_the_engine(start_as):
    """As the document says."""
    server = start_as(ConfiguredEngine, PERSISTENCE["AOF"])
    server.stop()
    lines = [line for line in server.lines() if not line.startswith("loadmodule")]
    with open(server.path, "w") as file:
        file.writelines(f"{line}\n" for line in lines)
    assert "Module Configuration detected without loadmodule directive" in server.expect_refusal()


def test_replicas_first(start_engine):
    first = start_engine()
    second = start_engine(config=replica_of(first))
    wait_following(second, first)
    data = fill(first)
    servers.wait_replica(first, second)
    second.kill()
    second.restart(module=False)
    wait_following(second, first)
    with first.connect() as client:
        client.set("late", b"v", flags=3)
    hand_over(first, second)
    first.kill()
    first.config.update(replica_of(second))
    first.restart(module=False)
    wait_following(first, second)
    assert data_of(second) == data_of(first) == {**data, (0, b"late"): (b"string", b"v", -1)}
    assert first.digest() == second.digest()
