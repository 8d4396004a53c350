"""The writers that the tests of tests/faults hold a server to: what they believe is what a quiet server does, and one round of
each of those tests."""
import pytest

from lib import servers
from lib.item_commands import NEVER
from lib.item_load import ItemLoad
from lib.replication import promote, replica_of, wait_following

WRITES = 2000


@pytest.mark.parametrize("io_threads", [0, 4])
def test_the_writers_are_right_without_any_fault(start, io_threads):
    """Each protocol takes over what another one has left."""
    server = start(io_threads=io_threads)
    load = None
    for seed in range(3):
        with ItemLoad(server, seed=seed, before=load) as load:
            load.wait_answers(WRITES)
        assert load.verify() == 0


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_was_acknowledged_survives_kill_9(start, io_threads, fsync):
    server = start(io_threads=io_threads, config={"appendonly": "yes", "appendfsync": fsync})
    load = None
    for seed in range(2):
        with ItemLoad(server, seed=seed, before=load, kill_at=WRITES // 2) as load:
            load.wait_broken()
            server.kill()
        server.restart()
        load.verify(may_lag=fsync == "everysec")


def test_a_promoted_replica_has_what_came_before_what_it_has_of_resp(start):
    primary = start()
    replica = start(config=replica_of(primary))
    wait_following(replica, primary)
    with ItemLoad(primary, replicas=1, kill_at=WRITES) as load:
        load.wait_broken()
        primary.kill()
    promote(replica)
    load.verify(may_lag=True, server=replica)
    with ItemLoad(replica, before=load, seed=2) as load:
        load.wait_answers(WRITES)
    load.verify()


def test_a_replica_is_the_same_behind_a_load(start):
    primary = start()
    replica = start(config=replica_of(primary))
    wait_following(replica, primary)
    with ItemLoad(primary) as load:
        load.wait_answers(WRITES)
        primary.resp().execute_command("CLIENT", "KILL", "TYPE", "replica")
    load.verify()
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()
    load.check_follower(replica)


SPOILERS = {
    "value": lambda redis, client, key, item: redis.setrange(key, 0, bytes([255 - item.value[0]])),
    "length": lambda redis, client, key, item: redis.append(key, " "),
    "missing": lambda redis, client, key, item: redis.delete(key),
    "flags": lambda redis, client, key, item: redis.execute_command("DIGLOT.SET", key, item.value, "FLAGS", item.flags ^ 1),
    "expiry": lambda redis, client, key, item: redis.expire(key, 2000),
    "mark": lambda redis, client, key, item: client.ask(b"md %s I" % key),
}


def is_plain(item):
    return item.value and not item.is_stale and item.expiry == NEVER


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_the_check_finds(start, spoiler):
    server = start()
    with ItemLoad(server, flushes=False) as load:
        load.wait_answers(WRITES // 2)
    load.verify()
    key, item = next((key, item) for writer in load.writers for key, item in writer.items.items() if is_plain(item))
    with server.connect() as client:
        SPOILERS[spoiler](server.resp(), client, key, item)
    with pytest.raises(AssertionError, match="acknowledged and found differ"):
        load.verify()
